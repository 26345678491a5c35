"""NetSpecs as JSON: flat, with a schema version. Files come from strangers, so everything read is checked."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_type_hints

from falconet.graph.ops import OPS, Op
from falconet.graph.spec import Input, Layer, NetSpec, flatten

SCHEMA = 1


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
    op = {"type": type(layer.op).__name__}
    for field in fields(layer.op):
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
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        came = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"a network file must be a JSON object with schema {SCHEMA}, got {came!r}")
    try:
        inputs = tuple(Input(str(name), _whole(channels, "channels")) for name, channels in data["inputs"])
        layers = tuple(layer_from_json(one) for one in data["layers"])
        outputs = tuple(str(name) for name in data["outputs"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"the network file lacks or misplaces {error}") from None
    return NetSpec(inputs, layers, outputs)


def layer_from_json(data: dict[str, Any]) -> Layer:
    name = str(data["name"])
    op = dict(data["op"])
    kind = op.pop("type", None)
    if kind not in OPS:
        raise ValueError(f"layer {name!r}: unknown operator {kind!r}; known are {', '.join(OPS)}")
    return Layer(
        name,
        _op_from_json(name, OPS[kind], op),
        tuple(str(one) for one in data["inputs"]),
        str(data.get("weights", "")),
        bool(data.get("training_only", False)),
    )


def _op_from_json(name: str, kind: type[Op], values: dict[str, Any]) -> Op:
    hints = get_type_hints(kind)
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := set(values) - known:
        raise ValueError(f"layer {name!r}: {kind.__name__} has no setting {', '.join(sorted(unknown))}")
    checked = {key: _checked(f"layer {name!r}: {key}", value, str(hints[key])) for key, value in values.items()}
    try:
        return kind(**checked)
    except TypeError as error:
        raise ValueError(f"layer {name!r}: {error}") from None


def _checked(place: str, value: object, hint: str) -> object:
    """`value` as the field's type wants it: whole numbers stay whole, lists become tuples of words."""
    if "tuple" in hint:
        if not isinstance(value, list):
            raise ValueError(f"{place} must be a list, got {value!r}")
        return tuple(str(one) for one in value)
    if "Literal" in hint:
        if not isinstance(value, str) or repr(value) not in hint:
            raise ValueError(f"{place} must be one of {hint}, got {value!r}")
        return value
    if "bool" in hint:
        if not isinstance(value, bool):
            raise ValueError(f"{place} must be true or false, got {value!r}")
        return value
    if "float" in hint:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{place} must be a number, got {value!r}")
        return float(value)
    if value is None and "None" in hint:
        return None
    return _whole(value, place)


def _whole(value: object, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError(f"{place} must be a whole number from 0 to 1,000,000, got {value!r}")
    return value
