"""The charts that say how far to trust the rest: the search over time, ranking by the supernet, predicted cost."""

from falconet.report.chart import (
    Axis,
    Frame,
    Plot,
    Point,
    Shape,
    arrow,
    labels,
    line,
    linear_axis,
    points,
    row_label,
    start,
    whisker,
)
from falconet.report.figures import HALF, Figure, Key, draw_twice, quality_axis
from falconet.report.reading import Run
from falconet.report.results import CostPrediction, PredictedPoint
from falconet.report.tables import budget_words, point_table
from falconet.report.verdict import prediction_words
from falconet.report.views import Role, best_so_far, budgets, main_search, trials_of, within
from falconet.report.words import amount, cost_words, quality_label, quality_number, quality_words

MAX_PANELS = 3
HISTORY_MARKS: dict[str, Shape] = {"random": "triangle", "search": "circle"}
RANK_MARKS: dict[str, tuple[str, Shape]] = {
    "inherited": ("search", "circle"),
    "cost": ("random", "triangle"),
    "other": ("baseline", "square"),
}


def history_figures(run: Run) -> list[Figure]:
    """The best quality so far over the evaluations, one chart for each budget; search beside random search."""
    found = [_history(run, budget) for budget in budgets(run)[:MAX_PANELS] or [{}]]
    return [figure for figure in found if figure is not None]


def _history(run: Run, budget: dict[str, float]) -> Figure | None:
    quality, holds = run.results.quality, within(budget)
    roles: tuple[tuple[str, Role], ...] = (("search", "search"), ("random", "random_baseline"))
    counts = {name: len(trials_of(run, role, main_search(run))) for name, role in roles}
    runs = {
        name: best_so_far(
            (i, t.quality[quality]) for i, t in enumerate(trials_of(run, role, main_search(run)), 1) if holds(t)
        )
        for name, role in roles
    }
    if len(runs["search"]) < 2:
        return None
    lines = {name: [*steps, (counts[name], steps[-1][1])] for name, steps in runs.items() if steps}
    values = [value for steps in lines.values() for _, value in steps]
    top = max(values)
    low = max(
        min(values), top - 3 * (top - sorted(values)[len(values) // 3]) - 0.05
    )  # the first tries may be far below
    x = linear_axis("Networks evaluated", [0, max(counts.values())], lambda value: f"{value:,.0f}")
    x = Axis(x.label, 0, max(counts.values()) * 1.02, tuple(tick for tick in x.ticks if tick[0] >= 0))
    y = quality_axis(run, [max(low, value) for value in values], "on validation pictures")

    def draw(frame: Frame) -> Plot:
        plot = start(x, y, frame, f"Best {quality_label(quality)} so far", budget_words(budget))
        for name, shape in HISTORY_MARKS.items():
            if name in lines:
                line(plot, lines[name], name, step=True)
                tips = [Point(i, v, f"after {i:,} networks\n{quality_words(quality, v)}") for i, v in lines[name]]
                points(plot, tips, name, shape, 2.6)
        return plot

    wide, narrow = draw_twice(draw, HALF)
    keys = (Key("search", "search", "circle"), Key("random", "random search", "triangle"))
    rows = [[name, f"{i:,}", quality_number(quality, v)] for name, steps in lines.items() for i, v in steps]
    table = point_table("Each new best", ["Search", "After", quality_label(quality)], rows)
    heading = f"Best so far, {budget_words(budget)}"
    name = "-".join(f"{key}-{value:.0f}" for key, value in sorted(budget.items()))
    return Figure(f"history-{name}", heading, "", keys if "random" in lines else (), wide, narrow, table, half=True)


def rank_figure(run: Run) -> Figure | None:
    """Rank correlation of each predictor with the truth, with its interval: a dot and a whisker a row."""
    found = run.results.rank_correlation
    if found is None or not found.rows:
        return None
    rows = found.rows
    lowest = min(0.0, *(row.interval.low if row.interval else row.value for row in rows))
    low = next((edge for edge in (0.0, -0.25, -0.5) if edge <= lowest), -1.0)
    step = 0.25 if low >= -0.25 else 0.5
    ticks = tuple((i * step, f"{i * step:g}".replace("-", "−")) for i in range(round(low / step), round(1 / step) + 1))
    x, y = Axis(found.measure, low, 1.03, ticks), Axis("", 0, len(rows), ())

    def draw(frame: Frame) -> Plot:
        left = 150 if frame.width == HALF.width else 120
        plot = start(
            x, y, Frame(frame.width, 66 + 44 * len(rows), left=left, top=8), f"{found.measure} with {found.truth}"
        )
        for i, row in enumerate(rows):
            at = len(rows) - i - 0.5
            series, shape = RANK_MARKS[row.kind]
            if row.interval:
                whisker(plot, row.interval.low, row.interval.high, at, series)
            within_words = "all networks" if row.within == "all" else row.within
            tip = f"{row.predictor}, {within_words}\n{found.measure} {row.value:.2f}"
            points(plot, [Point(row.value, at, tip)], series, shape, 5)
            row_label(plot, at, row.predictor, within_words)
        return plot

    wide, narrow = draw_twice(draw, HALF)
    caption = f"1 is the same order as {found.truth or 'the truth'}, 0 is chance. Bars are confidence intervals."
    return Figure("rank", "Who ranks networks right", caption, (), wide, narrow, half=True)


def trust_figure(run: Run) -> Figure | None:
    """Each network twice: quality with inherited weights, and after its own training."""
    found = run.results.rank_correlation
    if found is None or len(found.points) < 3:
        return None
    quality = run.results.quality
    x = quality_axis(run, [point.inherited for point in found.points], "with inherited weights")
    y = quality_axis(run, [point.trained for point in found.points], "after own training")
    marks = []
    for point in found.points:
        lines = [
            f"inherited {quality_words(quality, point.inherited)}",
            f"own training {quality_words(quality, point.trained)}",
        ]
        lines += [cost_words("macs", point.macs)] if point.macs is not None else []
        marks.append(Point(point.inherited, point.trained, "\n".join(lines)))

    def draw(frame: Frame) -> Plot:
        plot = start(x, y, frame, f"{y.label} against {x.label}")
        points(plot, marks, "search", "circle", 4)
        return plot

    wide, narrow = draw_twice(draw, HALF)
    rows = []
    for i, p in enumerate(found.points, 1):
        values = [quality_number(quality, value) for value in (p.inherited, p.trained)]
        rows.append([str(i), *values, cost_words("macs", p.macs) if p.macs else ""])
    table = point_table("Networks judged twice", ["", "Inherited", "Own training", "Cost"], rows)
    caption = "Each mark is one network. The closer they lie to a rising line, the better the shortcut."
    return Figure("trust", "The shortcut against the truth", caption, (), wide, narrow, table, half=True)


def prediction_figure(run: Run) -> Figure | None:
    """Predicted against measured cost, with the line on which they agree."""
    found = run.results.cost_prediction
    if found is None or len(found.points) < 2:
        return None
    values = [value for point in found.points for value in (point.predicted, point.measured)]
    x = linear_axis(f"Predicted, {found.unit}", values, amount)
    y = linear_axis(f"Measured, {found.unit}", values, amount)
    others = [_prediction_point(found, point) for point in found.points if not point.chosen]
    chosen = [_prediction_point(found, point) for point in found.points if point.chosen]

    def draw(frame: Frame) -> Plot:
        plot = start(x, y, frame, f"{y.label} against {x.label}")
        arrow(plot, (x.low, x.low), (x.high, x.high), "equal")
        points(plot, others, "search", "circle", 4)
        points(plot, chosen, "chosen", "diamond", 5.5)
        labels(plot, chosen, "chosen")
        return plot

    wide, narrow = draw_twice(draw, HALF)
    rows = [[p.name, f"{p.predicted:.3g}", f"{p.measured:.3g}", _error(p)] for p in found.points]
    table = point_table("Predicted and measured", ["Network", x.label, y.label, "Error"], rows)
    heading, words = "Predicted against measured", prediction_words(found)
    keys = (Key("search", "networks timed", "circle"), Key("chosen", "chosen", "diamond"))
    return Figure("prediction", heading, words, keys if chosen and others else (), wide, narrow, table, half=True)


def _prediction_point(found: CostPrediction, point: PredictedPoint) -> Point:
    figures = f"predicted {point.predicted:.3g} {found.unit}\nmeasured {point.measured:.3g} {found.unit}"
    return Point(point.predicted, point.measured, f"{point.name}\n{figures}", point.name if point.chosen else "")


def _error(point: PredictedPoint) -> str:
    return f"{point.predicted / point.measured - 1:+.0%}" if point.measured else ""
