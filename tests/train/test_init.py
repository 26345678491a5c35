"""Laws of the initialization: signals keep their size through many layers, sums and outputs begin quietly."""

from __future__ import annotations

import pytest
import torch

from falconet.graph import Add, Conv, Draft, LeakyReLU, NetSpec, Op, PReLU, ReLU
from falconet.graph.network import Network
from falconet.spaces import Restoration, build, largest
from falconet.train.init import QUIET, fresh, msra


def chain(depth: int, slope: float = 0.1) -> NetSpec:
    d = Draft(x=16)
    y = "x"
    for i in range(depth):
        y = d.layer(f"act{i}", LeakyReLU(slope), d.layer(f"conv{i}", Conv(16), y))
    return d.build(y)


def restoration(kind: str) -> NetSpec:
    space = Restoration(width=(16,), depth=(3,), kind=(kind,), activation=("leaky_relu",))
    return build(space, largest(space))


def second_moment(spec: NetSpec, initialise: bool) -> float:
    torch.manual_seed(0)
    network = Network(spec)
    if initialise:
        msra(network, [spec])
    with torch.no_grad():
        output = network(torch.randn(4, 16, 24, 24))
    assert isinstance(output, torch.Tensor)
    return float(output.square().mean())


def test_thirty_layers_keep_the_size_of_signals_where_torchs_default_loses_it() -> None:
    kept = second_moment(chain(30), initialise=True) ** (1 / 30)  # a layer's factor; zero padding takes a little
    lost = second_moment(chain(30), initialise=False) ** (1 / 30)
    assert 0.85 < kept < 1.1
    assert lost < 0.8


def moments(activation: Op, slope: float) -> list[float]:
    """The mean square of what each of 30 convolutions gives; no padding, which would dilute it layer by layer."""
    d = Draft(x=64)
    y, made = "x", []
    for i in range(30):
        made.append(d.layer(f"conv{i}", Conv(64, pad=0), y))
        y = d.layer(f"act{i}", activation, made[-1])
    spec, watched = d.build(y), d.build(*made)
    torch.manual_seed(0)
    network = Network(spec)
    msra(network, [spec], slope)
    with torch.no_grad():
        outputs = network(torch.randn(1, 64, 64, 64), watched)
    assert isinstance(outputs, tuple)
    return [float(y.square().mean()) for y in outputs]


@pytest.mark.parametrize(
    ("activation", "slope"), [(ReLU(), 0.0), (PReLU(), 0.25), (LeakyReLU(0.1), 0.1)], ids=["relu", "prelu", "leaky"]
)
def test_every_one_of_thirty_layers_has_the_variance_of_the_first(activation: Op, slope: float) -> None:
    """He et al. 2015, section 2.2: with half (1 + a^2) n Var[w] = 1 the product over the layers is 1."""
    found = moments(activation, slope)
    assert all(found[0] / 5 < one < found[0] * 5 for one in found)
    assert (found[-1] / found[0]) ** (1 / 29) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(("activation", "slope"), [(ReLU(), 0.0), (PReLU(), 0.25)], ids=["relu", "prelu"])
def test_with_xaviers_each_layer_loses_half_of_it(activation: Op, slope: float) -> None:
    """Xavier's is that of linear layers: slope 1, std sqrt(1 / n)."""
    found = moments(activation, 1.0)
    assert (found[-1] / found[0]) ** (1 / 29) == pytest.approx((1 + slope**2) / 2, abs=0.04)
    assert found[-1] < 1e-6 * found[0]


def test_residual_networks_begin_near_their_skip() -> None:
    spec = restoration("residual")
    torch.manual_seed(0)
    network = Network(spec)
    msra(network, [spec])
    x = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        output = network(x)
    nearest = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert isinstance(output, torch.Tensor)
    assert 0 < float((output - nearest).abs().mean()) < 0.1


def test_layers_that_feed_sums_or_outputs_are_quiet_and_the_rest_is_not() -> None:
    spec = restoration("residual")
    torch.manual_seed(0)
    network = Network(spec)
    msra(network, [spec])
    stds = {name: float(p.detach().std()) for name, p in network.named_parameters() if name.endswith("weight")}
    loud = (2 / (1.01 * 16 * 9)) ** 0.5
    assert abs(stds["s0b0_residual.conv1.weight"] / loud - 1) < 0.1
    assert abs(stds["s0b0_residual.conv2.weight"] / (QUIET * loud) - 1) < 0.1
    assert abs(stds["tail_plain.conv.weight"] / (QUIET * loud) - 1) < 0.15
    assert all(float(p.detach().abs().max()) == 0 for name, p in network.named_parameters() if name.endswith("bias"))


def test_branches_that_merge_away_keep_torchs_default() -> None:
    spec = restoration("ecb")
    torch.manual_seed(0)
    default = {name: p.detach().clone() for name, p in Network(spec).named_parameters()}
    torch.manual_seed(0)
    network = Network(spec)
    msra(network, [spec])
    assert all(torch.equal(p, default[name]) for name, p in network.named_parameters())


@pytest.mark.parametrize("kind", ["plain", "residual"])
@pytest.mark.parametrize(("scale", "unshuffle"), [(2, 1), (1, 2)])
def test_a_network_with_a_skip_begins_blind_to_brightness(kind: str, scale: int, unshuffle: int) -> None:
    space = Restoration(
        scale=scale, unshuffle=(unshuffle,), width=(16,), depth=(2,), kind=(kind,), activation=("leaky_relu",)
    )
    network = fresh(build(space, largest(space)), 0)
    with torch.no_grad():
        output = network(torch.full((1, 1, 48, 48), 0.7))
    assert isinstance(output, torch.Tensor)
    middle = output[:, :, 20 * scale : -20 * scale, 20 * scale : -20 * scale]  # borders are padded with black
    assert float((middle - 0.7).abs().max()) < 1e-5


def test_each_part_of_what_a_head_sees_sums_to_zero() -> None:
    space = Restoration(scale=1, unshuffle=(2,), noise_map=True, width=(8,), depth=(1,), activation=("relu",))
    weight = fresh(build(space, largest(space)), 0).state_dict()["u2_head_plain.conv.weight"]
    picture, level = weight.split([4, 1], 1)
    for part in (picture, level):
        assert float(part.sum((1, 2, 3)).abs().max()) < 1e-6 < float(part.abs().max())


@pytest.mark.parametrize("why", ["no skip", "a 1x1"])
def test_heads_that_need_brightness_keep_it(why: str) -> None:
    d = Draft(x=1)
    y = d.layer("head", Conv(8, 1 if why == "a 1x1" else 3), "x")
    y = d.layer("tail", Conv(1), d.layer("act", ReLU(), y))
    network = fresh(d.build(y if why == "no skip" else d.layer("sum", Add(), y, "x")), 0)
    assert float(network.state_dict()["head.weight"].sum((1, 2, 3)).abs().max()) > 0.1


def test_the_size_that_a_picture_is_cropped_to_is_no_skip() -> None:
    space = Restoration(scale=1, unshuffle=(2,), skip=(False,), width=(8,), depth=(1,), kind=("plain",))
    weight = fresh(build(space, largest(space)), 0).state_dict()["u2_head_plain.conv.weight"]
    assert float(weight.sum((1, 2, 3)).abs().max()) > 0.1
