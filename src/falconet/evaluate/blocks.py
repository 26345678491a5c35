"""A network cut into the blocks whose times add up: what a table of latencies is made of.

A block is a nested layer of the network (a NetSpec is an operator), a single convolution or pooling, together with what
runtimes compute along with it: the activation, norm, sum or shuffle behind it, when nothing else reads what lies
between. Its identity is what decides its time: the deployed sub-network with its names forgotten, the shapes of its
inputs, and whether it stands at the edge of the network.

    blocks = blocks_of(spec, (180, 320))
    [block.title for block in blocks]    # ["conv 3x3 1>16, relu", "conv 3x3 16>16, relu", ..., "conv 3x3 16>4, ..."]

Everything is remembered by what a block is made of, so networks of one space cost microseconds a block.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TypeAlias

from falconet.graph import (
    AvgPool,
    Concat,
    Conv,
    DepthwiseConv,
    EdgeConv,
    Input,
    Layer,
    MaxPool,
    NetSpec,
    Op,
    TransposedConv,
    infer_parts,
    infer_shapes,
    merged,
)
from falconet.graph.rewrite import deployed_spec
from falconet.graph.shape import Shape, Size, plain, total
from falconet.graph.spec import input_shapes, remembered, spec_to_text

Dims: TypeAlias = tuple[int, int, int]
"""Channels, height and width."""

Wired: TypeAlias = tuple[Op | NetSpec, tuple[int, ...]]
"""An operator and the places of what it reads: inputs of the block -1, -2, ...; its operators 0, 1, ..."""

Wiring: TypeAlias = tuple[Wired, ...]

FIRST = (-1,)
HEAVY = (NetSpec, Conv, DepthwiseConv, EdgeConv, TransposedConv, AvgPool, MaxPool)
"""What a block is built around; every other operator joins the block that feeds it."""


@dataclass(frozen=True, eq=False)
class Block:
    """One block: the network before deployment, the shapes of what it reads and makes, and where it stands.

    `outer` are the inputs that the network's own inputs feed, `last` whether an output of the network is made here.
    What takes long is worked out when it is first asked for: a device that knows the parts need not know the block.
    """

    nested: NetSpec
    inputs: tuple[Dims, ...]
    out: Dims
    outer: tuple[int, ...]
    last: bool

    @cached_property
    def spec(self) -> NetSpec:
        """Its deployed network: inputs x0, x1, ...; layers n0, n1, ..."""
        return _nameless(deployed_spec(self.nested))

    @cached_property
    def key(self) -> str:
        """Its identity."""
        text = f"{spec_to_text(self.spec)} {self.inputs} {self.outer} {self.last}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @cached_property
    def title(self) -> str:
        """Its operators in words: "conv 3x3 16>16, relu"."""
        return _title(self.spec)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """(height, width) of each input."""
        return tuple((height, width) for _, height, width in self.inputs)


def block_of(spec: NetSpec, inputs: Sequence[Dims], outer: Sequence[int] = (), last: bool = False) -> Block:
    """The block that `spec` is when fed tensors of (channels, height, width) `inputs`."""
    return _block(merged(spec), tuple(inputs), tuple(outer), last)


@remembered
def blocks_of(spec: NetSpec, *sizes: Size) -> tuple[Block, ...]:
    """The blocks of a network fed pictures of (height, width) `sizes`: one for each input, or one for all."""
    small = merged(spec)
    inputs = tuple((one.channels, one.height, one.width) for one in input_shapes(small, *sizes))
    return _cut(small, inputs, tuple(range(len(inputs))), True)


def parts_of(block: Block) -> tuple[Block, ...]:
    """The blocks inside a block: what a table may know when it does not know the block. Itself alone when it has none.

    One level of nesting is opened at a time.
    """
    parts = _cut(block.nested, block.inputs, block.outer, block.last)
    if len(parts) > 1 or block.nested.is_flat or parts[0].nested != block.nested:
        return parts
    return _cut(_opened(block.nested), block.inputs, block.outer, block.last)


@remembered
def _opened(spec: NetSpec) -> NetSpec:
    """`spec` with the nested networks among its layers opened by one level."""
    layers: list[Layer] = []
    renamed = {one.name: one.name for one in spec.inputs}
    for layer in spec.layers:
        inputs = tuple(renamed[name] for name in layer.inputs)
        if not isinstance(layer.op, NetSpec):
            layers.append(Layer(layer.name, layer.op, inputs))
            renamed[layer.name] = layer.name
            continue
        inner = dict(zip((one.name for one in layer.op.inputs), inputs, strict=True))
        for one in layer.op.layers:
            layers.append(Layer(f"{layer.name}.{one.name}", one.op, tuple(inner[name] for name in one.inputs)))
            inner[one.name] = f"{layer.name}.{one.name}"
        renamed[layer.name] = inner[layer.op.outputs[0]]
    return NetSpec.unchecked(spec.inputs, tuple(layers), tuple(renamed[name] for name in spec.outputs))


def _cut(spec: NetSpec, inputs: tuple[Dims, ...], outer: tuple[int, ...], last: bool) -> tuple[Block, ...]:
    """The blocks of `spec` (merged); `outer` and `last` say where it stands itself."""
    dims = {one.name: given for one, given in zip(spec.inputs, inputs, strict=True)}
    pictures = {spec.inputs[place].name for place in outer}
    found = []
    for group in _groups(spec):
        name = group[-1].name
        reads, wiring = _wiring(group)
        at_edge = tuple([n for n, one in enumerate(reads) if one in pictures])
        shapes = tuple([dims[one] for one in reads])
        if isinstance(group[0].op, Concat) and len(reads) == len(group[0].inputs) > 2:
            first, shapes = _even(shapes)
            wiring = (first, *wiring[1:])
        block = _wired(wiring, shapes, at_edge, last and name in spec.outputs)
        dims[name] = block.out
        found.append(block)
    return tuple(found)


def _wiring(group: Sequence[Layer]) -> tuple[Sequence[str], Wiring]:
    """What a group reads from outside, and its operators as `_wired` takes them."""
    if len(group) == 1 and len(group[0].inputs) == 1:
        return group[0].inputs, ((group[0].op, FIRST),)
    place: dict[str, int] = {}  # what the group makes: 0, 1, ...; what it reads: -1, -2, ...
    reads, wiring = list[str](), list[Wired]()
    for number, layer in enumerate(group):
        for name in layer.inputs:
            if name not in place:
                reads.append(name)
                place[name] = -len(reads)
        place[layer.name] = number
        wiring.append((layer.op, tuple([place[name] for name in layer.inputs])))
    return reads, tuple(wiring)


@lru_cache(maxsize=65536)
def _even(shapes: tuple[Dims, ...]) -> tuple[Wired, tuple[Dims, ...]]:
    """A Concat of these as one of as many equal parts, which moves as many values.

    Hardly two networks of a space join the same twenty widths; their sums are met again.
    """
    count, (_, height, width) = len(shapes), shapes[0]
    each, more = divmod(sum(channels for channels, _, _ in shapes), count)
    op = Concat(tuple(f"p{n}" for n in range(count)))
    return (op, tuple(-n - 1 for n in range(count))), tuple((each + (n < more), height, width) for n in range(count))


def _groups(spec: NetSpec) -> list[list[Layer]]:
    """The layers of each block, in the order of the last of each.

    A light operator joins the block whose value it alone reads: the last heavy one, and every light one. A Concat joins
    none: no runtime computes it along, and with what it joins it would hardly be met twice.
    """
    readers = Counter([name for layer in spec.layers for name in layer.inputs])
    kept = frozenset(spec.outputs)
    groups: dict[str, list[Layer]] = {}  # by the name of the value that the group makes
    heavy: set[str] = set()
    for layer in spec.layers:
        if isinstance(layer.op, HEAVY):
            heavy.add(layer.name)
            groups[layer.name] = [layer]
            continue
        joined = () if isinstance(layer.op, Concat) else dict.fromkeys(layer.inputs)
        own = [name for name in joined if name in groups and name not in kept]
        own = [name for name in own if readers[name] == layer.inputs.count(name)]
        big = [name for name in own if name in heavy]
        members = [one for name in own if name not in heavy or name == big[-1] for one in groups.pop(name)]
        if len(own) > 1:
            order = {one.name: n for n, one in enumerate(spec.layers)}
            members.sort(key=lambda one: order[one.name])
        if big:
            heavy.add(layer.name)
        groups[layer.name] = [*members, layer]
    return list(groups.values())


@lru_cache(maxsize=65536)
def _wired(
    wiring: Wiring,
    inputs: tuple[Dims, ...],
    outer: tuple[int, ...],
    last: bool,
) -> Block:
    """The block of operators wired so: of a nested network alone, that network itself."""
    op, reads = wiring[0]
    if isinstance(op, NetSpec) and len(wiring) == 1 and reads == tuple(range(-1, -len(op.inputs) - 1, -1)):
        return _block(op, inputs, outer, last)
    names = {-n - 1: f"x{n}" for n in range(len(inputs))} | {n: f"n{n}" for n in range(len(wiring))}
    layers = [Layer(f"n{n}", op, tuple(names[place] for place in reads)) for n, (op, reads) in enumerate(wiring)]
    given = tuple(Input(f"x{n}", channels) for n, (channels, _, _) in enumerate(inputs))
    return _block(NetSpec.unchecked(given, tuple(layers), (layers[-1].name,)), inputs, outer, last)


def _block(spec: NetSpec, inputs: tuple[Dims, ...], outer: tuple[int, ...], last: bool) -> Block:
    made = infer_shapes(spec, tuple(Shape(plain(c), h, w) for c, h, w in inputs))[spec.outputs[0]]
    return Block(spec, inputs, (made.channels, made.height, made.width), outer, last)


def _nameless(flat: NetSpec) -> NetSpec:
    """The same network with inputs x0, x1, ... and layers n0, n1, ...; its weights are its own."""
    names = {one.name: f"x{n}" for n, one in enumerate(flat.inputs)}
    names.update({layer.name: f"n{n}" for n, layer in enumerate(flat.layers)})
    layers = [Layer(names[one.name], one.op, tuple([names[name] for name in one.inputs])) for one in flat.layers]
    inputs = tuple([Input(names[one.name], one.channels) for one in flat.inputs])
    return NetSpec.unchecked(inputs, tuple(layers), tuple([names[name] for name in flat.outputs]))


def _title(flat: NetSpec) -> str:
    parts = infer_parts(flat, tuple(plain(one.channels) for one in flat.inputs))
    words = []
    for layer in flat.layers:
        op, (inp, out) = layer.op, (total(parts[layer.inputs[0]]), total(parts[layer.name]))
        name = type(op).__name__.lower()
        if not isinstance(op, HEAVY):
            words.append(name)
            continue
        settings = {field.name: getattr(op, field.name) for field in fields(op)}
        word = f"{name} {settings['kernel']}x{settings['kernel']} {inp}>{out}" if "kernel" in settings else name
        word += f" stride {settings['stride']}" if settings.get("stride", 1) != 1 else ""
        words.append(word + (f" groups {settings['groups']}" if settings.get("groups", 1) != 1 else ""))
    return ", ".join(words)
