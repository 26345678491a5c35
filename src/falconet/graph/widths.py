"""Which widths of a network belong together, and narrower networks of the same layers.

Channels are tied where layers add, multiply or hand on values: a residual chain has one width throughout, a plain chain
one for each convolution. The widths of the picture, in and out, are given; the others may be made smaller together.

    small = narrowed(dncnn_17(), 0.25)                # 16 channels in place of 64

Left out: widths that operators fix in their fields (slices, channel shuffles, grouped convolutions): what is tied to
these stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from falconet.graph.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Contrast,
    Conv,
    Crop,
    DepthwiseConv,
    Dropout,
    EdgeConv,
    Extend,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyReLU,
    Linear,
    MaxPool,
    Multiply,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    Repeat,
    Resize,
    Scale,
    Sigmoid,
    Subtract,
    Tanh,
    TransposedConv,
)
from falconet.graph.shape import plain, total
from falconet.graph.spec import Layer, NetSpec, flatten, infer_parts, remembered

MAKES = Conv | TransposedConv | Linear
"""What has a width of its own, in a field `out`."""
HANDS_ON = (
    ReLU | LeakyReLU | PReLU | HardSwish | Sigmoid | HardSigmoid | Tanh | Clip | Identity | Dropout | BatchNorm | Scale
    | DepthwiseConv | EdgeConv | Resize | Extend | Crop | MaxPool | AvgPool | GlobalAvgPool | Contrast
)  # fmt: skip
"""What gives as many channels as its first input has, each from its own."""
COMBINES = Add | Subtract | Multiply
LEAST = 4
"""Channels that a width is never made narrower than, unless it was."""


@dataclass(frozen=True)
class Widths:
    """The channels of every value of a flat network, as runs that are multiples of a width.

    `runs[value]` names the width of each run of its channels with its count; `given` are widths that cannot change,
    `rigid` those of them that an operator fixes, not the picture alone.
    """

    runs: Mapping[str, tuple[tuple[str, int], ...]]
    unit: Mapping[str, int]  # of each width: the channels of its narrowest run, which all others are multiples of
    given: frozenset[str]
    rigid: frozenset[str]

    @property
    def free(self) -> tuple[str, ...]:
        """The widths that can be made smaller."""
        return tuple(name for name in self.unit if name not in self.given)


def narrowed(spec: NetSpec, share: float, picture: int = 1) -> NetSpec:
    """The flat network whose free widths are `share` of what they were, rounded to even numbers, `LEAST` at least.

    With `picture` the channels of its inputs and outputs are that many times as many. ValueError when an operator
    fixes those.

    >>> from falconet.graph import Conv, Draft, ReLU, count_params
    >>> d = Draft(x=1)
    >>> net = d.build(d.chain([("head", Conv(16)), ("act", ReLU()), ("tail", Conv(1))], "x"))
    >>> [layer.op.out for layer in narrowed(net, 0.5, picture=4).layers if isinstance(layer.op, Conv)]
    [8, 4]
    """
    flat = flatten(spec)
    widths = widths_of(flat)
    if picture > 1 and widths.given & widths.rigid:
        raise ValueError("an operator of this network fixes the channels of its pictures")
    units = {
        name: unit * picture if name in widths.given else _narrow(unit, share) for name, unit in widths.unit.items()
    }

    def narrow(layer: Layer) -> Layer:
        if not isinstance(layer.op, MAKES):
            return layer
        ((name, count),) = widths.runs[layer.name]
        return replace(layer, op=replace(layer.op, out=units[name] * (count // widths.unit[name])))

    inputs = tuple(replace(one, channels=one.channels * picture) for one in flat.inputs)
    return NetSpec(inputs, tuple(narrow(layer) for layer in flat.layers), flat.outputs)


def _narrow(unit: int, share: float) -> int:
    """`share` of a width: even, at least LEAST, never more than it was."""
    return min(unit, max(LEAST, 2 * round(unit * share / 2)))


@remembered
def widths_of(flat: NetSpec) -> Widths:
    """What is tied in a flat network."""
    ties, made, rigid = _Ties(), dict[str, tuple[str, ...]](), set[str]()
    parts = infer_parts(flat, tuple(plain(one.channels) for one in flat.inputs))
    channels = {name: total(found) for name, found in parts.items()}

    def fix(values: tuple[str, ...]) -> None:
        rigid.update(node for value in values for node in made[value])

    for picture in flat.inputs:
        made[picture.name] = (picture.name,)
    slots: dict[str, Layer] = {}
    for layer in flat.layers:
        op, xs = layer.op, layer.inputs
        made[layer.name] = (layer.name,)
        if isinstance(op, Concat):
            made[layer.name] = tuple(node for x in xs for node in made[x])
        elif isinstance(op, HANDS_ON):
            made[layer.name] = made[xs[0]]
        elif isinstance(op, COMBINES):
            made[layer.name] = made[xs[0]]
            _tie_all(ties, [made[x] for x in xs], channels, rigid)
        elif isinstance(op, PixelShuffle | PixelUnshuffle | Repeat) and len(made[xs[0]]) == 1:
            ties.tie(layer.name, made[xs[0]][0], Fraction(channels[layer.name], channels[xs[0]]))
        elif not isinstance(op, MAKES) or (isinstance(op, Conv) and op.groups > 1):
            fix((*xs, layer.name))
        if layer.slot in slots:  # one set of weights, so equal widths in and out
            twin = slots[layer.slot]
            for one, other in ((twin.name, layer.name), *zip(twin.inputs, xs, strict=True)):
                _tie_all(ties, [made[one], made[other]], channels, rigid)
        slots.setdefault(layer.slot, layer)
    nodes = {node for found in made.values() for node in found}
    size = {node: channels[node] for node in nodes}
    unit: dict[str, int] = {}
    for node in sorted(nodes):
        root, _ = ties.find(node)
        unit[root] = min(unit.get(root, size[node]), size[node])
    for node in nodes:  # a width whose runs are no whole multiples cannot change
        root, _ = ties.find(node)
        if size[node] % unit[root]:
            rigid.add(node)
    names = [*(given.name for given in flat.inputs), *flat.outputs]
    ends = [node for end in names for node in made[end]]
    fixed = {ties.find(node)[0] for node in (*ends, *rigid)}
    runs = {value: tuple((ties.find(node)[0], size[node]) for node in found) for value, found in made.items()}
    used = {width: unit[width] for one in runs.values() for width, _ in one}
    return Widths(runs, used, frozenset(fixed), frozenset(ties.find(node)[0] for node in rigid))


def _tie_all(ties: _Ties, runs: list[tuple[str, ...]], channels: Mapping[str, int], rigid: set[str]) -> None:
    """Values that are added: their runs are tied one by one, or fixed where they do not match."""
    first = runs[0]
    for other in runs[1:]:
        if [channels[node] for node in other] == [channels[node] for node in first]:
            for one, two in zip(first, other, strict=True):
                ties.tie(two, one, Fraction(1))
        else:
            rigid.update((*first, *other))


class _Ties:
    """Sets of nodes whose channels are fixed multiples of one another (union-find with factors)."""

    def __init__(self) -> None:
        self._above: dict[str, tuple[str, Fraction]] = {}

    def find(self, node: str) -> tuple[str, Fraction]:
        """The node that stands for the set, and how many times its channels `node` has."""
        times = Fraction(1)
        while node in self._above:
            node, factor = self._above[node]
            times *= factor
        return node, times

    def tie(self, node: str, other: str, times: Fraction) -> None:
        """`node` has `times` the channels of `other`."""
        (one, mine), (two, others) = self.find(node), self.find(other)
        if one != two:
            self._above[one] = (two, times * others / mine)
