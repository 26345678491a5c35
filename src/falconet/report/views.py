"""Questions about a run that several parts of the report ask: whose trials these are, which set leads, who wins."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from falconet.evaluate.score import Trial
from falconet.report.reading import Run
from falconet.report.results import BaselineResult, LatencyRow, ModelResult, SearchResult

Role = Literal["search", "random_baseline"]
Entry = ModelResult | BaselineResult

MAX_CLOUD = 1500  # marks of one series: more cannot be told apart, and weigh on the page


@dataclass(frozen=True)
class Score:
    """A quality, and where it was measured: "Set5", or "validation"."""

    where: str
    value: float


def main_search(run: Run) -> str:
    """The id of the search that the report is about: the one results.json names, else the first there is."""
    listed = [search.id for search in run.results.searches if search.role == "search"]
    logged = [trial.search for trial in run.trials]
    return next(iter((*[run.results.search] * bool(run.results.search), *listed, *logged)), "")


def find_search(run: Run, role: Role) -> SearchResult | None:
    """What results.json says of the main search, or of its random baseline: they share their id."""
    wanted = main_search(run)
    return next((one for one in run.results.searches if one.id == wanted and one.role == role), None)


def roles(run: Run) -> dict[tuple[str, str], Role]:
    """What each (search, proposer) of the log is: as results.json lists it, else a baseline when it drew at random
    beside another proposer of the same search.
    """
    keys = dict.fromkeys((trial.search, trial.proposer) for trial in run.trials)
    known: dict[tuple[str, str], Role] = {(one.id, one.strategy): one.role for one in run.results.searches}
    beside = {search for search, proposer in keys if proposer != "random"}
    return {
        key: known.get(key, "random_baseline" if key[1] == "random" and key[0] in beside else "search") for key in keys
    }


def trials_of(run: Run, role: Role, search: str = "") -> list[Trial]:
    """The trials in one role that went well, in the order they were made; of one search only, if it is named."""
    quality, known = run.results.quality, roles(run)
    return [
        trial
        for trial in run.trials
        if trial.status == "ok"
        and math.isfinite(trial.quality.get(quality, math.nan))
        and known[trial.search, trial.proposer] == role
        and search in ("", trial.search)
    ]


def thinned(trials: Sequence[Trial]) -> Sequence[Trial]:
    """At most MAX_CLOUD of the trials, evenly spread."""
    return trials[:: -(-len(trials) // MAX_CLOUD)] if trials else trials


def cost_of(entry: Entry, name: str) -> float | None:
    """A cost of a model or baseline; the latency is its measured median."""
    if name == "latency_ms":
        return entry.latency.median_ms if entry.latency else None
    return entry.costs.get(name)


def validation_quality(run: Run, entry: Entry) -> float | None:
    """Quality on the validation pictures: after its own training, or else with inherited weights."""
    quality = run.results.quality
    inherited = entry.inherited.get(quality) if isinstance(entry, ModelResult) else None
    return entry.final.get(quality, inherited)


def set_quality(run: Run, entry: Entry, name: str) -> float | None:
    """Quality on one test set."""
    score = entry.test.get(name)
    return score.metrics.get(run.results.quality) if score else None


def entries(run: Run) -> list[Entry]:
    """Models, then baselines."""
    return [*run.results.models, *run.results.baselines]


def set_names(run: Run) -> list[str]:
    """The names of all test sets with a score, in the order they were written; those of the models lead."""
    return list(dict.fromkeys(name for entry in entries(run) for name in entry.test))


def leading_set(run: Run) -> str:
    """The test set that the headline speaks of: the first that the first model was tested on, or ""."""
    models = run.results.models
    return next(iter(models[0].test), "") if models else ""


def headline_score(run: Run) -> Score | None:
    """The first model's quality on the leading test set, or else on the validation pictures."""
    models = run.results.models
    if not models:
        return None
    name = leading_set(run)
    tested = set_quality(run, models[0], name) if name else None
    if tested is not None:
        return Score(name, tested)
    found = validation_quality(run, models[0])
    return None if found is None else Score("validation", found)


def score_at(run: Run, entry: Entry, where: str) -> float | None:
    """An entry's quality where a `Score` was measured."""
    return validation_quality(run, entry) if where == "validation" else set_quality(run, entry, where)


def interpolation(run: Run) -> BaselineResult | None:
    """The baseline that comes before a network (bicubic, the noisy pictures themselves), if there is one."""
    return next((one for one in run.results.baselines if one.kind in ("interpolation", "input")), None)


def heavy_baseline(run: Run) -> BaselineResult | None:
    """The most expensive baseline, if it costs at least three times the first model: "255 times cheaper than VDSR"."""
    models = run.results.models
    if not models or "macs" not in models[0].costs:
        return None
    heavy = max(
        (one for one in run.results.baselines if "macs" in one.costs), key=lambda one: one.costs["macs"], default=None
    )
    return heavy if heavy and heavy.costs["macs"] >= 3 * models[0].costs["macs"] else None


def title(entry: Entry) -> str:
    """What a model or baseline is called."""
    return entry.title or entry.name if isinstance(entry, BaselineResult) else entry.name


def staircase(pairs: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, quality) pairs that no cheaper one equals or beats, cheapest first.

    >>> staircase([(2, 5), (1, 4), (3, 5), (4, 7)])
    [(1, 4), (2, 5), (4, 7)]
    """
    front: list[tuple[float, float]] = []
    for cost, quality in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not front or quality > front[-1][1]:
            front.append((cost, quality))
    return front


def best_so_far(values: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """The running best of (evaluation, quality) pairs: one pair for each time it rose.

    >>> best_so_far([(1, 30.0), (2, 29.0), (3, 31.0)])
    [(1, 30.0), (3, 31.0)]
    """
    best: list[tuple[int, float]] = []
    for index, value in values:
        if not best or value > best[-1][1]:
            best.append((index, value))
    return best


def latencies(run: Run) -> list[tuple[Entry, LatencyRow]]:
    """Every timed model and baseline with its row."""
    return [(entry, entry.latency) for entry in entries(run) if entry.latency is not None]


def budgets(run: Run) -> list[dict[str, float]]:
    """The limits that networks were chosen under, smallest first, without repeats."""
    wanted = [model.budget for model in run.results.models if model.budget]
    wanted += [best.budget for search in run.results.searches for best in search.best if best.budget]
    unique: list[dict[str, float]] = []
    for budget in wanted:
        if budget not in unique:
            unique.append(budget)
    return sorted(unique, key=lambda budget: sorted(budget.items()))


def within(budget: dict[str, float]) -> Callable[[Trial], bool]:
    """A test for trials: does every limited cost that is known hold?"""

    def holds(trial: Trial) -> bool:
        return all(trial.costs[name].value <= limit for name, limit in budget.items() if name in trial.costs)

    return holds
