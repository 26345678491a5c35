"""The space of FBNet for pictures of 32x32, as published latency tables of phones cut it: 22 layers, nine blocks each.

Wu et al. 2019, "FBNet: Hardware-Aware Efficient ConvNet Design via Differentiable Neural Architecture Search", table 1,
in the setting of HW-NAS-Bench (Li et al. 2021) for CIFAR-100. A block is an inverted bottleneck:

    1x1 convolution, e times as wide -> k x k depthwise -> 1x1 convolution, no activation; plus the input if it fits

`g2` blocks have two groups in their 1x1 convolutions and shuffle channels between. `skip` passes its input on; where
the shape changes it is a 1x1 convolution.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from falconet.graph import (
    Add,
    BatchNorm,
    Conv,
    DepthwiseConv,
    Draft,
    Flatten,
    GlobalAvgPool,
    Linear,
    NetSpec,
    ReLU,
    Shuffle,
)
from falconet.spaces.space import Pick

BLOCKS = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")
"""As the digits 0 to 8 of published tables."""
STEM, HEAD = 16, 1504
WIDTHS = (16, *(24,) * 4, *(32,) * 4, *(64,) * 4, *(112,) * 4, *(184,) * 4, 352)
STRIDES = tuple(2 if layer in (5, 9, 17) else 1 for layer in range(22))


class Fbnet(BaseModel):
    """Settings of the space: the number of classes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["fbnet"] = "fbnet"
    classes: Annotated[int, Field(ge=2)] = 100

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives; takes pictures of 3 channels and any size."""
        d, width = Draft(x=3), STEM
        y = d.layer("stem", conv_block(3, STEM, 3), "x")
        for layer, (out, stride) in enumerate(zip(WIDTHS, STRIDES, strict=True)):
            kind = pick(f"b{layer}", BLOCKS)
            if kind != "skip" or stride > 1 or out != width:
                y = d.layer(f"b{layer}_{kind}", fbnet_block(kind, width, out, stride), y)
            width = out
        y = d.layer("head", conv_block(width, HEAD, 1), y)
        y = d.chain([("mean", GlobalAvgPool()), ("flat", Flatten()), ("classes", Linear(self.classes))], y)
        return d.build(y)


@lru_cache(maxsize=4096)
def fbnet_block(kind: str, inp: int, out: int, stride: int) -> NetSpec:
    """One block of the table BLOCKS; a `skip` here changes the shape, one that does not is no layer at all."""
    if kind == "skip":
        return conv_block(inp, out, 1, stride)
    kernel, expand, groups = int(kind[1]), int(kind[4]), 2 if kind.endswith("g2") else 1
    d, mid = Draft(x=inp), inp * expand
    y = d.chain([("pw1", Conv(mid, 1, groups=groups, bias=False)), ("norm1", BatchNorm()), ("act1", ReLU())], "x")
    if groups > 1:
        y = d.layer("mix", Shuffle(groups), y)
    y = d.chain([("dw", DepthwiseConv(kernel, stride, bias=False)), ("norm2", BatchNorm()), ("act2", ReLU())], y)
    y = d.chain([("pw2", Conv(out, 1, groups=groups, bias=False)), ("norm3", BatchNorm())], y)
    return d.build(d.layer("sum", Add(), y, "x") if stride == 1 and inp == out else y)


@lru_cache(maxsize=64)
def conv_block(inp: int, out: int, kernel: int, stride: int = 1) -> NetSpec:
    """Convolution, BN, ReLU."""
    d = Draft(x=inp)
    return d.build(
        d.chain([("conv", Conv(out, kernel, stride, bias=False)), ("norm", BatchNorm()), ("act", ReLU())], "x")
    )
