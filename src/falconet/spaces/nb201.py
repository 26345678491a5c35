"""The cell space of NAS-Bench-201: 15,625 small classifiers whose accuracies and latencies are published in tables.

Dong and Yang 2020, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search". One cell is
decided and repeated. It has four nodes; each node sums what comes in over its edges from all earlier nodes, and each of
the six edges carries one of five operations:

    x = node 0 --e10--> node 1        node 2 = e20(0) + e21(1)        y = node 3 = e30(0) + e31(1) + e32(2)

    stem 3x3, 16 -> 5 cells -> residual block, 32, half size -> 5 cells -> residual block, 64 -> 5 cells -> classes

Deviations. Edges that nothing flows through, or from which nothing reaches the output, are left out, so that two cells
that differ only there are one network (the paper trains and counts them; its normalization turns a dead input into a
constant). A node that copies another is that node. A cell that passes nothing on yields zeros, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from falconet.errors import UserError
from falconet.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Conv,
    Draft,
    Flatten,
    GlobalAvgPool,
    Linear,
    NetSpec,
    ReLU,
)
from falconet.spaces.space import Arch, Option, Pick

OPERATIONS = ("none", "skip", "conv1", "conv3", "pool")
"""As the digits 0 to 4 of published tables: zeroize, identity, ReLU-convolution-BN of 1x1 and of 3x3, 3x3 mean."""
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from, to) in the order of the digits of published tables."""
LAST = 3
NAMES = tuple(f"e{end}{begin}" for begin, end in EDGES)
"""Decisions: `e32` is the edge to node 3 from node 2."""
NOTHING = 1e-30
"""The most that a value of zero may be: an operator that clips to zero needs two different ends."""

Cell = tuple[str, ...]


class NasBench201(BaseModel):
    """Settings of the space; the defaults are the paper's networks for CIFAR-10.

    >>> from falconet.graph import costs
    >>> from falconet.spaces.space import build
    >>> costs(build(NasBench201(), from_digits("333333")), (32, 32)).macs       # the largest: 220.12 M in the paper
    220119680
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["nas_bench_201"] = "nas_bench_201"
    classes: Annotated[int, Field(ge=2)] = 10
    width: Annotated[int, Field(ge=1, le=256)] = 16
    cells: Annotated[int, Field(ge=1, le=20)] = 5

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives; takes pictures of 3 channels and any size."""
        ops = tuple(pick(name, OPERATIONS) for name in NAMES)
        d = Draft(x=3)
        y = d.chain([("stem", Conv(self.width, bias=False)), ("stem_norm", BatchNorm())], "x")
        width = self.width
        for stage in range(3):
            if stage:
                y = d.layer(f"down{stage}", _residual_block(width, 2 * width), y)
                width *= 2
            for index in range(self.cells):
                y = d.layer(f"s{stage}c{index}", cell(ops, width), y)
        y = d.chain([("last_norm", BatchNorm()), ("last_act", ReLU())], y)
        y = d.chain([("mean", GlobalAvgPool()), ("flat", Flatten()), ("classes", Linear(self.classes))], y)
        return d.build(y)


def one_cell(pick: Pick) -> NetSpec:
    """The same decisions, but the cell alone, 16 channels wide: all cells are alike, so it tells the networks apart.

    It builds twenty times as fast, for searches in tables and models that predict from the graph.
    """
    return cell(tuple(pick(name, OPERATIONS) for name in NAMES), 16)


def from_digits(digits: str) -> Arch:
    """The architecture that six digits of a published table mean.

    >>> from_digits("333123")["e30"], to_digits(from_digits("333123"))
    ('skip', '333123')
    """
    if len(digits) != len(EDGES) or not set(digits) <= set("01234"):
        raise UserError(f"a NAS-Bench-201 cell is six digits from 0 to 4, such as 333123, not {digits!r}")
    return Arch({name: OPERATIONS[int(digit)] for name, digit in zip(NAMES, digits, strict=True)})


def to_digits(arch: Mapping[str, Option]) -> str:
    """The six digits of an architecture; the inverse of `from_digits`."""
    if set(arch) != set(NAMES) or not set(arch.values()) <= set(OPERATIONS):
        raise UserError(
            f"not an architecture of NAS-Bench-201, which answers {', '.join(NAMES)} each with one of "
            f"{', '.join(OPERATIONS)}: {dict(arch)!r}"
        )
    return "".join(str(OPERATIONS.index(str(arch[name]))) for name in NAMES)


def live_edges(ops: Cell) -> tuple[int, ...]:
    """The edges on some way from the input of the cell to its output.

    >>> live_edges(("conv3", "none", "none", "skip", "none", "conv1"))       # node 1 leads nowhere, node 2 gets nothing
    (3,)
    """
    used = [i for i, op in enumerate(ops) if op != "none"]
    fed = {0}
    for i in used:  # edges come in the order of their ends
        if EDGES[i][0] in fed:
            fed.add(EDGES[i][1])
    read = {LAST}
    for i in reversed(used):
        if EDGES[i][1] in read:
            read.add(EDGES[i][0])
    return tuple(i for i in used if EDGES[i][0] in fed and EDGES[i][1] in read)


@lru_cache(maxsize=65536)
def cell(ops: Cell, width: int) -> NetSpec:
    """One cell of `width` channels, with the operations of its six edges; those on no way to the output are left out.

    Cells that differ in such edges alone are one object, so what is worked out of it is worked out once.
    """
    live = live_edges(ops)
    return _live_cell(tuple([op if i in live else "none" for i, op in enumerate(ops)]), width)


@lru_cache(maxsize=65536)
def _live_cell(ops: Cell, width: int) -> NetSpec:
    """The cell of these operations, of which each but "none" is on a way to the output."""
    d, live = Draft(x=width), [i for i, op in enumerate(ops) if op != "none"]
    if not live:
        return d.build(d.layer("nothing", Clip(0.0, NOTHING), "x"))
    values = {0: "x"}
    for node in range(1, LAST + 1):
        parts = [_edge(d, NAMES[i], ops[i], width, values[EDGES[i][0]]) for i in live if EDGES[i][1] == node]
        if parts:
            values[node] = parts[0] if len(parts) == 1 else d.layer(f"n{node}", Add(), *sorted(parts))
    return d.build(values[LAST])


def _edge(d: Draft, name: str, op: str, width: int, x: str) -> str:
    """Add one edge; the name of what it carries."""
    if op == "skip":
        return x
    if op == "pool":
        return d.layer(f"{name}_pool", AvgPool(3, stride=1, pad=1), x)
    return d.layer(f"{name}_{op}", _conv(1 if op == "conv1" else 3, width), x)


@lru_cache(maxsize=64)
def _conv(kernel: int, width: int) -> NetSpec:
    """ReLU, convolution, BN."""
    d = Draft(x=width)
    return d.build(d.chain([("act", ReLU()), ("conv", Conv(width, kernel, bias=False)), ("norm", BatchNorm())], "x"))


@lru_cache(maxsize=64)
def _residual_block(inp: int, out: int) -> NetSpec:
    """Halves the size: two 3x3 convolutions, beside them a 2x2 mean and a 1x1 convolution."""
    d = Draft(x=inp)
    y = d.chain([("act1", ReLU()), ("conv1", Conv(out, 3, 2, bias=False)), ("norm1", BatchNorm())], "x")
    y = d.chain([("act2", ReLU()), ("conv2", Conv(out, 3, bias=False)), ("norm2", BatchNorm())], y)
    short = d.chain([("mean2", AvgPool(2, ceil=True)), ("short", Conv(out, 1, bias=False))], "x")
    return d.build(d.layer("sum", Add(), y, short))
