"""Costs of a network, counted on its spec: multiply-accumulates, parameters, peak activation memory. Pure functions.

Counted is the network that will run: training-only layers gone, parallel branches and 1x1 chains merged. Batch norm
counts no multiply-accumulates (it folds into its convolution) and its two learned vectors as parameters, as papers do.
Costs of nested blocks are remembered, which is what makes thousands of architectures a second possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor, lcm

from falconet.graph.ops import Op
from falconet.graph.rewrite import merged
from falconet.graph.shape import Shape, Size, plain
from falconet.graph.spec import Layer, NetSpec, flatten, infer_shapes, input_shapes, remembered
from falconet.graph.store import Slot, block_slots

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True, slots=True)
class Costs:
    """What a network costs on one image, batch 1, float32."""

    macs: int
    params: int
    peak_activation_bytes: int


def costs(spec: NetSpec, *sizes: Size) -> Costs:
    """The costs of `spec` once deployed, fed pictures of (height, width) `sizes` (one for each input, or one for all).

    Peak memory is the most that must be held at once when layers run in order and values are dropped after their last
    use: an operator's inputs and output together. A runtime that works in place needs less, one with workspaces more.
    Raises ValueError when the sizes do not fit the network.
    """
    small = merged(spec)
    shapes = input_shapes(small, *sizes)
    counts = _count(small, shapes, (False,) * len(shapes))
    held = sum(shapes[place].values for place in _used_inputs(small))
    return Costs(counts.macs, counts.params, (held + counts.more) * BYTES_PER_VALUE)


def count_params(spec: NetSpec) -> int:
    """The learned values of `spec` as it stands (not merged): weights that layers share count once."""
    return _params(block_slots(spec, tuple(plain(i.channels) for i in spec.inputs)))


def _params(slots: Mapping[str, Slot]) -> int:
    return sum(weight.count for slot in slots.values() for weight in slot.weights.values() if weight.learned)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What an operator or block costs: `more` values at most are held while it runs, on top of its inputs."""

    macs: int
    params: int
    more: int
    out: Shape


@remembered
def _count(spec: NetSpec, inputs: tuple[Shape, ...], kept: tuple[bool, ...]) -> _Counts:
    """The counts of `spec` (merged), as if the network around it were flat.

    `kept` tells for each input whether its value is needed after the network has run.
    """
    shapes = {i.name: shape for i, shape in zip(spec.inputs, inputs, strict=True)}
    reads = [_reads(layer) for layer in spec.layers]
    end = len(reads)
    last_use = {name: number for number, names in enumerate(reads) for name in names}
    last_use.update(dict.fromkeys(spec.outputs, end))
    last_use.update({i.name: end for i, keep in zip(spec.inputs, kept, strict=True) if keep})
    now = most = start = sum([shape.values for name, shape in shapes.items() if name in last_use])
    macs = params = 0
    for number, (layer, names) in enumerate(zip(spec.layers, reads, strict=True)):
        xs = tuple([shapes[name] for name in layer.inputs])
        later = tuple([last_use.get(name, -1) > number for name in layer.inputs])
        try:
            counts = _count(layer.op, xs, later) if isinstance(layer.op, NetSpec) else _count_op(layer.op, xs)
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None
        shapes[layer.name] = counts.out
        macs += counts.macs
        params += counts.params
        most = max(most, now + counts.more)
        if layer.name in last_use:
            now += counts.out.values
        for name in names:
            if last_use[name] == number:
                now -= shapes[name].values
    if any(layer.weights for layer in spec.layers):
        params = _params(block_slots(spec, tuple([shape.parts for shape in inputs])))
    return _Counts(macs, params, most - start, shapes[spec.outputs[0]])


@lru_cache(maxsize=65536)
def _count_op(op: Op, xs: tuple[Shape, ...]) -> _Counts:
    parts = tuple([x.parts for x in xs])
    height, width = op.size(*[x.size for x in xs])
    out = Shape(op.parts(*parts), height, width)
    params = sum([weight.count for weight in op.weights(*parts).values() if weight.learned])
    return _Counts(op.macs(xs, out), params, out.values, out)


def _reads(layer: Layer) -> set[str]:
    """The values that a layer reads; a block may leave some of its inputs unread."""
    if len(layer.inputs) == 1 or not isinstance(layer.op, NetSpec):
        return set(layer.inputs)
    return set([layer.inputs[place] for place in _used_inputs(layer.op)])  # noqa: C403  (quicker)


@remembered
def _used_inputs(block: NetSpec) -> tuple[int, ...]:
    read = set(block.outputs).union(*map(_reads, block.layers))
    return tuple(place for place, i in enumerate(block.inputs) if i.name in read)


@dataclass(frozen=True, slots=True)
class LayerCosts:
    """One line of a table of layers: its name, operator, output (channels, height, width), costs."""

    name: str
    op: str
    output: tuple[int, int, int]
    macs: int
    params: int


def layer_costs(spec: NetSpec, *sizes: Size) -> list[LayerCosts]:
    """The costs layer by layer of the flat network as it stands (merge it first for those of the deployed one)."""
    flat = flatten(spec)
    shapes = infer_shapes(flat, input_shapes(flat, *sizes))
    counted: set[str] = set()
    rows = []
    for layer in flat.layers:
        assert isinstance(layer.op, Op)
        counts = _count_op(layer.op, tuple(shapes[name] for name in layer.inputs))
        size = counts.out.channels, counts.out.height, counts.out.width
        params = 0 if layer.slot in counted else counts.params
        counted.add(layer.slot)
        rows.append(LayerCosts(layer.name, type(layer.op).__name__, size, counts.macs, params))
    return rows


def reach(spec: NetSpec) -> int:
    """How many input pixels to each side an output pixel may depend on: the margin that tiles need.

    A multiple of the network's strides, so that tiles which start at such multiples stay in step with the whole.
    Raises ValueError when the network looks at the whole picture, so that no margin is enough.
    """
    flat = flatten(merged(spec))
    seen: dict[str, tuple[Fraction, Fraction, Fraction]] = {
        i.name: (Fraction(0), Fraction(0), Fraction(1)) for i in flat.inputs
    }  # pixel p depends on the input pixels from p*step + first to p*step + last
    for layer in flat.layers:
        assert isinstance(layer.op, Op)
        span = layer.op.reach()
        if span is None:
            raise ValueError(f"layer {layer.name!r} looks at the whole picture: it cannot be cut into tiles")
        step = max(seen[name][2] for name in layer.inputs)
        first = min(seen[name][0] for name in layer.inputs) + span[0] * step
        last = max(seen[name][1] for name in layer.inputs) + span[1] * step
        seen[layer.name] = first, last, span[2] * step
    stride = lcm(*(step.numerator for _, _, step in seen.values()))
    return -(-max(0, *_margins(seen[name] for name in flat.outputs)) // stride) * stride


def _margins(spans: Iterable[tuple[Fraction, Fraction, Fraction]]) -> Iterable[int]:
    """The pixels needed before the first and behind the last input pixel of a tile."""
    for first, last, step in spans:
        yield floor(-first)
        yield floor(last + 1 - step)
