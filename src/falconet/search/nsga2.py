"""NSGA-II: evolution towards a whole front when there are several objectives.

Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II".
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from falconet.evaluate.score import Objective, Trial
from falconet.search.pareto import crowding_distance, non_dominated_sort
from falconet.search.strategy import Feasible, SearchSettings, propose, random_archs
from falconet.spaces import Arch, Space, crossover, mutate


class Nsga2Settings(SearchSettings):
    """How children are made. `population` is both how many survive and how many are evaluated per round.

    It is 20, not the usual 100: with a few hundred evaluations, more generations are worth more than more parents.
    """

    strategy: Literal["nsga2"] = "nsga2"
    population: int = Field(20, ge=2)
    crossover: float = Field(0.9, ge=0, le=1, description="share of children with two parents")
    mutation: float = Field(0.6, ge=0, le=1, description="share of those that are mutated as well; copies always are")
    mutation_rate: float = Field(0.1, gt=0, le=1, description="per decision")


class Nsga2:
    """Keeps the best `population` trials by rank, then by room around them, and breeds from winners of contests.

    Budgets are hard: an infeasible network is never proposed, so the paper's constrained dominance is not needed. A
    network is never tried twice, so a child that exists already is bred again, and random networks fill what breeding
    cannot.
    """

    Settings: ClassVar[type[SearchSettings]] = Nsga2Settings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: Nsga2Settings
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.settings = settings
        self.seen: set[str] = set()
        self.population: list[Trial] = []  # best first: by rank, then by crowding distance

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Children of the population; in the first round, networks spread over the cost."""
        seen = set(self.seen)
        archs: list[Arch] = []
        if self.population:
            archs = propose(lambda: self._child(rng), count, self.feasible, seen, 10 * count)
        return archs + random_archs(self.space, self.feasible, self.objectives, rng, count - len(archs), seen)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Lets the best of the old population and the new round survive."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        scored = self.population + [trial for trial in trials if trial.scores(self.objectives) is not None]
        points = [[trial.value(objective.name) for objective in self.objectives] for trial in scored]
        order = best_first(points, [objective.maximize for objective in self.objectives])
        self.population = [scored[i] for i in order[: self.settings.population]]

    def _child(self, rng: Random) -> Arch:
        if rng.random() >= self.settings.crossover:
            return mutate(self.space, self._parent(rng), rng, self.settings.mutation_rate)
        child = crossover(self.space, self._parent(rng), self._parent(rng), rng)
        if rng.random() < self.settings.mutation:
            child = mutate(self.space, child, rng, self.settings.mutation_rate)
        return child

    def _parent(self, rng: Random) -> Arch:
        """The better of two drawn members: the population is sorted, so the smaller index wins the contest."""
        return self.population[min(rng.randrange(len(self.population)) for _ in range(2))].arch


def best_first(points_nd: Sequence[Sequence[float]], maximize: Sequence[bool]) -> list[int]:
    """Indices sorted by rank, within a rank by falling crowding distance, then as they came.

    >>> best_first([[1, 9], [3, 4], [2, 4], [3.5, 5], [4, 6]], maximize=(True, False))
    [1, 4, 3, 2, 0]
    """
    if not points_nd:
        return []
    points = np.asarray(points_nd, dtype=float)
    ranks = non_dominated_sort(points, maximize)
    crowding = np.zeros(len(points))
    for rank in range(int(ranks.max()) + 1):
        members = np.flatnonzero(ranks == rank)
        crowding[members] = crowding_distance(points[members])
    return [int(i) for i in np.lexsort((np.arange(len(points)), -crowding, ranks))]
