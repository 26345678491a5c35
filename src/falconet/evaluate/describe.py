"""Networks as numbers, for models that predict a latency or a quality from few samples: three groups of named values.

    choices   the answers of the architecture, each 1: "e30=conv3"
    graph     which layer feeds which, how often: "act>conv". A block's layers go by their names within the block, so
              that a block repeated 15 times adds 15 to one value, and what no path reaches is not there
    amounts   counted quantities: layers of each operator, weighted layers in a row, answers of each kind, costs

No group is enough. Choices see what is asked for, dead or not; the graph sees what runs; amounts are the same wherever
a layer stands, which is what a model can learn from the first ten samples. Everything is derived from the architecture
and its NetSpec, so it works for every space.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from falconet.graph import Conv, NetSpec
from falconet.graph.ops import Op
from falconet.graph.spec import remembered
from falconet.spaces import Arch

Floats: TypeAlias = NDArray[np.float64]
WEIGHTED = frozenset({"Conv", "DepthwiseConv", "TransposedConv", "EdgeConv", "Linear"})


class Features(NamedTuple):
    """The three groups of one architecture: name -> value; a name that is not there means 0."""

    choices: Mapping[str, float]
    graph: Mapping[str, float]
    amounts: Mapping[str, float]


def features(arch: Arch, spec: NetSpec, counted: Mapping[str, float]) -> Features:
    """The features of an architecture, its network, and the costs that were counted, such as {"macs": 2e9}.

    Costs count twice: as they are and as logarithms.

    >>> from falconet.graph import Draft, ReLU
    >>> d = Draft(x=1)
    >>> spec = d.build(d.layer("act", ReLU(), d.layer("conv", Conv(4), "x")))
    >>> found = features(Arch({"kind": "plain", "width": 4}), spec, {"macs": 36.0})
    >>> dict(found.graph), found.amounts["depth"]
    ({'x>conv': 1.0, 'conv>act': 1.0, 'act>': 1.0}, 1.0)
    """
    whole = _graph(spec)
    amounts = {f"op {name}": float(number) for name, number in whole.operators.items()}
    amounts["depth"] = float(whole.depth)
    choices: dict[str, float] = {}
    for name, option in arch.items():
        choices[f"{name}={option}"] = 1.0
        if isinstance(option, (int, float)) and not isinstance(option, bool):
            amounts[name] = float(option)
        else:
            amounts[f"all {option}"] = amounts.get(f"all {option}", 0.0) + 1.0
    for name, value in counted.items():
        amounts[name] = value
        amounts[f"log {name}"] = math.log1p(max(value, 0.0))
    return Features(choices, {name: float(number) for name, number in whole.edges.items()}, amounts)


def tabulate(rows: Sequence[Features]) -> tuple[Floats, Floats, Floats]:
    """The groups of several architectures as matrices, one row each, with a column for every name met in any."""
    return _matrix([row.choices for row in rows]), _matrix([row.graph for row in rows]), _matrix(
        [row.amounts for row in rows]
    )  # fmt: skip


def _matrix(rows: Sequence[Mapping[str, float]]) -> Floats:
    columns: dict[str, int] = {}
    for row in rows:
        for name in row:
            columns.setdefault(name, len(columns))
    table = np.zeros((len(rows), len(columns)))
    for number, row in enumerate(rows):
        table[number, [columns[name] for name in row]] = list(row.values())
    return table


class _Graph(NamedTuple):
    """Of a spec with all its blocks: edges, operators, and the most weighted layers on a way through it."""

    edges: Counter[str]
    operators: Counter[str]
    depth: int


@remembered
def _graph(spec: NetSpec) -> _Graph:
    edges = Counter([f"{name}>{layer.name}" for layer in spec.layers for name in layer.inputs])
    operators = Counter([_operator(layer.op) for layer in spec.layers if isinstance(layer.op, Op)])
    depths = {i.name: 0 for i in spec.inputs}
    blocks: Counter[NetSpec] = Counter()
    for layer in spec.layers:
        if isinstance(layer.op, NetSpec):
            blocks[layer.op] += 1
            own = _graph(layer.op).depth
        else:
            own = type(layer.op).__name__ in WEIGHTED
        depths[layer.name] = own + max([depths[name] for name in layer.inputs])
    for block, number in blocks.items():
        inner = _graph(block)
        for name, count in inner.edges.items():
            edges[name] += number * count
        for name, count in inner.operators.items():
            operators[name] += number * count
    edges.update([f"{name}>" for name in spec.outputs])
    return _Graph(edges, operators, depths[spec.outputs[0]])


def _operator(op: Op) -> str:
    """Its name, with the kernel of a convolution."""
    return f"Conv{op.kernel}" if isinstance(op, Conv) else type(op).__name__
