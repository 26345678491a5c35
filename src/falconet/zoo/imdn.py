"""IMDN: blocks that set some channels aside at every step (Hui et al. 2019, "Lightweight Image Super-Resolution with
Information Multi-distillation Network"), laid out as in the authors' code.

Its attention looks at the whole picture, so IMDN cannot be computed in tiles; IMDN-RTC, which won a contest of
real-time networks, has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from falconet.graph import Add, Contrast, Conv, Draft, LeakyReLU, Multiply, NetSpec, PixelShuffle, ReLU, Sigmoid, Slice
from falconet.zoo.blocks import check_scale

SLOPE = 0.05
REDUCTION = 16  # of the attention's inner width


def imdn(scale: int = 2, width: int = 64, blocks: int = 6, channels: int = 3) -> NetSpec:
    """IMDN: 6 blocks of 64 channels with contrast-aware attention, 158.8 GMACs at 1280x720, x2."""
    check_scale(scale)
    d = Draft(x=channels)
    y = head = d.layer("head", Conv(width), "x")
    seen = {}
    for i in range(blocks):
        y = seen[f"b{i}"] = d.layer(f"b{i}", _distilling(width, attention=True), y)
    y = d.concat("cat", **seen)
    y = d.chain([("mix", Conv(width, 1)), ("mix_act", LeakyReLU(SLOPE)), ("body", Conv(width))], y)
    y = d.layer("tail", Conv(channels * scale**2), d.layer("sum", Add(), y, head))
    return d.build(d.layer("up", PixelShuffle(scale), y))


def imdn_rtc(scale: int = 2, width: int = 12, blocks: int = 5, channels: int = 3) -> NetSpec:
    """IMDN-RTC: 5 blocks of 12 channels without attention, 20 K parameters."""
    check_scale(scale)
    d = Draft(x=channels)
    y = head = d.layer("head", Conv(width), "x")
    for i in range(blocks):
        y = d.layer(f"b{i}", _distilling(width, attention=False), y)
    y = d.layer("sum", Add(), d.layer("body", Conv(width, 1), y), head)
    y = d.layer("tail", Conv(channels * scale**2), y)
    return d.build(d.layer("up", PixelShuffle(scale), y))


def _distilling(width: int, attention: bool) -> NetSpec:
    """Three convolutions that set a quarter of their channels aside and pass the rest on, a fourth, a 1x1 of all."""
    kept = width // 4
    d = Draft(x=width)
    y, aside = "x", {}
    for i in (1, 2, 3):
        y = d.chain([(f"conv{i}", Conv(width)), (f"act{i}", LeakyReLU(SLOPE))], y)
        aside[f"kept{i}"] = d.layer(f"kept{i}", Slice(0, kept), y)
        y = d.layer(f"rest{i}", Slice(kept, width), y)
    y = d.concat("cat", **aside, last=d.layer("conv4", Conv(kept), y))
    if attention:
        gate = d.chain(_attention(4 * kept), y)
        y = d.layer("gated", Multiply(), y, gate)
    return d.build(d.layer("sum", Add(), d.layer("conv5", Conv(width, 1), y), "x"))


def _attention(width: int) -> Sequence[tuple[str, Contrast | Conv | ReLU | Sigmoid]]:
    """A factor for each channel from its mean and standard deviation."""
    squeeze = Conv(max(1, width // REDUCTION), 1)
    return [
        ("contrast", Contrast()),
        ("squeeze", squeeze),
        ("squeeze_act", ReLU()),
        ("excite", Conv(width, 1)),
        ("gate", Sigmoid()),
    ]
