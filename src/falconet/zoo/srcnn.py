"""SRCNN: three convolutions on an enlarged picture (Dong et al. 2016, "Image Super-Resolution Using Deep Convolutional
Networks").

As with VDSR the enlarging is the first layer here, PyTorch's bicubic (a = -0.75; the paper's is MATLAB's, a = -0.5), so
that SRCNN takes the small picture and its costs are those of the output's size. Against the paper: zeros pad the
borders (the paper crops them).
"""

from __future__ import annotations

from falconet.errors import UserError
from falconet.graph import Conv, Draft, NetSpec, ReLU, Resize
from falconet.zoo.blocks import check_scale


def srcnn(scale: int = 2, middle: int = 5) -> NetSpec:
    """SRCNN 9-5-5: bicubic enlargement, 9x9 to 64 channels, 5x5 to 32, 5x5 to one; `middle=1` is 9-1-5.

    >>> from falconet.graph import costs
    >>> costs(srcnn(), (360, 640)).macs, costs(srcnn(middle=1), (360, 640)).macs      # to 1280x720
    (52700774400, 7402291200)
    """
    check_scale(scale)
    if middle not in (1, 3, 5):
        raise UserError(f"the middle kernel of SRCNN must be 1, 3 or 5; got {middle!r}")
    d = Draft(x=1)
    y = d.layer("enlarge", Resize(scale, "bicubic"), "x")
    steps = [("conv1", Conv(64, 9)), ("act1", ReLU()), ("conv2", Conv(32, middle)), ("act2", ReLU())]
    return d.build(d.layer("conv3", Conv(1, 5), d.chain(steps, y)))


def srcnn_915(scale: int = 2) -> NetSpec:
    """SRCNN 9-1-5, the small one: its middle convolution is 1x1."""
    return srcnn(scale, middle=1)
