"""Plain chains of 3x3 convolutions with a pixel shuffle: what every search has to beat."""

from __future__ import annotations

from falconet.graph import Draft, NetSpec
from falconet.zoo.blocks import ACTIVATIONS, add_and_shuffle, check_scale, plain_block


def plain_sr(depth: int = 4, width: int = 16, scale: int = 2, activation: str = "relu", channels: int = 1) -> NetSpec:
    """A plain net: `depth` convolutions of `width` channels between head and tail, the picture added at the end.

    >>> from falconet.graph import costs
    >>> costs(plain_sr(4, 16), (360, 640)).macs      # to 1280x720
    2289254400
    """
    check_scale(scale)
    d = Draft(x=channels)
    y = d.chain([("head", plain_block(channels, width)), ("head_act", ACTIVATIONS[activation])], "x")
    for i in range(depth):
        y = d.chain([(f"b{i}", plain_block(width, width)), (f"b{i}_act", ACTIVATIONS[activation])], y)
    y = d.layer("tail", plain_block(width, channels * scale**2), y)
    return d.build(add_and_shuffle(d, y, scale))


def plain_4x16(scale: int = 2) -> NetSpec:
    """A plain net of 4 convolutions of 16 channels between head and tail: 2.3 G at 1280x720, as ECBSR-M4C16."""
    return plain_sr(4, 16, scale)


def plain_7x20(scale: int = 2) -> NetSpec:
    """A plain net of 7 convolutions of 20 channels between head and tail: 6.0 G at 1280x720."""
    return plain_sr(7, 20, scale)
