"""MobileNet v2 and v3: wide depthwise convolutions between narrow sums.

v2: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks". v3: Howard et al. 2019, "Searching
for MobileNetV3", with squeeze and excitation (to a quarter of the widened channels) and hard swish; its batch norms
use epsilon 1e-3. `width` multiplies channels, rounded to multiples of 8; v2's last convolution never gets narrower,
v3's first linear layer stays as it is.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.errors import UserError
from falconet.graph import (
    Add,
    BatchNorm,
    Clip,
    Draft,
    Dropout,
    Flatten,
    GlobalAvgPool,
    HardSwish,
    Linear,
    NetSpec,
    Op,
    ReLU,
)
from falconet.zoo.classify import NORM, Steps, check_classes, classify, conv, depthwise, gated, normed, rounded

RELU6 = Clip(0.0, 6.0)
NORM_V3 = BatchNorm(epsilon=1e-3, momentum=0.01)
# Widening, channels, blocks, stride of the first.
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
Row = tuple[int, int, int, bool, bool, int]
"""Kernel, widened channels, channels, whether gated, whether hard swish (else rectifier), stride."""
LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


@lru_cache(maxsize=1024)
def inverted_residual(
    inp: int, wide: int, out: int, kernel: int, stride: int, act: Op, gate: bool = False, norm: BatchNorm = NORM
) -> NetSpec:
    """1x1 to `wide` channels, depthwise, 1x1 to `out` without activation; the input is added where shapes agree.

    No first 1x1 where it would not widen; with `gate`, squeeze and excitation behind the depthwise convolution.
    """
    d = Draft(x=inp)
    steps: Steps = normed("expand", conv(wide), act, norm) if wide != inp else []
    steps += normed("depthwise", depthwise(kernel, stride), act, norm)
    steps += [("gate", gated(wide, rounded(wide / 4)))] if gate else []
    y = d.chain([*steps, *normed("project", conv(out), None, norm)], "x")
    return d.build(d.layer("sum", Add(), "x", y) if stride == 1 and inp == out else y)


def mobilenet_v2(classes: int = 1000, width: float = 1.0) -> NetSpec:
    """MobileNet v2 at 224x224; 300 M MACs, 3.4 M parameters at width 1."""
    check_classes(classes)
    _check_width(width)
    d = Draft(x=3)
    channels, number = rounded(32 * width), 0
    y = d.chain(normed("stem", conv(channels, 3, 2), RELU6), "x")
    for times, base, depth, stride in V2:
        out = rounded(base * width)
        for i in range(depth):
            block = inverted_residual(channels, channels * times, out, 3, 1 if i else stride, RELU6)
            y, channels, number = d.layer(f"b{number}", block, y), out, number + 1
    y = d.chain(normed("last", conv(rounded(1280 * max(1.0, width))), RELU6), y)
    return d.build(classify(d, y, classes, dropout=0.2))


def _v3(rows: tuple[Row, ...], end: int, classes: int, width: float) -> NetSpec:
    check_classes(classes)
    _check_width(width)
    d = Draft(x=3)
    base_channels, channels = 16, rounded(16 * width)
    y = d.chain(normed("stem", conv(channels, 3, 2), HardSwish(), NORM_V3), "x")
    for number, (kernel, base_wide, base_out, gate, swish, stride) in enumerate(rows):
        wide, out = rounded(channels * base_wide / base_channels), rounded(base_out * width)
        act = HardSwish() if swish else ReLU()
        y = d.layer(f"b{number}", inverted_residual(channels, wide, out, kernel, stride, act, gate, NORM_V3), y)
        base_channels, channels = base_out, out
    steps = normed("last", conv(6 * channels), HardSwish(), NORM_V3)
    steps += [("mean", GlobalAvgPool()), ("flat", Flatten()), ("fc", Linear(end))]
    steps += [("fc_act", HardSwish()), ("drop", Dropout(0.2)), ("classes", Linear(classes))]
    return d.build(d.chain(steps, y))


def mobilenet_v3_large(classes: int = 1000, width: float = 1.0) -> NetSpec:
    """MobileNet v3 large at 224x224; 217 to 219 M MACs, 5.4 M parameters at width 1."""
    return _v3(LARGE, 1280, classes, width)


def mobilenet_v3_small(classes: int = 1000, width: float = 1.0) -> NetSpec:
    """MobileNet v3 small at 224x224; 56 M MACs, 2.5 M parameters at width 1."""
    return _v3(SMALL, 1024, classes, width)


def _check_width(width: float) -> None:
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0.1 <= width <= 4:
        raise UserError(f"the width of a MobileNet must be a number from 0.1 to 4, got {width!r}")
