"""What hand-designed classifiers share: a convolution with its norm and activation, gates, and the end that classifies.

Every classifier takes RGB pictures, input `x` of 3 channels, and gives one value for each class, before the softmax.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.errors import UserError
from falconet.graph import (
    BatchNorm,
    Conv,
    DepthwiseConv,
    Draft,
    Dropout,
    Flatten,
    GlobalAvgPool,
    HardSigmoid,
    Linear,
    Multiply,
    NetSpec,
    Op,
    ReLU,
)

Steps = list[tuple[str, Op | NetSpec]]
NORM = BatchNorm()
RELU = ReLU()


def normed(name: str, op: Op, act: Op | None = RELU, norm: BatchNorm = NORM) -> Steps:
    """An operator, batch norm and an activation (None: none), called `name`, `name_norm` and `name_act`."""
    steps: Steps = [(name, op), (f"{name}_norm", norm)]
    return steps if act is None else [*steps, (f"{name}_act", act)]


def conv(out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Conv:
    """A convolution without bias, as goes before a batch norm."""
    return Conv(out, kernel, stride, groups, bias=False)


def depthwise(kernel: int = 3, stride: int = 1) -> DepthwiseConv:
    """A depthwise convolution without bias, as goes before a batch norm."""
    return DepthwiseConv(kernel, stride, bias=False)


def classify(d: Draft, y: str, classes: int, dropout: float = 0.0, bias: bool = True) -> str:
    """The end of a classifier: the mean over all pixels, dropout if any, a linear layer. The last layer's name."""
    y = d.chain([("mean", GlobalAvgPool()), ("flat", Flatten())], y)
    if dropout:
        y = d.layer("drop", Dropout(dropout), y)
    return d.layer("classes", Linear(classes, bias), y)


@lru_cache(maxsize=4096)
def gated(channels: int, squeezed: int, norm: bool = False) -> NetSpec:
    """Squeeze and excitation: each channel times a gate from 0 to 1, made of the means of all (Hu et al. 2018).

    1x1 convolutions to `squeezed` channels and back, rectifier between, hard sigmoid behind (MobileNet v3's form). With
    `norm` no biases, and batch norm between (ShuffleNetV2+'s form).
    """
    d = Draft(x=channels)
    y = d.layer("mean", GlobalAvgPool(), "x")
    if norm:
        y = d.chain([*normed("squeeze", conv(squeezed)), ("excite", conv(channels))], y)
    else:
        y = d.chain([("squeeze", Conv(squeezed, 1)), ("squeeze_act", RELU), ("excite", Conv(channels, 1))], y)
    return d.build(d.layer("gated", Multiply(), "x", d.layer("gate", HardSigmoid(), y)))


def rounded(channels: float, multiple: int = 8) -> int:
    """The nearest multiple of 8, yet at least 0.9 of `channels`: how MobileNets make widths.

    >>> rounded(24 * 0.75), rounded(16 * 0.35)      # 18 would become 16, less than 0.9 of it
    (24, 8)
    """
    near = max(multiple, int(channels + multiple / 2) // multiple * multiple)
    return near + multiple if near < 0.9 * channels else near


def check_classes(classes: int) -> None:
    """UserError unless there is something to tell apart."""
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise UserError(f"classes must be a whole number from 2, got {classes!r}")


def check_option(net: str, name: str, value: object, options: tuple[object, ...]) -> None:
    """UserError unless `value` is one of `options`."""
    if value not in options:
        raise UserError(f"the {name} of {net} must be one of {', '.join(map(str, options))}; got {value!r}")
