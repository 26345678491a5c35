"""ShuffleNet v2 and v2+: split, branch, concatenate, shuffle (Ma, Zhang, Zheng, Sun 2018, "ShuffleNet V2: Practical
Guidelines for Efficient CNN Architecture Design").

ShuffleNetV2+ is a later release of the authors without a paper: the architecture that Single Path One-Shot found, with
hard swish from the second stage on, squeeze and excitation from the third, and a larger end. Linear layers have no
bias, as in the releases.
"""

from __future__ import annotations

from falconet.graph import Draft, Dropout, Flatten, GlobalAvgPool, HardSwish, Linear, MaxPool, NetSpec, ReLU
from falconet.zoo.classify import Steps, check_classes, classify, conv, gated, normed
from falconet.zoo.shuffle_blocks import KINDS, shuffle_block, shuffle_entry

DEPTHS = (4, 8, 4)
PLUS_DEPTHS = (4, 4, 8, 4)
SPOS_BLOCKS = (0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2)
"""The architecture of Single Path One-Shot (Guo et al. 2020, figure 7), as places in KINDS."""


def _shufflenet(channels: tuple[int, int, int], last: int, classes: int, dropout: float = 0.0) -> NetSpec:
    check_classes(classes)
    d = Draft(x=3)
    y = d.chain([*normed("stem", conv(24, 3, 2)), ("pool", MaxPool(3, 2))], "x")
    inp = 24
    for stage, (out, depth) in enumerate(zip(channels, DEPTHS, strict=True)):
        for i in range(depth):
            block = shuffle_block("shuffle3", out, out // 2) if i else shuffle_entry("shuffle3", inp, out // 2, out)
            y, inp = d.layer(f"stage{stage + 2}.{i}", block, y), out
    y = d.chain(normed("last", conv(last)), y)
    return d.build(classify(d, y, classes, dropout, bias=False))


def shufflenet_v2_x0_5(classes: int = 1000) -> NetSpec:
    """ShuffleNet v2 0.5x at 224x224; 41 M MACs, 1.4 M parameters."""
    return _shufflenet((48, 96, 192), 1024, classes)


def shufflenet_v2_x1_0(classes: int = 1000) -> NetSpec:
    """ShuffleNet v2 1x at 224x224; 146 M MACs, 2.3 M parameters."""
    return _shufflenet((116, 232, 464), 1024, classes)


def shufflenet_v2_x1_5(classes: int = 1000) -> NetSpec:
    """ShuffleNet v2 1.5x at 224x224; 299 M MACs, 3.5 M parameters."""
    return _shufflenet((176, 352, 704), 1024, classes)


def shufflenet_v2_x2_0(classes: int = 1000) -> NetSpec:
    """ShuffleNet v2 2x at 224x224; 591 M MACs, 7.4 M parameters."""
    return _shufflenet((244, 488, 976), 2048, classes, dropout=0.2)


def _plus(channels: tuple[int, int, int, int], classes: int) -> NetSpec:
    check_classes(classes)
    d = Draft(x=3)
    y = d.chain(normed("stem", conv(16, 3, 2), HardSwish()), "x")
    inp, kinds = 16, iter(SPOS_BLOCKS)
    for stage, (out, depth) in enumerate(zip(channels, PLUS_DEPTHS, strict=True)):
        act, gate = HardSwish() if stage else ReLU(), stage >= 2
        for i in range(depth):
            kind = KINDS[next(kinds)]
            if i == 0:
                block = shuffle_entry(kind, inp, out // 2, out, 2, act, gate)
            else:
                block = shuffle_block(kind, out, out // 2, act, gate)
            y, inp = d.layer(f"stage{stage + 1}.{i}", block, y), out
    y = d.chain([*normed("last", conv(1280), HardSwish()), ("mean", GlobalAvgPool())], y)
    steps: Steps = [("gate", gated(1280, 320, norm=True)), ("flat", Flatten()), ("fc", Linear(1280, bias=False))]
    steps += [("fc_act", HardSwish()), ("drop", Dropout(0.2)), ("classes", Linear(classes, bias=False))]
    return d.build(d.chain(steps, y))


def shufflenet_v2_plus_small(classes: int = 1000) -> NetSpec:
    """ShuffleNetV2+ small at 224x224; 156 M MACs, 5.1 M parameters."""
    return _plus((36, 104, 208, 416), classes)


def shufflenet_v2_plus_medium(classes: int = 1000) -> NetSpec:
    """ShuffleNetV2+ medium at 224x224; 222 M MACs, 5.6 M parameters."""
    return _plus((48, 128, 256, 512), classes)


def shufflenet_v2_plus_large(classes: int = 1000) -> NetSpec:
    """ShuffleNetV2+ large at 224x224; 360 M MACs, 6.7 M parameters."""
    return _plus((68, 168, 336, 672), classes)
