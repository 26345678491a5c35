"""The blocks that hand-designed networks and search spaces for pixels share: plain, residual, gated, re-parameterized.

Each is a remembered function of plain arguments that returns a NetSpec with one input, `x`: built, checked and costed
once, however many networks use it. None ends in an activation; who stacks them chooses one from ACTIVATIONS.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from falconet.errors import UserError
from falconet.graph import (
    Add,
    Clip,
    Conv,
    Draft,
    EdgeConv,
    HardSwish,
    Identity,
    LeakyReLU,
    Multiply,
    NetSpec,
    Op,
    PixelShuffle,
    PReLU,
    ReLU,
    Repeat,
)

ACTIVATIONS: Mapping[str, Op] = {
    "relu": ReLU(),
    "prelu": PReLU(),
    "leaky_relu": LeakyReLU(0.1),
    "hardswish": HardSwish(),
    "none": Identity(),
}
"""Activations by the names that recipes use."""


@lru_cache(maxsize=4096)
def plain_block(inp: int, out: int, kernel: int = 3) -> NetSpec:
    """One convolution (`conv`)."""
    d = Draft(x=inp)
    return d.build(d.layer("conv", Conv(out, kernel), "x"))


@lru_cache(maxsize=4096)
def residual_block(width: int, kernel: int = 3, activation: str = "relu") -> NetSpec:
    """Two convolutions with an activation between them, and what came in added (EDSR's block: Lim et al. 2017)."""
    d = Draft(x=width)
    y = d.layer("conv1", Conv(width, kernel), "x")
    y = d.layer("act", ACTIVATIONS[activation], y)
    y = d.layer("conv2", Conv(width, kernel), y)
    return d.build(d.layer("sum", Add(), y, "x"))


@lru_cache(maxsize=4096)
def gated_block(width: int, kernel: int = 3) -> NetSpec:
    """Two convolutions (`value`, `gate`) multiplied with each other, a third (`out`), and what came in added.

    The product is what bends: no activation stands behind it. Gated linear units (Dauphin et al. 2017) without the
    sigmoid, as NAFNet (Chen et al. 2022) restores pictures with. Deviation: NAFNet multiplies two halves of a depthwise
    convolution's channels, between layer norms. Here both factors are full convolutions, nothing is normalized, and the
    gate is held between -1 and 1: a chain of free products grows without measure (docs/decisions/0036).
    """
    d = Draft(x=width)
    value = d.layer("value", Conv(width, kernel), "x")
    gate = d.layer("held", Clip(-1.0, 1.0), d.layer("gate", Conv(width, kernel), "x"))
    y = d.layer("out", Conv(width, kernel), d.layer("product", Multiply(), value, gate))
    return d.build(d.layer("sum", Add(), y, "x"))


@lru_cache(maxsize=4096)
def ecb_block(inp: int, out: int, kernel: int = 3, multiplier: int = 2, identity: bool = False) -> NetSpec:
    """The edge-oriented convolution block of ECBSR: five branches in training, one convolution once deployed.

    A convolution (`conv`), a 1x1 to `multiplier` times `out` channels and a convolution behind it (`wide`, `deep`), and
    1x1 convolutions with Sobel and Laplace masks behind them, all added up; with `identity` the input as well, where
    `inp` equals `out`. Every 1x1 carries the padding, so that merging is exact at borders. Zhang et al. 2021.

    >>> from falconet.graph import count_params, merged
    >>> count_params(ecb_block(16, 16)), count_params(merged(ecb_block(16, 16)))
    (8400, 2320)
    """
    d = Draft(x=inp)
    wide = d.layer("wide", Conv(out * multiplier, 1, pad=kernel // 2), "x")
    branches = [d.layer("conv", Conv(out, kernel), "x"), d.layer("deep", Conv(out, kernel, pad=0), wide)]
    edges: tuple[EdgeConv, ...] = (EdgeConv("sobel_x"), EdgeConv("sobel_y"), EdgeConv("laplacian"))
    for edge in edges:
        narrow = d.layer(f"{edge.kind}_in", Conv(out, 1, pad=1), "x")
        branches.append(d.layer(edge.kind, edge, narrow))
    if identity and inp == out:
        branches.append("x")
    return d.build(d.layer("sum", Add(), *branches))


def add_and_shuffle(d: Draft, y: str, scale: int) -> str:
    """The end of a super-resolution network: the picture `x`, each channel repeated scale^2 times, is added, and
    channels become pixels. The last layer's name.

    Pixel shuffle of repeated channels is nearest-neighbour enlargement, so what comes before learns the difference.
    """
    y = d.layer("sum", Add(), y, d.layer("skip", Repeat(scale**2), "x"))
    return d.layer("up", PixelShuffle(scale), y)


def check_scale(scale: int) -> None:
    """UserError unless `scale` is 2, 3 or 4."""
    if scale not in (2, 3, 4):
        raise UserError(f"the scale of this network must be 2, 3 or 4; got {scale!r}")
