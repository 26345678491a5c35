"""Evolution of one objective under hard budgets, as Single Path One-Shot searches its supernet.

Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling", algorithm 1, and its code.
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
from falconet.spaces import Arch, Space, crossover, mutate


class EvolutionSettings(SearchSettings):
    """The paper's numbers: rounds of 50, parents are the best 10 so far, 25 mutants and 25 children of two."""

    strategy: Literal["evolution"] = "evolution"
    parents: int = Field(10, ge=1)
    mutants: float = Field(0.5, ge=0, le=1, description="share of a round")
    children: float = Field(0.5, ge=0, le=1, description="share of a round")
    mutation_rate: float = Field(0.1, gt=0, le=1, description="per decision")

    @property
    def improves_one(self) -> bool:
        """Yes."""
        return True


class Evolution:
    """Mutates and crosses the best networks so far; what these do not fill is drawn at random, as is the first round.

    Networks over the budget are rejected before they are evaluated, networks tried before are not proposed again, and
    each kind of proposal gets ten tries a piece. One deviation from the paper: a mutant always differs from its
    parent, because a decision that mutates takes another option (the code re-draws among all) and at least one
    mutates.
    """

    Settings: ClassVar[type[SearchSettings]] = EvolutionSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: EvolutionSettings
    ) -> None:
        self.objective = only_objective(objectives, "evolution")
        if settings.mutants + settings.children > 1:
            raise UserError(f"mutants + children must be at most 1, not {settings.mutants} + {settings.children}")
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.settings = settings
        self.seen: set[str] = set()
        self.best: list[Trial] = []

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Mutants, then children of two, then random ones."""
        space, settings, seen = self.space, self.settings, set(self.seen)
        parents = [trial.arch for trial in self.best]
        archs: list[Arch] = []
        if parents:
            mutants, children = round(count * settings.mutants), round(count * settings.children)
            archs += propose(
                lambda: mutate(space, rng.choice(parents), rng, settings.mutation_rate),
                mutants, self.feasible, seen, 10 * mutants,
            )  # fmt: skip
            archs += propose(
                lambda: crossover(space, rng.choice(parents), rng.choice(parents), rng),
                min(children, count - len(archs)), self.feasible, seen, 10 * children,
            )  # fmt: skip
        return archs + random_archs(space, self.feasible, self.objectives, rng, count - len(archs), seen)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Keeps the best so far as parents; of equals, the earlier."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        scored = self.best + [trial for trial in trials if trial.scores(self.objectives) is not None]
        self.best = sorted(scored, key=lambda trial: loss(trial, self.objective))[: self.settings.parents]
