"""A store of weights: for each slot the operator and inputs, as large as any network needs that shares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from falconet.graph.files import layer_from_json, layer_to_json
from falconet.graph.ops import Op
from falconet.graph.shape import Parts, Weight, plain
from falconet.graph.spec import Layer, NetSpec, flatten, infer_parts


@dataclass(frozen=True, slots=True)
class Slot:
    """An operator that has weights, and the channels that feed it."""

    op: Op
    inputs: tuple[Parts, ...]


@dataclass(frozen=True)
class Store:
    """Slots by name. Not a NetSpec: the options of a space have no common wiring."""

    slots: Mapping[str, Slot]

    @cached_property
    def _weights(self) -> dict[str, dict[str, Weight]]:
        return {name: slot.op.weights(*slot.inputs) for name, slot in self.slots.items()}

    def weights(self, slot: str, layer: str) -> dict[str, Weight]:
        """The weights that `slot` holds. Raises ValueError, naming `layer`, when there is no such slot."""
        if slot not in self._weights:
            raise ValueError(f"layer {layer!r} reads weights {slot!r}, which this network does not hold")
        return self._weights[slot]

    def merge(self, other: Store) -> Store:
        """The smallest store from which both can read. Raises ValueError when a slot differs in more than size."""
        slots = dict(self.slots)
        for name, slot in other.slots.items():
            slots[name] = _merge_slots(name, slots[name], slot) if name in slots else slot
        return Store(slots)

    def to_json(self) -> list[dict[str, Any]]:
        """The slots as plain JSON values, in order."""
        return [
            layer_to_json(Layer(name, slot.op, ("x",))) | {"parts": [[list(p) for p in parts] for parts in slot.inputs]}
            for name, slot in self.slots.items()
        ]

    @staticmethod
    def from_json(data: list[dict[str, Any]]) -> Store:
        """The store that `to_json` wrote. Raises ValueError when it is none."""
        slots = {}
        for one in data:
            op = layer_from_json(one).op
            assert isinstance(op, Op)
            parts = tuple(tuple((str(label), int(count)) for label, count in x) for x in one["parts"])
            slots[str(one["name"])] = Slot(op, parts)
        return Store(slots)


def store_of(spec: NetSpec) -> Store:
    """Just the weights that `spec` needs."""
    flat = flatten(spec)
    parts = infer_parts(flat, tuple(plain(i.channels) for i in flat.inputs))
    found = Store({})
    for layer in flat.layers:
        assert isinstance(layer.op, Op)
        inputs = tuple(parts[name] for name in layer.inputs)
        if layer.op.weights(*inputs):
            found = found.merge(Store({layer.slot: Slot(layer.op, inputs)}))
    return found


def _merge_slots(name: str, a: Slot, b: Slot) -> Slot:
    """One slot large enough for both: elastic fields and channels at their maximum."""
    if a == b:
        return a
    if type(a.op) is not type(b.op) or len(a.inputs) != len(b.inputs):
        raise ValueError(
            f"weights {name!r} cannot be shared by {a.op} and {b.op}: give the two options different layer names"
        )
    values: dict[str, Any] = {}
    for field in fields(a.op):  # type: ignore[arg-type]
        mine, other = getattr(a.op, field.name), getattr(b.op, field.name)
        if mine == other or field.name in a.op.loose:
            continue
        if field.name not in a.op.elastic:
            raise ValueError(
                f"weights {name!r} cannot be shared: {field.name} is {mine!r} in one network and {other!r} in another; "
                f"give the two options different layer names"
            )
        values[field.name] = max(mine, other)
    inputs = tuple(_merge_parts(x, y) for x, y in zip(a.inputs, b.inputs, strict=True))
    return Slot(replace(a.op, **values), inputs)  # type: ignore[type-var]


def _merge_parts(x: Parts, y: Parts) -> Parts:
    found = dict(x)
    for label, count in y:
        found[label] = max(found.get(label, 0), count)
    return tuple(found.items())
