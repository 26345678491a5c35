"""Local search: look at every neighbour of the best network, move there if one is better, else start elsewhere.

White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search", algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from falconet.evaluate.score import Objective, Trial
from falconet.search.objectives import loss, only_objective
from falconet.search.strategy import Feasible, SearchSettings, propose, random_archs
from falconet.spaces import Arch, Space, neighbours


class LocalSettings(SearchSettings):
    """`starts`: random networks of a start, the best of which is where the climb begins.

    `population` is how many a round evaluates: the climb moves on as soon as a round holds a better network, so small
    rounds spare evaluations (the paper's "query until lower").
    """

    strategy: Literal["local"] = "local"
    population: int = Field(10, ge=2)
    starts: int = Field(10, ge=1)

    @property
    def improves_one(self) -> bool:
        """Yes."""
        return True


class LocalSearch:
    """Climbs: tries the neighbours of where it stands, in random order, and moves to the best of a round if better.

    A neighbour is one changed answer away. When every neighbour has been tried and none was better, it draws `starts`
    new random networks and climbs from the best of those. Deviations: whole rounds are evaluated before it moves; a
    network tried before counts as a neighbour that was seen, it is not evaluated again.
    """

    Settings: ClassVar[type[SearchSettings]] = LocalSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: LocalSettings
    ) -> None:
        self.objective = only_objective(objectives, "local search")
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.settings = settings
        self.seen: set[str] = set()
        self.here: Trial | None = None  # the best since the last start

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Neighbours not tried yet of where it stands; at a start, random networks."""
        near = self._near()
        if near:
            return rng.sample(near, min(count, len(near)))
        some = min(count, self.settings.starts)
        return random_archs(self.space, self.feasible, self.objectives, rng, some, set(self.seen))

    def tell(self, trials: Sequence[Trial]) -> None:
        """Moves to the best of the round if it is better; after a start, wherever the best of the round is."""
        scored = [trial for trial in trials if trial.scores(self.objectives) is not None]
        if self.here is not None and self._near():
            scored = [self.here, *scored]
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        self.here = min(scored, key=lambda trial: loss(trial, self.objective), default=None)

    def _near(self) -> list[Arch]:
        """The feasible neighbours, one for each network that was not tried."""
        if self.here is None:
            return []
        near = list(neighbours(self.space, self.here.arch))
        return propose(iter(near).__next__, len(near), self.feasible, set(self.seen), len(near))
