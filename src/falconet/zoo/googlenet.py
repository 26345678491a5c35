"""GoogLeNet: parallel branches of different kernels, narrowed by 1x1 convolutions first (Szegedy et al. 2015, "Going
Deeper with Convolutions").

This is the paper's layout: biases and local response normalization, 5x5 branches, optional auxiliary classifiers.
torchvision's googlenet has batch norm everywhere and 3x3 convolutions where the paper has 5x5. The constants of the
normalization are Caffe's; the paper names none.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.graph import (
    AvgPool,
    Conv,
    Draft,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool,
    NetSpec,
    ReLU,
)
from falconet.zoo.classify import Steps, check_classes, classify

NORM = LocalResponseNorm(5, 1e-4, 0.75, 1.0)
POOL = MaxPool(3, 2, 0, ceil=True)
# Channels of each inception block: 1x1; before 3x3, 3x3; before 5x5, 5x5; behind the pool. "": a pool between stages.
BLOCKS: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _rectified(name: str, out: int, kernel: int = 1, stride: int = 1) -> Steps:
    return [(name, Conv(out, kernel, stride)), (f"{name}_act", ReLU())]


@lru_cache(maxsize=64)
def inception(inp: int, widths: tuple[int, int, int, int, int, int]) -> NetSpec:
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and 5x5; pool and 1x1 (figure 2b)."""
    one, before3, three, before5, five, behind = widths
    d = Draft(x=inp)
    branches = {
        "one": _rectified("one", one),
        "three": _rectified("before3", before3) + _rectified("three", three, 3),
        "five": _rectified("before5", before5) + _rectified("five", five, 5),
        "pool": [("pool", MaxPool(3, 1)), *_rectified("behind", behind)],
    }
    return d.build(d.concat("cat", **{name: d.chain(steps, "x") for name, steps in branches.items()}))


@lru_cache(maxsize=64)
def auxiliary(inp: int, classes: int) -> NetSpec:
    """The classifier on the side that helps the lower layers to learn (section 5)."""
    d = Draft(x=inp)
    steps: Steps = [("pool", AvgPool(5, 3)), *_rectified("conv", 128), ("flat", Flatten(4 * 4))]
    steps += [("fc", Linear(1024)), ("act", ReLU()), ("drop", Dropout(0.7)), ("classes", Linear(classes))]
    return d.build(d.chain(steps, "x"))


def googlenet(classes: int = 1000, auxiliaries: bool = False) -> NetSpec:
    """GoogLeNet, the paper's: nine inception blocks at 224x224; 1.5 G MACs, 7 M parameters.

    With `auxiliaries` it has two more outputs in training (weight of their losses in the paper: 0.3), behind blocks 4a
    and 4d; deployed networks lose them, and so do the costs.
    """
    check_classes(classes)
    d = Draft(x=3)
    steps = [*_rectified("conv1", 64, 7, 2), ("pool1", POOL), ("norm1", NORM)]
    steps += [*_rectified("reduce2", 64), *_rectified("conv2", 192, 3), ("norm2", NORM), ("pool2", POOL)]
    y, channels = d.chain(steps, "x"), 192
    outputs = []
    for name, widths in BLOCKS.items():
        if name in ("4a", "5a"):
            y = d.layer(f"pool{int(name[0]) - 1}", POOL, y)
        y = d.layer(f"inception{name}", inception(channels, widths), y)
        one, _, three, _, five, behind = widths
        channels = one + three + five + behind
        if auxiliaries and name in ("4a", "4d"):
            outputs.append(d.layer(f"aux{name}", auxiliary(channels, classes), y, training_only=True))
    return d.build(classify(d, y, classes, dropout=0.4), *outputs)
