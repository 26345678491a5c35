"""The charts of quality against cost: the front on validation pictures, the test set, and measured latency.

Each function returns a `Figure`, or None when the run has nothing to show there. A figure is drawn twice, wide and
narrow; the style sheet shows the one that fits, so text keeps its size on a phone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from falconet.evaluate.score import Trial
from falconet.report.chart import (
    Axis,
    Frame,
    Plot,
    Point,
    Shape,
    arrow,
    finish,
    labels,
    level,
    line,
    linear_axis,
    log_axis,
    points,
    start,
)
from falconet.report.reading import Run
from falconet.report.results import BaselineResult, ModelResult
from falconet.report.tables import Table, point_table
from falconet.report.views import (
    MAX_CLOUD,
    Entry,
    Role,
    cost_of,
    interpolation,
    leading_set,
    score_at,
    staircase,
    thinned,
    title,
    trials_of,
)
from falconet.report.words import (
    BEGINS,
    cost_label,
    cost_number,
    cost_words,
    plural,
    quality_label,
    quality_number,
    quality_words,
)

WIDE = Frame(980, 440)
HALF = Frame(480, 350, left=50)
NARROW = Frame(360, 330, left=46, right=10)


@dataclass(frozen=True)
class Key:
    """One entry of a legend: the series it switches, what it is called, the shape of its marks."""

    series: str
    words: str
    shape: Shape | str


@dataclass(frozen=True)
class Figure:
    """A chart ready for the page: drawn wide and narrow, with a legend, a caption and its figures as a table."""

    id: str
    title: str
    caption: str
    legend: tuple[Key, ...]
    wide: Markup
    narrow: Markup
    table: Table | None = None
    half: bool = False


def draw_twice(draw: Callable[[Frame], Plot], wide: Frame) -> tuple[Markup, Markup]:
    """The chart at its wide and at its narrow size."""
    return finish(draw(wide)), finish(draw(NARROW))


Pairs = dict[str, list[tuple[float, float]]]  # (cost, quality) of each trial, by series
LEAST_SPAN = {"dB": 0.1}
CLOUD_MARKS: dict[str, Shape] = {"random": "triangle", "search": "circle"}


def front_figure(run: Run, cost: str = "macs") -> Figure | None:
    """Quality on validation pictures against a cost: every trial, the front, the random search, chosen networks.

    Latencies count only where they were measured.
    """
    roles: dict[str, Role] = {"random": "random_baseline", "search": "search"}
    clouds = {name: [t for t in trials_of(run, role) if _has_cost(t, cost)] for name, role in roles.items()}
    chosen = [one for one in run.results.models if _place(run, one, cost, "validation")]
    others = [one for one in run.results.baselines if _place(run, one, cost, "validation")]
    if len(clouds["search"]) < 2:
        return None
    quality = run.results.quality
    pairs = {name: [(t.costs[cost].value, t.quality[quality]) for t in trials] for name, trials in clouds.items()}
    front = staircase(pairs["search"])
    x, y = _cloud_axes(run, cost, pairs, [*chosen, *others])

    def draw(frame: Frame) -> Plot:
        plot = start(x, y, frame, f"{y.label} against {x.label}", f"{len(front)} networks form the front.")
        for name, shape in CLOUD_MARKS.items():
            points(
                plot,
                [_trial_point(run, t, cost) for t in thinned(clouds[name])],
                name,
                shape,
                2.6 if frame is WIDE else 1.9,
            )
        line(plot, front, "front", step=True)
        for model in chosen:
            before, found = model.inherited.get(quality), _place(run, model, cost, "validation")
            if before is not None and found and x.holds(found[0]):
                arrow(plot, (found[0], before), found, "chosen")
        _entry_points(run, plot, chosen, others, cost, "validation")
        return plot

    wide, narrow = draw_twice(draw, WIDE)
    heading = f"What {'a millisecond' if cost == 'latency_ms' else 'each multiply-accumulate'} buys"
    legend = _front_legend(clouds, chosen, others)
    return Figure(
        f"front-{cost}",
        heading,
        _front_caption(run, pairs, chosen, y),
        legend,
        wide,
        narrow,
        _front_table(run, front, cost),
    )


def _cloud_axes(run: Run, cost: str, pairs: Pairs, marked: Sequence[Entry]) -> tuple[Axis, Axis]:
    """Axes that hold all marked networks and the better nine tenths of each cloud; the rest would flatten it."""
    values = [found for one in marked if (found := _place(run, one, cost, "validation"))]
    qualities = [quality for _, quality in values]
    for cloud in pairs.values():
        qualities += sorted(quality for _, quality in cloud)[len(cloud) // 10 :]
    best = max(qualities)
    floor = best - 3 * (best - sorted(qualities)[len(qualities) // 2] + 0.05)
    qualities = [quality for quality in qualities if quality >= floor]
    costs = [value for cloud in pairs.values() for value, _ in cloud]
    costs = [*costs, *(value for value, quality in values if quality >= floor)]
    return cost_axis(run, cost, costs), quality_axis(run, qualities)


def cost_axis(run: Run, cost: str, values: Sequence[float]) -> Axis:
    """A logarithmic axis of a cost."""
    at = f" for a {run.results.at_output} picture" if run.results.at_output and cost == "macs" else ""

    def words(value: float) -> str:
        return f"{value:g} ms" if cost == "latency_ms" else cost_words(cost, value).removesuffix("MACs").strip()

    return log_axis(cost_label(cost) + at, values, words)


def quality_axis(run: Run, values: Sequence[float], where: str = "on validation pictures") -> Axis:
    """An axis of the quality; its ticks have as few digits as tell them apart.

    It spans LEAST_SPAN at least, so that a tie looks like one.
    """
    name, unit = run.results.quality, run.results.quality_unit
    room = max(0.0, LEAST_SPAN.get(unit, 0.0) - (max(values) - min(values))) / 2
    values = [min(values) - room, max(values) + room]
    axis = linear_axis(f"{quality_label(name)} {where}{f', {unit}' if unit else ''}", values, str, headroom=0.13)
    for digits in range(5):
        words = [f"{value:.{digits}f}" for value, _ in axis.ticks]
        if all(abs(float(word) - value) < 1e-9 for word, (value, _) in zip(words, axis.ticks, strict=True)):
            break
    return replace(axis, ticks=tuple((value, word) for (value, _), word in zip(axis.ticks, words, strict=True)))


def _has_cost(trial: Trial, cost: str) -> bool:
    found = trial.costs.get(cost)
    return found is not None and 0 < found.value < math.inf and (cost != "latency_ms" or found.how == "measured")


def _place(run: Run, entry: Entry, cost: str, where: str) -> tuple[float, float] | None:
    value, quality = cost_of(entry, cost), score_at(run, entry, where)
    if value is None or quality is None or not (0 < value < math.inf and math.isfinite(quality)):
        return None
    return value, quality


def _trial_point(run: Run, trial: Trial, cost: str) -> Point:
    quality = run.results.quality
    value = trial.costs[cost].value
    lines = [f"trial {trial.index} of {trial.search or 'the search'}", quality_words(quality, trial.quality[quality])]
    lines += [cost_words(name, one.value) for name, one in trial.costs.items()]
    return Point(value, trial.quality[quality], "\n".join(lines))


def _entry_point(run: Run, entry: Entry, cost: str, where: str) -> Point | None:
    found = _place(run, entry, cost, where)
    if found is None:
        return None
    lines = [title(entry), f"{quality_words(run.results.quality, found[1])} on {where}"]
    lines += [cost_words(name, value) for name, value in entry.costs.items()]
    if entry.latency is not None:
        lines.append(cost_words("latency_ms", entry.latency.median_ms))
    if isinstance(entry, BaselineResult) and entry.origin == "published":
        lines.append("published figure")
    return Point(*found, "\n".join(lines), title(entry))


def _entry_points(
    run: Run, plot: Plot, chosen: Sequence[Entry], others: Sequence[Entry], cost: str, where: str
) -> None:
    """Draw chosen networks and baselines with their names, and what comes before networks as a level."""
    theirs = [point for one in others if (point := _entry_point(run, one, cost, where))]
    ours = [point for one in chosen if (point := _entry_point(run, one, cost, where))]
    points(plot, theirs, "baseline", "square", 4.5)
    points(plot, ours, "chosen", "diamond", 6.0)
    base = interpolation(run)
    value = score_at(run, base, where) if base else None
    if base and value is not None:
        level(plot, value, f"{title(base)} {quality_words(run.results.quality, value)}", "baseline")
    labels(plot, ours, "chosen")
    labels(plot, theirs, "baseline")


def _front_legend(
    clouds: Mapping[str, Sequence[Trial]], chosen: Sequence[Entry], others: Sequence[Entry]
) -> tuple[Key, ...]:
    keys = [
        (bool(chosen), Key("chosen", "chosen networks, after their own training", "diamond")),
        (True, Key("search", "search", "circle")),
        (True, Key("front", "front", "line")),
        (bool(clouds["random"]), Key("random", "random search", "triangle")),
        (bool(others), Key("baseline", "baselines", "square")),
    ]
    return tuple(key for shown, key in keys if shown)


def _front_caption(run: Run, pairs: Pairs, chosen: Sequence[ModelResult], y: Axis) -> str:
    begin = BEGINS[run.results.judged_with]
    sentences = [f"Up and to the left is better. Small marks are networks with {begin.theirs}."]
    if any(run.results.quality in model.inherited and run.results.quality in model.final for model in chosen):
        sentences.append("Thin lines show what final training added to the chosen networks.")
    below = sum(quality < y.low for cloud in pairs.values() for _, quality in cloud)
    if below:
        sentences.append(f"{plural(below, 'network')} below the axis {'is' if below == 1 else 'are'} not shown.")
    if any(len(cloud) > MAX_CLOUD for cloud in pairs.values()):
        sentences.append(f"Of each search at most {MAX_CLOUD:,} are drawn, evenly spread; the front is that of all.")
    return " ".join(sentences)


def _front_table(run: Run, front: Sequence[tuple[float, float]], cost: str) -> Table | None:
    rows = [
        [str(i), cost_number(cost, value), quality_number(run.results.quality, q)]
        for i, (value, q) in enumerate(front, 1)
    ]
    return point_table("The front of the search", ["", cost_label(cost), quality_label(run.results.quality)], rows)


def set_figure(run: Run, cost: str = "macs", where: str = "") -> Figure | None:
    """Quality on the leading test set (or `where`) against a cost, models beside baselines."""
    where = where or leading_set(run) or "validation"
    chosen = [one for one in run.results.models if _place(run, one, cost, where)]
    others = [one for one in run.results.baselines if _place(run, one, cost, where)]
    shown: list[Entry] = [*chosen, *others]
    if not chosen or len(shown) < 2:
        return None
    values = [found for one in shown if (found := _place(run, one, cost, where))]
    x = cost_axis(run, cost, [value for value, _ in values])
    y = quality_axis(run, [quality for _, quality in values], f"on {where}")

    def draw(frame: Frame) -> Plot:
        plot = start(x, y, frame, f"{y.label} against {x.label}")
        _entry_points(run, plot, chosen, others, cost, where)
        return plot

    wide, narrow = draw_twice(draw, HALF)
    against = "measured latency" if cost == "latency_ms" else cost_label(cost).lower()
    heading = f"{where[:1].upper()}{where[1:]} against {against}"
    keys = (Key("chosen", "found here", "diamond"), Key("baseline", "baselines", "square"))
    rows = [[title(one), *_words(run, one, cost, where)] for one in shown]
    table = point_table(heading, ["Network", cost_label(cost), quality_label(run.results.quality)], rows)
    caption = _tested_caption(run, where, y)
    return Figure(f"test-{cost}", heading, caption, keys if others else (), wide, narrow, table, half=True)


def _tested_caption(run: Run, where: str, y: Axis) -> str:
    base = interpolation(run)
    value = score_at(run, base, where) if base else None
    if base is None or value is None or y.holds(value):
        return "Up and to the left is better."
    side = "below" if value < y.low else "above"
    return (
        f"Up and to the left is better. Far {side} lies {title(base)}, at {quality_words(run.results.quality, value)}."
    )


def _words(run: Run, entry: Entry, cost: str, where: str) -> tuple[str, str]:
    found = _place(run, entry, cost, where)
    assert found is not None, "only entries with both values are drawn"
    return cost_number(cost, found[0]), quality_number(run.results.quality, found[1])


def latency_figure(run: Run) -> Figure | None:
    """Quality against measured latency of at least two networks: on the leading test set, or else on validation."""
    return set_figure(run, "latency_ms") or set_figure(run, "latency_ms", "validation")
