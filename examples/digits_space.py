"""A search space for pictures of handwritten digits: three stages, each of its own width, kernel and kind of block."""

from falconet.graph import (
    BatchNorm,
    Conv,
    DepthwiseConv,
    Draft,
    Flatten,
    GlobalAvgPool,
    Linear,
    NetSpec,
    ReLU,
)
from falconet.spaces import Pick


def space(pick: Pick) -> NetSpec:
    """Every stage but the first halves the picture; a block is dense, or depthwise and pointwise."""
    d, y = Draft(x=1), "x"
    for stage in range(3):
        kind = pick(f"s{stage}.kind", ("dense", "separable")) if stage else "dense"
        width = pick(f"s{stage}.width", (8, 12, 16, 24))
        kernel = pick(f"s{stage}.kernel", (3, 5)) if kind == "separable" else 3
        stride = 2 if stage else 1
        name = f"s{stage}.{kind}"
        if kind == "separable":
            y = d.layer(f"{name}_depth", DepthwiseConv(kernel, stride, bias=False), y)
            y = d.layer(f"{name}_point", Conv(width, 1, bias=False), y)
        else:
            y = d.layer(f"{name}_conv", Conv(width, kernel, stride, bias=False), y)
        y = d.layer(f"{name}_act", ReLU(), d.layer(f"{name}_norm", BatchNorm(), y))
    y = d.layer("flat", Flatten(), d.layer("mean", GlobalAvgPool(), y))
    return d.build(d.layer("classes", Linear(10), y))
