"""Which sub-networks a supernet step trains. Stateless: a function of (seed, step), so resuming needs no memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from falconet.graph import NetSpec
from falconet.spaces.space import Space, build, draw, largest, smallest
from falconet.train.settings import PathSettings


@dataclass(frozen=True, slots=True)
class Paths:
    """The sub-networks of each step: ``paths.at(seed, step)``, the teacher of the others first.

    `distill` is the weight of the first one's output in what the others learn.
    """

    at: Callable[[int, int], list[NetSpec]]
    distill: float = 0.0


def alone(spec: NetSpec) -> Paths:
    """One network and nothing else: ordinary training."""
    return Paths(lambda seed, step: [spec])


def uniform(space: Space) -> Paths:
    """One path a step, every decision drawn uniformly (Single Path One-Shot, Guo et al. 2020, section 3.1)."""
    return Paths(lambda seed, step: [draw(space, _rng(seed, step))[1]])


def sandwich(space: Space, random: int = 2, distill: float = 0.5) -> Paths:
    """The largest, the smallest and `random` drawn sub-networks a step (Yu et al. 2020, BigNAS, section 3).

    "Largest" and "smallest" take the last and first option of ordered decisions; options without an order (a block's
    kind) are drawn anew each step, alike for both. Deviation: the children's target is the truth moved towards the
    largest network's output (by `distill`), where BigNAS takes the output alone. It is the target that is mixed, not
    two losses: the sum of two L1 losses has no slope between its two targets, and a supernet stays where it began.
    """

    def at(seed: int, step: int) -> list[NetSpec]:
        rng = _rng(seed, step)
        base, _ = draw(space, rng)
        ends = [build(space, largest(space, base)), build(space, smallest(space, base))]
        return ends + [draw(space, rng)[1] for _ in range(random)]

    return Paths(at, distill)


def paths(space: Space, settings: PathSettings) -> Paths:
    """The paths that `settings` name, over `space`."""
    if settings.name == "uniform":
        return uniform(space)
    return sandwich(space, settings.random, settings.distill)


def _rng(seed: int, step: int) -> Random:
    return Random(f"paths {seed} {step}")
