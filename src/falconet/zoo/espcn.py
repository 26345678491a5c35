"""ESPCN: three convolutions, and pixels made from channels (Shi et al. 2016, "Real-Time Single Image and Video
Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network").

Against the paper: zeros pad the borders (the paper crops), and nothing is said about training here.
"""

from __future__ import annotations

from falconet.graph import Conv, Draft, NetSpec, PixelShuffle, Tanh
from falconet.zoo.blocks import check_scale


def espcn(scale: int = 2) -> NetSpec:
    """ESPCN: 5x5 to 64 channels, 3x3 to 32, 3x3 to scale^2, tanh between, pixel shuffle; one channel in and out."""
    check_scale(scale)
    d = Draft(x=1)
    steps = [("conv1", Conv(64, 5)), ("act1", Tanh()), ("conv2", Conv(32)), ("act2", Tanh()), ("conv3", Conv(scale**2))]
    return d.build(d.layer("up", PixelShuffle(scale), d.chain(steps, "x")))
