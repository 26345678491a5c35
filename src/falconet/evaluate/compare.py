"""Operators priced as they run: what a block costs with one operator, against the same block with another.

    for one in compare_operators(device):
        one.operator, one.instead_of, one.ratio       # "prelu", "relu", 1.61: such blocks take 1.61 times as long

Two blocks are the same but for an operator when their networks, with that operator left out, are equal: so a PReLU is
held against a ReLU behind the same convolution, a 5x5 against a 3x3 kernel, a depthwise against a dense convolution.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from falconet.evaluate.device import BlockTime, Device

ACTIVATIONS = frozenset(
    {"ReLU", "LeakyReLU", "PReLU", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Clip", "SiLU", "Swish", "GELU"}
)
KERNELS = frozenset({"Conv", "DepthwiseConv"})
BASE = ("relu", "conv3x3")
"""What others are held against, when it is among them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Blocks with `operator` take `ratio` times as long as with `instead_of`: the median over `pairs` of blocks."""

    operator: str
    instead_of: str
    ratio: float
    pairs: int


def compare_operators(device: Device) -> list[Comparison]:
    """Activations against ReLU (or the commonest), kernels and depthwise against 3x3 convolutions; dearest first."""
    groups: dict[str, dict[str, float]] = defaultdict(dict)
    for block in device.blocks:
        for kinds, word in ((ACTIVATIONS, _activation), (KERNELS, _kernel)):
            found = _without(block, kinds)
            if found is not None and block.ms > 0:
                groups[found[0]][word(found[1])] = block.ms
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for group in groups.values():
        base = next((one for one in BASE if one in group), None)
        for name, ms in group.items() if base else ():
            if name != base:
                ratios[name, str(base)].append(ms / group[str(base)])
    found_all = [Comparison(name, base, median(r), len(r)) for (name, base), r in ratios.items()]
    return sorted(found_all, key=lambda one: -one.ratio)


def _without(block: BlockTime, kinds: frozenset[str]) -> tuple[str, tuple[Mapping[str, Any], ...]] | None:
    """The block without its operators of some kinds, as text, and these; None when they are not all alike.

    Activations are left out as layers; of convolutions only the kind is. So a block without an activation is the same
    as one with: it is the case "none".
    """
    layers: list[list[Any]] = []
    found: list[Mapping[str, Any]] = []
    named: dict[str, str] = {}  # old names to new ones, numbered without what is left out
    for layer in block.spec["layers"]:
        op, inputs = layer["op"], [named.get(name, name) for name in layer["inputs"]]
        if op["type"] in kinds:
            found.append(op)
            if kinds is ACTIVATIONS:
                named[layer["name"]] = inputs[0]
                continue
            op = {"out": op.get("out", block.inputs[0][0]), "stride": op.get("stride")}
        named[layer["name"]] = f"n{len(layers)}"
        layers.append([named[layer["name"]], op, inputs])
    if len({json.dumps(op, sort_keys=True) for op in found}) > 1 or (kinds is KERNELS and not found):
        return None
    return json.dumps([layers, block.inputs, block.outer, block.last, sorted(kinds)], sort_keys=True), tuple(found)


def _activation(ops: tuple[Mapping[str, Any], ...]) -> str:
    return str(ops[0]["type"]).lower() if ops else "none"


def _kernel(ops: tuple[Mapping[str, Any], ...]) -> str:
    op = ops[0]
    name = f"{op['type'].lower()}{op.get('kernel')}x{op.get('kernel')}"
    return f"{name} groups {op['groups']}" if op.get("groups", 1) != 1 else name
