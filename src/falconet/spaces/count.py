"""How many architectures a space holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from random import Random

from falconet.spaces.space import Space, decisions, every, neighbours, sample, smallest


@dataclass(frozen=True, slots=True)
class Size:
    """A number of architectures, whether it is exact, and how it was found, in words."""

    count: int
    exact: bool
    how: str


def size(space: Space, *, limit: int = 10_000, draws: int = 1_000, seed: int = 0) -> Size:
    """The number of architectures: counted, multiplied, or estimated, in this order of preference.

    Draws come first. If they say about `limit` or fewer, every architecture is visited and counted. If every draw,
    and every neighbour of the smallest architecture, met the same decisions with the same options, the decisions do
    not depend on one another and the size is the product of their options. Otherwise it is an estimate by random
    probing (Knuth 1975, "Estimating the efficiency of backtrack programs"): a draw that chose among n1, n2, ...
    options stands for n1 * n2 * ... architectures, and the mean over the draws is unbiased. Its standard error is
    part of `how`.

    Different architectures may mean the same network; this counts architectures.
    """
    rng = Random(seed)
    asked = [decisions(space, sample(space, rng)) for _ in range(draws)]
    weights = [math.prod(len(options) for options in answers.values()) for answers in asked]
    if sum(weights) <= limit * draws:
        counted = sum(1 for _ in islice(every(space), limit + 1))
        if counted <= limit:
            return Size(counted, True, "counted one by one")
    start = smallest(space)
    asked += [decisions(space, start), *(decisions(space, arch) for arch in neighbours(space, start))]
    if all(answers == asked[0] for answers in asked):
        return Size(weights[0], True, f"product over {len(asked[0])} independent decisions")
    mean = max(1, sum(weights) // draws)
    spread = math.sqrt(sum((weight / mean - 1) ** 2 for weight in weights) / (draws - 1) / draws)
    return Size(mean, False, f"estimated from {draws:,} random probes, standard error {100 * spread:.0f} %")
