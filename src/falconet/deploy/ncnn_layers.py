"""How operators are written into ncnn's files: EMITTERS, the table of them; see ncnn_file.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from falconet.deploy.ncnn_writer import Net, Number, Params
from falconet.deploy.target import Array, norm_arrays, pool_end
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
from falconet.graph.ops.base import same_pad

ADD, SUBTRACT, MULTIPLY = 0, 1, 2  # of BinaryOp
SQUARE, ROOT = 4, 5  # of UnaryOp
MEAN = 3  # of Reduction


def _conv(net: Net, layer: Layer, op: Conv) -> None:
    kernel = net.array(layer, "weight")
    params = _window(op.out, op.kernel, op.stride, same_pad(op.kernel, op.pad), op.bias, kernel.size)
    if op.groups == 1:
        net.kernel("Convolution", layer, kernel, net.bias(layer, op.bias), params)
    else:
        net.kernel("ConvolutionDepthWise", layer, kernel, net.bias(layer, op.bias), {**params, 7: op.groups})


def _depthwise(net: Net, layer: Layer, op: DepthwiseConv) -> None:
    _filters(net, layer, net.array(layer, "weight"), net.bias(layer, op.bias), op.stride, same_pad(op.kernel, op.pad))


def _edge_conv(net: Net, layer: Layer, op: EdgeConv) -> None:
    """The mask times each channel's scale, as an ordinary depthwise kernel."""
    kernel = net.array(layer, "weight") * np.array(EDGE_KERNELS[op.kind], dtype=np.float32)
    _filters(net, layer, kernel, net.array(layer, "bias"), 1, 0)


def _filters(net: Net, layer: Layer, kernel: Array, bias: Array | None, stride: int, pad: int) -> None:
    count = len(kernel)
    params = _window(count, kernel.shape[-1], stride, pad, bias is not None, kernel.size)
    net.kernel("ConvolutionDepthWise", layer, kernel, bias, {**params, 7: count})


def _transposed(net: Net, layer: Layer, op: TransposedConv) -> None:
    """ncnn keeps the kernel by output channel, torch by input channel."""
    kernel = np.ascontiguousarray(net.array(layer, "weight").swapaxes(0, 1))
    params = _window(op.out, op.kernel, op.stride, op.pad, op.bias, kernel.size)
    more = {18: op.output_pad, 19: op.output_pad}
    net.kernel("Deconvolution", layer, kernel, net.bias(layer, op.bias), {**params, **more})


def _window(out: int, kernel: int, stride: int, pad: int, bias: bool, size: int) -> dict[int, Number]:
    return {0: out, 1: kernel, 3: stride, 4: pad, 5: int(bias), 6: size}


def _linear(net: Net, layer: Layer, op: Linear) -> None:
    kernel = net.array(layer, "weight")
    params = {0: op.out, 1: int(op.bias), 2: kernel.size}
    net.kernel("InnerProduct", layer, kernel, net.bias(layer, op.bias), params)


def _batch_norm(net: Net, layer: Layer, op: BatchNorm) -> None:
    net.layer("BatchNorm", layer, {0: net.channels[layer.name], 1: float(op.epsilon)})
    gain, shift, mean, variance = norm_arrays(net.weights, layer, op)
    for values in (gain, mean, variance, shift):
        net.data += values.tobytes()


def _prelu(net: Net, layer: Layer, op: PReLU) -> None:
    slopes = net.array(layer, "weight")
    net.layer("PReLU", layer, {0: slopes.size})
    net.data += slopes.tobytes()


def _scale(net: Net, layer: Layer, op: Scale) -> None:
    factors = net.array(layer, "weight")
    net.layer("Scale", layer, {0: factors.size})
    net.data += factors.tobytes()


def _leaky_relu(net: Net, layer: Layer, op: LeakyReLU) -> None:
    net.layer("ReLU", layer, {0: float(op.slope)})


def _clip(net: Net, layer: Layer, op: Clip) -> None:
    net.layer("Clip", layer, {0: float(op.low), 1: float(op.high)})


def _plain(kind: str, **params: Number) -> Callable[[Net, Layer, Any], None]:
    """Writes an operator without settings of its own: `_plain("HardSwish", _0=1 / 6)`."""
    settings = {int(key[1:]): value for key, value in params.items()}
    return lambda net, layer, op: net.layer(kind, layer, settings)


def _add(net: Net, layer: Layer, op: Add) -> None:
    """Eltwise takes any number of inputs, BinaryOp is the quicker one for two."""
    if len(layer.inputs) == 1:
        net.layer("Split", layer)
    elif len(layer.inputs) == 2:
        net.layer("BinaryOp", layer, {0: ADD})
    else:
        net.layer("Eltwise", layer, {0: 1})


def _mean(net: Net, layer: Layer, op: Mean) -> None:
    net.layer("Eltwise", layer, {0: 1, 1: [1 / len(layer.inputs)] * len(layer.inputs)})


def _normalize(net: Net, layer: Layer, op: Normalize) -> None:
    net.layer("Scale", layer, {0: len(op.gains), 1: 1})
    net.data += np.array([op.gains, op.shifts], dtype=np.float32).tobytes()


def _response_norm(net: Net, layer: Layer, op: LocalResponseNorm) -> None:
    net.layer("LRN", layer, {0: 0, 1: op.window, 2: float(op.alpha), 3: float(op.beta), 4: float(op.k)})


def _pad_channels(net: Net, layer: Layer, op: PadChannels) -> None:
    net.layer("Padding", layer, {8: op.more})


def _crop(net: Net, layer: Layer, op: Crop) -> None:
    """Its ends are the width and height of the second input, "1w" and "1h"."""
    net.layer("Crop", layer, {19: "0,0", 20: "1h,1w", 21: "1,2"})


def _extend(net: Net, layer: Layer, op: Extend) -> None:
    """More pixels than can be needed are repeated, then cut to the next multiple."""
    more, m = op.multiple - 1, op.multiple
    ends = ",".join(f"*(//({side},{m}),{m})" for side in ("0h", "0w"))
    net.steps(layer, ("Padding", {1: more, 3: more, 4: 1}), ("Crop", {19: "0,0", 20: ends, 21: "1,2"}))


def _contrast(net: Net, layer: Layer, op: Contrast) -> None:
    """Mean plus the root of the mean square distance from it."""
    name = layer.name
    mean: Params = {0: MEAN, 1: 0, 3: [1, 2], 4: 1, 5: 1}  # the last: axes are counted as they are written
    source = net.split(f"{name}.source", layer.inputs[0], 2)
    net.add("Reduction", f"{name}.mean", source[:1], f"{name}.mean", mean)
    means = net.split(f"{name}.means", f"{name}.mean", 2)
    net.add("BinaryOp", f"{name}.apart", [source[1], means[0]], f"{name}.apart", {0: SUBTRACT})
    steps: list[tuple[str, str, Params]] = [
        ("square", "UnaryOp", {0: SQUARE}),
        ("variance", "Reduction", mean),
        ("positive", "BinaryOp", {0: ADD, 1: 1, 2: float(op.epsilon)}),
        ("spread", "UnaryOp", {0: ROOT}),
    ]
    before = f"{name}.apart"
    for what, kind, params in steps:
        net.add(kind, f"{name}.{what}", [before], f"{name}.{what}", params)
        before = f"{name}.{what}"
    net.add("BinaryOp", name, [before, means[1]], net.plan.value(name), {0: ADD})


def _slice(net: Net, layer: Layer, op: Slice) -> None:
    net.layer("Crop", layer, {9: [op.start], 10: [op.stop], 11: [0]})


def _repeat(net: Net, layer: Layer, op: Repeat) -> None:
    """All channels again and again, and where there are several, reordered as a shuffle does."""
    tile = ("Tile", {0: 0, 1: op.times})
    single = net.channels[layer.inputs[0]] == 1
    net.steps(layer, *([tile] if single else [tile, ("ShuffleChannel", {0: op.times})]))


def _resize(net: Net, layer: Layer, op: Resize) -> None:
    kinds = {"nearest": 1, "bilinear": 2, "bicubic": 3}
    net.layer("Interp", layer, {0: kinds[op.mode], 1: float(op.factor), 2: float(op.factor)})


def _max_pool(net: Net, layer: Layer, op: MaxPool) -> None:
    _pool(net, layer, 0, op.kernel, op.stride, same_pad(op.kernel, op.pad), op.ceil)


def _avg_pool(net: Net, layer: Layer, op: AvgPool) -> None:
    _pool(net, layer, 1, op.kernel, op.stride, op.pad, op.ceil)


def _pool(net: Net, layer: Layer, kind: int, kernel: int, stride: int, pad: int, ceil: bool) -> None:
    """Neither kind of pooling sees padding."""
    end = pool_end(kernel, stride, pad, ceil)
    net.layer("Pooling", layer, {0: kind, 1: kernel, 2: stride, 3: pad, 13: pad, 14: end, 15: end, 5: 1})


def _global_avg_pool(net: Net, layer: Layer, op: GlobalAvgPool) -> None:
    """ncnn's answer is flat; here it is a 1x1 picture."""
    net.steps(layer, ("Pooling", {0: 1, 4: 1}), ("Reshape", {0: 1, 1: 1, 2: -1}))


def _shuffle(net: Net, layer: Layer, op: Shuffle) -> None:
    net.layer("ShuffleChannel", layer, {0: op.groups})


def _pixel_shuffle(net: Net, layer: Layer, op: PixelShuffle) -> None:
    net.layer("PixelShuffle", layer, {0: op.factor})


def _pixel_unshuffle(net: Net, layer: Layer, op: PixelUnshuffle) -> None:
    net.layer("Reorg", layer, {0: op.factor})


# Operator -> the function that writes it. To export a new operator: one small function and one line here.
EMITTERS: dict[type[Op], Callable[[Net, Layer, Any], None]] = {
    Conv: _conv,
    DepthwiseConv: _depthwise,
    EdgeConv: _edge_conv,
    TransposedConv: _transposed,
    Linear: _linear,
    BatchNorm: _batch_norm,
    PReLU: _prelu,
    ReLU: _plain("ReLU"),
    LeakyReLU: _leaky_relu,
    HardSwish: _plain("HardSwish", _0=1 / 6, _1=0.5),
    Sigmoid: _plain("Sigmoid"),
    HardSigmoid: _plain("HardSigmoid", _0=1 / 6, _1=0.5),
    Tanh: _plain("TanH"),
    Clip: _clip,
    Identity: _plain("Noop"),
    Dropout: _plain("Split"),
    Normalize: _normalize,
    Scale: _scale,
    Add: _add,
    Mean: _mean,
    Subtract: _plain("BinaryOp", _0=SUBTRACT),
    Multiply: _plain("BinaryOp", _0=MULTIPLY),
    Concat: _plain("Concat", _0=0),
    Slice: _slice,
    Shuffle: _shuffle,
    PixelShuffle: _pixel_shuffle,
    PixelUnshuffle: _pixel_unshuffle,
    Repeat: _repeat,
    Resize: _resize,
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Contrast: _contrast,
    Extend: _extend,
    Crop: _crop,
    Flatten: _plain("Flatten"),
    LocalResponseNorm: _response_norm,
    PadChannels: _pad_channels,
}
