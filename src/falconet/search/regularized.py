"""Regularized evolution: the oldest die, not the worst, so that a lucky score is not bred from for ever.

Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", algorithm 1 ("aging evolution").
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from falconet.errors import UserError
from falconet.evaluate.score import Objective, Trial
from falconet.search.objectives import loss, only_objective
from falconet.search.strategy import Feasible, SearchSettings, propose, random_archs
from falconet.spaces import Arch, Space, mutate


class RegularizedSettings(SearchSettings):
    """The paper's sizes: 100 alive, each parent the best of 25 drawn. `population` is how many a round evaluates."""

    strategy: Literal["regularized"] = "regularized"
    population: int = Field(10, ge=2)
    alive: int = Field(100, ge=2)
    contest: int = Field(25, ge=1)

    @property
    def improves_one(self) -> bool:
        """Yes."""
        return True


class RegularizedEvolution:
    """Mutates the best of some drawn members of a population from which the oldest drop out.

    The first `alive` networks are random. A mutant has exactly one answer changed. Deviations: a round of children is
    bred from the population as the round found it (the paper lets workers come and go); a network is never tried
    twice; a failed trial takes no place; the paper's mutation that changes nothing is left out.
    """

    Settings: ClassVar[type[SearchSettings]] = RegularizedSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: RegularizedSettings
    ) -> None:
        self.objective = only_objective(objectives, "regularized evolution")
        if settings.contest > settings.alive:
            raise UserError(f"contest must be at most alive, {settings.alive}, not {settings.contest}")
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.settings = settings
        self.seen: set[str] = set()
        self.num_first = 0  # trials of the first, random population
        self.population: list[Trial] = []  # oldest first

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Random networks until there are enough for a population, then mutants."""
        seen, archs = set(self.seen), list[Arch]()
        num_random = min(count, max(0, self.settings.alive - self.num_first))
        if self.population:
            wanted = count - num_random
            archs = propose(lambda: self._child(rng), wanted, self.feasible, seen, 20 * wanted)
        return archs + random_archs(self.space, self.feasible, self.objectives, rng, count - len(archs), seen)

    def tell(self, trials: Sequence[Trial]) -> None:
        """The new ones enter, the oldest leave."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        self.num_first += len(trials)
        self.population += [trial for trial in trials if trial.scores(self.objectives) is not None]
        self.population = self.population[-self.settings.alive :]

    def _child(self, rng: Random) -> Arch:
        drawn = rng.choices(range(len(self.population)), k=self.settings.contest)
        best = min(drawn, key=lambda i: (loss(self.population[i], self.objective), i))
        return mutate(self.space, self.population[best].arch, rng, rate=0.0)
