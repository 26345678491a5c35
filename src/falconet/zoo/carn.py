"""CARN and CARN-M: residual blocks whose outputs cascade (Ahn et al. 2018, "Fast, Accurate, and Lightweight
Super-Resolution with Cascading Residual Network"), laid out as in the authors' code.

Three cascading blocks of three residual blocks each; behind every block a 1x1 convolution mixes all that came before.
CARN-M computes its residual blocks in four groups with a 1x1 convolution behind, and the three of a cascading block
share their weights.

Published parameters count the upsamplers of x2, x3 and x4 together, since the authors train one network for all three;
those of CARN-M leave biases out. Left out: subtracting the mean colour of the training set (biases can learn it).
"""

from __future__ import annotations

from falconet.graph import Add, Conv, Draft, NetSpec, PixelShuffle, ReLU
from falconet.zoo.blocks import check_scale

BLOCKS = 3  # cascading blocks of a network, and residual blocks of a cascading block
GROUPS_M = 4


def carn(scale: int = 2, width: int = 64, channels: int = 3) -> NetSpec:
    """CARN: 222.8 GMACs at 1280x720, x2; three channels unless said."""
    return _network(scale, width, channels, groups=1, shared=False)


def carn_m(scale: int = 2, width: int = 64, groups: int = GROUPS_M, channels: int = 3) -> NetSpec:
    """CARN-M, the mobile one: grouped convolutions and shared residual blocks, 91.2 GMACs at 1280x720, x2."""
    return _network(scale, width, channels, groups, shared=True)


def _network(scale: int, width: int, channels: int, groups: int, shared: bool) -> NetSpec:
    check_scale(scale)
    d = Draft(x=channels)
    y = d.layer("entry", Conv(width), "x")
    seen = {"entry": y}
    for i in range(BLOCKS):
        y = d.layer(f"b{i}", _cascading(width, groups, shared), y)
        seen[f"b{i}"] = y
        y = _mix(d, f"mix{i}", width, seen)
    for i, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[scale]):
        steps = [(f"up{i}", Conv(width * factor**2, groups=groups)), (f"up{i}_act", ReLU())]
        y = d.chain([*steps, (f"up{i}_shuffle", PixelShuffle(factor))], y)
    return d.build(d.layer("exit", Conv(channels), y))


def _cascading(width: int, groups: int, shared: bool) -> NetSpec:
    """Residual blocks, each followed by a mix of all that came before; with `shared` one block used three times."""
    d = Draft(x=width)
    y, seen = "x", {"x": "x"}
    for i in range(BLOCKS):
        y = d.layer(f"r{i}", _residual(width, groups), y, weights="r0" if shared and i else "")
        seen[f"r{i}"] = y
        y = _mix(d, f"mix{i}", width, seen)
    return d.build(y)


def _residual(width: int, groups: int) -> NetSpec:
    """Two convolutions, in groups a third of 1x1, and what came in added; activations after the sum."""
    d = Draft(x=width)
    y = d.chain([("conv1", Conv(width, groups=groups)), ("act1", ReLU()), ("conv2", Conv(width, groups=groups))], "x")
    if groups > 1:
        y = d.chain([("act2", ReLU()), ("conv3", Conv(width, 1))], y)
    return d.build(d.layer("act", ReLU(), d.layer("sum", Add(), y, "x")))


def _mix(d: Draft, name: str, width: int, seen: dict[str, str]) -> str:
    """All that came before side by side, through a 1x1 convolution."""
    y = d.concat(f"{name}_cat", **seen)
    return d.chain([(name, Conv(width, 1)), (f"{name}_act", ReLU())], y)
