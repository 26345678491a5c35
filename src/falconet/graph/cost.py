"""Costs of a network, counted on its spec: multiply-accumulates, parameters, peak activation memory. Pure functions.

Counted is the network that will run: training-only layers gone, parallel branches and 1x1 chains merged. Batch norm
counts no multiply-accumulates (it folds into its convolution) and its two learned vectors as parameters, as papers do.
Costs of nested blocks are remembered, which is what makes thousands of architectures a second possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from falconet.graph.rewrite import merged
from falconet.graph.shape import Parts, Shape, Size, plain
from falconet.graph.spec import Layer, NetSpec, flatten, infer_parts, infer_shapes, input_shapes

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
    total, peak = _run_costs(small, shapes)
    return Costs(total, count_params(small), peak * BYTES_PER_VALUE)


def count_params(spec: NetSpec) -> int:
    """The learned values of `spec` as it stands (not merged): weights that layers share count once."""
    return _params(spec, tuple(plain(i.channels) for i in spec.inputs))


@lru_cache(maxsize=65536)
def _params(spec: NetSpec, inputs: tuple[Parts, ...]) -> int:
    parts = infer_parts(spec, inputs)
    slots: dict[str, int] = {}
    for layer in spec.layers:
        xs = tuple(parts[name] for name in layer.inputs)
        count = _params(layer.op, xs) if isinstance(layer.op, NetSpec) else _op_params(layer, xs)
        slots[layer.slot] = max(slots.get(layer.slot, 0), count)
    return sum(slots.values())


def _op_params(layer: Layer, xs: tuple[Parts, ...]) -> int:
    assert not isinstance(layer.op, NetSpec)
    return sum(weight.count for weight in layer.op.weights(*xs).values() if weight.learned)


@lru_cache(maxsize=65536)
def _run_costs(spec: NetSpec, inputs: tuple[Shape, ...]) -> tuple[int, int]:
    """Multiply-accumulates, and the most values held at once, inputs of the network included."""
    shapes = infer_shapes(spec, inputs)
    last_use = {name: i for i, layer in enumerate(spec.layers) for name in layer.inputs}
    last_use.update(dict.fromkeys(spec.outputs, len(spec.layers)))
    held = {i.name: _values(shapes[i.name]) for i in spec.inputs if i.name in last_use}
    now = sum(held.values())
    macs, peak = 0, now
    for i, layer in enumerate(spec.layers):
        xs, out = tuple(shapes[name] for name in layer.inputs), shapes[layer.name]
        if isinstance(layer.op, NetSpec):
            inner_macs, inner_peak = _run_costs(layer.op, xs)
            peak = max(peak, now + inner_peak - sum(_values(shapes[name]) for name in set(layer.inputs)))
        else:
            inner_macs = layer.op.macs(xs, out)
            peak = max(peak, now + _values(out))
        macs += inner_macs
        if layer.name in last_use:
            held[layer.name] = _values(out)
            now += held[layer.name]
        for name in set(layer.inputs):
            if last_use[name] == i:
                now -= held.pop(name)
    return macs, peak


def _values(shape: Shape) -> int:
    return shape.channels * shape.pixels


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
        assert not isinstance(layer.op, NetSpec)
        xs, out = tuple(shapes[name] for name in layer.inputs), shapes[layer.name]
        params = 0 if layer.slot in counted else _op_params(layer, tuple(x.parts for x in xs))
        counted.add(layer.slot)
        rows.append(
            LayerCosts(
                layer.name, type(layer.op).__name__, (out.channels, out.height, out.width), layer.op.macs(xs, out), params
            )
        )
    return rows


def reach(spec: NetSpec) -> int:
    """How many input pixels to each side an output pixel may depend on, rounded up: the margin that tiles need.

    Raises ValueError when the network pools over the whole picture, so that no margin is enough.
    """
    flat = flatten(merged(spec))
    seen: dict[str, tuple[float, float]] = {i.name: (0.0, 1.0) for i in flat.inputs}  # radius and step, input pixels
    for layer in flat.layers:
        assert not isinstance(layer.op, NetSpec)
        if type(layer.op).__name__ == "GlobalAvgPool":
            raise ValueError(f"layer {layer.name!r} looks at the whole picture: it cannot be cut into tiles")
        kernel, stride, upscale = layer.op.reach()
        radius = max(seen[name][0] for name in layer.inputs)
        step = max(seen[name][1] for name in layer.inputs)
        seen[layer.name] = (radius + (kernel // 2) * step, step * stride / upscale)
    return int(-(-max(seen[name][0] for name in flat.outputs) // 1)) + 1
