"""ResNets: blocks that learn what to add to their input (He, Zhang, Ren, Sun 2016, "Deep Residual Learning for Image
Recognition").

For ImageNet: resnet18 and 34 of two 3x3 convolutions a block, resnet50, 101 and 152 of bottlenecks. For 32x32 pictures
(section 4.2): resnet20, 32, 56 and 110, whose shortcuts widen with zeros and have no weights (the paper's option A).

Layers of the ImageNet networks are called as in torchvision ("layer1.0.conv1", "layer1.0.bn1", "fc"), so that its
weights fit. As there, a bottleneck halves the picture in its 3x3 convolution: 4.09 G MACs for ResNet-50. The paper's
halves it in the 1x1 before: 3.8 G; say ``resnet50(early=True)``.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.graph import Add, AvgPool, BatchNorm, Conv, Draft, Flatten, GlobalAvgPool, Linear, MaxPool, NetSpec, ReLU
from falconet.graph import PadChannels as Pad
from falconet.zoo.classify import Steps, check_classes, classify, conv, normed


def _numbered(number: int, op: Conv, act: bool = True) -> Steps:
    """A convolution with torchvision's names."""
    steps: Steps = [(f"conv{number}", op), (f"bn{number}", BatchNorm())]
    return [*steps, (f"act{number}", ReLU())] if act else steps


@lru_cache(maxsize=256)
def basic(inp: int, out: int, stride: int) -> NetSpec:
    """Two 3x3 convolutions; the shortcut is the input, or a 1x1 convolution of it where shapes differ (option B)."""
    d = Draft(x=inp)
    y = d.chain([*_numbered(1, conv(out, 3, stride)), *_numbered(2, conv(out, 3), act=False)], "x")
    return _summed(d, y, inp, out, stride)


@lru_cache(maxsize=256)
def bottleneck(inp: int, mid: int, stride: int, early: bool) -> NetSpec:
    """1x1 to `mid` channels, 3x3, 1x1 to four times `mid`; `early` tells which of the first two has the stride."""
    d = Draft(x=inp)
    steps = _numbered(1, conv(mid, 1, stride if early else 1))
    steps += _numbered(2, conv(mid, 3, 1 if early else stride))
    y = d.chain([*steps, *_numbered(3, conv(4 * mid), act=False)], "x")
    return _summed(d, y, inp, 4 * mid, stride)


def _summed(d: Draft, y: str, inp: int, out: int, stride: int) -> NetSpec:
    shortcut = "x"
    if stride > 1 or inp != out:
        shortcut = d.chain([("downsample.0", conv(out, 1, stride)), ("downsample.1", BatchNorm())], "x")
    return d.build(d.layer("act", ReLU(), d.layer("sum", Add(), y, shortcut)))


def _resnet(depths: tuple[int, int, int, int], classes: int, deep: bool, early: bool = False) -> NetSpec:
    check_classes(classes)
    d = Draft(x=3)
    y = d.chain([*_numbered(1, conv(64, 7, 2)), ("pool", MaxPool(3, 2))], "x")
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 << stage
        for i in range(depth):
            stride = 2 if stage and not i else 1
            block = bottleneck(channels, width, stride, early) if deep else basic(channels, width, stride)
            y = d.layer(f"layer{stage + 1}.{i}", block, y)
            channels = 4 * width if deep else width
    return d.build(d.chain([("mean", GlobalAvgPool()), ("flat", Flatten()), ("fc", Linear(classes))], y))


def resnet18(classes: int = 1000) -> NetSpec:
    """ResNet-18: 8 blocks of two 3x3 convolutions at 224x224; 1.8 G MACs, 11.7 M parameters."""
    return _resnet((2, 2, 2, 2), classes, deep=False)


def resnet34(classes: int = 1000) -> NetSpec:
    """ResNet-34: 16 blocks of two 3x3 convolutions at 224x224; 3.6 G MACs, 21.8 M parameters."""
    return _resnet((3, 4, 6, 3), classes, deep=False)


def resnet50(classes: int = 1000, early: bool = False) -> NetSpec:
    """ResNet-50: 16 bottlenecks at 224x224; 4.09 G MACs (3.8 G with `early`, as in the paper), 25.6 M parameters."""
    return _resnet((3, 4, 6, 3), classes, deep=True, early=early)


def resnet101(classes: int = 1000, early: bool = False) -> NetSpec:
    """ResNet-101: 33 bottlenecks at 224x224; 7.8 G MACs (7.6 G with `early`, as in the paper), 44.5 M parameters."""
    return _resnet((3, 4, 23, 3), classes, deep=True, early=early)


def resnet152(classes: int = 1000, early: bool = False) -> NetSpec:
    """ResNet-152: 50 bottlenecks at 224x224; 11.5 G MACs (11.3 G with `early`, as in the paper), 60.2 M parameters."""
    return _resnet((3, 8, 36, 3), classes, deep=True, early=early)


@lru_cache(maxsize=256)
def small_block(inp: int, out: int) -> NetSpec:
    """Two 3x3 convolutions; where channels double, the picture halves, and the shortcut takes every second pixel."""
    stride = 1 if inp == out else 2
    d = Draft(x=inp)
    y = d.chain([*normed("conv1", conv(out, 3, stride)), *normed("conv2", conv(out, 3), act=None)], "x")
    shortcut = "x"
    if inp != out:
        shortcut = d.chain([("every_second", AvgPool(1, 2)), ("widen", Pad(out - inp))], "x")
    return d.build(d.layer("act", ReLU(), d.layer("sum", Add(), y, shortcut)))


def _small(blocks: int, classes: int) -> NetSpec:
    """A network for 32x32 pictures: three stages of `blocks` blocks, 16, 32 and 64 channels wide."""
    check_classes(classes)
    d = Draft(x=3)
    y, channels = d.chain(normed("stem", conv(16, 3)), "x"), 16
    for stage in range(3):
        for i in range(blocks):
            y, channels = d.layer(f"stage{stage}.{i}", small_block(channels, 16 << stage), y), 16 << stage
    return d.build(classify(d, y, classes))


def resnet20(classes: int = 10) -> NetSpec:
    """ResNet-20 for 32x32 pictures: 3 stages of 3 blocks; 41 M MACs, 0.27 M parameters."""
    return _small(3, classes)


def resnet32(classes: int = 10) -> NetSpec:
    """ResNet-32 for 32x32 pictures: 3 stages of 5 blocks; 69 M MACs, 0.46 M parameters."""
    return _small(5, classes)


def resnet56(classes: int = 10) -> NetSpec:
    """ResNet-56 for 32x32 pictures: 3 stages of 9 blocks; 125 M MACs, 0.85 M parameters."""
    return _small(9, classes)


def resnet110(classes: int = 10) -> NetSpec:
    """ResNet-110 for 32x32 pictures: 3 stages of 18 blocks; 253 M MACs, 1.7 M parameters."""
    return _small(18, classes)
