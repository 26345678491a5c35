"""Laws of networks on shared weights: a part run inside the whole is the part alone, to the last bit, gradients too."""

import copy
import pickle
from collections.abc import Callable
from random import Random

import pytest
import torch
from torch import Tensor

from falconet.graph import (
    Add,
    BatchNorm,
    Conv,
    DepthwiseConv,
    Draft,
    Linear,
    NetSpec,
    PReLU,
    ReLU,
    Scale,
    Slice,
    TransposedConv,
    costs,
    flatten,
    store_of,
)
from falconet.graph.network import Network, deployed, from_weights, run
from falconet.graph.store import Store
from falconet.zoo import ZOO, ecb_block

Randomise = Callable[..., Network]


def dense(width: int, kernel: int, blocks: int, left: bool = True) -> NetSpec:
    """Everything that slices: parts of a Concat, kernels, depthwise, grouped, norms, slopes, a weight used thrice."""
    d = Draft(x=3)
    y = d.layer("head", Conv(width, kernel), "x")
    y = d.layer("head_norm", BatchNorm(), y)
    y = d.layer("act", PReLU(), y)
    parts = {"rest": y}
    if left:
        parts["left"] = d.layer("left", Conv(width // 2, 1), y)
    for i in range(blocks):
        z = d.layer(f"b{i}.dw", DepthwiseConv(kernel), y)
        z = d.layer(f"b{i}.scale", Scale(), z)
        z = d.layer(f"b{i}.up", TransposedConv(width, kernel, 1, pad=kernel // 2, output_pad=0), z)
        y = d.layer(f"b{i}.sum", Add(), y, z)
    parts["right"] = d.layer("group", Conv(2 * (width // 2), 3, groups=2), d.layer("even", Slice(0, 2), y))
    y = d.concat("cat", **parts)
    y = d.layer("cat_norm", BatchNorm(), y)
    y = d.layer("mix", Conv(width, 1), y)
    y = d.layer("context1", Conv(width, kernel), y)
    y = d.layer("context2", Conv(width, kernel), y, weights="context1")
    y = d.layer("context3", Conv(width, kernel), y, weights="context1")
    return d.build(d.layer("tail", Conv(2), y))


SUBS = {
    "all of it": dense(8, 5, 3),
    "narrower": dense(6, 5, 3),
    "smaller kernels": dense(8, 3, 3),
    "fewer blocks": dense(8, 5, 1),
    "a part left out": dense(8, 5, 3, left=False),
    "all at once": dense(4, 1, 2, left=False),
}


def supernet(randomised: Randomise) -> Network:
    store = Store({})
    for spec in SUBS.values():
        store = store.merge(store_of(spec))
    return randomised(Network(store=store).double()).eval()


def gradients(network: Network, sub: NetSpec, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The output of `sub`, and the gradients of the weights that it reads, cut as it reads them."""
    network.zero_grad()
    y = network(x, sub)
    assert isinstance(y, Tensor)
    (y**2).sum().backward()
    mirror = copy.deepcopy(network)  # holds gradients where the network holds weights
    with torch.no_grad():
        for value, parameter in zip(mirror.parameters(), network.parameters(), strict=True):
            value.copy_(torch.zeros_like(value) if parameter.grad is None else parameter.grad)
    learned = {name for name, _ in network.named_parameters()}
    found = {name: value for name, value in mirror.weights(sub).items() if name in learned}
    everywhere = sum(float(value.detach().abs().sum()) for value in mirror.parameters())
    assert sum(float(value.detach().abs().sum()) for value in found.values()) == pytest.approx(
        everywhere
    )  # none outside the cut
    return y.detach(), found


@pytest.mark.parametrize("name", SUBS)
def test_an_extracted_network_is_the_part_of_the_supernet(name: str, randomised: Randomise) -> None:
    network, sub = supernet(randomised), SUBS[name]
    alone = network.extract(sub)
    assert not alone.training
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    inside, outside = gradients(network, sub, x), gradients(alone, sub, x)
    assert torch.equal(inside[0], outside[0])
    assert inside[1].keys() == outside[1].keys() == dict(alone.named_parameters()).keys()
    assert all(torch.equal(inside[1][key], gradient) for key, gradient in outside[1].items())
    assert sum(p.numel() for p in alone.parameters()) == costs(sub, (9, 7)).params


def test_an_extract_is_a_copy(randomised: Randomise) -> None:
    network = supernet(randomised)
    alone = network.extract(SUBS["narrower"])
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        for value in alone.parameters():
            value.zero_()
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_running_a_part_in_training_touches_only_its_slice_of_statistics(randomised: Randomise) -> None:
    network = supernet(randomised).train()
    before = network.get_buffer("head_norm.running_mean").clone()
    network(torch.randn(4, 3, 9, 7, dtype=torch.float64), SUBS["narrower"])
    changed = network.get_buffer("head_norm.running_mean") != before
    assert changed[:6].all()
    assert not changed[6:].any()


def test_leaving_a_part_out_is_zeroing_its_slice_in_what_reads_it(randomised: Randomise) -> None:
    """Also behind a batch norm: the parts that stay keep their own weights and statistics."""
    network, x = supernet(randomised), torch.randn(2, 3, 9, 7, dtype=torch.float64)
    without = network(x, SUBS["a part left out"])
    parts = {"rest": 8, "left": 4, "right": 8}
    start = 0
    with torch.no_grad():
        for key, count in parts.items():
            if key == "left":
                network.get_parameter("mix.weight")[:, start : start + count] = 0
            start += count
    assert isinstance(without, Tensor)
    torch.testing.assert_close(network(x, SUBS["all of it"]), without, rtol=1e-12, atol=1e-12)


def test_leaving_blocks_out_is_zeroing_what_they_add(randomised: Randomise) -> None:
    network, x = supernet(randomised), torch.randn(2, 3, 9, 7, dtype=torch.float64)
    fewer = network(x, SUBS["fewer blocks"])
    with torch.no_grad():
        for name in ("b1.up", "b2.up"):
            for value in network.get_submodule(name).parameters():
                value.zero_()
    torch.testing.assert_close(network(x, SUBS["all of it"]), fewer, rtol=1e-12, atol=1e-12)


def test_a_narrow_kernel_is_the_centre_of_the_wide_one() -> None:
    def conv(kernel: int) -> NetSpec:
        d = Draft(x=1)
        return d.build(d.layer("conv", Conv(1, kernel, bias=False), "x"))

    network = Network(conv(5))
    x = torch.rand(1, 1, 6, 6)
    small = network(x, conv(3))
    with torch.no_grad():
        centre = torch.zeros(5, 5)
        centre[1:4, 1:4] = 1
        network.get_parameter("conv.weight").mul_(centre)
    torch.testing.assert_close(network(x), small)


def test_weights_used_three_times_get_the_sum_of_three_gradients(randomised: Randomise) -> None:
    d = Draft(x=2)
    y = d.layer("a", Conv(2), "x")
    y = d.layer("b", Conv(2), y, weights="a")
    thrice = d.build(d.layer("c", Conv(2), y, weights="a"))
    d = Draft(x=2)
    own = d.build(d.chain([(name, Conv(2)) for name in "abc"], "x"))
    network, apart = randomised(Network(thrice).double()), Network(own).double()
    assert len(list(network.parameters())) == 2
    for name in "abc":
        apart.get_submodule(name).load_state_dict(network.get_submodule("a").state_dict())
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    for one in (network, apart):
        (one(x) ** 2).sum().backward()
    assert torch.equal(network(x), apart(x))
    total = sum(apart.get_parameter(f"{name}.weight").grad for name in "abc")  # type: ignore[misc]
    torch.testing.assert_close(network.get_parameter("a.weight").grad, total)


def test_a_weight_read_at_two_widths_is_extracted_at_the_larger(randomised: Randomise) -> None:
    def twice(first: int, second: int) -> NetSpec:
        d = Draft(x=4)
        a = d.layer("a", Conv(3), d.layer("some", Slice(0, first), "x"))
        b = d.layer("b", Conv(3), d.layer("others", Slice(0, second), "x"), weights="a")
        return d.build(d.layer("sum", Add(), a, b))

    network = randomised(Network(twice(4, 1)).double())
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64)
    for sub in (twice(4, 1), twice(1, 3), twice(2, 2)):
        assert torch.equal(network.extract(sub)(x), network(x, sub))


def test_random_parts_of_random_networks(random_net: Callable[[int], NetSpec], randomised: Randomise) -> None:
    """A store grown by other networks leaves what a network computes as it was."""
    for seed in range(12):
        specs = [random_net(100 * seed + i) for i in range(4)]
        store = store_of(specs[0])
        for spec in specs[1:]:
            try:
                store = store.merge(store_of(spec))
            except ValueError:
                continue
        network = randomised(Network(store=store).double().eval(), seed)
        xs = (torch.randn(1, 2, 11, 10).double(), torch.randn(1, 1, 11, 10).double())
        inside, outside = network(xs, specs[0]), network.extract(specs[0])(xs)
        assert all(map(torch.equal, *(o if isinstance(o, tuple) else (o,) for o in (inside, outside))))


def test_loose_weights_run_as_the_network_does(randomised: Randomise) -> None:
    network = supernet(randomised)
    x = torch.randn(1, 3, 9, 7, dtype=torch.float64)
    for sub in SUBS.values():
        assert torch.equal(run(sub, network.weights(sub), (x,)), network(x, sub))


@pytest.mark.parametrize("name", ["espcn", "ecbsr_m4c8", "fsrcnn", "plain_4x16"])
def test_copies_pickles_and_state_dicts(name: str) -> None:
    network = Network(ZOO[name]())
    x = torch.rand(1, 1, 8, 8)
    y = network(x)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(x), y)
        assert other.spec == network.spec
    fresh = Network(ZOO[name]())
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh(x), y)
    assert set(network.weights()) == set(network.state_dict())


@pytest.mark.parametrize("name", ["espcn", "ecbsr_m4c8"])
def test_torch_can_export_a_network(name: str) -> None:
    network = Network(ZOO[name]()).eval()
    x = torch.rand(1, 1, 8, 8)
    program = torch.export.export(network, (x,))
    torch.testing.assert_close(program.module()(x), network(x))


def test_modules_are_torchs_own_under_their_paths() -> None:
    network = Network(ZOO["ecbsr_m4c8"]())
    assert type(network.get_submodule("b0.conv")) is torch.nn.Conv2d
    assert type(network.get_submodule("head_act")) is torch.nn.PReLU
    assert network.double().get_parameter("b0.conv.weight").dtype == torch.float64


def test_several_inputs_and_outputs() -> None:
    d = Draft(x=1, y=2)
    first = d.layer("a", ReLU(), "x")
    network = Network(d.build(first, d.layer("b", Conv(3), "y"), "x"))
    x, y = torch.randn(1, 1, 4, 4), torch.randn(1, 2, 4, 4)
    out = network((x, y))
    assert isinstance(out, tuple)
    assert torch.equal(out[0], x.relu())
    assert out[1].shape == (1, 3, 4, 4)
    assert out[2] is x


def test_what_does_not_fit_is_refused_by_name() -> None:
    network = Network(dense(4, 3, 1))
    with pytest.raises(ValueError, match=r"layer 'head' does not fit the shared weights: .* needs 6 entries"):
        network(torch.rand(1, 3, 8, 8), dense(6, 3, 1))
    with pytest.raises(ValueError, match=r"layer 'b1\.dw' reads weights 'b1\.dw', which this network does not hold"):
        network(torch.rand(1, 3, 8, 8), dense(4, 3, 2))
    with pytest.raises(ValueError, match="needs a spec, or a store"):
        Network()
    with pytest.raises(ValueError, match="say which sub-network to run"):
        Network(store=store_of(dense(4, 3, 1)))(torch.rand(1, 3, 8, 8))


def test_weights_that_are_not_a_networks_are_refused_by_name() -> None:
    spec = ZOO["espcn"]()
    weights = Network(spec).weights()
    assert torch.equal(
        from_weights(spec, weights)(torch.ones(1, 1, 8, 8)), run(spec, weights, (torch.ones(1, 1, 8, 8),))
    )
    for odd, message in (
        ({key: value for key, value in weights.items() if key != "conv2.bias"}, r"conv2\.bias.*the file has none"),
        ({**weights, "conv9.bias": torch.zeros(1)}, r"conv9\.bias: it needs shape none"),
        ({**weights, "conv1.bias": torch.zeros(3)}, r"shape \(64,\), the file has \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            from_weights(spec, odd)


def test_slots_that_differ_in_more_than_size_cannot_be_shared() -> None:
    def with_op(op: Conv | Linear | PReLU) -> Store:
        d = Draft(x=4)
        return store_of(d.build(d.layer("a", op, "x")))

    for one, other in (
        (Conv(4), Conv(4, groups=2)),
        (Conv(4), Conv(4, bias=False)),
        (PReLU(), PReLU(True)),
        (Conv(4), Linear(4)),
    ):
        with pytest.raises(ValueError, match=r"'a' cannot be shared.*different layer names"):
            with_op(one).merge(with_op(other))
    grown = with_op(Conv(4, 3, 2)).merge(with_op(Conv(2, 5, 1, pad=0)))
    assert grown.slots["a"].weights["weight"].shape == (4, 4, 5, 5)


def test_deployed_networks_keep_type_and_mode(randomised: Randomise) -> None:
    d = Draft(x=2)
    network = randomised(Network(d.build(d.layer("b", ecb_block(2, 3), "x"))).double())
    small = deployed(network)
    assert not small.training
    assert small.spec is not None
    assert small.spec.is_flat
    assert next(small.parameters()).dtype == torch.float64
    assert flatten(small.spec) is small.spec


def test_any_order_of_sub_networks_gives_the_same(randomised: Randomise) -> None:
    network, x = supernet(randomised), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    first = {name: network(x, sub) for name, sub in SUBS.items()}
    names = list(SUBS) * 3
    Random(0).shuffle(names)
    assert all(torch.equal(network(x, SUBS[name]), first[name]) for name in names)
