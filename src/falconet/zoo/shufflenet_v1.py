"""ShuffleNet: grouped 1x1 convolutions, and channels shuffled between the groups (Zhang, Zhou, Lin, Sun 2018,
"ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices").

A bottleneck has a quarter of the channels; the first 1x1 convolution of all is not grouped. The stems of the wider and
narrower networks are those of the authors' later release. Pools of the shortcuts leave padding out of their means; the
release counts it.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.graph import Add, AvgPool, Draft, MaxPool, NetSpec, ReLU, Shuffle
from falconet.zoo.classify import check_classes, check_option, classify, conv, depthwise, normed

CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}  # of the first stage at width 1, by groups; each stage doubles
STEMS = {0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
DEPTHS = (4, 8, 4)


@lru_cache(maxsize=256)
def shuffle_v1_block(inp: int, out: int, stride: int, groups: int, first: bool = False) -> NetSpec:
    """Grouped 1x1 to a quarter of `out`, shuffle, depthwise 3x3, grouped 1x1; added to the input (figure 2b).

    At stride 2 its `out` - `inp` channels stand beside the pooled input instead (figure 2c).
    """
    d = Draft(x=inp)
    steps = normed("reduce", conv(out // 4, groups=1 if first else groups))
    steps += [("shuffle", Shuffle(groups))] if groups > 1 else []
    steps += normed("depthwise", depthwise(3, stride), act=None)
    y = d.chain([*steps, *normed("expand", conv(out - inp if stride > 1 else out, groups=groups), act=None)], "x")
    if stride == 1:
        return d.build(d.layer("act", ReLU(), d.layer("sum", Add(), "x", y)))
    y = d.concat("cat", pooled=d.layer("pool", AvgPool(3, 2, 1), "x"), made=y)
    return d.build(d.layer("act", ReLU(), y))


def _shufflenet(groups: int, classes: int, width: float) -> NetSpec:
    check_classes(classes)
    check_option("this ShuffleNet", "width", width, (0.5, 1.0, 1.5, 2.0) if groups in (3, 8) else (1.0,))
    stem = 16 if (groups, width) == (8, 0.5) else STEMS[width]  # 12 do not go with 8 groups
    d = Draft(x=3)
    y = d.chain([*normed("stem", conv(stem, 3, 2)), ("pool", MaxPool(3, 2))], "x")
    channels = stem
    for stage, depth in enumerate(DEPTHS):
        out = int(CHANNELS[groups] * width) << stage
        for i in range(depth):
            block = shuffle_v1_block(channels, out, 1 if i else 2, groups, first=stage == i == 0)
            y, channels = d.layer(f"stage{stage + 2}.{i}", block, y), out
    return d.build(classify(d, y, classes, bias=False))


def shufflenet_v1_g1(classes: int = 1000) -> NetSpec:
    """ShuffleNet 1x of 1 group at 224x224; 143 M MACs."""
    return _shufflenet(1, classes, 1.0)


def shufflenet_v1_g2(classes: int = 1000) -> NetSpec:
    """ShuffleNet 1x of 2 groups at 224x224; 140 M MACs."""
    return _shufflenet(2, classes, 1.0)


def shufflenet_v1_g3(classes: int = 1000, width: float = 1.0) -> NetSpec:
    """ShuffleNet of 3 groups at 224x224, widths 0.5, 1, 1.5 and 2; at 1: 137 M MACs, 1.9 M parameters."""
    return _shufflenet(3, classes, width)


def shufflenet_v1_g4(classes: int = 1000) -> NetSpec:
    """ShuffleNet 1x of 4 groups at 224x224; 133 M MACs."""
    return _shufflenet(4, classes, 1.0)


def shufflenet_v1_g8(classes: int = 1000, width: float = 1.0) -> NetSpec:
    """ShuffleNet of 8 groups at 224x224, widths 0.5, 1, 1.5 and 2; at 1: 137 M MACs, 2.4 M parameters."""
    return _shufflenet(8, classes, width)
