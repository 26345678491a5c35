"""Search spaces: functions that build a network while asking for each decision, and what is derived from them."""

from collections.abc import Mapping

from falconet.spaces.count import Size, size
from falconet.spaces.dense import Dense
from falconet.spaces.encode import Encoder, encoder_of
from falconet.spaces.fbnet import Fbnet
from falconet.spaces.load import load_space
from falconet.spaces.nb201 import NasBench201
from falconet.spaces.restoration import Restoration
from falconet.spaces.shuffle import Shuffle
from falconet.spaces.space import (
    Arch,
    Kinds,
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
from falconet.spaces.union import union

SPACES: Mapping[str, type] = {
    "restoration": Restoration,
    "dense": Dense,
    "shuffle": Shuffle,
    "nas_bench_201": NasBench201,
    "fbnet": Fbnet,
}

__all__ = [
    "SPACES",
    "Arch",
    "Dense",
    "Encoder",
    "Fbnet",
    "Kinds",
    "NasBench201",
    "Option",
    "Pick",
    "Restoration",
    "Shuffle",
    "Size",
    "Space",
    "build",
    "crossover",
    "decisions",
    "draw",
    "encoder_of",
    "every",
    "is_ordered",
    "largest",
    "load_space",
    "mutate",
    "neighbours",
    "sample",
    "size",
    "smallest",
    "union",
]
