"""VDSR: twenty convolutions that refine an enlarged picture (Kim et al. 2016, "Accurate Image Super-Resolution Using
Very Deep Convolutional Networks").

The paper's network takes a picture that was enlarged before. Here the enlarging is the first layer, so that VDSR takes
the small picture as every other network does: costs are those of the output's size. It is PyTorch's bicubic
(a = -0.75), the paper's was MATLAB's (a = -0.5).
"""

from __future__ import annotations

from falconet.graph import Add, Conv, Draft, NetSpec, ReLU, Resize
from falconet.zoo.blocks import check_scale


def vdsr(scale: int = 2, depth: int = 20, width: int = 64) -> NetSpec:
    """VDSR: bicubic enlargement, then 20 convolutions of 64 channels that learn what is missing; one channel."""
    check_scale(scale)
    d = Draft(x=1)
    large = y = d.layer("enlarge", Resize(scale, "bicubic"), "x")
    for i in range(depth - 1):
        y = d.chain([(f"conv{i}", Conv(width)), (f"act{i}", ReLU())], y)
    y = d.layer(f"conv{depth - 1}", Conv(1), y)
    return d.build(d.layer("sum", Add(), y, large))
