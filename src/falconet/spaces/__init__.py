"""Search spaces: functions that build a network while asking for each decision, and what is derived from them."""

from collections.abc import Mapping

from falconet.spaces.space import (
    Arch,
    Option,
    Pick,
    Space,
    build,
    crossover,
    decisions,
    draw,
    every,
    is_ordered,
    largest,
    mutate,
    neighbours,
    sample,
    smallest,
)

SPACES: Mapping[str, type] = {}

__all__ = [
    "SPACES",
    "Arch",
    "Option",
    "Pick",
    "Space",
    "build",
    "crossover",
    "decisions",
    "draw",
    "every",
    "is_ordered",
    "largest",
    "mutate",
    "neighbours",
    "sample",
    "smallest",
]
