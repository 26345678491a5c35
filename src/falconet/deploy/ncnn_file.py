"""ncnn files from networks: the text of a .param file and the bytes of a .bin file, for pictures of any size.

Both are written from the spec itself, operator by operator (docs/decisions/0020): no converter, milliseconds. Values
have the names of the layers, so `extractor.extract("up")` gives what the layer "up" computes. ncnn wants a value to be
read once: one that several layers read goes through a Split. An activation that ncnn's convolutions can apply
themselves is given to the one before it.

    param, data = to_ncnn(small.spec, small.weights())      # small = deployed(network)

Half precision stores kernels in 16 bits, which halves the file; what it computes in is up to the phone.
Left out: integers, which the ncnn package has no tool for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from falconet.deploy.plan import Plan, channels_of, plan
from falconet.deploy.target import Array, Weights, array_of, layers_for
from falconet.graph import (
    EDGE_KERNELS,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    DepthwiseConv,
    Dropout,
    EdgeConv,
    Flatten,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Identity,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool,
    Multiply,
    NetSpec,
    Op,
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
)
from falconet.graph.ops.base import same_pad

Number: TypeAlias = int | float
Params: TypeAlias = Mapping[int, "Number | Sequence[Number]"]
"""Settings of an ncnn layer by number; what each number means is in ncnn's documentation of its operators."""

MAGIC = 7767517
FLOAT32, FLOAT16 = 0, 0x01306B47  # what the bytes of a kernel begin with
LIST = -23300  # less the number of a setting: its value is a list
ADD, SUBTRACT, MULTIPLY = 0, 1, 2  # of BinaryOp


def to_ncnn(spec: NetSpec, weights: Weights, half: bool = False) -> tuple[str, bytes]:
    """The .param file's text and the .bin file's bytes; `half` stores kernels in 16 bits.

    UserError names a layer that ncnn cannot take, ValueError a weight that was not given.
    """
    flat = flatten(spec)
    net = _Net(plan(flat, FUSING, _activation), channels_of(flat), weights, half)
    for one in flat.inputs:
        net.add("Input", one.name, [], one.name)
    for layer, emit in layers_for(flat, EMITTERS, "ncnn"):
        if layer.name not in net.plan.skipped:
            emit(net, layer, layer.op)
    if net.plan.copied:
        for number, name in enumerate(flat.outputs):
            net.add("Split", f"{name}.output{number}", [name], f"{name}.output{number}")
    head = [str(MAGIC), f"{len(net.lines)} {net.num_values}"]
    return "\n".join([*head, *net.lines]) + "\n", bytes(net.data)


@dataclass
class _Net:
    """An ncnn network being written: lines of the .param file, bytes of the .bin file."""

    plan: Plan
    channels: Mapping[str, int]
    weights: Weights
    half: bool
    lines: list[str] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    num_values: int = 0
    copies: dict[str, list[str]] = field(default_factory=dict)  # of a value that is read often: those not read yet

    def add(self, kind: str, name: str, inputs: Sequence[str], output: str, params: Params | None = None) -> None:
        """Add an ncnn layer that reads the results `inputs` and makes the value `output`."""
        self._line(kind, name, [self._read(one) for one in inputs], [output], params or {})
        if (count := self.plan.uses.get(output, 1)) > 1:
            self.copies[output] = [f"{output}.copy{n}" for n in range(count)]
            self._line("Split", f"{output}.split", [output], self.copies[output], {})

    def layer(self, kind: str, layer: Layer, params: Params | None = None) -> None:
        """Add the ncnn layer that does the work of `layer`."""
        self.add(kind, layer.name, layer.inputs, self.plan.value(layer.name), params)

    def steps(self, layer: Layer, *steps: tuple[str, Params]) -> None:
        """Add ncnn layers one behind the other that together do the work of `layer`."""
        source = list(layer.inputs)
        for number, (kind, params) in enumerate(steps[:-1]):
            name = f"{layer.name}.step{number}"
            self.add(kind, name, source, name, params)
            source = [name]
        kind, params = steps[-1]
        self.add(kind, layer.name, source, self.plan.value(layer.name), params)

    def kernel(self, kind: str, layer: Layer, kernel: Array, bias: Array | None, params: Params) -> None:
        """Add a layer with a kernel and perhaps a bias, and the activation that the plan gives it."""
        activation = self.plan.activation.get(layer.name)
        self.layer(kind, layer, {**params, **((activation and _activation(activation)) or {})})
        values = kernel.astype(np.float16) if self.half else kernel
        self.data += np.array([FLOAT16 if self.half else FLOAT32], dtype="<u4").tobytes() + values.tobytes()
        self.data += bytes(-len(self.data) % 4)  # kernels end on whole words
        if bias is not None:
            self.data += bias.tobytes()

    def array(self, layer: Layer, name: str) -> Array:
        """A weight of the layer."""
        return array_of(self.weights, layer, name)

    def bias(self, layer: Layer, there: bool) -> Array | None:
        """The layer's bias, when it has one."""
        return self.array(layer, "bias") if there else None

    def _read(self, name: str) -> str:
        value = self.plan.value(name)
        return self.copies[value].pop(0) if value in self.copies else value

    def _line(self, kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str], params: Params) -> None:
        settings = " ".join(_setting(key, value) for key, value in params.items())
        values = " ".join([*inputs, *outputs])
        self.lines.append(f"{kind:<20} {name:<20} {len(inputs)} {len(outputs)} {values} {settings}".rstrip())
        self.num_values += len(outputs)


def _setting(key: int, value: Number | Sequence[Number]) -> str:
    """A setting as text: whole numbers without a point, others with one, or ncnn reads the wrong kind.

    >>> _setting(0, 3), _setting(1, 0.5), _setting(9, (2, 4))
    ('0=3', '1=5.000000000e-01', '-23309=2,2,4')
    """
    if isinstance(value, int):
        return f"{key}={value}"
    if isinstance(value, float):
        return f"{key}={value:.9e}"
    words = [str(one) if isinstance(one, int) else f"{one:.9e}" for one in value]
    return f"{LIST - key}={','.join([str(len(words)), *words])}"


def _activation(op: Op) -> Params | None:
    """The settings that make a convolution apply `op` itself; None where ncnn cannot."""
    match op:
        case ReLU():
            return {9: 1}
        case LeakyReLU():
            return {9: 2, 10: [op.slope]}
        case Clip():
            return {9: 3, 10: [float(op.low), float(op.high)]}
        case Sigmoid():
            return {9: 4}
        case HardSwish():
            return {9: 6, 10: [1 / 6, 0.5]}
        case _:
            return None


def _conv(net: _Net, layer: Layer, op: Conv) -> None:
    kernel = net.array(layer, "weight")
    params = _window(op.out, op.kernel, op.stride, same_pad(op.kernel, op.pad), op.bias, kernel.size)
    if op.groups == 1:
        net.kernel("Convolution", layer, kernel, net.bias(layer, op.bias), params)
    else:
        net.kernel("ConvolutionDepthWise", layer, kernel, net.bias(layer, op.bias), {**params, 7: op.groups})


def _depthwise(net: _Net, layer: Layer, op: DepthwiseConv) -> None:
    _filters(net, layer, net.array(layer, "weight"), net.bias(layer, op.bias), op.stride, same_pad(op.kernel, op.pad))


def _edge_conv(net: _Net, layer: Layer, op: EdgeConv) -> None:
    """The mask times each channel's scale, as an ordinary depthwise kernel."""
    kernel = net.array(layer, "weight") * np.array(EDGE_KERNELS[op.kind], dtype=np.float32)
    _filters(net, layer, kernel, net.array(layer, "bias"), 1, 0)


def _filters(net: _Net, layer: Layer, kernel: Array, bias: Array | None, stride: int, pad: int) -> None:
    count = len(kernel)
    params = _window(count, kernel.shape[-1], stride, pad, bias is not None, kernel.size)
    net.kernel("ConvolutionDepthWise", layer, kernel, bias, {**params, 7: count})


def _transposed(net: _Net, layer: Layer, op: TransposedConv) -> None:
    """ncnn keeps the kernel by output channel, torch by input channel."""
    kernel = np.ascontiguousarray(net.array(layer, "weight").swapaxes(0, 1))
    params = _window(op.out, op.kernel, op.stride, op.pad, op.bias, kernel.size)
    more = {18: op.output_pad, 19: op.output_pad}
    net.kernel("Deconvolution", layer, kernel, net.bias(layer, op.bias), {**params, **more})


def _window(out: int, kernel: int, stride: int, pad: int, bias: bool, size: int) -> dict[int, Number]:
    return {0: out, 1: kernel, 3: stride, 4: pad, 5: int(bias), 6: size}


def _linear(net: _Net, layer: Layer, op: Linear) -> None:
    kernel = net.array(layer, "weight")
    params = {0: op.out, 1: int(op.bias), 2: kernel.size}
    net.kernel("InnerProduct", layer, kernel, net.bias(layer, op.bias), params)


def _batch_norm(net: _Net, layer: Layer, op: BatchNorm) -> None:
    net.layer("BatchNorm", layer, {0: net.channels[layer.name], 1: float(op.epsilon)})
    for name in ("weight", "running_mean", "running_var", "bias"):
        net.data += net.array(layer, name).tobytes()


def _prelu(net: _Net, layer: Layer, op: PReLU) -> None:
    slopes = net.array(layer, "weight")
    net.layer("PReLU", layer, {0: slopes.size})
    net.data += slopes.tobytes()


def _scale(net: _Net, layer: Layer, op: Scale) -> None:
    factors = net.array(layer, "weight")
    net.layer("Scale", layer, {0: factors.size})
    net.data += factors.tobytes()


def _leaky_relu(net: _Net, layer: Layer, op: LeakyReLU) -> None:
    net.layer("ReLU", layer, {0: float(op.slope)})


def _clip(net: _Net, layer: Layer, op: Clip) -> None:
    net.layer("Clip", layer, {0: float(op.low), 1: float(op.high)})


def _plain(kind: str, **params: Number) -> Callable[[_Net, Layer, Any], None]:
    """Writes an operator without settings of its own: `_plain("HardSwish", _0=1 / 6)`."""
    settings = {int(key[1:]): value for key, value in params.items()}
    return lambda net, layer, op: net.layer(kind, layer, settings)


def _add(net: _Net, layer: Layer, op: Add) -> None:
    """Eltwise takes any number of inputs, BinaryOp is the quicker one for two."""
    if len(layer.inputs) == 1:
        net.layer("Split", layer)
    elif len(layer.inputs) == 2:
        net.layer("BinaryOp", layer, {0: ADD})
    else:
        net.layer("Eltwise", layer, {0: 1})


def _slice(net: _Net, layer: Layer, op: Slice) -> None:
    net.layer("Crop", layer, {9: [op.start], 10: [op.stop], 11: [0]})


def _repeat(net: _Net, layer: Layer, op: Repeat) -> None:
    """All channels again and again, and where there are several, reordered as a shuffle does."""
    tile = ("Tile", {0: 0, 1: op.times})
    single = net.channels[layer.inputs[0]] == 1
    net.steps(layer, *([tile] if single else [tile, ("ShuffleChannel", {0: op.times})]))


def _resize(net: _Net, layer: Layer, op: Resize) -> None:
    kinds = {"nearest": 1, "bilinear": 2, "bicubic": 3}
    net.layer("Interp", layer, {0: kinds[op.mode], 1: float(op.factor), 2: float(op.factor)})


def _max_pool(net: _Net, layer: Layer, op: MaxPool) -> None:
    _pool(net, layer, 0, op.kernel, op.stride, same_pad(op.kernel, op.pad), op.ceil)


def _avg_pool(net: _Net, layer: Layer, op: AvgPool) -> None:
    _pool(net, layer, 1, op.kernel, op.stride, op.pad, op.ceil)


def _pool(net: _Net, layer: Layer, kind: int, kernel: int, stride: int, pad: int, ceil: bool) -> None:
    """Rounding up is rounding down with more padding on the right: as much as lets one more window begin before the
    padding on the right does, which is where torch stops too. Neither kind of pooling sees padding."""
    end = pad + min(kernel - pad - 1, stride - 1) if ceil else pad
    net.layer("Pooling", layer, {0: kind, 1: kernel, 2: stride, 3: pad, 13: pad, 14: end, 15: end, 5: 1})


def _global_avg_pool(net: _Net, layer: Layer, op: GlobalAvgPool) -> None:
    """ncnn's answer is flat; here it is a 1x1 picture."""
    net.steps(layer, ("Pooling", {0: 1, 4: 1}), ("Reshape", {0: 1, 1: 1, 2: -1}))


def _shuffle(net: _Net, layer: Layer, op: Shuffle) -> None:
    net.layer("ShuffleChannel", layer, {0: op.groups})


def _pixel_shuffle(net: _Net, layer: Layer, op: PixelShuffle) -> None:
    net.layer("PixelShuffle", layer, {0: op.factor})


def _pixel_unshuffle(net: _Net, layer: Layer, op: PixelUnshuffle) -> None:
    net.layer("Reorg", layer, {0: op.factor})


FUSING = (Conv, DepthwiseConv, EdgeConv, TransposedConv, Linear)

# Operator -> the function that writes it. To export a new operator: one small function and one line here.
EMITTERS: dict[type[Op], Callable[[_Net, Layer, Any], None]] = {
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
    Scale: _scale,
    Add: _add,
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
    Flatten: _plain("Flatten"),
}
