"""Search guided by a predictor: a Gaussian process learns the objectives from the trials and says what to try next.

For every objective a process (`evaluate/predictor.py`) is fitted to all trials so far, over the answers of the
architecture, the graph of the network, and counted amounts. Then, for each network of a round:

    1. draw one function of each process: one way things could be, given the trials        (Thompson 1933)
    2. take the candidate that this function makes best, and for several objectives the one that would add the most
       hypervolume to the front

Candidates are mutants and children of the best trials so far, and random networks. A draw strays where little is known,
so networks of a round differ, and what is uncertain is tried without a term that rewards it.

Scores are turned into normal scores by their ranks before they are learned, since quality falls off a cliff towards bad
networks and no cliff should bend the model where the good ones are; draws are turned back for the hypervolume. An
objective that is a counted cost is not predicted: it is known.

Related: White et al. 2021 (BANANAS: an ensemble, Thompson sampling, mutants as candidates), Ru et al. 2021 (a process
on graphs), Kandasamy et al. 2018 (parallel Thompson sampling), Bradford et al. 2018 (with hypervolume).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from falconet.evaluate.describe import Features, Floats, tabulate
from falconet.evaluate.predictor import fit
from falconet.evaluate.score import Objective, Trial
from falconet.search.nsga2 import best_first
from falconet.search.objectives import loss
from falconet.search.pareto import hypervolume, non_dominated_sort
from falconet.search.strategy import Feasible, SearchSettings, propose, random_archs
from falconet.spaces import Arch, Space, crossover, mutate

Weights = tuple[float, ...]


class PredictorSettings(SearchSettings):
    """`first` networks are random; then each round draws from `candidates` bred of the best `parents` or random."""

    strategy: Literal["predictor"] = "predictor"
    population: int = Field(10, ge=2)
    first: int = Field(20, ge=2)
    candidates: int = Field(200, ge=2)
    parents: int = Field(10, ge=1)
    random: float = Field(0.1, ge=0, le=1, description="share of candidates drawn at random")
    boldness: float = Field(0.5, ge=0, description="how far draws stray from the mean; 1: Thompson sampling")
    steps: int = Field(18, ge=0, description="settings of a process tried for each round")


class PredictorGuided:
    """Tries what a Gaussian process, fitted to the trials so far, makes likely to be best; one objective or several."""

    Settings: ClassVar[type[SearchSettings]] = PredictorSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: PredictorSettings
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.settings = settings
        self.seen: set[str] = set()
        self.trials: list[Trial] = []  # those with every score
        self.weights: dict[str, Weights] = {}  # of the process of each objective that is predicted

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """The choice of one draw each; random networks while there are too few trials, or where candidates run out."""
        seen, archs = set(self.seen), list[Arch]()
        num_random = min(count, max(0, self.settings.first - len(self.seen)))
        if len(self.trials) >= 2 and count > num_random:
            candidates = self._candidates(rng, set(self.seen))
            chosen = self._choose(candidates, rng, count - num_random)
            archs = propose(iter(chosen).__next__, len(chosen), self.feasible, seen, len(chosen))
        return archs + random_archs(self.space, self.feasible, self.objectives, rng, count - len(archs), seen)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds the round, and finds anew how each process weighs what it sees."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        self.trials += [trial for trial in trials if trial.scores(self.objectives) is not None]
        if len(self.trials) < 2:
            return
        groups = tabulate([self.feasible.features(trial.arch) for trial in self.trials])
        for objective in self._predicted():
            before = self.weights.get(objective.name)
            start, steps = (
                (None, 3 * self.settings.steps) if before is None else (np.array(before), self.settings.steps)
            )
            model = fit(groups, Ranks.of(self._losses(objective)).scores, start=start, steps=steps, robust=False)
            self.weights[objective.name] = tuple(model.weights.tolist())

    def _predicted(self) -> list[Objective]:
        counted = self.feasible.costs(self.trials[0].arch)
        return [objective for objective in self.objectives if objective.name not in counted]

    def _losses(self, objective: Objective) -> Floats:
        return np.array([loss(trial, objective) for trial in self.trials])

    def _candidates(self, rng: Random, seen: set[str]) -> list[Arch]:
        """New feasible networks: random ones, then half mutants and half mutated children of the best."""
        settings = self.settings
        points = [[trial.value(objective.name) for objective in self.objectives] for trial in self.trials]
        order = best_first(points, [objective.maximize for objective in self.objectives])
        parents = [self.trials[i].arch for i in order[: settings.parents]]

        def bred() -> Arch:
            one = rng.choice(parents)
            if rng.random() < 0.5:
                one = crossover(self.space, one, rng.choice(parents), rng)
            return mutate(self.space, one, rng, rate=rng.choice((0.0, 0.2)))

        wanted = round(settings.random * settings.candidates)
        found = random_archs(self.space, self.feasible, (), rng, wanted, seen)
        rest = settings.candidates - len(found)
        return found + propose(bred, rest, self.feasible, seen, 3 * rest)

    def _choose(self, candidates: Sequence[Arch], rng: Random, count: int) -> list[Arch]:
        """The best candidate of each of `count` draws, none twice."""
        if not candidates:
            return []
        draws = self._draws([self.feasible.features(arch) for arch in candidates], rng, count)
        known = np.stack([self._losses(objective) for objective in self.objectives], axis=1)
        chosen: list[int] = []
        for number in range(min(count, len(candidates))):
            drawn = np.stack([values[number] for values in draws], axis=1)
            chosen.append(_most_promising(drawn, known, chosen))
        return [candidates[i] for i in chosen]

    def _draws(self, rows: list[Features], rng: Random, count: int) -> list[Floats]:
        """For each objective `count` ways the losses of the candidates could be: count by candidates."""
        num_known = len(self.trials)
        groups = tabulate([self.feasible.features(trial.arch) for trial in self.trials] + rows)
        told, asked = [g[:num_known] for g in groups], [g[num_known:] for g in groups]
        predicted, found = self._predicted(), list[Floats]()
        for objective in self.objectives:
            losses = self._losses(objective)
            if objective in predicted:
                ranks = Ranks.of(losses)
                start = np.array(self.weights[objective.name])
                model = fit(told, ranks.scores, start=start, steps=0, robust=False)
                generator = np.random.default_rng(rng.getrandbits(64))
                found.append(ranks.back(model.draw(asked, generator, count, self.settings.boldness)))
            else:
                sign = -1.0 if objective.maximize else 1.0
                exact = np.array([sign * row.amounts[objective.name] for row in rows])
                found.append(np.broadcast_to(exact, (count, len(exact))))
        return found


def _most_promising(drawn_cd: Floats, known_nd: Floats, taken: list[int]) -> int:
    """The candidate with the least loss, or that adds most hypervolume to what is known and `taken`; none of these.

    Hypervolume is taken in the range of what is known, down to its worst. Where no candidate adds any, the one with the
    least mean of its losses in that range is taken.
    """
    low, high = known_nd.min(axis=0), known_nd.max(axis=0)
    drawn, known = ((x - low) / np.where(high > low, high - low, 1.0) for x in (drawn_cd, known_nd))
    free = [i for i in range(len(drawn)) if i not in taken]
    if drawn.shape[1] == 1:
        return free[int(np.argmin(drawn[free, 0]))]
    down, worst = (False,) * drawn.shape[1], (1.0,) * drawn.shape[1]
    best = known[non_dominated_sort(known, down) == 0]
    best = np.vstack([best, drawn[taken]])
    base = hypervolume(best, worst, down)
    beaten = np.any(np.all(best[:, None] <= drawn[None, free], axis=2), axis=0)
    leading = [i for i, out in zip(free, beaten, strict=True) if not out] or free
    leading = [leading[i] for i in np.flatnonzero(non_dominated_sort(drawn[leading], down) == 0)]
    gains = [hypervolume(np.vstack([best, drawn[i]]), worst, down) - base for i in leading]
    if max(gains) > 0:
        return leading[int(np.argmax(gains))]
    return free[int(np.argmin(drawn[free].mean(axis=1)))]


@dataclass(frozen=True)
class Ranks:
    """Losses as normal scores by rank, and the way back: straight lines between losses, and on beyond the ends."""

    scores: Floats
    sorted_scores: Floats
    sorted_losses: Floats

    @staticmethod
    def of(losses: Floats) -> Ranks:
        """Equal losses get equal scores.

        >>> Ranks.of(np.array([3.0, 1.0, 9.0])).scores.round(2).tolist()
        [0.0, -0.97, 0.97]
        """
        values, inverse, counts = np.unique(losses, return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - counts / 2
        by_value = _normal_quantile(middle / len(losses))
        return Ranks(by_value[inverse], by_value, values)

    def back(self, scores: Floats) -> Floats:
        """The losses that such scores mean."""
        x, y = self.sorted_scores, self.sorted_losses
        found = np.interp(scores, x, y)
        if len(x) < 2:
            return found
        tail = max(1, len(x) // 10)
        first, last = (y[tail] - y[0]) / (x[tail] - x[0]), (y[-1] - y[-1 - tail]) / (x[-1] - x[-1 - tail])
        beyond: Floats = found + first * np.minimum(scores - x[0], 0) + last * np.maximum(scores - x[-1], 0)
        return beyond


def _normal_quantile(share: Floats) -> Floats:
    """Where a normal variable stays below with such a probability (Python's own, one by one)."""
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf(float(one)) for one in share])
