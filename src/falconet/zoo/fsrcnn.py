"""FSRCNN: shrink, map, expand, and a transposed convolution that upscales (Dong et al. 2016, "Accelerating the
Super-Resolution Convolutional Neural Network").

Published multiply-accumulates count the transposed convolution as if every output pixel saw all 81 taps of every
channel; most of those multiply a zero between input pixels. Counted here is what has to be computed.
"""

from __future__ import annotations

from falconet.graph import Conv, Draft, NetSpec, PReLU, TransposedConv
from falconet.zoo.blocks import check_scale


def fsrcnn(scale: int = 2, features: int = 56, shrunk: int = 12, mappings: int = 4) -> NetSpec:
    """FSRCNN: d=56 features, shrunk to s=12, m=4 mapping layers, a 9x9 transposed convolution; one channel."""
    check_scale(scale)
    d = Draft(x=1)
    y = d.chain([("features", Conv(features, 5)), ("features_act", PReLU())], "x")
    y = d.chain([("shrink", Conv(shrunk, 1)), ("shrink_act", PReLU())], y)
    for i in range(mappings):
        y = d.chain([(f"map{i}", Conv(shrunk)), (f"map{i}_act", PReLU())], y)
    y = d.chain([("expand", Conv(features, 1)), ("expand_act", PReLU())], y)
    return d.build(d.layer("up", TransposedConv(1, 9, scale, pad=4, output_pad=scale - 1), y))


def fsrcnn_s(scale: int = 2) -> NetSpec:
    """FSRCNN-s, the small one: d=32, s=5, m=1."""
    return fsrcnn(scale, features=32, shrunk=5, mappings=1)
