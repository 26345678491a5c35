"""Plans: a spec compiled against a store of weights, run step by step. Compiled once for each spec.

A step knows its operator, which values it reads, which slices of which weights it takes, and which values to drop after
it. Weights are fetched as attributes of modules at run time, so that they may move, be replaced or be traced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falconet.graph.ops import Op
from falconet.graph.shape import Weight
from falconet.graph.spec import NetSpec, flatten, infer_parts
from falconet.graph.store import Store

Cut = tuple[slice | Tensor, ...]
"""How a weight is cut, axis by axis: a slice, or an index where the pieces do not touch."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator to run."""

    op: Op
    inputs: tuple[int, ...]
    slot: int  # which weight holder, -1 for none
    cuts: tuple[tuple[str, Cut | None], ...]
    drop: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A spec ready to run: values are numbered, inputs first, then one for each step."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    slots: tuple[str, ...]
    names: dict[str, tuple[str, ...]]

    def run(self, holders: Sequence[object], xs: tuple[Tensor, ...], training: bool) -> Tensor | tuple[Tensor, ...]:
        """The outputs, on weights that are attributes of `holders` (one for each of `slots`)."""
        values: list[Tensor | None] = list(xs)
        for step in self.steps:
            taken = tuple(values[i] for i in step.inputs)
            w = _fetch(holders[step.slot], step.cuts) if step.slot >= 0 else {}
            values.append(step.op.run(w, taken, training))  # type: ignore[arg-type]
            for i in step.drop:
                values[i] = None
        found = tuple(values[i] for i in self.outputs)
        return found[0] if len(found) == 1 else found  # type: ignore[return-value]

    def weights(self, holders: Sequence[object]) -> dict[str, Tensor]:
        """The cut weights by "slot.name"."""
        found = {}
        for step in self.steps:
            if step.slot >= 0:
                for name, tensor in _fetch(holders[step.slot], step.cuts).items():
                    found[f"{self.slots[step.slot]}.{name}"] = tensor
        return found


def _fetch(holder: object, cuts: tuple[tuple[str, Cut | None], ...]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, cut in cuts:
        tensor = getattr(holder, name)
        found[name] = tensor if cut is None else _take(tensor, cut)
    return found


def _take(tensor: Tensor, cut: Cut) -> Tensor:
    plain = tuple(one if isinstance(one, slice) else slice(None) for one in cut)
    tensor = tensor[plain]
    for axis, one in enumerate(cut):
        if isinstance(one, Tensor):
            tensor = tensor.index_select(axis, one)
    return tensor


def cut_of(big: Weight, small: Weight) -> Cut | None:
    """How `small` is cut out of `big`; None when it is all of it. Raises ValueError when it does not fit."""
    cuts: list[slice | Tensor] = []
    whole = True
    for large, little in zip(big.axes, small.axes, strict=True):
        spans = large.spans(little)
        whole = whole and spans == ((0, large.length),)
        if len(spans) == 1:
            cuts.append(slice(*spans[0]))
        else:
            cuts.append(torch.cat([torch.arange(*span) for span in spans]))
    return None if whole else tuple(cuts)


def compile_plan(spec: NetSpec, store: Store) -> Plan:
    """The plan of `spec` on `store`. Raises ValueError naming the layer whose weights the store does not hold."""
    flat = flatten(spec)
    parts = infer_parts(flat, tuple(((("", i.channels),)) for i in flat.inputs))
    number = {name: i for i, name in enumerate([i.name for i in flat.inputs] + [layer.name for layer in flat.layers])}
    last_use = {number[name]: i for i, layer in enumerate(flat.layers) for name in layer.inputs}
    kept = {number[name] for name in flat.outputs}
    slots: dict[str, int] = {}
    names: dict[str, tuple[str, ...]] = {}
    steps = []
    for i, layer in enumerate(flat.layers):
        assert isinstance(layer.op, Op)
        wanted = layer.op.weights(*(parts[name] for name in layer.inputs))
        slot, cuts = -1, []
        if wanted:
            slot = slots.setdefault(layer.slot, len(slots))
            names[layer.slot] = tuple(wanted)
            held = store.weights(layer.slot, layer.name)
            for name, small in wanted.items():
                if name not in held:
                    raise ValueError(f"layer {layer.name!r} needs a {name}, which the shared weights {layer.slot!r} lack")
                try:
                    cuts.append((name, cut_of(held[name], small)))
                except ValueError as error:
                    raise ValueError(f"layer {layer.name!r} does not fit the shared weights: {error}") from None
        inputs = tuple(number[name] for name in layer.inputs)
        drop = tuple(sorted({n for n in inputs if last_use[n] == i and n not in kept}))
        steps.append(Step(layer.op, inputs, slot, tuple(cuts), drop))
    return Plan(tuple(steps), tuple(number[name] for name in flat.outputs), tuple(slots), names)
