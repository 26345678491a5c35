"""Network files from strangers: sound ones come back, everything else is one clear ValueError."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconet.graph import Conv, Draft, NetSpec, Store, spec_from_json, spec_to_json, store_of
from falconet.zoo import ZOO

GOOD = spec_to_json(ZOO["ecbsr_m4c8"]())


def changed(*path: str | int, to: object) -> dict[str, Any]:
    """A copy of a good file with one place overwritten."""
    data = copy.deepcopy(GOOD)
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return data


def without(*path: str | int) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return data


def layers(*ops: dict[str, Any], inputs: int = 1) -> dict[str, Any]:
    """A file with these operators one behind the other."""
    chain = [
        {"name": f"l{i}", "op": op, "inputs": ["x" if i == 0 else f"l{i - 1}"] * inputs} for i, op in enumerate(ops)
    ]
    return {"schema": 1, "inputs": [["x", 1]], "layers": chain, "outputs": [f"l{len(ops) - 1}"]}


def test_the_file_is_plain_json() -> None:
    assert json.loads(json.dumps(GOOD, allow_nan=False)) == GOOD
    assert spec_from_json(json.loads(json.dumps(GOOD))).digest == ZOO["ecbsr_m4c8"]().digest


def test_the_form_of_a_file_is_as_it_was() -> None:
    """Golden: a file written today must be read by every later version of the same schema."""
    d = Draft(x=1)
    spec = d.build(d.layer("head", Conv(4, 5, bias=False), "x"), d.layer("aux", Conv(1), "x", training_only=True))
    assert json.dumps(spec_to_json(spec)) == (
        '{"schema": 1, "inputs": [["x", 1]], "layers": ['
        '{"name": "head", "op": {"type": "Conv", "out": 4, "kernel": 5, "stride": 1, "groups": 1, "bias": false, '
        '"pad": null}, "inputs": ["x"]}, '
        '{"name": "aux", "op": {"type": "Conv", "out": 1, "kernel": 3, "stride": 1, "groups": 1, "bias": true, '
        '"pad": null}, "inputs": ["x"], "training_only": true}], "outputs": ["head", "aux"]}'
    )
    assert spec.digest == "436e70549092a208657aa0d5209b83d48ef04363d91a6cefd075c4970903d6d4"


FIRST, OP = ("layers", 0), ("layers", 0, "op")
HOSTILE = {
    "not an object": [],
    "nothing": None,
    "a word": "network",
    "another schema": changed("schema", to=2),
    "schema true": changed("schema", to=True),
    "no schema": without("schema"),
    "unknown key": {**GOOD, "comment": "hello"},
    "no inputs": without("inputs"),
    "inputs a word": changed("inputs", to="x"),
    "input of one": changed("inputs", 0, to=["x"]),
    "input a word": changed("inputs", 0, to="x1"),
    "input with odd channels": changed("inputs", 0, 1, to="1"),
    "input with a fraction": changed("inputs", 0, 1, to=1.0),
    "input without channels": changed("inputs", 0, 1, to=0),
    "input negative": changed("inputs", 0, 1, to=-1),
    "input huge": changed("inputs", 0, 1, to=10**30),
    "input true": changed("inputs", 0, 1, to=True),
    "input name a number": changed("inputs", 0, 0, to=1),
    "layers a number": changed("layers", to=3),
    "layers an object": changed("layers", to={"a": 1}),
    "layer a word": changed("layers", 0, to="conv"),
    "layer a list": changed("layers", 0, to=["conv"]),
    "layer without a name": without(*FIRST, "name"),
    "layer without an op": without(*FIRST, "op"),
    "layer with an unknown key": changed(*FIRST, "comment", to=1),
    "layer name a number": changed(*FIRST, "name", to=7),
    "layer name a module's": changed(*FIRST, "name", to="forward"),
    "layer name a path out": changed(*FIRST, "name", to="../../etc"),
    "layer name very long": changed(*FIRST, "name", to="a." * 10_000 + "b"),
    "layer weights a number": changed(*FIRST, "weights", to=7),
    "layer weights a module's": changed(*FIRST, "weights", to="__class__"),
    "layer inputs a word": changed(*FIRST, "inputs", to="x"),
    "layer inputs numbers": changed(*FIRST, "inputs", to=[0]),
    "layer that reads itself": changed(*FIRST, "inputs", to=[GOOD["layers"][0]["name"]]),
    "layer that reads a later one": changed(*FIRST, "inputs", to=[GOOD["layers"][5]["name"]]),
    "training_only a word": changed(*FIRST, "training_only", to="false"),
    "op a word": changed(*FIRST, "op", to="Conv"),
    "op null": changed(*FIRST, "op", to=None),
    "op unknown": changed(*OP, "type", to="Eval"),
    "op of Python": changed(*OP, "type", to="__import__"),
    "op a list": changed(*OP, "type", to=["Conv"]),
    "op without type": without(*OP, "type"),
    "op without a needed setting": without(*OP, "out"),
    "op with an unknown setting": changed(*OP, "dilation", to=2),
    "setting a word": changed(*OP, "out", to="16"),
    "setting a fraction": changed(*OP, "kernel", to=3.5),
    "setting null": changed(*OP, "kernel", to=None),
    "setting negative": changed(*OP, "stride", to=-1),
    "setting zero": changed(*OP, "stride", to=0),
    "setting huge": changed(*OP, "kernel", to=10**9),
    "setting true": changed(*OP, "kernel", to=True),
    "bias a number": changed(*OP, "bias", to=1),
    "bias a word": changed(*OP, "bias", to="yes"),
    "outputs a word": changed("outputs", to="up"),
    "outputs unknown": changed("outputs", to=["nowhere"]),
    "outputs none": changed("outputs", to=[]),
    "outputs numbers": changed("outputs", to=[0]),
    "kind unknown": layers({"type": "EdgeConv", "kind": "prewitt"}),
    "kind a number": layers({"type": "EdgeConv", "kind": 1}),
    "slope a word": layers({"type": "LeakyReLU", "slope": "0.1"}),
    "slope not a number": layers({"type": "LeakyReLU", "slope": float("nan")}),
    "slope without end": layers({"type": "LeakyReLU", "slope": float("inf")}),
    "slope beyond floats": layers({"type": "LeakyReLU", "slope": 10**400}),
    "keys a word": layers({"type": "Concat", "keys": "ab"}, inputs=2),
    "keys numbers": layers({"type": "Concat", "keys": [1, 2]}, inputs=2),
    "parts without end": layers(*[{"type": "Concat", "keys": ["a", "b"]}] * 40, inputs=2),
    "channels without end": layers(*[{"type": "Repeat", "times": 1000}] * 40),
    "weights without end": layers({"type": "Conv", "out": 1_000_000, "kernel": 100}),
    "layers without end": layers(*[{"type": "ReLU"}] * 10_001),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_one_clear_error(data: object) -> None:
    with pytest.raises(ValueError) as error:
        spec_from_json(data)
    assert type(error.value) is ValueError
    assert 10 < len(str(error.value)) < 1000


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data())
def test_junk_in_any_place_is_a_value_error_or_a_sound_network(data: st.DataObject) -> None:
    """Every place of a small file in turn is overwritten by anything at all."""
    good = layers({"type": "Conv", "out": 4, "kernel": 3}, {"type": "PixelShuffle", "factor": 2})
    file = copy.deepcopy(good)
    place: Any = file
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JUNK)
    try:
        spec = spec_from_json(file)
    except ValueError:
        return
    assert isinstance(spec, NetSpec)
    assert spec_from_json(spec_to_json(spec)) == spec


STORE = store_of(ZOO["fsrcnn_s"]()).to_json()
HOSTILE_STORES = {
    "nothing": None,
    "an object": {},
    "a word in it": ["head"],
    "no parts": [{key: value for key, value in STORE[0].items() if key != "parts"}],
    "parts a number": [{**STORE[0], "parts": 1}],
    "parts odd": [{**STORE[0], "parts": [[["", 1, 2]]]}],
    "parts without names": [{**STORE[0], "parts": [[[0, 1]]]}],
    "parts huge": [{**STORE[0], "parts": [[["", 10**9]]]}],
    "parts that do not fit": [{**STORE[0], "op": {**STORE[0]["op"], "groups": 7}}],
    "unknown key": [{**STORE[0], "comment": 1}],
    "unknown op": [{**STORE[0], "op": {"type": "Eval"}}],
}


@pytest.mark.parametrize("data", HOSTILE_STORES.values(), ids=HOSTILE_STORES)
def test_hostile_stores_are_refused(data: object) -> None:
    with pytest.raises(ValueError):
        Store.from_json(data)
