"""DnCNN: a plain chain that predicts the noise (Zhang et al. 2017, "Beyond a Gaussian Denoiser: Residual Learning of
Deep CNN for Image Denoising"). What comes out is the picture: the input less the predicted noise.

The paper trains with batch normalization behind all but the first and the last convolution. The authors' released
weights have it folded away, and so have the networks here unless `norm` is set; `load_weights` reads such files.
"""

from __future__ import annotations

from falconet.errors import UserError
from falconet.graph import BatchNorm, Conv, Draft, NetSpec, ReLU, Subtract


def dncnn(depth: int = 17, width: int = 64, norm: bool = False, channels: int = 1) -> NetSpec:
    """DnCNN with a depth and width of your own: 17 convolutions of 64 channels unless said, as for a known noise level.

    >>> from falconet.graph import costs
    >>> costs(dncnn(), (1, 1)).macs      # multiply-accumulates a pixel
    554112
    """
    if depth < 2:
        raise UserError(f"DnCNN needs a depth of at least 2 convolutions; got {depth!r}")
    d = Draft(x=channels)
    y = d.chain([("conv0", Conv(width)), ("act0", ReLU())], "x")
    for i in range(1, depth - 1):
        y = d.layer(f"conv{i}", Conv(width, bias=not norm), y)
        y = d.layer(f"norm{i}", BatchNorm(), y) if norm else y
        y = d.layer(f"act{i}", ReLU(), y)
    noise = d.layer(f"conv{depth - 1}", Conv(channels), y)
    return d.build(d.layer("picture", Subtract(), "x", noise))


def dncnn_17(channels: int = 1) -> NetSpec:
    """DnCNN for one noise level: 17 convolutions of 64 channels, batch normalization folded."""
    return dncnn(17, channels=channels)


def dncnn_20(channels: int = 1) -> NetSpec:
    """DnCNN for unknown noise levels (DnCNN-B): 20 convolutions of 64 channels, batch normalization folded."""
    return dncnn(20, channels=channels)
