"""The search stages: the strategy of the recipe, and random search with as many evaluations beside it.

Networks are judged with the weights they inherit from the supernet, or by a proxy training (`proxy`). Every trial is a
line of trials.jsonl, so a search that was killed goes on where its log ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from falconet.evaluate import Cost, Trial
from falconet.run.predict import LatencyLine
from falconet.run.progress import Progress
from falconet.run.proxy import fidelity, train_proxy, version
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.searches import OneSearch
from falconet.run.supernet import Supernet
from falconet.run.wanted import counter, is_random, objectives, strategy_name
from falconet.search import STRATEGIES, Evaluate, Feasible, Strategy, front_of, search
from falconet.spaces import Arch, build

if TYPE_CHECKING:
    from falconet.graph import NetSpec
    from falconet.tasks import Dataset

TRIALS_FILE = "trials.jsonl"
BASELINE = "random"  # the strategy every other has to beat, and its name as a proposer
SEED_OF_BASELINE = 1_000_003  # added to the seed: the two searches draw independently


@dataclass(frozen=True)
class Judge:
    """What networks are judged with: the supernet's weights, the pictures, and how costs are known."""

    supernet: Supernet
    dataset: Dataset
    latency: LatencyLine


def stage_of_search(one: OneSearch) -> str:
    """The name of the stage that runs the search's own strategy."""
    return f"{one.id}.{strategy_name(one.recipe)}"


def search_twice(record: Record, one: OneSearch, judge: Judge, progress: Progress) -> None:
    """Run the strategy of the search, then its random baseline, unless they are done."""
    _search(record, one, judge, progress, strategy_name(one.recipe), one.recipe.seed)
    if not is_random(one.recipe):
        _search(record, one, judge, progress, BASELINE, one.recipe.seed + SEED_OF_BASELINE)


def _search(record: Record, one: OneSearch, judge: Judge, progress: Progress, proposer: str, seed: int) -> None:
    """One search by one proposer, with its progress shown."""
    stage, recipe, total = f"{one.id}.{proposer}", one.recipe, one.recipe.search.evaluations
    if record.done(stage):
        return
    goals, found = objectives(recipe), list[Trial]()
    feasible = Feasible(recipe.space, recipe.budget, counter(recipe, judge.latency))
    with record.stage(stage) as clock, progress.task(f"search ({proposer})", total) as update:

        def on_trial(trial: Trial) -> None:
            clock.tick()
            found.append(trial)
            scored = [one.quality[recipe.task.quality] for one in found if one.status == "ok"]
            update(len(found), **{recipe.task.quality: max(scored, default=0.0)}, front=len(front_of(found, goals)))

        trials = search(
            make_strategy(recipe, proposer, feasible),
            evaluator(record, recipe, judge, feasible),
            record.path(TRIALS_FILE),
            evaluations=total,
            round_size=recipe.search.population,
            seed=seed,
            search_id=one.id,
            proposer=proposer,
            on_trial=on_trial,
        )
        failed = [trial for trial in trials if trial.status == "failed"]
        clock.finish({"evaluations": len(trials), "failed": len(failed), "seed": seed})
    for trial in failed[:3]:
        record.log(f"{stage}: trial {trial.index} failed: {trial.error}")


def make_strategy(recipe: Recipe, proposer: str, feasible: Feasible) -> Strategy:
    """The recipe's strategy, or the random baseline of its size."""
    settings = recipe.search
    if proposer == BASELINE:
        size = {"evaluations": settings.evaluations, "population": settings.population}
        settings = STRATEGIES[BASELINE].Settings.model_validate(size)
    return STRATEGIES[proposer](recipe.space, feasible, objectives(recipe), settings)


def evaluator(record: Record, recipe: Recipe, judge: Judge, feasible: Feasible) -> Evaluate:
    """Judges architectures by the quality of the weights they inherit or that a proxy gives, and counts their costs."""
    from falconet.evaluate.quality import quality

    proxy = recipe.search.proxy

    def figures_of(spec: NetSpec) -> dict[str, float]:
        if proxy is None:
            again = recipe.supernet.recalibrate
            return quality(judge.supernet.network, recipe.task, judge.dataset, spec, again)
        return quality(train_proxy(record, recipe, proxy, judge.dataset, spec), recipe.task, judge.dataset)

    def evaluate(asked: Sequence[tuple[int, Arch]]) -> Iterable[Trial]:
        for index, arch in asked:
            began = time.perf_counter()
            spec = build(recipe.space, arch)
            figures, error = dict[str, float](), ""
            try:
                figures = figures_of(spec)
            except (RuntimeError, FloatingPointError, MemoryError) as failure:
                error = f"{type(failure).__name__}: {failure}"
            yield Trial(
                index=index,
                arch=arch,
                network=spec.digest,
                status="failed" if error else "ok",
                error=error,
                quality=figures,
                costs={
                    name: Cost(value, "predicted" if name.startswith("latency_ms") else "counted")
                    for name, value in feasible.costs(arch).items()
                },
                weights=judge.supernet.version if proxy is None else version(recipe, proxy),
                fidelity=fidelity(recipe),
                executor="this process",
                seconds=round(time.perf_counter() - began, 4),
            )

    return evaluate
