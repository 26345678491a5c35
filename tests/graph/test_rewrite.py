"""Laws of rewrites: merged equals unmerged, to rounding and up to the borders; so do gradients; nothing is dearer."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from falconet.graph import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    DepthwiseConv,
    Draft,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Linear,
    NetSpec,
    Op,
    PReLU,
    ReLU,
    TransposedConv,
    costs,
    deploy,
    flatten,
    merged,
)
from falconet.graph.network import Network, deployed, run
from falconet.zoo import ecb_block, ecbsr, residual_block

Randomise = Callable[..., Network]


def kinds(spec: NetSpec) -> list[str]:
    return [type(layer.op).__name__ for layer in spec.layers]


def chain(*ops: Op, channels: int = 4) -> NetSpec:
    d = Draft(x=channels)
    return d.build(d.chain([(f"l{i}", op) for i, op in enumerate(ops)], "x"))


def tensors(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def assert_equal(network: Network, *channels: int, size: tuple[int, int] = (9, 8)) -> NetSpec:
    """Deployed equals the network in evaluation mode, in both precisions, borders included; the deployed spec."""
    network.eval()
    assert network.spec is not None
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        network.to(dtype)
        small = deployed(network)
        xs = tuple(torch.randn(2, count, *size, dtype=dtype) for count in channels)
        with torch.no_grad():
            for ours, theirs in zip(tensors(small(xs)), tensors(network(xs)), strict=True):
                assert ours.shape == theirs.shape
                assert (ours - theirs).abs().max() <= tolerance * max(1.0, float(theirs.abs().max()))
    network.double()
    small_spec = deploy(network.spec, network.weights())[0]
    assert costs(small_spec, size).macs <= sum(row.macs for row in _layer_costs(network.spec, size))
    return small_spec


def _layer_costs(spec: NetSpec, size: tuple[int, int]):  # type: ignore[no-untyped-def]
    from falconet.graph import layer_costs

    return layer_costs(spec, size)


@pytest.mark.parametrize("identity", [False, True])
@pytest.mark.parametrize(
    ("inp", "out", "kernel", "multiplier"), [(4, 4, 3, 2), (1, 6, 3, 2), (6, 2, 5, 1), (3, 3, 5, 3)]
)
def test_an_ecb_block_becomes_one_convolution(
    inp: int, out: int, kernel: int, multiplier: int, identity: bool, randomised: Randomise
) -> None:
    spec = ecb_block(inp, out, kernel, multiplier, identity)
    small = assert_equal(randomised(Network(spec)), inp)
    assert [layer.op for layer in small.layers] == [Conv(out, kernel)]
    assert [layer.name for layer in small.layers] == ["sum"]
    reads_input = "x" in spec.layers[-1].inputs
    assert reads_input == (identity and inp == out)


@pytest.mark.parametrize(
    ("ops", "left"),
    [
        ((Conv(5, bias=False), BatchNorm()), ["Conv"]),
        ((Conv(5, groups=1), BatchNorm(1e-2)), ["Conv"]),
        ((Conv(6, groups=2), BatchNorm()), ["Conv"]),
        ((DepthwiseConv(5, 2, False), BatchNorm()), ["DepthwiseConv"]),
        ((TransposedConv(3, 4, 2, False, 1, 0), BatchNorm()), ["TransposedConv"]),
        ((Conv(4, bias=False), BatchNorm(), BatchNorm()), ["Conv"]),
        ((GlobalAvgPool(), Flatten(), Linear(5), BatchNorm()), ["GlobalAvgPool", "Flatten", "Linear"]),
        ((BatchNorm(), Conv(4)), ["BatchNorm", "Conv"]),  # the padding is not what the norm makes of zero
        ((Conv(4), ReLU(), BatchNorm()), ["Conv", "ReLU", "BatchNorm"]),
        ((Conv(3, 1), Conv(2, 1)), ["Conv"]),
        ((Conv(3, 1), Conv(2, 1), Conv(2, 1)), ["Conv"]),
        ((Conv(4, 1, pad=1), Conv(2, 3, pad=0)), ["Conv"]),
        ((Conv(4, 1, pad=1), Conv(2, 3, 2, pad=0)), ["Conv"]),
        ((Conv(8, 1, bias=False), Conv(2, 3)), ["Conv"]),  # zeros stay zeros
        ((Conv(8, 1), Conv(2, 3)), ["Conv", "Conv"]),  # padded in the middle, behind a bias
        ((Conv(8, 1, pad=1), Conv(2, 3, pad=1)), ["Conv", "Conv"]),
        ((Conv(8, 1, 2), Conv(2, 3, pad=0)), ["Conv", "Conv"]),  # strided before the end
        ((Conv(8, 1, groups=2, pad=1), Conv(2, 3, pad=0)), ["Conv", "Conv"]),
        ((Conv(8, 1, pad=1), Conv(2, 3, pad=0, groups=2)), ["Conv", "Conv"]),
        ((Conv(1, 1, pad=1), Conv(4, 3, pad=0)), ["Conv", "Conv"]),  # one convolution would cost more
        ((Conv(4, 3), Conv(4, 1)), ["Conv", "Conv"]),
        ((Conv(1, 1, pad=1), DepthwiseConv(3, pad=0)), ["Conv", "DepthwiseConv"]),
        ((Conv(4, 1, pad=1), ReLU(), Conv(2, 3, pad=0)), ["Conv", "ReLU", "Conv"]),
        ((Identity(), Dropout(0.5), Identity(), Conv(4)), ["Conv"]),
        ((Conv(4), PReLU(), Dropout(0.5)), ["Conv", "PReLU"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_chains(ops: tuple[Op, ...], left: list[str], randomised: Randomise) -> None:
    small = assert_equal(randomised(Network(chain(*ops))), 4)
    assert kinds(small) == left


def test_a_depthwise_convolution_behind_a_1x1_is_merged_where_that_is_cheaper(randomised: Randomise) -> None:
    spec = chain(Conv(4, 1, pad=1), DepthwiseConv(3, pad=0), channels=1)
    dearer = assert_equal(randomised(Network(spec)), 1)
    assert kinds(dearer) == ["Conv"]
    d = Draft(x=2)
    d.layer("narrow", Conv(2, 1, pad=1), "x")
    y = d.layer("sum", Add(), d.layer("dw", DepthwiseConv(3, pad=0), "narrow"), d.layer("conv", Conv(2), "x"))
    assert kinds(assert_equal(randomised(Network(d.build(y))), 2)) == ["Conv"]


def test_branches_of_several_kernels_and_strides(randomised: Randomise) -> None:
    for stride in (1, 2):
        d = Draft(x=3)
        names = [d.layer(f"c{k}", Conv(3, k, stride), "x") for k in (1, 3, 7)]
        names += ["x", "x"] if stride == 1 else []
        small = assert_equal(randomised(Network(d.build(d.layer("sum", Add(), *names)))), 3)
        assert [layer.op for layer in small.layers] == [Conv(3, 7, stride)]


def test_branches_of_other_geometry_source_or_readers_stay(randomised: Randomise) -> None:
    def left(*, strange: Op | None = None, elsewhere: bool = False, read: bool = False, shared: bool = False) -> int:
        d = Draft(x=2)
        y = d.layer("before", ReLU(), "x")
        a = d.layer("a", Conv(2), "x")
        b = d.layer("b", strange or Conv(2), y if elsewhere else "x", weights="a" if shared else "")
        y = d.layer("sum", Add(), a, b)
        spec = d.build(y, b) if read else d.build(y)
        return kinds(assert_equal(randomised(Network(spec)), 2)).count("Conv")

    assert left() == 1
    assert left(strange=Conv(2, 1)) == 1
    assert left(strange=Conv(2, groups=2)) == 2
    assert left(elsewhere=True) == 2
    assert left(read=True) == 2
    assert left(shared=True) == 2
    d = Draft(x=2)  # equal sizes, different places: the second is shifted by a pixel
    shifted = d.layer("b", Conv(2, 2, pad=0), d.layer("grow", Conv(2, 2, pad=1), "x"))
    assert kinds(assert_equal(randomised(Network(d.build(d.layer("sum", Add(), shifted, "x")))), 2)).count("Conv") == 2


def test_a_sum_of_one_convolution_twice_stays(randomised: Randomise) -> None:
    d = Draft(x=2)
    a = d.layer("a", Conv(2), "x")
    assert kinds(assert_equal(randomised(Network(d.build(d.layer("sum", Add(), a, a)))), 2)) == ["Conv", "Add"]


def test_branches_that_would_cost_more_as_one_stay(randomised: Randomise) -> None:
    """A 1x1 beside a cheap 1x1-to-depthwise chain: the full 3x3 would be dearer than both."""
    d = Draft(x=8)
    thin = d.layer("thin", DepthwiseConv(3, pad=0), d.layer("narrow", Conv(8, 1, pad=1), "x"))
    spec = d.build(d.layer("sum", Add(), d.layer("one", Conv(8, 1), "x"), thin))
    assert len(assert_equal(randomised(Network(spec)), 8).layers) == 4


def test_weights_of_a_merged_layer_do_not_take_a_name_in_use(randomised: Randomise) -> None:
    """A layer whose weights are kept under the name that the sum has: the sum is left as it is."""
    d = Draft(x=2)
    y = d.layer("sum", Add(), d.layer("a", Conv(2), "x"), d.layer("b", Conv(2), "x"))
    spec = d.build(d.layer("other", Conv(2), y, weights="sum"))
    assert_equal(randomised(Network(spec)), 2)


def test_only_layers_of_one_block_are_merged() -> None:
    d = Draft(x=4)
    d.layer("b0.conv", Conv(4, 1, pad=1), "x")
    apart = d.build(d.layer("b1.conv", Conv(4, 3, pad=0), "b0.conv"))
    assert merged(apart) is apart


def test_training_only_layers_go_and_their_outputs_with_them(randomised: Randomise) -> None:
    d = Draft(x=2)
    y = d.layer("noise", PReLU(), "x", training_only=True)
    y = d.layer("body", Conv(4), y)
    aux = d.layer("aux_block", residual_block(4), y, training_only=True)
    aux = d.layer("aux", Conv(1), aux, training_only=True)
    helper = d.layer("helper", Conv(1), y)  # read by nothing that stays
    spec = d.build(aux, y, d.layer("late", ReLU(), helper, training_only=True))
    network = randomised(Network(spec))
    small = deployed(network)
    assert small.spec is not None
    assert [(layer.name, layer.inputs) for layer in small.spec.layers] == [("body", ("x",))]
    assert small.spec.outputs == ("body",)
    x = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(small(x), network.get_submodule("body")(x))
    assert costs(spec, (8, 8)).macs == 9 * 2 * 4 * 64


def test_a_network_of_training_only_outputs_cannot_be_deployed() -> None:
    d = Draft(x=2)
    spec = d.build(d.layer("a", Conv(2), "x", training_only=True))
    with pytest.raises(ValueError, match="nothing is left to deploy"):
        merged(spec)


def test_leaving_out_a_layer_that_changed_the_channels_is_refused() -> None:
    d = Draft(x=2)
    y = d.layer("wide", Conv(8), "x", training_only=True)
    y = d.layer("again", Conv(8, 1), y)
    spec = d.build(d.layer("sum", Add(), y, d.layer("act", ReLU(), "wide")))
    with pytest.raises(ValueError, match="'sum'"):
        merged(spec)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1_000_000))
def test_random_networks(
    seed: int,
    random_net: Callable[[int], NetSpec],
    without_training: Callable[[NetSpec], NetSpec],
    randomised: Randomise,
) -> None:
    spec = random_net(seed)
    network = randomised(Network(spec).double().eval(), seed)
    xs = (torch.randn(1, 2, 11, 10, dtype=torch.float64), torch.randn(1, 1, 11, 10, dtype=torch.float64))
    with torch.no_grad():
        for ours, theirs in zip(
            tensors(deployed(network)(xs)), tensors(network(xs, without_training(spec))), strict=True
        ):
            assert (ours - theirs).abs().max() <= 1e-10 * max(1.0, float(theirs.abs().max()))
    assert flatten(merged(spec)) == merged(flatten(spec))
    assert merged(merged(spec)) == merged(spec)
    small = deploy(spec, network.weights())[0]
    assert deploy(flatten(spec), network.weights())[0] == small
    assert not {"Identity", "Dropout"} & set(kinds(small))
    assert costs(small, (11, 10)).macs <= costs(spec, (11, 10)).macs


def gradients(outputs: Tensor | tuple[Tensor, ...], network: Network) -> dict[str, Tensor]:
    network.zero_grad()
    sum((y**2).sum() for y in tensors(outputs)).backward()  # type: ignore[union-attr]
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1_000_000))
def test_gradients_through_the_merged_form_are_those_of_the_network(
    seed: int,
    random_net: Callable[[int], NetSpec],
    without_training: Callable[[NetSpec], NetSpec],
    randomised: Randomise,
) -> None:
    """In evaluation mode, where batch norm is a fixed function."""
    spec = random_net(seed)
    network = randomised(Network(spec).double().eval(), seed)
    xs = (torch.randn(1, 2, 11, 10, dtype=torch.float64), torch.randn(1, 1, 11, 10, dtype=torch.float64))
    plain = gradients(network(xs, without_training(spec)), network)
    small, weights = deploy(spec, network.weights())
    through = gradients(run(small, weights, xs), network)
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    for name, gradient in plain.items():
        ours = through.get(name, torch.zeros_like(gradient))
        assert (ours - gradient).abs().max() <= 1e-10 * max(1.0, largest), name


def test_every_weight_of_an_ecb_network_gets_a_gradient_through_its_merged_form(randomised: Randomise) -> None:
    network = randomised(Network(ecbsr(blocks=2, width=4)))
    small, weights = deploy(ecbsr(blocks=2, width=4), network.weights())
    found = gradients(run(small, weights, (torch.rand(1, 1, 8, 8),)), network)
    assert found.keys() == dict(network.named_parameters()).keys()
    mute = [name for name, gradient in found.items() if not gradient.any()]
    assert {name.rpartition(".")[2] for name in mute} == {"bias"}
    assert all(name.endswith("_in.bias") for name in mute)  # the masks sum to zero


def test_a_spec_is_rewritten_once() -> None:
    spec = ecbsr(blocks=2, width=4)
    one, two = Network(spec), Network(spec)
    assert deploy(spec, one.weights())[0] is deploy(spec, two.weights())[0]
    assert merged(spec) is merged(spec)


def test_what_has_nothing_to_merge_is_left_as_the_very_same_object() -> None:
    d = Draft(x=4)
    y = d.layer("b", residual_block(4), d.layer("conv", Conv(4), "x"))
    spec = d.build(d.concat("cat", a=y, b="x"))
    assert merged(spec) is spec


def test_labels_of_parts_survive_a_merge_in_value(randomised: Randomise) -> None:
    """The first branch of the sum is a Concat: the merged convolution has plain channels, in the same order."""
    d = Draft(a=1, b=2)
    both = d.layer("cat", Concat(("a", "b")), "a", "b")
    y = d.layer("sum", Add(), both, d.layer("conv", Conv(3), both))
    network = randomised(Network(d.build(d.layer("tail", Conv(2), y))))
    assert kinds(assert_equal(network, 1, 2)) == ["Concat", "Conv", "Conv"]
