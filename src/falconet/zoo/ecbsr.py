"""ECBSR: a plain chain of 3x3 convolutions on a phone, five branches each in training (Zhang et al. 2021,
"Edge-oriented Convolution Block for Real-time Super Resolution on Mobile Devices").

MxCy has x blocks of y channels between head and tail, which are such blocks too. The picture, each channel repeated
scale^2 times, is added before the pixel shuffle: nearest-neighbour enlargement as a skip. Published
multiply-accumulates count biases and slopes of PReLU as well; counted here are multiplications by kernels alone.
"""

from __future__ import annotations

from falconet.graph import Draft, NetSpec
from falconet.zoo.blocks import ACTIVATIONS, add_and_shuffle, check_scale, ecb_block


def ecbsr(scale: int = 2, blocks: int = 4, width: int = 16, activation: str = "prelu", channels: int = 1) -> NetSpec:
    """ECBSR with a depth, width and activation of your own; M4C16 unless said."""
    check_scale(scale)
    d = Draft(x=channels)
    y = d.chain([("head", ecb_block(channels, width)), ("head_act", ACTIVATIONS[activation])], "x")
    for i in range(blocks):
        y = d.chain([(f"b{i}", ecb_block(width, width)), (f"b{i}_act", ACTIVATIONS[activation])], y)
    y = d.layer("tail", ecb_block(width, channels * scale**2), y)
    return d.build(add_and_shuffle(d, y, scale))


def ecbsr_m4c8(scale: int = 2) -> NetSpec:
    """ECBSR-M4C8: 4 blocks of 8 channels."""
    return ecbsr(scale, 4, 8)


def ecbsr_m4c16(scale: int = 2) -> NetSpec:
    """ECBSR-M4C16: 4 blocks of 16 channels."""
    return ecbsr(scale, 4, 16)


def ecbsr_m10c32(scale: int = 2) -> NetSpec:
    """ECBSR-M10C32: 10 blocks of 32 channels."""
    return ecbsr(scale, 10, 32)


def ecbsr_m16c64(scale: int = 2) -> NetSpec:
    """ECBSR-M16C64: 16 blocks of 64 channels."""
    return ecbsr(scale, 16, 64)
