"""The choice: the front of a search, and the best network within each limit of `final.at`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from falconet.evaluate import Budget, Trial
from falconet.files import write_json
from falconet.run.recipe import Recipe
from falconet.run.record import Record, read_json
from falconet.run.searches import OneSearch, names
from falconet.run.searching import BASELINE, TRIALS_FILE
from falconet.run.wanted import is_random, objectives, strategy_name
from falconet.search import front_of, read_trials
from falconet.spaces import Arch

PARETO_FILE = "pareto.json"


@dataclass(frozen=True)
class Chosen:
    """A network that is kept: its name, what it was chosen under, and its trial."""

    name: str
    budget: Budget
    trial: Trial
    steps_of: str
    """The entry of plan.steps that says how long it is trained."""
    seed: int = 0
    """Added to the run's; above 0 it is the same network trained again, for comparisons."""


def choose(record: Record, one: OneSearch, all_searches: Sequence[OneSearch]) -> list[Chosen]:
    """The networks that a search keeps. Written to pareto.json with the front, and the same whenever asked again."""
    trials = own_trials(record, one, strategy_name(one.recipe))
    chosen = best_within(one.recipe, trials, names(all_searches, one))
    if read_json(one.folder / PARETO_FILE) is None:
        write_json(one.folder / PARETO_FILE, front_json(one.recipe, trials, chosen))
    return chosen


def choose_random(record: Record, one: OneSearch, all_searches: Sequence[OneSearch]) -> list[Chosen]:
    """The best networks of the random search within each limit, when the recipe has them trained: NAME-random.

    One that the search keeps itself is left out: it is trained already.
    """
    if not one.recipe.rivals.random or is_random(one.recipe):
        return []
    found = best_within(one.recipe, own_trials(record, one, BASELINE), names(all_searches, one))
    kept = {chosen.trial.network for chosen in choose(record, one, all_searches)}
    return [replace(chosen, name=f"{chosen.name}-{BASELINE}") for chosen in found if chosen.trial.network not in kept]


def again(recipe: Recipe, chosen: Sequence[Chosen]) -> list[Chosen]:
    """The networks that a search keeps, for each further seed of `final.seeds`: NAME-seed1, NAME-seed2."""
    seeds = range(1, recipe.final.seeds)
    return [replace(one, name=f"{one.name}-seed{seed}", seed=seed) for one in chosen for seed in seeds]


def own_trials(record: Record, one: OneSearch, proposer: str) -> list[Trial]:
    """The trials of one search by one proposer, in order."""
    found = [
        trial for trial in read_trials(record.path(TRIALS_FILE)) if (trial.search, trial.proposer) == (one.id, proposer)
    ]
    return sorted(found, key=lambda trial: trial.index)


def best_within(recipe: Recipe, trials: Sequence[Trial], wanted_names: Mapping[str, Budget]) -> list[Chosen]:
    """The best trial within each budget, of equals the earlier; a network that is best for two is kept once."""
    found: dict[str, Chosen] = {}
    quality = recipe.task.quality
    for name, budget in wanted_names.items():
        meeting = [trial for trial in trials if trial.status == "ok" and not budget.exceeded(trial.costs)]
        if not meeting:
            continue
        best = max(meeting, key=lambda trial: (trial.quality[quality], -trial.index))
        found.setdefault(best.network, Chosen(name, budget, best, name.partition("-search-")[0]))
    return list(found.values())


def front_json(recipe: Recipe, trials: Sequence[Trial], chosen: Sequence[Chosen]) -> dict[str, object]:
    """What pareto.json holds: the objectives, and the front with the names of its members that are kept."""
    goals = objectives(recipe)
    kept = {one.trial.network: one for one in chosen}
    members = {trial.network: trial for trial in [*front_of(trials, goals), *(one.trial for one in chosen)]}
    return {
        "objectives": [{"name": goal.name, "maximize": goal.maximize} for goal in goals],
        "members": [
            {
                "arch": Arch.to_json(trial.arch),
                "network": trial.network,
                "quality": trial.quality,
                "costs": {name: cost.value for name, cost in trial.costs.items()},
                "name": kept[trial.network].name if trial.network in kept else None,
            }
            for trial in members.values()
        ],
    }
