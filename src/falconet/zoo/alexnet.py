"""AlexNet: the network that won ImageNet in 2012 (Krizhevsky, Sutskever, Hinton 2012, "ImageNet Classification with
Deep Convolutional Neural Networks").

This is the paper's layout: 96 filters first, convolutions 2, 4 and 5 in two groups (one for each of its two GPUs),
local response normalization, overlapping pools. torchvision's alexnet is a later one (Krizhevsky 2014, "One weird
trick"): 64 filters first, no groups, no normalization, 61.1 M parameters. The paper's 224x224 pixels give its 55x55
only with two pixels of padding, which it does not mention.
"""

from __future__ import annotations

from falconet.graph import Conv, Draft, Dropout, Flatten, Linear, LocalResponseNorm, MaxPool, NetSpec, ReLU
from falconet.zoo.classify import Steps, check_classes

NORM = LocalResponseNorm(5, 5e-4, 0.75, 2.0)  # the paper's 1e-4 is of the sum over 5 channels
POOL = MaxPool(3, 2, 0)


def alexnet(classes: int = 1000) -> NetSpec:
    """AlexNet, the paper's: 5 convolutions and 3 linear layers at 224x224; 724 M MACs, 61 M parameters."""
    check_classes(classes)
    d = Draft(x=3)
    steps: Steps = [("conv1", Conv(96, 11, 4, pad=2)), ("act1", ReLU()), ("norm1", NORM), ("pool1", POOL)]
    steps += [("conv2", Conv(256, 5, groups=2)), ("act2", ReLU()), ("norm2", NORM), ("pool2", POOL)]
    steps += [("conv3", Conv(384)), ("act3", ReLU())]
    steps += [("conv4", Conv(384, groups=2)), ("act4", ReLU())]
    steps += [("conv5", Conv(256, groups=2)), ("act5", ReLU()), ("pool5", POOL), ("flat", Flatten(6 * 6))]
    for number in (6, 7):
        steps += [(f"fc{number}", Linear(4096)), (f"act{number}", ReLU()), (f"drop{number}", Dropout(0.5))]
    return d.build(d.chain([*steps, ("classes", Linear(classes))], "x"))
