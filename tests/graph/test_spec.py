"""Specs as values: what is refused, nesting, identity."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconet.graph import (
    Add,
    Concat,
    Conv,
    Draft,
    Identity,
    Input,
    Layer,
    NetSpec,
    PixelUnshuffle,
    ReLU,
    Store,
    costs,
    flatten,
    infer_shapes,
    spec_from_json,
    spec_to_json,
    store_of,
)
from falconet.graph.network import Network
from falconet.graph.spec import RESERVED, input_shapes
from falconet.zoo import ZOO, ecb_block


def one(layer: Layer) -> NetSpec:
    return NetSpec((Input("x", 2),), (layer,), (layer.name,))


@pytest.mark.parametrize(
    ("layers", "outputs", "message"),
    [
        ([Layer("a", ReLU(), ("y",))], ("a",), "'a' reads 'y', which no earlier"),
        ([Layer("a", ReLU(), ("b",)), Layer("b", ReLU(), ("a",))], ("b",), "'a' reads 'b'"),  # a cycle
        ([Layer("a", ReLU(), ("a",))], ("a",), "'a' reads 'a'"),
        ([Layer("a", ReLU(), ("x",)), Layer("a", ReLU(), ("x",))], ("a",), "'a' is used twice"),
        ([Layer("x", ReLU(), ("x",))], ("x",), "'x' is used twice"),
        ([Layer("a", ReLU(), ())], ("a",), r"'a' \(ReLU\) takes 1 inputs, got 0"),
        ([Layer("a", ReLU(), ("x", "x"))], ("a",), "takes 1 inputs, got 2"),
        ([Layer("a", Add(), ())], ("a",), "takes one or more inputs, got 0"),
        ([Layer("a", ReLU(), ("x",))], (), "outputs must name layers"),
        ([Layer("a", ReLU(), ("x",))], ("b",), r"unknown: \['b'\]"),
        ([Layer("a", Conv(4, groups=3), ("x",))], ("a",), "layer 'a': 3 groups must divide"),
        ([Layer("a", Concat(("p", "q")), ("x",))], ("a",), "layer 'a': Concat needs one different key"),
    ],
)
def test_unsound_networks_are_refused_by_name(layers: list[Layer], outputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetSpec((Input("x", 2),), tuple(layers), outputs)


@pytest.mark.parametrize("inputs", [(), (Input("x", 1), Input("x", 2)), (Input("x", 0),), (Input("a/b", 1),)])
def test_inputs_need_names_and_channels(inputs: tuple[Input, ...]) -> None:
    with pytest.raises(ValueError, match="input"):
        NetSpec(inputs, (Layer("a", ReLU(), ("x",)),), ("a",))


@pytest.mark.parametrize(
    "name", ["", ".", "a.", "1a", "a b", "a-b", "for", "weight", "forward", "a.bias", "_a", "a" * 201, "Kon™", "a\n"]
)
def test_names_that_could_not_name_a_module_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        one(Layer(name, Conv(2), ("x",)))
    if name:
        with pytest.raises(ValueError, match="name"):
            one(Layer("a", Conv(2), ("x",), weights=name))


def test_every_word_of_a_torch_module_is_reserved() -> None:
    network = Network(one(Layer("a0", Conv(2), ("x",))))
    words = {word for word in dir(network) if not word.startswith("_")} - {"a0"}
    assert words <= RESERVED


@pytest.mark.parametrize("name", ["a", "b3.k5.dw", "0", "stage.0.conv", "grün"])
def test_names_of_the_usual_kind_are_fine(name: str) -> None:
    network = Network(one(Layer(name, Conv(2), ("x",))))
    assert set(network.state_dict()) == {f"{name}.weight", f"{name}.bias"}


def test_weights_inside_weights_are_refused() -> None:
    d = Draft(x=1)
    d.layer("a", Conv(1), d.layer("a.b", Conv(1), "x"))
    with pytest.raises(ValueError, match=r"weights 'a\.b' lie inside 'a'"):
        Network(d.build("a"))


def test_blocks_have_one_output_and_no_output_that_goes() -> None:
    d = Draft(x=1)
    two = d.build(d.layer("a", ReLU(), "x"), d.layer("b", ReLU(), "x"))
    with pytest.raises(ValueError, match="'block': a nested network must have one output, it has 2"):
        NetSpec((Input("x", 1),), (Layer("block", two, ("x",)),), ("block",))
    d = Draft(x=1)
    goes = d.build(d.layer("a", ReLU(), "x", training_only=True))
    with pytest.raises(ValueError, match="exists only in training; mark the layer"):
        NetSpec((Input("x", 1),), (Layer("block", goes, ("x",)),), ("block",))
    d = Draft(a=1, b=1)
    two_inputs = d.build(d.layer("sum", Add(), "a", "b"))
    with pytest.raises(ValueError, match="must have one input"):
        NetSpec((Input("x", 1),), (Layer("block", two_inputs, ("x", "x"), training_only=True),), ("block",))


def test_a_block_fed_other_channels_than_it_was_built_for_is_refused() -> None:
    d = Draft(x=3)
    d.layer("block", ecb_block(4, 4), "x")
    with pytest.raises(ValueError, match=r"layer 'block': input 'x' was built for 4 channels"):
        d.build("block")


def test_flat_names_are_paths() -> None:
    inner = Draft(left=2, right=2)
    inner.layer("sum", Add(), inner.layer("conv", Conv(2), "left"), "right")
    block = inner.build("sum")
    d = Draft(x=2)
    first = d.layer("b0", block, "x", "x")
    d.layer("b1", block, first, "x", weights="b0")
    d.layer("end", ReLU(), "b1", training_only=True)
    flat = flatten(d.build("b1", "end"))
    assert [(x.name, x.inputs, x.weights, x.training_only) for x in flat.layers] == [
        ("b0.conv", ("x",), "", False),
        ("b0.sum", ("b0.conv", "x"), "", False),
        ("b1.conv", ("b0.sum",), "b0.conv", False),
        ("b1.sum", ("b1.conv", "x"), "b0.sum", False),
        ("end", ("b1.sum",), "", True),
    ]
    assert flat.outputs == ("b1.sum", "end")
    assert flatten(flat) is flat


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_a_network_is_what_its_flat_form_is(seed: int, random_net: Callable[[int], NetSpec]) -> None:
    spec = random_net(seed)
    flat = flatten(spec)
    assert flat.is_flat
    assert flat.digest == spec.digest
    assert store_of(flat).slots == store_of(spec).slots
    assert list(store_of(flat).slots) == list(store_of(spec).slots)
    sizes = input_shapes(spec, (11, 10))
    nested_shapes, flat_shapes = infer_shapes(spec, sizes), infer_shapes(flat, sizes)
    assert [nested_shapes[name].size for name in spec.outputs] == [flat_shapes[name].size for name in flat.outputs]


def test_two_ways_to_one_network_have_one_digest() -> None:
    def built(nest: bool) -> NetSpec:
        d = Draft(x=1)
        if not nest:
            return d.build(d.layer("b.conv", Conv(4), "x"))
        inner = Draft(y=1)
        return d.build(d.layer("b", inner.build(inner.layer("conv", Conv(4), "y")), "x"))

    assert built(True) != built(False)
    assert built(True).digest == built(False).digest
    assert len(built(True).digest) == 64


def test_what_changes_the_network_changes_the_digest() -> None:
    specs = [
        one(Layer("a", Conv(2), ("x",))),
        one(Layer("a", Conv(2, bias=False), ("x",))),
        one(Layer("b", Conv(2), ("x",))),
        one(Layer("a", Conv(2), ("x",), weights="w")),
        one(Layer("a", Conv(2), ("x",), training_only=True)),
        NetSpec((Input("y", 2),), (Layer("a", Conv(2), ("y",)),), ("a",)),
        NetSpec((Input("x", 2),), (Layer("a", Conv(2), ("x",)),), ("a", "x")),
    ]
    assert len({spec.digest for spec in specs}) == len(specs)


def test_the_digest_is_the_same_in_every_process() -> None:
    code = "from falconet.zoo import ZOO; print(ZOO['ecbsr_m4c8']().digest)"
    for seed in ("1", "2"):
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(seed))
        assert run.stdout.strip() == ZOO["ecbsr_m4c8"]().digest, run.stderr


def _environment(hash_seed: str) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_pickles_and_copies_are_equal_and_carry_no_stored_hash() -> None:
    spec = ZOO["ecbsr_m4c8"]()
    costs(spec, (8, 8))
    hash(spec), spec.digest
    for other in (pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec), copy.copy(spec)):
        assert other == spec
        assert hash(other) == hash(spec)
        assert other.digest == spec.digest
    assert set(pickle.loads(pickle.dumps(spec)).__dict__) == {"inputs", "layers", "outputs"}


def test_a_store_survives_json_and_pickle() -> None:
    spec = ZOO["fsrcnn"]()
    d = Draft(a=2, b=3)
    labelled = d.build(d.layer("conv", Conv(4), d.concat("cat", left="a", right="b")))
    for store in (store_of(spec), store_of(labelled)):
        again = Store.from_json(store.to_json())
        assert list(again.slots.items()) == list(store.slots.items())
        assert pickle.loads(pickle.dumps(store)).slots == store.slots


def test_remembered_answers_go_with_the_spec() -> None:
    import gc
    import weakref

    d = Draft(x=1)
    spec = d.build(d.layer("a", Conv(2), "x"))
    costs(spec, (8, 8)), spec.digest
    gone = weakref.ref(spec)
    del spec
    gc.collect()
    assert gone() is None


def test_sizes_are_given_once_or_for_each_input() -> None:
    d = Draft(x=1, guide=3)
    small = d.layer("small", PixelUnshuffle(2), "guide")
    spec = d.build(d.layer("sum", Add(), d.layer("conv", Conv(12), "x"), small))
    assert costs(spec, (8, 6), (16, 12)).macs == 9 * 12 * 48
    with pytest.raises(ValueError, match="one for each of 2 inputs, got 3"):
        costs(spec, (8, 6), (16, 12), (1, 1))
    with pytest.raises(ValueError, match="one size"):
        costs(spec, (8, 6))


def test_a_chain_is_one_behind_the_other() -> None:
    d = Draft(x=1)
    assert d.chain([("a", Conv(2)), ("b", ReLU())], "x") == "b"
    assert [x.inputs for x in d.build("b").layers] == [("x",), ("a",)]


def test_json_of_every_random_network_comes_back(random_net: Callable[[int], NetSpec]) -> None:
    for seed in range(20):
        flat = flatten(random_net(seed))
        assert spec_from_json(spec_to_json(flat)) == flat


def test_an_identity_block_may_be_the_whole_network() -> None:
    d = Draft(x=2)
    spec = d.build(d.layer("same", Identity(), "x"))
    assert costs(spec, (4, 4)).macs == 0
    assert costs(spec, (4, 4)).peak_activation_bytes == 2 * 16 * 4
