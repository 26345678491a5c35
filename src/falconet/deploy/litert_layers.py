"""How operators are written into a LiteRT file: EMITTERS, the table of them (those with windows: litert_windows.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from falconet.deploy.litert_windows import (
    avg_pool,
    bicubic,
    blocks_order,
    conv,
    depthwise,
    edge_conv,
    linear,
    max_pool,
    repeat,
    transposed,
)
from falconet.deploy.litert_writer import File, Value
from falconet.deploy.target import Array, norm_arrays
from falconet.graph import (
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
)


def _batch_norm(f: File, layer: Layer, op: BatchNorm) -> None:
    gain, shift, mean, variance = (x.astype(np.float64) for x in norm_arrays(f.weights, layer, op))
    gain = gain / np.sqrt(variance + op.epsilon)
    _affine(f, layer, gain, shift - mean * gain)


def _affine(f: File, layer: Layer, gain: Array, shift: Array) -> None:
    """x * gain + shift, numbers for each channel."""
    scaled = f.step(layer, "scaled", f.shape(layer.name))
    f.combine("MUL", f.value(layer.inputs[0]), f.floats(f"{layer.name}.gain", gain), scaled)
    f.combine("ADD", scaled, f.floats(f"{layer.name}.shift", shift), f.value(layer.name))


def _prelu(f: File, layer: Layer, op: PReLU) -> None:
    count = f.shapes[layer.name].channels
    slopes = np.broadcast_to(f.array(layer, "weight"), count)
    if layer.name in f.blocks:
        slopes = slopes[blocks_order(count, f.blocks[layer.name])]
    ones = (1,) * (len(f.shape(layer.name)) - 2)
    f.op("PRELU", [f.value(layer.inputs[0]), f.floats(f"{layer.name}.weight", slopes.reshape(*ones, count))],
         f.value(layer.name))  # fmt: skip


def _plain(kind: str, options: str = "") -> Callable[[File, Layer, Any], None]:
    """Writes an operator without settings."""
    return lambda f, layer, op: f.op(kind, [f.value(layer.inputs[0])], f.value(layer.name), options)


def _leaky_relu(f: File, layer: Layer, op: LeakyReLU) -> None:
    f.op("LEAKY_RELU", [f.value(layer.inputs[0])], f.value(layer.name), "LeakyReluOptions", alpha=float(op.slope))


def _hard_sigmoid(f: File, layer: Layer, op: HardSigmoid) -> None:
    """(x + 3, held between 0 and 6) / 6."""
    held = f.step(layer, "held", f.shape(layer.name))
    six = int(f.schema.ActivationFunctionType.RELU6)
    f.combine("ADD", f.value(layer.inputs[0]), f.floats(f"{layer.name}.three", np.array([3.0])), held, six)
    f.combine("MUL", held, f.floats(f"{layer.name}.sixth", np.array([1 / 6])), f.value(layer.name))


def _clip(f: File, layer: Layer, op: Clip) -> None:
    above = f.step(layer, "above", f.shape(layer.name))
    low, high = (
        f.floats(f"{layer.name}.{name}", np.array([end])) for name, end in (("low", op.low), ("high", op.high))
    )
    f.op("MAXIMUM", [f.value(layer.inputs[0]), low], above, "MaximumMinimumOptions")
    f.op("MINIMUM", [above, high], f.value(layer.name), "MaximumMinimumOptions")


def _nothing(f: File, layer: Layer, op: Op) -> None:
    raise AssertionError("layers that do nothing are not written")


def _scale(f: File, layer: Layer, op: Scale) -> None:
    factors = f.floats(f"{layer.name}.weight", f.array(layer, "weight").ravel())
    f.combine("MUL", f.value(layer.inputs[0]), factors, f.value(layer.name))


def _add(f: File, layer: Layer, op: Add) -> None:
    _sum(f, layer, f.value(layer.name), f.activation(layer))


def _sum(f: File, layer: Layer, out: Value, activation: int = 0) -> None:
    """Sums of two, one after the other."""
    first, *others = (f.value(name) for name in layer.inputs)
    if not others:
        f.reshape(first, f.shape(layer.name), out)
    for number, other in enumerate(others, start=1):
        last = number == len(others)
        result = out if last else f.step(layer, f"sum{number}", f.shape(layer.name))
        f.combine("ADD", first, other, result, activation if last else 0)
        first = result


def _mean(f: File, layer: Layer, op: Mean) -> None:
    """The sum, divided."""
    total = f.step(layer, "total", f.shape(layer.name))
    _sum(f, layer, total)
    f.combine("MUL", total, f.floats(f"{layer.name}.share", np.array([1 / len(layer.inputs)])), f.value(layer.name))


def _normalize(f: File, layer: Layer, op: Normalize) -> None:
    _affine(f, layer, np.array(op.gains), np.array(op.shifts))


def _response_norm(f: File, layer: Layer, op: LocalResponseNorm) -> None:
    """LiteRT multiplies the sum over the window, torch the mean."""
    f.op("LOCAL_RESPONSE_NORMALIZATION", [f.value(layer.inputs[0])], f.value(layer.name),
         "LocalResponseNormalizationOptions", radius=op.window // 2, bias=float(op.k), alpha=op.alpha / op.window,
         beta=float(op.beta))  # fmt: skip


def _pad_channels(f: File, layer: Layer, op: PadChannels) -> None:
    amounts = np.array([(0, 0)] * (len(f.shape(layer.name)) - 1) + [(0, op.more)], dtype=np.int32)
    pads = f.tensor(f"{layer.name}.pads", amounts.shape, amounts)
    f.op("PAD", [f.value(layer.inputs[0]), pads], f.value(layer.name), "PadOptions")


def _subtract(f: File, layer: Layer, op: Subtract) -> None:
    f.combine("SUB", f.value(layer.inputs[0]), f.value(layer.inputs[1]), f.value(layer.name))


def _multiply(f: File, layer: Layer, op: Multiply) -> None:
    a, b = (f.value(name) for name in layer.inputs)
    f.combine("MUL", a, b, f.value(layer.name), f.activation(layer))


def _concat(f: File, layer: Layer, op: Concat) -> None:
    axis = len(f.shape(layer.name)) - 1
    f.op(
        "CONCATENATION",
        [f.value(name) for name in layer.inputs],
        f.value(layer.name),
        "ConcatenationOptions",
        axis=axis,
    )


def _slice(f: File, layer: Layer, op: Slice) -> None:
    shape = f.shape(layer.name)
    f.cut(f.value(layer.inputs[0]), [0] * (len(shape) - 1) + [op.start], shape, f.value(layer.name))


def _shuffle(f: File, layer: Layer, op: Shuffle) -> None:
    f.interleave(layer, f.value(layer.inputs[0]), op.groups, f.shape(layer.name), f.value(layer.name))


def _pixel_shuffle(f: File, layer: Layer, op: PixelShuffle) -> None:
    source, x = layer.inputs[0], f.value(layer.inputs[0])
    out_channels = f.shapes[layer.name].channels
    if out_channels > 1 and op.factor > 1 and source not in f.blocks:
        x = f.step(layer, "blocks", f.shape(source))
        f.interleave(layer, f.value(source), out_channels, f.shape(source), x)
    if op.factor == 1:
        f.reshape(x, f.shape(layer.name), f.value(layer.name))
        return
    f.op("DEPTH_TO_SPACE", [x], f.value(layer.name), "DepthToSpaceOptions", blockSize=op.factor)


def _pixel_unshuffle(f: File, layer: Layer, op: PixelUnshuffle) -> None:
    channels, shape = f.shapes[layer.inputs[0]].channels, f.shape(layer.name)
    if op.factor == 1:
        f.reshape(f.value(layer.inputs[0]), shape, f.value(layer.name))
        return
    blocks = f.value(layer.name) if channels == 1 else f.step(layer, "blocks", shape)
    f.op("SPACE_TO_DEPTH", [f.value(layer.inputs[0])], blocks, "SpaceToDepthOptions", blockSize=op.factor)
    if channels > 1:
        f.interleave(layer, blocks, op.factor**2, shape, f.value(layer.name))


def _resize(f: File, layer: Layer, op: Resize) -> None:
    x, size = f.value(layer.inputs[0]), f.ints(f.shapes[layer.name].size)
    if op.mode == "bicubic":
        bicubic(f, layer, op.factor)
    elif op.mode == "bilinear":
        f.op("RESIZE_BILINEAR", [x, size], f.value(layer.name), "ResizeBilinearOptions",
             alignCorners=False, halfPixelCenters=True)  # fmt: skip
    else:
        f.op("RESIZE_NEAREST_NEIGHBOR", [x, size], f.value(layer.name), "ResizeNearestNeighborOptions",
             alignCorners=False, halfPixelCenters=True)  # fmt: skip


def _extend(f: File, layer: Layer, op: Extend) -> None:
    """One pixel after the other: the outermost are repeated."""
    x, shape, wanted = f.value(layer.inputs[0]), f.shape(layer.inputs[0]), f.shape(layer.name)
    while shape != wanted:
        below, right = (int(n < m) for n, m in zip(shape[1:3], wanted[1:3], strict=True))
        x = f.border(layer, x, shape, ((0, below), (0, right)), None, f"border{shape[1]}x{shape[2]}")
        shape = (1, shape[1] + below, shape[2] + right, shape[3])
    f.reshape(x, wanted, f.value(layer.name))


def _crop(f: File, layer: Layer, op: Crop) -> None:
    f.cut(f.value(layer.inputs[0]), [0] * 4, f.shape(layer.name), f.value(layer.name))


def _global_avg_pool(f: File, layer: Layer, op: GlobalAvgPool) -> None:
    f.mean(f.value(layer.inputs[0]), f.value(layer.name))


def _contrast(f: File, layer: Layer, op: Contrast) -> None:
    """Mean plus the root of the mean square distance from it."""
    x, shape, small = f.value(layer.inputs[0]), f.shape(layer.inputs[0]), f.shape(layer.name)
    mean, spread = f.step(layer, "mean", small), f.step(layer, "spread", small)
    apart, square = f.step(layer, "apart", shape), f.step(layer, "square", shape)
    variance, positive = f.step(layer, "variance", small), f.step(layer, "positive", small)
    f.mean(x, mean)
    f.combine("SUB", x, mean, apart)
    f.combine("MUL", apart, apart, square)
    f.mean(square, variance)
    f.combine("ADD", variance, f.floats(f"{layer.name}.epsilon", np.array([op.epsilon])), positive)
    f.op("SQRT", [positive], spread)
    f.combine("ADD", mean, spread, f.value(layer.name))


def _flatten(f: File, layer: Layer, op: Flatten) -> None:
    """torch counts channels first: the pixels of one channel stay together."""
    x, (_, height, width, channels) = f.value(layer.inputs[0]), f.shape(layer.inputs[0])
    if height * width > 1:
        turned = f.step(layer, "turned", (1, channels, height, width))
        f.op("TRANSPOSE", [x, f.ints((0, 3, 1, 2))], turned, "TransposeOptions")
        x = turned
    f.reshape(x, f.shape(layer.name), f.value(layer.name))


# Operator -> the function that writes it. To export a new operator: one small function and one line here.
EMITTERS: dict[type[Op], Callable[[File, Layer, Any], None]] = {
    Conv: conv,
    DepthwiseConv: depthwise,
    EdgeConv: edge_conv,
    TransposedConv: transposed,
    Linear: linear,
    BatchNorm: _batch_norm,
    PReLU: _prelu,
    ReLU: _plain("RELU"),
    LeakyReLU: _leaky_relu,
    HardSwish: _plain("HARD_SWISH"),
    Sigmoid: _plain("LOGISTIC"),
    HardSigmoid: _hard_sigmoid,
    Tanh: _plain("TANH"),
    Clip: _clip,
    Identity: _nothing,
    Dropout: _nothing,
    Normalize: _normalize,
    Scale: _scale,
    Add: _add,
    Mean: _mean,
    Subtract: _subtract,
    Multiply: _multiply,
    Concat: _concat,
    Slice: _slice,
    Shuffle: _shuffle,
    PixelShuffle: _pixel_shuffle,
    PixelUnshuffle: _pixel_unshuffle,
    Repeat: repeat,
    Resize: _resize,
    Extend: _extend,
    Crop: _crop,
    MaxPool: max_pool,
    AvgPool: avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Contrast: _contrast,
    Flatten: _flatten,
    LocalResponseNorm: _response_norm,
    PadChannels: _pad_channels,
}
