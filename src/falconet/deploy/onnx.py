"""ONNX files from networks: one node a layer, under the layer's own name, for pictures of any size.

The file is written from the spec itself, operator by operator (docs/decisions/0011): milliseconds instead of the
seconds that tracing takes, no node that the spec does not have, no metadata. What ships is the fused network:

    small = deployed(network)                       # falconet.graph.network
    data = to_onnx(small.spec, small.weights())     # bytes of a .onnx file

Values carry the names of the layers, weights those of the state dict ("b1.conv.weight"). Heights, widths and the batch
are free. Left out: half precision and integers (compress), and control flow (a NetSpec has none).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper

from falconet.deploy.onnx_graph import PICTURE, VECTOR, Graph
from falconet.deploy.target import Array, Weights, layers_for, pool_end
from falconet.graph import (
    EDGE_KERNELS,
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
    Flatten,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Mean,
    Multiply,
    NetSpec,
    Normalize,
    Op,
    PadChannels,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    Repeat,
    Resize,
    Scale,
    Shuffle,
    Sigmoid,
    Slice,
    Subtract,
    Tanh,
    TransposedConv,
    flatten,
    infer_parts,
)
from falconet.graph.ops.base import same_pad
from falconet.graph.shape import plain, total

OPSET = 18  # the oldest that torch's own exporter writes, so every converter has met it
IR_VERSION = 8  # the file format that came out with opset 18


def to_onnx(spec: NetSpec, weights: Weights) -> bytes:
    """The network as an ONNX file: float32, named after its layers, with free batch, height and width.

    `weights` holds tensors or arrays by "slot.name", as `Network.weights()` and model files do. UserError names a layer
    that cannot be written, ValueError a weight that was not given.
    """
    graph = Graph(weights)
    flat = flatten(spec)
    parts = infer_parts(flat, tuple(plain(i.channels) for i in flat.inputs))
    graph.channels.update({name: total(one) for name, one in parts.items()})
    for i in flat.inputs:
        graph.ranks[i.name] = PICTURE
    for layer, emit in layers_for(flat, EMITTERS, "ONNX"):
        graph.ranks[layer.name] = VECTOR if isinstance(layer.op, Flatten) else graph.ranks[layer.inputs[0]]
        emit(graph, layer, layer.op)
    several = len(flat.inputs) > 1
    inputs = [graph.value(i.name, i.name + "_" if several else "") for i in flat.inputs]
    outputs = [graph.value(name, "output_") for name in graph.outputs(flat)]
    body = helper.make_graph(graph.nodes, "network", inputs, outputs, list(graph.tensors.values()))
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="falconet"
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _conv(g: Graph, layer: Layer, op: Conv) -> None:
    pad = same_pad(op.kernel, op.pad)
    g.node("Conv", layer, g.kernel(layer, op.bias), **_window(op.kernel, op.stride, pad), group=op.groups)


def _depthwise(g: Graph, layer: Layer, op: DepthwiseConv) -> None:
    window = _window(op.kernel, op.stride, same_pad(op.kernel, op.pad))
    g.node("Conv", layer, g.kernel(layer, op.bias), **window, group=g.channels[layer.name])


def _edge_conv(g: Graph, layer: Layer, op: EdgeConv) -> None:
    """The mask times each channel's scale, as an ordinary depthwise kernel."""
    kernel = g.array(layer, "weight") * np.array(EDGE_KERNELS[op.kind], dtype=np.float32)
    names = [layer.inputs[0], g.constant(f"{layer.slot}.kernel", kernel, layer), g.weight(layer, "bias")]
    g.node("Conv", layer, names, **_window(3, 1, 0), group=len(kernel))


def _transposed(g: Graph, layer: Layer, op: TransposedConv) -> None:
    window = _window(op.kernel, op.stride, op.pad)
    g.node("ConvTranspose", layer, g.kernel(layer, op.bias), **window, output_padding=[op.output_pad] * 2)


def _linear(g: Graph, layer: Layer, op: Linear) -> None:
    if g.ranks[layer.name] != VECTOR:
        raise ValueError(f"layer {layer.name!r}: a linear layer needs a flat tensor; put Flatten before it")
    g.node("Gemm", layer, g.kernel(layer, op.bias), transB=1)


def _batch_norm(g: Graph, layer: Layer, op: BatchNorm) -> None:
    if op.affine:
        names = [g.weight(layer, "weight"), g.weight(layer, "bias")]
    else:
        ones = np.ones(g.channels[layer.name], np.float32)
        names = [g.constant(f"{layer.name}.ones", ones, layer), g.constant(f"{layer.name}.zeros", 0 * ones, layer)]
    names += [g.weight(layer, "running_mean"), g.weight(layer, "running_var")]
    g.node("BatchNormalization", layer, [layer.inputs[0], *names], epsilon=op.epsilon)


def _prelu(g: Graph, layer: Layer, op: PReLU) -> None:
    ones = (1,) * (g.ranks[layer.name] - 2)  # the slope lines up with the channels
    g.node("PRelu", layer, [layer.inputs[0], g.weight(layer, "weight", (-1, *ones))])


def _relu(g: Graph, layer: Layer, op: ReLU) -> None:
    g.node("Relu", layer, layer.inputs)


def _leaky_relu(g: Graph, layer: Layer, op: LeakyReLU) -> None:
    g.node("LeakyRelu", layer, layer.inputs, alpha=op.slope)


def _hard_swish(g: Graph, layer: Layer, op: HardSwish) -> None:
    g.node("HardSwish", layer, layer.inputs)


def _sigmoid(g: Graph, layer: Layer, op: Sigmoid) -> None:
    g.node("Sigmoid", layer, layer.inputs)


def _tanh(g: Graph, layer: Layer, op: Tanh) -> None:
    g.node("Tanh", layer, layer.inputs)


def _hard_sigmoid(g: Graph, layer: Layer, op: HardSigmoid) -> None:
    g.node("HardSigmoid", layer, layer.inputs, alpha=1 / 6, beta=0.5)


def _clip(g: Graph, layer: Layer, op: Clip) -> None:
    ends = [
        g.constant(f"{layer.name}.{end}", np.array(value, np.float32), layer)
        for end, value in (("low", op.low), ("high", op.high))
    ]
    g.node("Clip", layer, [layer.inputs[0], *ends])


def _nothing(g: Graph, layer: Layer, op: Identity | Dropout) -> None:
    g.node("Identity", layer, layer.inputs)


def _normalize(g: Graph, layer: Layer, op: Normalize) -> None:
    scaled = f"{layer.name}.scaled"
    gains, shifts = (
        g.constant(f"{layer.name}.{name}", np.array(values, np.float32)[:, None, None], layer)
        for name, values in (("gains", op.gains), ("shifts", op.shifts))
    )
    g.step("Mul", [layer.inputs[0], gains], scaled)
    g.node("Add", layer, [scaled, shifts])


def _scale(g: Graph, layer: Layer, op: Scale) -> None:
    g.node("Mul", layer, [layer.inputs[0], g.weight(layer, "weight")])


def _add(g: Graph, layer: Layer, op: Add) -> None:
    kinds = {1: "Identity", 2: "Add"}  # runtimes fuse an Add into the convolution before it
    g.node(kinds.get(len(layer.inputs), "Sum"), layer, layer.inputs)


def _multiply(g: Graph, layer: Layer, op: Multiply) -> None:
    g.node("Mul", layer, layer.inputs)


def _subtract(g: Graph, layer: Layer, op: Subtract) -> None:
    g.node("Sub", layer, layer.inputs)


def _concat(g: Graph, layer: Layer, op: Concat) -> None:
    g.node("Concat", layer, layer.inputs, axis=1)


def _slice(g: Graph, layer: Layer, op: Slice) -> None:
    ends = {"start": op.start, "stop": op.stop, "axis": 1}
    names = [g.constant(f"{layer.name}.{key}", np.array([value]), layer) for key, value in ends.items()]
    g.node("Slice", layer, [layer.inputs[0], *names])


def _shuffle(g: Graph, layer: Layer, op: Shuffle) -> None:
    """One Gather: the reshaped form would have to compute the picture's size on the way back."""
    order = np.arange(g.channels[layer.name]).reshape(op.groups, -1).T.ravel()
    _gather(g, layer, layer.inputs[0], order)


def _repeat(g: Graph, layer: Layer, op: Repeat) -> None:
    _gather(g, layer, layer.inputs[0], np.arange(g.channels[layer.inputs[0]]).repeat(op.times))


def _pixel_shuffle(g: Graph, layer: Layer, op: PixelShuffle) -> None:
    g.node("DepthToSpace", layer, layer.inputs, blocksize=op.factor, mode="CRD")


def _pixel_unshuffle(g: Graph, layer: Layer, op: PixelUnshuffle) -> None:
    """SpaceToDepth puts the channels of a block's first pixel first, torch the pixels of the first channel."""
    channels = g.channels[layer.inputs[0]]
    if channels == 1:
        g.node("SpaceToDepth", layer, layer.inputs, blocksize=op.factor)
        return
    name = f"{layer.name}.blocks"
    g.nodes.append(helper.make_node("SpaceToDepth", layer.inputs, [name], name, blocksize=op.factor))
    _gather(g, layer, name, np.arange(channels * op.factor**2).reshape(-1, channels).T.ravel())


def _gather(g: Graph, layer: Layer, source: str, order: Array) -> None:
    """Channels of `source` in the given order."""
    g.node("Gather", layer, [source, g.constant(f"{layer.name}.order", order.astype(np.int64), layer)], axis=1)


def _resize(g: Graph, layer: Layer, op: Resize) -> None:
    """Whole factors: nearest needs no rounding rule but floor; cubic is torch's, a = -0.75."""
    scales = g.constant(f"{layer.name}.scales", np.array([1, 1, op.factor, op.factor], np.float32), layer)
    how: dict[str, object] = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    if op.mode != "nearest":
        how = {
            "mode": {"bilinear": "linear", "bicubic": "cubic"}[op.mode],
            "coordinate_transformation_mode": "half_pixel",
        }
    if op.mode == "bicubic":
        how["cubic_coeff_a"] = -0.75
    g.node("Resize", layer, [layer.inputs[0], "", scales], **how)


def _extend(g: Graph, layer: Layer, op: Extend) -> None:
    """Heights and widths are free, so how much is missing is computed: the negative size, modulo the multiple."""
    size = _size_of(g, layer, layer.inputs[0])
    missing = f"{layer.name}.missing"
    g.step("Neg", [size], f"{layer.name}.negative")
    multiple = g.constant(f"{layer.name}.multiple", np.array(op.multiple), layer)
    g.step("Mod", [f"{layer.name}.negative", multiple], missing)
    zeros = g.constant(f"{layer.name}.zeros", np.zeros(6, np.int64), layer)
    g.step("Concat", [zeros, missing], f"{layer.name}.pads", axis=0)
    g.node("Pad", layer, [layer.inputs[0], f"{layer.name}.pads"], mode="edge")


def _crop(g: Graph, layer: Layer, op: Crop) -> None:
    start = g.constant(f"{layer.name}.start", np.zeros(2, np.int64), layer)
    axes = g.constant(f"{layer.name}.axes", np.array([2, 3]), layer)
    g.node("Slice", layer, [layer.inputs[0], start, _size_of(g, layer, layer.inputs[1]), axes])


def _size_of(g: Graph, layer: Layer, name: str) -> str:
    """Height and width of the value `name`, as a value of two numbers."""
    g.step("Shape", [name], f"{layer.name}.size", start=2)
    return f"{layer.name}.size"


def _max_pool(g: Graph, layer: Layer, op: MaxPool) -> None:
    g.node("MaxPool", layer, layer.inputs, **_pooling(op, same_pad(op.kernel, op.pad)))


def _avg_pool(g: Graph, layer: Layer, op: AvgPool) -> None:
    g.node("AveragePool", layer, layer.inputs, **_pooling(op, op.pad), count_include_pad=0)


def _pooling(op: MaxPool | AvgPool, pad: int) -> dict[str, list[int]]:
    """The window of a pooling: rounding up is written as padding, which all runtimes understand alike."""
    end = pool_end(op.kernel, op.stride, pad, op.ceil)
    return _window(op.kernel, op.stride, pad) | {"pads": [pad, pad, end, end]}


def _global_avg_pool(g: Graph, layer: Layer, op: GlobalAvgPool) -> None:
    g.node("GlobalAveragePool", layer, layer.inputs)


def _contrast(g: Graph, layer: Layer, op: Contrast) -> None:
    """Mean plus the root of the mean square distance from it."""
    mean, apart, spread = (f"{layer.name}.{what}" for what in ("mean", "apart", "spread"))
    epsilon = g.constant(f"{layer.name}.epsilon", np.array(op.epsilon, np.float32), layer)
    g.step("GlobalAveragePool", [layer.inputs[0]], mean)
    g.step("Sub", [layer.inputs[0], mean], apart)
    g.step("Mul", [apart, apart], f"{layer.name}.square")
    g.step("GlobalAveragePool", [f"{layer.name}.square"], f"{layer.name}.variance")
    g.step("Add", [f"{layer.name}.variance", epsilon], f"{layer.name}.positive")
    g.step("Sqrt", [f"{layer.name}.positive"], spread)
    g.node("Add", layer, [mean, spread])


def _flatten(g: Graph, layer: Layer, op: Flatten) -> None:
    g.node("Flatten", layer, layer.inputs, axis=1)


def _response_norm(g: Graph, layer: Layer, op: LocalResponseNorm) -> None:
    g.node("LRN", layer, layer.inputs, size=op.window, alpha=op.alpha, beta=op.beta, bias=op.k)


def _pad_channels(g: Graph, layer: Layer, op: PadChannels) -> None:
    pads = np.zeros(2 * g.ranks[layer.name], np.int64)
    pads[g.ranks[layer.name] + 1] = op.more
    g.node("Pad", layer, [layer.inputs[0], g.constant(f"{layer.name}.pads", pads, layer)])


def _mean(g: Graph, layer: Layer, op: Mean) -> None:
    g.node("Mean", layer, layer.inputs)


def _window(kernel: int, stride: int, pad: int) -> dict[str, list[int]]:
    return {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}


# Operator -> the function that writes it. To export a new operator: one small function and one line here.
EMITTERS: dict[type[Op], Callable[[Graph, Layer, Any], None]] = {
    Conv: _conv,
    DepthwiseConv: _depthwise,
    EdgeConv: _edge_conv,
    TransposedConv: _transposed,
    Linear: _linear,
    BatchNorm: _batch_norm,
    PReLU: _prelu,
    ReLU: _relu,
    LeakyReLU: _leaky_relu,
    HardSwish: _hard_swish,
    Sigmoid: _sigmoid,
    HardSigmoid: _hard_sigmoid,
    Tanh: _tanh,
    Clip: _clip,
    Identity: _nothing,
    Dropout: _nothing,
    Normalize: _normalize,
    Scale: _scale,
    Add: _add,
    Subtract: _subtract,
    Multiply: _multiply,
    Concat: _concat,
    Slice: _slice,
    Shuffle: _shuffle,
    PixelShuffle: _pixel_shuffle,
    PixelUnshuffle: _pixel_unshuffle,
    Repeat: _repeat,
    Resize: _resize,
    Extend: _extend,
    Crop: _crop,
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Contrast: _contrast,
    Flatten: _flatten,
    LocalResponseNorm: _response_norm,
    PadChannels: _pad_channels,
    Mean: _mean,
}
