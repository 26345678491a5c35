"""Tables as values: captions, headers and cells of plain text. The template writes them out and escapes them.

Columns in which nothing stands are left out, so one function serves a finished run and one stopped half-way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from falconet.report.reading import Run
from falconet.report.results import BaselineResult, Comparison, ModelResult, SearchResult, SetScore, Stage
from falconet.report.views import (
    budgets,
    entries,
    interpolation,
    latencies,
    set_names,
    title,
    validation_quality,
)
from falconet.report.words import (
    cost_label,
    cost_number,
    cost_words,
    duration,
    plural,
    quality_label,
    quality_number,
    quality_words,
    signed,
)


@dataclass(frozen=True)
class Cell:
    """One entry of a table; numbers are set to the right, `strong` ones in bold."""

    text: str = ""
    number: bool = False
    strong: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A caption, one header a column, rows of as many cells; the first cell of a row names it."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def make_table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table | None:
    """A table without its empty columns; None when no row is left."""
    full = [i for i in range(len(headers)) if i == 0 or any(row[i].text for row in rows)]
    if not rows or (len(full) < 2 < len(headers)):
        return None
    return Table(caption, tuple(headers[i] for i in full), tuple(tuple(row[i] for i in full) for row in rows))


def number(text: str, strong: bool = False, note: str = "") -> Cell:
    """A cell that is set to the right."""
    return Cell(text, number=True, strong=strong, note=note)


ORIGINS = {
    "trained_here": "trained in this run",
    "published": "published figure",
    "no_training": "needs no training",
    "": "",
}


def score_table(run: Run) -> Table | None:
    """Every model and baseline with what it costs and what it scores."""
    quality, sets = run.results.quality, set_names(run)
    costs = [name for name in ("macs", "params") if any(name in entry.costs for entry in entries(run))]
    headers = ["Network", *(cost_label(name) for name in costs), "Latency", "Validation"]
    headers += [*sets, "Training", "Origin"]
    rows = []
    for entry in entries(run):
        ours = isinstance(entry, ModelResult)
        validation = validation_quality(run, entry)
        row = [Cell(title(entry), strong=ours)]
        row += [number(cost_number(name, entry.costs[name]) if name in entry.costs else "") for name in costs]
        row.append(number(cost_words("latency_ms", entry.latency.median_ms) if entry.latency else ""))
        row.append(number("" if validation is None else quality_number(quality, validation)))
        row += [_test_cell(entry.test.get(name), quality, ours) for name in sets]
        row.append(number(_core_minutes(entry.core_minutes)))
        row.append(_origin(entry) if isinstance(entry, BaselineResult) else Cell("found here"))
        rows.append(row)
    unit = f" in {run.results.quality_unit}" if run.results.quality_unit else ""
    return make_table(f"All networks side by side: {quality_label(quality)}{unit}", headers, rows)


def _core_minutes(minutes: float | None) -> str:
    return "" if minutes is None else f"{minutes:.0f} core-min" if minutes >= 0.95 else "< 1 core-min"


def _origin(entry: BaselineResult) -> Cell:
    return Cell(ORIGINS[entry.origin], note=entry.source)


def _test_cell(score: SetScore | None, quality: str, strong: bool) -> Cell:
    if score is None or quality not in score.metrics:
        return Cell()
    others = [f"{quality_label(k)} {quality_number(k, v)}" for k, v in score.metrics.items() if k != quality]
    return number(quality_number(quality, score.metrics[quality]), strong, ", ".join(others))


def model_tests(run: Run, model: ModelResult) -> Table | None:
    """One model's scores on each test set, beside those of what comes before it."""
    quality, base = run.results.quality, interpolation(run)
    metrics = list(dict.fromkeys(name for score in model.test.values() for name in score.metrics))
    headers = ["Test set", "Pictures", *(quality_label(name) for name in metrics)]
    headers.append(f"Above {title(base)}" if base else "Above the baseline")
    rows = []
    for name, score in model.test.items():
        gain = ""
        if base and name in base.test and quality in score.metrics and quality in base.test[name].metrics:
            gain = signed(quality, score.metrics[quality] - base.test[name].metrics[quality])
        values = [number(quality_number(m, score.metrics[m]) if m in score.metrics else "") for m in metrics]
        rows.append([Cell(name), number(str(score.num_images)), *values, number(gain)])
    return make_table(f"{model.name} on test pictures it was never trained on", headers, rows)


def search_table(run: Run) -> Table | None:
    """Each search: strategy, evaluations, hypervolume, best quality under each budget."""
    quality, limits = run.results.quality, budgets(run)
    headers = [
        "Search",
        "Strategy",
        "Evaluations",
        "Set aside",
        "Hypervolume",
        *(budget_words(budget) for budget in limits),
        "Time",
    ]
    rows = []
    for search in run.results.searches:
        best = {budget_words(one.budget): one.quality for one in search.best}
        row = [
            Cell(search.id + (" (random baseline)" if search.role == "random_baseline" else "")),
            Cell(search.strategy),
        ]
        row.append(number("" if search.evaluations is None else f"{search.evaluations:,}"))
        row.append(Cell(_set_aside(run, search)))
        row.append(number("" if search.hypervolume is None else f"{search.hypervolume:.4g}"))
        keys = [budget_words(budget) for budget in limits]
        row += [number(quality_words(quality, best[key]) if key in best else "") for key in keys]
        row.append(number("" if search.seconds is None else duration(search.seconds)))
        rows.append(row)
    return make_table("The searches, all over the same trained supernet", headers, rows)


def _set_aside(run: Run, search: SearchResult) -> str:
    """How many trials of a search gave no score, and why: "3 over budget, 1 failed"."""
    mine = (search.id, search.strategy)
    count = Counter[str](trial.status for trial in run.trials if (trial.search, trial.proposer) == mine)
    words = {"infeasible": "over budget", "failed": "failed"}
    return ", ".join(f"{count[status]} {text}" for status, text in words.items() if count[status])


def budget_words(budget: Mapping[str, float], sign: str = "≤") -> str:
    """A budget as a column title: "≤ 2.5 GMACs"."""
    limits = [f"{sign} {cost_words(name, value)}" for name, value in sorted(budget.items())]
    return ", ".join(limits) or "no limit"


VERDICTS = {"ahead": "ahead", "behind": "behind", "tie": "tie", "open": "no interval measured"}


def comparison_table(run: Run) -> Table | None:
    """Paired comparisons with their intervals and what they amount to."""
    headers = ["Compared", "On", "Difference", "Interval", "Pairs", "Seeds", "Verdict"]
    rows = [_comparison_row(one) for one in run.results.comparisons]
    return make_table("Picture by picture: the first named minus the second", headers, rows)


def _pairs(one: Comparison) -> str:
    """How many pictures, and of how many things where several show one."""
    if one.num_pairs is None:
        return ""
    return f"{one.num_pairs} of {plural(one.num_groups, 'group')}" if one.num_groups else str(one.num_pairs)


def _comparison_row(one: Comparison) -> list[Cell]:
    interval = ""
    if one.interval is not None:
        low, high = (signed(one.metric, value, 1).split(" ")[0] for value in (one.interval.low, one.interval.high))
        interval = f"{low} … {high} ({one.interval.level:.0%})"
    return [
        Cell(f"{one.left} against {one.right}"),
        Cell(one.data),
        number(signed(one.metric, one.difference, 1)),
        number(interval),
        number(_pairs(one)),
        number("" if one.num_seeds is None else str(one.num_seeds)),
        Cell(VERDICTS[one.verdict], strong=one.verdict in ("ahead", "behind")),
    ]


def latency_table(run: Run) -> Table | None:
    """Every timing with its spread, the load of the machine and the ratio to the reference network."""
    headers = [
        "Network",
        "Median",
        "Fastest",
        "10th percentile",
        "Spread (IQR)",
        "To reference",
        "Samples",
        "Load",
        "Timed with",
    ]
    rows = []
    for entry, row in latencies(run):
        times = [number(f"{ms:.3g} ms") for ms in (row.median_ms, row.min_ms, row.p10_ms, row.spread_ms)]
        how = [row.runtime, row.device, plural(row.threads, "thread")]
        how.append("×".join(str(side) for side in row.input_size))
        rows.append(
            [
                Cell(title(entry)),
                *times,
                number("" if row.relative is None else f"{row.relative:.3g}"),
                number("" if row.num_samples is None else str(row.num_samples)),
                number(f"{row.load:.2f}"),
                Cell(", ".join(part for part in how if part)),
            ]
        )
    return make_table("Measured latency", headers, rows)


def rank_table(run: Run) -> Table | None:
    """Rank correlations of each predictor, over all networks and within bands."""
    found = run.results.rank_correlation
    if found is None:
        return None
    rows = []
    for row in found.rows:
        interval = f"{row.interval.low:.2f} … {row.interval.high:.2f}" if row.interval else ""
        count = "" if row.num_networks is None else str(row.num_networks)
        pairs = "" if row.num_pairs is None else f"{row.num_pairs:,}"
        rows.append(
            [
                Cell(row.predictor),
                Cell(row.within),
                number(f"{row.value:.2f}"),
                number(interval),
                number(count),
                number(pairs),
            ]
        )
    return make_table(found.measure, ["Ranked by", "Within", found.measure, "Interval", "Networks", "Pairs"], rows)


def stage_table(stages: Sequence[Stage]) -> Table | None:
    """Each stage: minutes planned and spent, steps planned and done."""
    headers = ["Stage", "Planned", "Spent", "Planned steps", "Steps", "State", "Note"]
    rows = []
    for stage in stages:
        row = [Cell(stage.name)]
        row += [number("" if t is None else duration(t)) for t in (stage.planned_seconds, stage.seconds)]
        row += [number("" if n is None else f"{n:,}") for n in (stage.planned_steps, stage.steps)]
        row += [Cell("done" if stage.done else "not finished", strong=not stage.done), Cell(stage.note)]
        rows.append(row)
    planned, spent = ([t for s in stages if (t := getattr(s, name))] for name in ("planned_seconds", "seconds"))
    totals = [number(duration(sum(times)) if times else "", strong=True) for times in (planned, spent)]
    if len(rows) > 1:
        rows.append([Cell("together", strong=True), *totals, Cell(), Cell(), Cell(), Cell()])
    return make_table("Where the time went", headers, rows)


def fact_table(caption: str, facts: Mapping[str, object]) -> Table | None:
    """Any nested mapping as names and values; deeper names are joined by dots."""
    rows = [[Cell(name), Cell(value)] for name, value in flat_facts(facts)]
    return make_table(caption, ["Name", "Value"], rows)


def flat_facts(facts: Mapping[str, object], path: str = "") -> list[tuple[str, str]]:
    """(dotted name, value as text) of every leaf but None: {"a": {"b": 1}} gives [("a.b", "1")]."""
    found: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping):
            found += flat_facts(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(one, Mapping | list) for one in value):
            found += flat_facts({str(i): one for i, one in enumerate(value)}, f"{name}.")
        elif value is not None:
            found.append(
                (name, ", ".join(str(one) for one in value) if isinstance(value, list | tuple) else str(value))
            )
    return found


def point_table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table | None:
    """The figures of a chart as a table, for those who cannot or would not hover."""
    return make_table(caption, headers, [[Cell(row[0]), *(number(text) for text in row[1:])] for row in rows])


def text_table(caption: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Table | None:
    """A table of plain texts."""
    return make_table(caption, headers, [[Cell(text) for text in row] for row in rows])
