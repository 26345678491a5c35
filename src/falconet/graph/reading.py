"""Layers from JSON. Files come from strangers, so everything read is checked."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from falconet.graph.ops import OPS, Op
from falconet.graph.spec import Layer

MOST = 1_000_000
"""The largest number that a file may hold: channels, kernels, slopes."""


def layer_from_json(data: object) -> Layer:
    """The layer that `data` describes. Raises ValueError when it is none."""
    values = keyed(data, "a layer", ("name", "op", "inputs"), ("weights", "training_only"))
    name = word(values["name"], "a layer's name")
    place = f"layer {name!r:.60}"
    op = values["op"]
    kind = op.get("type") if isinstance(op, dict) else None
    if not isinstance(op, dict) or not isinstance(kind, str) or kind not in OPS:
        raise ValueError(f"{place}: unknown operator {kind!r:.60}; known are {', '.join(OPS)}")
    training_only = values.get("training_only", False)
    if not isinstance(training_only, bool):
        raise ValueError(f"{place}: training_only must be true or false, got {training_only!r:.60}")
    return Layer(
        name,
        _op_from_json(place, kind, {key: value for key, value in op.items() if key != "type"}),
        tuple(word(one, f"{place}: an input") for one in listed(values["inputs"], f"{place}: inputs")),
        word(values.get("weights", ""), f"{place}: weights"),
        training_only,
    )


def _op_from_json(place: str, kind: str, values: dict[str, Any]) -> Op:
    known = _field_types(kind)
    if unknown := set(values) - set(known):
        raise ValueError(f"{place}: {kind} has no setting {', '.join(sorted(unknown)):.60}")
    checked = {key: _checked(f"{place}: {key}", value, known[key]) for key, value in values.items()}
    try:
        return OPS[kind](**checked)
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from None


@cache
def _field_types(kind: str) -> dict[str, str]:
    """The settings of an operator and their types, as text."""
    hints = get_type_hints(OPS[kind])
    return {field.name: str(hints[field.name]) for field in fields(OPS[kind])}  # type: ignore[arg-type]  # a dataclass


def _checked(place: str, value: object, hint: str) -> object:
    """`value` as the field's type wants it: whole numbers stay whole, lists become tuples of words or of numbers."""
    if "tuple" in hint:
        inner = "float" if "float" in hint else "word"
        return tuple(_checked(place, one, inner) for one in listed(value, place))
    if hint == "word":
        return word(value, place)
    if "Literal" in hint:
        if not isinstance(value, str) or repr(value) not in hint:
            raise ValueError(f"{place} must be one of {hint}, got {value!r:.60}")
        return value
    if "bool" in hint:
        if not isinstance(value, bool):
            raise ValueError(f"{place} must be true or false, got {value!r:.60}")
        return value
    if "float" in hint:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
            raise ValueError(f"{place} must be a number from -{MOST:,} to {MOST:,}, got {value!r:.60}")
        return float(value)
    if value is None and "None" in hint:
        return None
    return whole(value, place)


def keyed(data: object, place: str, needed: tuple[str, ...], also: tuple[str, ...] = ()) -> dict[str, Any]:
    """`data`, once sure that it is an object with the keys `needed`, and none but those and `also`."""
    if not isinstance(data, dict):
        raise ValueError(f"{place} must be a JSON object, got {data!r:.60}")
    missing = [key for key in needed if key not in data]
    unknown = [key for key in data if key not in needed and key not in also]
    if missing:
        raise ValueError(f"{place} lacks {', '.join(missing)}")
    if unknown:
        raise ValueError(f"{place} has no {unknown[0]!r:.60}; known are {', '.join(needed + also)}")
    return data


def listed(data: object, place: str, length: int | None = None) -> list[Any]:
    """`data`, once sure that it is a list (of `length` entries)."""
    if not isinstance(data, list) or (length is not None and len(data) != length):
        wanted = "a list" if length is None else f"a list of {length}"
        raise ValueError(f"{place} must be {wanted}, got {data!r:.60}")
    return data


def word(value: object, place: str) -> str:
    """`value`, once sure that it is text."""
    if not isinstance(value, str):
        raise ValueError(f"{place} must be text, got {value!r:.60}")
    return value


def whole(value: object, place: str) -> int:
    """`value`, once sure that it is a whole number of bearable size."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(f"{place} must be a whole number from 0 to {MOST:,}, got {value!r:.60}")
    return value
