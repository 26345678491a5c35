"""How operators that slide a window are written into a LiteRT file: convolutions, pooling, bicubic enlargement."""

from __future__ import annotations

import numpy as np

from falconet.deploy.litert_writer import SAME, VALID, File, Value, fits_same
from falconet.deploy.target import Array, cannot
from falconet.graph import (
    EDGE_KERNELS,
    Add,
    AvgPool,
    Clip,
    Conv,
    DepthwiseConv,
    EdgeConv,
    HardSwish,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool,
    PReLU,
    ReLU,
    Repeat,
    TransposedConv,
)
from falconet.graph.ops.base import same_pad

REORDERED = (Conv, Repeat, Add, ReLU, LeakyReLU, PReLU, HardSwish, Clip)  # see ordered_for_shuffles
CUBIC = -0.75  # torch's parameter of bicubic interpolation
LOWEST = float(np.finfo(np.float32).min)


def conv(f: File, layer: Layer, op: Conv) -> None:
    """Write a convolution; its output channels in the order that a pixel shuffle behind it wants."""
    kernel, bias = f.array(layer, "weight"), _bias(f, layer, op.out, op.bias)
    if layer.name in f.blocks:
        order = blocks_order(op.out, f.blocks[layer.name])
        kernel, bias = kernel[order], bias[order]
    _convolve(f, layer, layer.inputs[0], kernel.transpose(0, 2, 3, 1), bias, op.stride, same_pad(op.kernel, op.pad))


def depthwise(f: File, layer: Layer, op: DepthwiseConv) -> None:
    """Write one filter for every channel."""
    kernel = f.array(layer, "weight")
    _filters(f, layer, kernel, _bias(f, layer, len(kernel), op.bias), op.stride, same_pad(op.kernel, op.pad))


def edge_conv(f: File, layer: Layer, op: EdgeConv) -> None:
    """The mask times each channel's scale, as an ordinary depthwise kernel."""
    kernel = f.array(layer, "weight") * np.array(EDGE_KERNELS[op.kind], dtype=np.float32)
    _filters(f, layer, kernel, f.array(layer, "bias"), 1, 0)


def _bias(f: File, layer: Layer, count: int, there: bool) -> Array:
    return f.array(layer, "bias") if there else np.zeros(count, dtype=np.float32)


def blocks_order(count: int, factor: int) -> Array:
    """Places of torch's channels in the order in which LiteRT makes pixels of them."""
    return np.arange(count).reshape(-1, factor**2).T.ravel()


def _convolve(f: File, layer: Layer, source: str, kernel_ohwi: Array, bias: Array, stride: int, pad: int) -> None:
    x, padding = _padded(f, layer, source, kernel_ohwi.shape[1], stride, pad)
    inputs = [x, f.kernel(f"{layer.name}.weight", kernel_ohwi), f.floats(f"{layer.name}.bias", bias)]
    f.op("CONV_2D", inputs, f.value(layer.name), "Conv2DOptions", padding=padding, strideW=stride, strideH=stride,
         dilationWFactor=1, dilationHFactor=1, fusedActivationFunction=f.activation(layer))  # fmt: skip


def _filters(f: File, layer: Layer, kernel_c1hw: Array, bias: Array, stride: int, pad: int) -> None:
    x, padding = _padded(f, layer, layer.inputs[0], kernel_c1hw.shape[2], stride, pad)
    kernel = kernel_c1hw[:, 0].transpose(1, 2, 0)[None]
    inputs = [x, f.kernel(f"{layer.name}.weight", kernel), f.floats(f"{layer.name}.bias", bias)]
    f.op("DEPTHWISE_CONV_2D", inputs, f.value(layer.name), "DepthwiseConv2DOptions", padding=padding, strideW=stride,
         strideH=stride, depthMultiplier=1, dilationWFactor=1, dilationHFactor=1,
         fusedActivationFunction=f.activation(layer))  # fmt: skip


def _padded(f: File, layer: Layer, source: str, kernel: int, stride: int, pad: int) -> tuple[Value, int]:
    """The value to slide a window over, and LiteRT's kind of padding: its own where it is ours, zeros elsewhere."""
    size = f.shapes[source].size
    if pad == 0:
        return f.value(source), VALID
    if all(fits_same(n, kernel, stride, pad) for n in size):
        return f.value(source), SAME
    ends = (pad, pad), (pad, pad)
    return f.border(layer, f.value(source), f.shape(source), ends, 0.0, "padded"), VALID


def transposed(f: File, layer: Layer, op: TransposedConv) -> None:
    """All that the kernel touches, of which the padding is then cut off."""
    if op.output_pad > op.pad:
        raise cannot(layer, "LiteRT", f"can pad the output by at most {op.pad}, not {op.output_pad}")
    _, height, width, _ = f.shape(layer.inputs[0])
    whole = [1, *((n - 1) * op.stride + op.kernel for n in (height, width)), op.out]
    kernel = f.kernel(f"{layer.name}.weight", f.array(layer, "weight").transpose(1, 2, 3, 0))
    bias = f.floats(f"{layer.name}.bias", _bias(f, layer, op.out, op.bias))
    inputs = [f.ints(whole), kernel, f.value(layer.inputs[0]), bias]
    full = f.step(layer, "whole", whole) if op.pad else f.value(layer.name)
    f.op("TRANSPOSE_CONV", inputs, full, "TransposeConvOptions", padding=VALID, strideW=op.stride, strideH=op.stride)
    if op.pad:
        f.cut(full, (0, op.pad, op.pad, 0), f.shape(layer.name), f.value(layer.name))


def linear(f: File, layer: Layer, op: Linear) -> None:
    """Write a fully connected layer."""
    inputs = [f.value(layer.inputs[0]), f.kernel(f"{layer.name}.weight", f.array(layer, "weight"))]
    inputs.append(f.floats(f"{layer.name}.bias", _bias(f, layer, op.out, op.bias)))
    f.op("FULLY_CONNECTED", inputs, f.value(layer.name), "FullyConnectedOptions", keepNumDims=False,
         fusedActivationFunction=f.activation(layer))  # fmt: skip


def repeat(f: File, layer: Layer, op: Repeat) -> None:
    """A 1x1 convolution of ones and zeros, which is exact, and which LiteRT's fast kernels know."""
    channels = f.shapes[layer.inputs[0]].channels
    kernel = np.eye(channels, dtype=np.float32).repeat(op.times, axis=0)
    if layer.name in f.blocks:
        kernel = kernel[blocks_order(len(kernel), f.blocks[layer.name])]
    _convolve(f, layer, layer.inputs[0], kernel[:, None, None], np.zeros(len(kernel), np.float32), 1, 0)


def bicubic(f: File, layer: Layer, factor: int) -> None:
    """LiteRT has none: the border repeated twice, a filter of 5x5 for each of the factor^2 places, pixel shuffle."""
    x, (_, height, width, channels) = f.value(layer.inputs[0]), f.shape(layer.inputs[0])
    for more in (1, 2):
        shape = (1, height + 2 * more - 2, width + 2 * more - 2, channels)
        x = f.border(layer, x, shape, ((1, 1), (1, 1)), None, f"border{more}")
    taps = np.array([_cubic_taps(place, factor) for place in range(factor)])
    kernels = np.einsum("ai,bj->ijab", taps, taps).reshape(5, 5, -1)  # place (a, b) is channel a * factor + b
    count = channels * factor**2
    places = f.step(layer, "places", (1, height, width, count))
    weight = f.floats(f"{layer.name}.taps", np.tile(kernels, channels)[None])
    bias = f.floats(f"{layer.name}.bias", np.zeros(count))
    f.op("DEPTHWISE_CONV_2D", [x, weight, bias], places, "DepthwiseConv2DOptions", padding=VALID, strideW=1, strideH=1,
         depthMultiplier=factor**2, dilationWFactor=1, dilationHFactor=1)  # fmt: skip
    if channels > 1:
        ordered = f.step(layer, "blocks", (1, height, width, count))
        f.interleave(layer, places, channels, (1, height, width, count), ordered)
        places = ordered
    f.op("DEPTH_TO_SPACE", [places], f.value(layer.name), "DepthToSpaceOptions", blockSize=factor)


def _cubic_taps(place: int, factor: int) -> list[float]:
    """Weights of the pixels -2 to 2 around one, for the `place`-th of the pixels that take its place (Keys 1981)."""
    centre = (place + 0.5) / factor - 0.5
    first = int(np.floor(centre)) - 1

    def weight(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return (CUBIC + 2) * x**3 - (CUBIC + 3) * x**2 + 1
        return CUBIC * (x**3 - 5 * x**2 + 8 * x - 4)

    return [weight(n - centre) if first <= n < first + 4 else 0.0 for n in range(-2, 3)]


def max_pool(f: File, layer: Layer, op: MaxPool) -> None:
    """Write the largest value of each window."""
    _pool(f, layer, "MAX_POOL_2D", op.kernel, op.stride, same_pad(op.kernel, op.pad), LOWEST)


def avg_pool(f: File, layer: Layer, op: AvgPool) -> None:
    """Padding is not to be counted: where there is some, the means are corrected by how much of a window it was."""
    size, out = f.shapes[layer.inputs[0]].size, f.shapes[layer.name].size
    counts = [_inside(n, m, op) for n, m in zip(size, out, strict=True)]
    share = np.outer(*counts)[None, :, :, None] / op.kernel**2
    plain = bool((share == 1).all())
    target = f.value(layer.name) if plain else f.step(layer, "means", f.shape(layer.name))
    _pool(f, layer, "AVERAGE_POOL_2D", op.kernel, op.stride, op.pad, 0.0, target)
    if not plain:
        f.combine("MUL", target, f.floats(f"{layer.name}.shares", 1 / share), f.value(layer.name))


def _inside(size: int, out: int, op: AvgPool) -> Array:
    """How many pixels of each window lie inside the picture, along one side."""
    starts = np.arange(out) * op.stride - op.pad
    return np.asarray(np.minimum(starts + op.kernel, size) - np.maximum(starts, 0))


def _pool(
    f: File, layer: Layer, kind: str, kernel: int, stride: int, pad: int, fill: float, out: Value | None = None
) -> None:
    """Windows over the picture with as much border as they reach, all of it written down."""
    size, result = f.shapes[layer.inputs[0]].size, f.shapes[layer.name].size
    reached = [(m - 1) * stride + kernel - pad - n for n, m in zip(size, result, strict=True)]
    below, right = (max(0, n) for n in reached)
    x = f.value(layer.inputs[0])
    if pad or below or right:
        x = f.border(layer, x, f.shape(layer.inputs[0]), ((pad, below), (pad, right)), fill, "padded")
    f.op(kind, [x], f.value(layer.name) if out is None else out, "Pool2DOptions", padding=VALID, strideW=stride,
         strideH=stride, filterWidth=kernel, filterHeight=kernel)  # fmt: skip
