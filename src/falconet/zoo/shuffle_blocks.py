"""The blocks of ShuffleNet v2, which the networks and the search space of Single Path One-Shot share.

At stride 1 the channels are shuffled and split: one half passes, the other goes through the branch (Ma et al. 2018,
figure 3c; shuffled first instead of last, as in the authors' code, which is the same chain of blocks). An entry block,
which changes size or channels, sends its whole input through both a branch and a projection (figure 3d).

Branches (Guo et al. 2020, figure 6; `KINDS`): "shuffle3", 5 and 7 are 1x1, depthwise k x k, 1x1; "xception" is three
times depthwise 3x3 and 1x1. `mid` is the width between the first and the last 1x1 convolution.
"""

from __future__ import annotations

from functools import lru_cache

from falconet.graph import BatchNorm, Draft, NetSpec, Op, Shuffle, Slice
from falconet.zoo.classify import NORM, RELU, Steps, conv, depthwise, gated, normed

KINDS = ("shuffle3", "shuffle5", "shuffle7", "xception")
PLACES = {"pw1": "pw1", "dw2": "dw", "pw3": "pw2", "dw1": "", "pw2": "", "dw3": ""}
"""Layers of the "xception" branch, and those of "shuffle3" that stand in their place; the others add depth."""


def _branch(kind: str, mid: int, out: int, stride: int, act: Op, norm: BatchNorm) -> Steps:
    """The branch of a block, from its half (or the whole) of the input to `out` channels."""
    if kind != "xception":
        steps = normed("pw1", conv(mid), act, norm)
        steps += normed("dw", depthwise(int(kind[-1]), stride), None, norm)
        return steps + normed("pw2", conv(out), act, norm)
    steps = normed("dw1", depthwise(3, stride), None, norm) + normed("pw1", conv(mid), act, norm)
    steps += normed("dw2", depthwise(3), None, norm) + normed("pw2", conv(mid), act, norm)
    return steps + normed("dw3", depthwise(3), None, norm) + normed("pw3", conv(out), act, norm)


@lru_cache(maxsize=4096)
def shuffle_block(
    kind: str, channels: int, mid: int, act: Op = RELU, gate: bool = False, norm: BatchNorm = NORM
) -> NetSpec:
    """A block that keeps size and channels; with `gate`, squeeze and excitation behind its branch."""
    half = channels // 2
    d = Draft(x=channels)
    y = d.layer("shuffle", Shuffle(half), "x")  # even channels before odd ones
    left, y = d.layer("left", Slice(0, half), y), d.layer("right", Slice(half, channels), y)
    right = d.chain(_branch(kind, mid, channels - half, 1, act, norm), y)
    return _joined(d, left, right, channels - half if gate else 0)


@lru_cache(maxsize=4096)
def shuffle_entry(
    kind: str, inp: int, mid: int, out: int, stride: int = 2, act: Op = RELU, gate: bool = False, norm: BatchNorm = NORM
) -> NetSpec:
    """A block that goes from `inp` to `out` channels, and halves the picture at stride 2."""
    kernel = 3 if kind == "xception" else int(kind[-1])
    d = Draft(x=inp)
    steps = normed("proj_dw", depthwise(kernel, stride), None, norm) + normed("proj_pw", conv(inp), act, norm)
    right = d.chain(_branch(kind, mid, out - inp, stride, act, norm), "x")
    return _joined(d, d.chain(steps, "x"), right, out - inp if gate else 0)


def _joined(d: Draft, left: str, right: str, to_gate: int) -> NetSpec:
    """Both sides; the right one behind a gate if it has channels `to_gate`."""
    if to_gate:
        right = d.layer("gate", gated(to_gate, to_gate // 4, norm=True), right)
    return d.build(d.concat("cat", left=left, right=right))


def twin(kind: str, layer: str) -> str | None:
    """The layer of a "shuffle3" block whose weights make `layer` of a `kind` block do the same.

    "": none does, it must let its input through; None: a batch norm behind such a layer, which already does.
    """
    step = layer.removesuffix("_norm")
    place = PLACES.get(step, step) if kind == "xception" else step
    if step == layer:
        return place
    return f"{place}_norm" if place else None
