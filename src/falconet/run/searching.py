"""The search stages: the strategy of the recipe, and random search with as many evaluations beside it.

How networks are judged: `evaluating`. Every trial is a line of trials.jsonl, so a search that was killed goes on where
its log ends.
"""

from __future__ import annotations

from falconet.evaluate import Trial
from falconet.run.evaluating import Judge, evaluation
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.searches import OneSearch
from falconet.run.wanted import counter, is_random, objectives, strategy_name
from falconet.search import STRATEGIES, Feasible, Strategy, front_of, search

TRIALS_FILE = "trials.jsonl"
BASELINE = "random"  # the strategy every other has to beat, and its name as a proposer
SEED_OF_BASELINE = 1_000_003  # added to the seed: the two searches draw independently


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
    with (
        record.stage(stage) as clock,
        progress.task(f"search ({proposer})", total) as update,
        evaluation(record, one, judge, feasible) as evaluate,
    ):

        def on_trial(trial: Trial) -> None:
            clock.tick()
            found.append(trial)
            scored = [one.quality[recipe.task.quality] for one in found if one.status == "ok"]
            update(len(found), **{recipe.task.quality: max(scored, default=0.0)}, front=len(front_of(found, goals)))

        trials = search(
            make_strategy(recipe, proposer, feasible),
            evaluate,
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
