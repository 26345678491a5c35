"""Random search: the baseline that every other strategy has to beat at an equal number of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Literal

from falconet.evaluate.score import Objective, Trial
from falconet.search.strategy import Feasible, SearchSettings, random_archs
from falconet.spaces import Arch, Space


class RandomSettings(SearchSettings):
    """Random search has no settings of its own."""

    strategy: Literal["random"] = "random"


class RandomSearch:
    """Draws new feasible networks and learns nothing.

    It draws as the first population of the other strategies is drawn, spread over the cost when that is an objective.
    So what another strategy gains over it is gained by learning, not by a better spread.
    """

    Settings: ClassVar[type[SearchSettings]] = RandomSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: RandomSettings
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.seen: set[str] = set()

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Up to `count` new architectures at random."""
        return random_archs(self.space, self.feasible, self.objectives, rng, count, set(self.seen))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Remembers what was tried, to draw it no more."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
