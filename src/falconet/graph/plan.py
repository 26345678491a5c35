"""Plans: a spec compiled against a store of weights, run step by step. Compiled once for each spec.

A step knows its operator, which values it reads, which slices of which weights it takes, and which values to drop after
it. Weights are fetched as attributes of modules at run time, so that they may move, be replaced or be traced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from falconet.graph.ops import Op
from falconet.graph.shape import Parts, Weight, plain
from falconet.graph.spec import Layer, NetSpec, flatten, infer_parts
from falconet.graph.store import Store, block_slots

Spans = tuple[tuple[int, int], ...]
Cut = tuple[Spans, ...]
"""What is taken of a weight: for each axis, the (start, stop) of each piece."""
Cuts = tuple[tuple[str, Cut | None], ...]
"""The weights of one operator by name, and what is taken of each; None: all of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator to run."""

    op: Op
    inputs: tuple[int, ...]
    slot: int  # which weight holder, -1 for none
    cuts: Cuts
    drop: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A spec ready to run: values are numbered, inputs first, then one for each step."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    slots: dict[str, Cuts]  # what the whole network reads of each slot

    def run(self, holders: Sequence[object], xs: tuple[Tensor, ...], training: bool) -> Tensor | tuple[Tensor, ...]:
        """The outputs, on weights that are attributes of `holders` (one for each of `slots`)."""
        values: list[Tensor | None] = list(xs)
        for step in self.steps:
            taken = tuple(values[i] for i in step.inputs)
            w = _fetch(holders[step.slot], step.cuts) if step.slot >= 0 else {}
            values.append(step.op.run(w, taken, training))  # type: ignore[arg-type]  # none is dropped before its use
            for i in step.drop:
                values[i] = None
        found = tuple(values[i] for i in self.outputs)
        return found[0] if len(found) == 1 else found  # type: ignore[return-value]  # outputs are never dropped

    def weights(self, holders: Sequence[object]) -> dict[str, Tensor]:
        """The cut weights by "slot.name"."""
        return {
            f"{slot}.{name}": tensor
            for (slot, cuts), holder in zip(self.slots.items(), holders, strict=True)
            for name, tensor in _fetch(holder, cuts).items()
        }


def _fetch(holder: object, cuts: Cuts) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, cut in cuts:
        tensor = getattr(holder, name)
        found[name] = tensor if cut is None else _take(tensor, cut)
    return found


def _take(tensor: Tensor, cut: Cut) -> Tensor:
    tensor = tensor[tuple(slice(*spans[0]) if len(spans) == 1 else slice(None) for spans in cut)]
    for axis, spans in enumerate(cut):
        if len(spans) > 1:
            tensor = torch.cat([tensor.narrow(axis, start, stop - start) for start, stop in spans], axis)
    return tensor


def cut_of(big: Weight, small: Weight) -> Cut | None:
    """How `small` is cut out of `big`; None when it is all of it. Raises ValueError when it does not fit."""
    cut = tuple(large.spans(little) for large, little in zip(big.axes, small.axes, strict=True))
    whole = all(spans == ((0, axis.length),) for spans, axis in zip(cut, big.axes, strict=True))
    return None if whole else cut


def compile_plan(spec: NetSpec, store: Store, reads: tuple[Parts, ...] = ()) -> Plan:
    """The plan of `spec` on `store`. Raises ValueError naming the layer whose weights the store does not hold.

    `reads` are the parts of the inputs where they are the middle of a larger network; else all are plain.
    """
    flat = flatten(spec)
    given = reads or tuple(plain(i.channels) for i in flat.inputs)
    parts = infer_parts(flat, given)
    number = {name: i for i, name in enumerate([i.name for i in flat.inputs] + [layer.name for layer in flat.layers])}
    last_use = {number[name]: i for i, layer in enumerate(flat.layers) for name in layer.inputs}
    kept = {number[name] for name in flat.outputs}
    own = block_slots(flat, given)
    slots = {name: i for i, name in enumerate(own)}
    steps = []
    for i, layer in enumerate(flat.layers):
        assert isinstance(layer.op, Op)
        cuts = _layer_cuts(layer, parts, store)
        inputs = tuple(number[name] for name in layer.inputs)
        drop = tuple(sorted({n for n in inputs if last_use[n] == i and n not in kept}))
        steps.append(Step(layer.op, inputs, slots[layer.slot] if cuts else -1, cuts, drop))
    read = {name: _cuts(name, slot.weights, store) for name, slot in own.items()}
    return Plan(tuple(steps), tuple(number[name] for name in flat.outputs), read)


def _layer_cuts(layer: Layer, parts: Mapping[str, Parts], store: Store) -> Cuts:
    assert isinstance(layer.op, Op)
    wanted = layer.op.weights(*(parts[name] for name in layer.inputs))
    return _cuts(layer.slot, wanted, store, layer.name) if wanted else ()


def _cuts(slot: str, wanted: Mapping[str, Weight], store: Store, layer: str = "") -> Cuts:
    held = store.weights(slot, layer or slot)
    cuts = []
    for name, small in wanted.items():
        if name not in held:
            raise ValueError(f"layer {layer!r} needs a {name}, which the shared weights {slot!r} lack")
        try:
            cuts.append((name, cut_of(held[name], small)))
        except ValueError as error:
            raise ValueError(f"layer {layer!r} does not fit the shared weights: {error}") from None
    return tuple(cuts)
