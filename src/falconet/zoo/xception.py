"""Xception: depthwise separable convolutions throughout, with residuals (Chollet 2017, "Xception: Deep Learning with
Depthwise Separable Convolutions").

The first two convolutions have no padding, as in the author's code, which makes its 147x147 of 299x299 pixels. Where
that code pads one side more than the other (even sizes at stride 2), this pads both alike.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.graph import Add, BatchNorm, Conv, Draft, MaxPool, NetSpec, ReLU
from falconet.zoo.classify import Steps, check_classes, classify, conv, depthwise, normed

NORM = BatchNorm(epsilon=1e-3, momentum=0.01)


def separable(name: str, out: int) -> Steps:
    """A depthwise 3x3 and a 1x1 convolution with nothing between, then batch norm."""
    return [(f"{name}_depthwise", depthwise()), *normed(name, conv(out), act=None, norm=NORM)]


@lru_cache(maxsize=64)
def xception_block(inp: int, mid: int, out: int, halve: bool, first_act: bool = True) -> NetSpec:
    """Rectifiers and separable convolutions, and what came in added: two and a pool to halve, else three."""
    d = Draft(x=inp)
    steps: Steps = [("act1", ReLU())] if first_act else []
    steps += [*separable("conv1", mid), ("act2", ReLU()), *separable("conv2", out)]
    shortcut = "x"
    if halve:
        steps.append(("pool", MaxPool(3, 2)))
        shortcut = d.chain(normed("shortcut", conv(out, 1, 2), act=None, norm=NORM), "x")
    else:
        steps += [("act3", ReLU()), *separable("conv3", out)]
    return d.build(d.layer("sum", Add(), d.chain(steps, "x"), shortcut))


def xception(classes: int = 1000) -> NetSpec:
    """Xception: 36 convolutions, most of them separable, at 299x299; 8.4 G MACs, 22.9 M parameters."""
    check_classes(classes)
    d = Draft(x=3)
    steps: Steps = normed("conv1", Conv(32, 3, 2, bias=False, pad=0), norm=NORM)
    steps += normed("conv2", Conv(64, 3, bias=False, pad=0), norm=NORM)
    steps += [("block2", xception_block(64, 128, 128, halve=True, first_act=False))]
    steps += [("block3", xception_block(128, 256, 256, halve=True)), ("block4", xception_block(256, 728, 728, True))]
    steps += [(f"block{i}", xception_block(728, 728, 728, halve=False)) for i in range(5, 13)]
    steps += [("block13", xception_block(728, 728, 1024, halve=True))]
    steps += [*separable("conv3", 1536), ("conv3_act", ReLU()), *separable("conv4", 2048), ("conv4_act", ReLU())]
    return d.build(classify(d, d.chain(steps, "x"), classes))
