"""NetSpecs as JSON: flat, with a schema version. Files come from strangers, so everything read is checked."""

from __future__ import annotations

import json
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from falconet.graph.ops import OPS, Op
from falconet.graph.spec import Input, Layer, NetSpec, flatten

SCHEMA = 1
MOST = 1_000_000
"""The largest number that a file may hold: channels, kernels, slopes."""
MOST_LAYERS = 10_000
MOST_PARAMS = 2_000_000_000


def spec_to_json(spec: NetSpec) -> dict[str, Any]:
    """The flat form of `spec` as plain JSON values."""
    flat = flatten(spec)
    return {
        "schema": SCHEMA,
        "inputs": [[i.name, i.channels] for i in flat.inputs],
        "layers": [layer_to_json(layer) for layer in flat.layers],
        "outputs": list(flat.outputs),
    }


def spec_to_text(spec: NetSpec) -> str:
    """The flat JSON in one canonical line; its hash is the identity of the network."""
    return json.dumps(spec_to_json(spec), sort_keys=True, separators=(",", ":"))


def layer_to_json(layer: Layer) -> dict[str, Any]:
    """One layer of a flat network as plain JSON values."""
    assert isinstance(layer.op, Op), "files hold flat networks"
    op: dict[str, Any] = {"type": type(layer.op).__name__}
    for field in fields(layer.op):  # type: ignore[arg-type]  # every operator is a dataclass
        value = getattr(layer.op, field.name)
        op[field.name] = list(value) if isinstance(value, tuple) else value
    found: dict[str, Any] = {"name": layer.name, "op": op, "inputs": list(layer.inputs)}
    if layer.weights:
        found["weights"] = layer.weights
    if layer.training_only:
        found["training_only"] = True
    return found


def spec_from_json(data: object) -> NetSpec:
    """The NetSpec that `data` describes. Raises ValueError, naming the place, when it is not a sound one."""
    came = data.get("schema") if isinstance(data, dict) else type(data).__name__
    if not isinstance(data, dict) or came != SCHEMA or isinstance(came, bool):
        raise ValueError(f"a network file must be a JSON object with schema {SCHEMA}, got {came!r:.60}")
    keyed(data, "a network file", ("schema", "inputs", "layers", "outputs"))
    inputs = []
    for one in listed(data["inputs"], "inputs"):
        name, channels = listed(one, "an input", 2)
        inputs.append(Input(word(name, "an input's name"), whole(channels, "an input's channels")))
    layers = tuple(layer_from_json(one) for one in listed(data["layers"], "layers")[: MOST_LAYERS + 1])
    if len(layers) > MOST_LAYERS:
        raise ValueError(f"a network file may hold at most {MOST_LAYERS:,} layers, got {len(data['layers']):,}")
    outputs = tuple(word(name, "an output") for name in listed(data["outputs"], "outputs"))
    spec = NetSpec(tuple(inputs), layers, outputs)
    _check_size(spec)
    return spec


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


def _check_size(spec: NetSpec) -> None:
    """Refuse networks that no machine here could hold, before anything is allocated for them."""
    from falconet.graph.cost import count_params

    params = count_params(spec)
    if params > MOST_PARAMS:
        raise ValueError(f"the network would hold {params:,} parameters; at most {MOST_PARAMS:,} are read from a file")


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
