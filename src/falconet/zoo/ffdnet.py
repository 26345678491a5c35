"""FFDNet: a denoiser that is told the noise level, and works at half resolution (Zhang et al. 2018, "FFDNet: Toward a
Fast and Flexible Solution for CNN based Image Denoising").

2x2 pixels become channels, a map of the noise level is put beside them, a plain chain follows, and channels become
pixels again. The second input, `sigma`, is that map at the size of the picture, in the units of the picture: 25/255
everywhere for a noise of standard deviation 25. Its 2x2 means are what the chain sees; the paper gives the small map
itself, which is the same for a level that is equal everywhere. An odd picture is extended by its last pixels, as in the
authors' code.
"""

from __future__ import annotations

from falconet.graph import AvgPool, BatchNorm, Conv, Crop, Draft, Extend, NetSpec, PixelShuffle, PixelUnshuffle, ReLU


def ffdnet(depth: int = 15, width: int = 64, norm: bool = False, channels: int = 1) -> NetSpec:
    """FFDNet for grey pictures: 15 convolutions of 64 channels at half resolution, batch normalization folded."""
    d = Draft(x=channels, sigma=1)
    small = d.chain([("extend", Extend(2)), ("down", PixelUnshuffle(2))], "x")
    level = d.layer("level", AvgPool(2, ceil=True), "sigma")
    y = d.concat("cat", picture=small, sigma=level)
    for i in range(depth - 1):
        inner = i > 0
        y = d.layer(f"conv{i}", Conv(width, bias=not (norm and inner)), y)
        y = d.layer(f"norm{i}", BatchNorm(), y) if norm and inner else y
        y = d.layer(f"act{i}", ReLU(), y)
    y = d.chain([(f"conv{depth - 1}", Conv(4 * channels)), ("up", PixelShuffle(2))], y)
    return d.build(d.layer("picture", Crop(), y, "x"))


def ffdnet_colour() -> NetSpec:
    """FFDNet for colour pictures: 12 convolutions of 96 channels at half resolution."""
    return ffdnet(12, 96, channels=3)
