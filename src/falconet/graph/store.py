"""A store of weights: for each slot the operator and inputs, as large as any network needs that shares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from falconet.graph.ops import Op
from falconet.graph.reading import keyed, layer_from_json, listed, whole, word
from falconet.graph.shape import Parts, Weight, plain
from falconet.graph.spec import Layer, NetSpec, infer_parts, layer_to_json, remembered


@dataclass(frozen=True, slots=True)
class Slot:
    """An operator that has weights, and the channels that feed it."""

    op: Op
    inputs: tuple[Parts, ...]

    @property
    def weights(self) -> dict[str, Weight]:
        """Its weight tensors by name."""
        return self.op.weights(*self.inputs)


@dataclass(frozen=True)
class Store:
    """Slots by name. Not a NetSpec: the options of a space have no common wiring."""

    slots: Mapping[str, Slot]

    def __post_init__(self) -> None:
        for name in self.slots:
            path = name.split(".")
            for around in (".".join(path[:end]) for end in range(1, len(path))):
                if around in self.slots:
                    raise ValueError(f"weights {name!r} lie inside {around!r}, which holds weights itself")

    @cached_property
    def _weights(self) -> dict[str, dict[str, Weight]]:
        return {name: slot.weights for name, slot in self.slots.items()}

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
    def from_json(data: object) -> Store:
        """The store that `to_json` wrote. Raises ValueError when it is none."""
        slots = {}
        for one in listed(data, "the shared weights"):
            rest = dict(keyed(one, "shared weights", ("name", "op", "inputs", "parts")))
            inputs = tuple(_parts_from_json(x) for x in listed(rest.pop("parts"), "parts"))
            layer = layer_from_json(rest)
            assert isinstance(layer.op, Op)
            layer.op.parts(*inputs)  # refuses channels that do not fit
            slots[layer.name] = Slot(layer.op, inputs)
        return Store(slots)


def store_of(spec: NetSpec) -> Store:
    """Just the weights that `spec` needs."""
    found = Gathering()
    found.add(spec)
    return found.store()


class Gathering:
    """Slots being gathered from many networks. Blocks met before, at the same place, are passed over."""

    def __init__(self) -> None:
        self.slots: dict[str, Slot] = {}
        self._met: set[tuple[str, Op | NetSpec, tuple[Parts, ...]]] = set()

    def add(self, spec: NetSpec) -> bool:
        """Make room for `spec`; whether any was needed. Raises ValueError when a slot differs in more than size."""
        grown = False
        parts = infer_parts(spec, tuple(plain(i.channels) for i in spec.inputs))
        for layer in spec.layers:
            inputs = tuple(parts[name] for name in layer.inputs)
            place = (layer.slot, layer.op, inputs)
            if place in self._met:
                continue
            self._met.add(place)
            for name, slot in _slots(layer, inputs).items():
                before = self.slots.get(name)
                self.slots[name] = slot if before is None else _merge_slots(name, before, slot)
                grown = grown or self.slots[name] != before
        return grown

    def store(self) -> Store:
        """The store gathered so far."""
        return Store(dict(self.slots))


def _slots(layer: Layer, inputs: tuple[Parts, ...]) -> dict[str, Slot]:
    """The slots of one layer by full name: its own, or those of the block that it holds."""
    if isinstance(layer.op, NetSpec):
        return {f"{layer.slot}.{name}": slot for name, slot in block_slots(layer.op, inputs).items()}
    return {layer.slot: Slot(layer.op, inputs)} if layer.op.weights(*inputs) else {}


@remembered
def block_slots(spec: NetSpec, inputs: tuple[Parts, ...]) -> dict[str, Slot]:
    """The slots of a block fed `inputs`, by the names of its own layers. Treat the result as read-only."""
    parts = infer_parts(spec, inputs)
    found: dict[str, Slot] = {}
    for layer in spec.layers:
        for name, slot in _slots(layer, tuple(parts[one] for one in layer.inputs)).items():
            found[name] = _merge_slots(name, found[name], slot) if name in found else slot
    return found


def _parts_from_json(data: object) -> Parts:
    found = []
    for one in listed(data, "parts"):
        label, count = listed(one, "a part", 2)
        found.append((word(label, "a part's label"), whole(count, "a part's channels")))
    return tuple(found)


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
