"""Which sub-networks a supernet step trains. Stateless: a function of (seed, step), so resuming needs no memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from falconet.errors import UserError
from falconet.graph import NetSpec, costs
from falconet.spaces.space import Arch, Option, Space, build, decisions, draw, largest, smallest
from falconet.train.settings import PathSettings

TRIES = 500  # paths drawn for one bin
CHECKED = 50  # architectures in which the decisions are compared


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


def uniform(space: Space, bins: Sequence[float] = (), sizes: Sequence[tuple[int, int]] = ()) -> Paths:
    """One path a step, every decision drawn uniformly (Single Path One-Shot, Guo et al. 2020, section 3.1).

    With `bins`, ascending numbers of multiply-accumulates at input `sizes` (height, width), each step draws one of the
    ranges between them and then paths until one lies in it, at most 500, as the published code does; then any path.
    """

    def at(seed: int, step: int) -> list[NetSpec]:
        rng = _rng(seed, step)
        low, high = rng.choice(list(pairwise(bins))) if bins else (0.0, math.inf)
        for _ in range(TRIES if bins else 1):
            spec = draw(space, rng)[1]
            if not bins or low <= costs(spec, *sizes).macs < high:
                return [spec]
        return [draw(space, rng)[1]]

    return Paths(at)


def fair(space: Space) -> Paths:
    """As many paths a step as every decision has options, no two alike in any decision; one update for all of them.

    Chu et al. 2021, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search", section
    3.2: each option is trained exactly once a step. Their gradients are summed, ours averaged. UserError when decisions
    differ in their number of options, or some are asked only under the answers of others: then there is no such step.
    """
    asked = _fair_decisions(space)

    def at(seed: int, step: int) -> list[NetSpec]:
        rng = _rng(seed, step)
        columns = {name: rng.sample(options, len(options)) for name, options in asked.items()}
        count = len(next(iter(columns.values())))
        return [build(space, Arch({name: column[i] for name, column in columns.items()})) for i in range(count)]

    return Paths(at)


def _fair_decisions(space: Space) -> dict[str, tuple[Option, ...]]:
    """The decisions of a space and their options. UserError when strict fairness is impossible."""
    rng = Random("fair")
    asked = decisions(space, smallest(space))
    for _ in range(CHECKED):
        other = decisions(space, draw(space, rng)[0])
        if other != asked:
            odd = sorted(set(asked) ^ set(other)) or sorted(name for name in asked if asked[name] != other[name])
            raise UserError(
                f"fair paths need decisions that are always asked, with the same options; {odd[0]!r} depends on "
                "others. Use paths: uniform"
            )
    counts = {name: len(options) for name, options in asked.items()}
    if not counts:
        raise UserError("fair paths need decisions, and the space asks none. Train the one network it holds instead")
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[least] != counts[most]:
        raise UserError(
            f"fair paths need decisions with equally many options; {least} has {counts[least]}, {most} has "
            f"{counts[most]}. Use paths: uniform, or give all the same number"
        )
    return asked


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


def paths(space: Space, settings: PathSettings, sizes: Sequence[tuple[int, int]] = ()) -> Paths:
    """The paths that `settings` name, over `space`; `sizes` of the inputs (height, width) are for bins of costs."""
    if settings.name == "uniform":
        return uniform(space, settings.bins, sizes)
    if settings.name == "fair":
        return fair(space)
    return sandwich(space, settings.random, settings.distill)


def _rng(seed: int, step: int) -> Random:
    return Random(f"paths {seed} {step}")
