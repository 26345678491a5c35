"""The restoration space: unshuffled input, noise map, skip. Costs by hand, sharing, any picture size."""

from random import Random

import pytest
import torch
from pydantic import ValidationError

from falconet.graph import costs, reach
from falconet.graph.network import Network, deployed
from falconet.spaces import Restoration, build, every, largest, sample, smallest, union

SMALL = {"scale": 1, "width": (4, 8), "depth": (1, 2), "kind": ("residual", "gated", "ecb"), "activation": "relu"}


@pytest.mark.parametrize(("factor", "expected"), [(1, 9 * 8 * 2 + 9 * 64 * 2), (2, (9 * 8 * 4 * 2 + 9 * 64 * 2) / 4)])
def test_multiply_accumulates_a_pixel_by_hand(factor: int, expected: float) -> None:
    """Head and tail, and one residual block of two convolutions; 4 channels at half resolution."""
    space = Restoration(scale=1, colour="grey", width=8, depth=1, kind="residual", activation="relu", unshuffle=factor)
    assert costs(build(space, largest(space)), (48, 60)).macs == expected * 48 * 60


def test_a_gated_block_by_hand() -> None:
    """out(value(x) * clip(gate(x))) + x: three convolutions, and no activation but the head's."""
    space = Restoration(scale=1, colour="grey", width=4, depth=1, kind="gated", activation="relu", skip=False)
    spec = build(space, largest(space))
    assert costs(spec, (5, 7)).macs == (9 * 4 * 2 + 3 * 9 * 16) * 5 * 7
    torch.manual_seed(0)
    network, x = Network(spec), 9 * torch.rand(1, 1, 5, 7)
    weights = dict(network.state_dict())

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        return torch.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    head, block = conv("head_plain.conv", x).relu(), "s0b0_gated"
    y = head + conv(f"{block}.out", conv(f"{block}.value", head) * conv(f"{block}.gate", head).clamp(-1, 1))
    torch.testing.assert_close(network((x,)), conv("tail_plain.conv", y))


def test_gated_networks_grow_no_faster_than_what_comes_in() -> None:
    """The gate is held, so a block is linear at most; ten free products would be of degree 1,024."""
    space = Restoration(scale=1, colour="grey", width=8, depth=10, kind="gated", activation="relu")
    torch.manual_seed(0)
    network, x = Network(build(space, largest(space))), torch.rand(1, 1, 9, 9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter *= 2
        large, larger = network((1e3 * x,)).abs().max(), network((1e6 * x,)).abs().max()
    assert larger < 1e3 * large * 1.5


def test_gated_stages_decide_an_activation_for_the_head_alone() -> None:
    """A decision that changes nothing would make two architectures of one network."""
    space = Restoration(width=(4, 8), depth=(1, 2), kind="gated", activation=("relu", "hardswish"), stages=2)
    archs = list(every(space))
    assert len(archs) == 2 * 2 * 2 * 2 * 2
    assert len({build(space, arch) for arch in archs}) == len(archs)


def test_multiply_accumulates_of_an_enlarging_network_at_half_resolution() -> None:
    """Head of 4 channels, two plain blocks, a tail that makes 16 channels out of which come 4 pixels by 4 of output."""
    space = Restoration(scale=2, width=32, depth=2, kind="plain", activation="relu", unshuffle=2)
    expected = 9 * (4 * 32 + 2 * 32 * 32 + 32 * 16) / 4
    assert costs(build(space, largest(space)), (48, 60)).macs == expected * 48 * 60


@pytest.mark.parametrize("noise_map", [False, True])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
def test_networks_take_pictures_of_any_size(colour: str, noise_map: bool) -> None:
    space = Restoration(colour=colour, noise_map=noise_map, unshuffle=(1, 2, 3, 4), **SMALL)
    channels = 1 if colour == "grey" else 3
    x = torch.rand(2, channels, 23, 17)
    for seed in range(12):
        spec = build(space, sample(space, Random(seed)))
        xs = (x, torch.rand(2, 1, 23, 17)) if noise_map else (x,)
        assert Network(spec)(xs).shape == x.shape


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize("colour", ["luma", "rgb"])
def test_enlarging_networks_take_pictures_of_any_size(colour: str, scale: int) -> None:
    """Without weights every pixel is repeated, whatever the resolution the network works at."""
    space = Restoration(**{**SMALL, "scale": scale, "colour": colour, "unshuffle": (1, 2, 3)})
    x = torch.rand(1, space.channels, 23, 17)
    for seed in range(6):
        network = Network(build(space, sample(space, Random(seed))))
        assert network((x,)).shape == (1, space.channels, 23 * scale, 17 * scale)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        assert torch.equal(network((x,)), x.repeat_interleave(scale, -1).repeat_interleave(scale, -2))


def test_without_weights_the_picture_comes_out_as_it_went_in() -> None:
    for factor in (1, 2, 4):
        space = Restoration(colour="grey", unshuffle=factor, **SMALL)
        network = Network(build(space, smallest(space)))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        x = torch.rand(1, 1, 21, 34)
        assert torch.equal(network((x,)), x)


@pytest.mark.parametrize("scale", [1, 2])
def test_every_network_is_an_exact_part_of_the_supernet(scale: int) -> None:
    space = Restoration(**{**SMALL, "scale": scale}, colour="grey", noise_map=True, unshuffle=(1, 2))
    torch.manual_seed(0)
    supernet = Network(store=union(space, Random(0)))
    xs = torch.rand(1, 1, 13, 18), torch.rand(1, 1, 13, 18)
    for arch in list(every(space))[::3]:
        spec = build(space, arch)
        extract = supernet.extract(spec)
        assert torch.equal(supernet(xs, spec), extract(xs))
        assert torch.allclose(deployed(extract)(xs), extract(xs), atol=1e-5)


def test_factors_share_no_weights() -> None:
    one, two = (union(Restoration(colour="grey", unshuffle=factor, **SMALL), Random(0)) for factor in (1, 2))
    both = union(Restoration(colour="grey", unshuffle=(1, 2), **SMALL), Random(0))
    assert not one.slots.keys() & two.slots.keys()
    assert both.slots.keys() == one.slots.keys() | two.slots.keys()


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_tiles_stay_in_step(factor: int) -> None:
    """A tile that begins at a multiple of the factor, with the margin of `reach`, computes what the whole does."""
    space = Restoration(colour="grey", unshuffle=factor, **SMALL)
    torch.manual_seed(0)
    network = Network(build(space, largest(space))).eval()
    margin = reach(build(space, largest(space)))
    x = torch.rand(1, 1, 12 * factor + 2 * margin, 40)
    with torch.no_grad():
        whole, tile = network((x,)), network((x[:, :, 12 * factor - 4 * factor :],))
    assert margin % factor == 0
    torch.testing.assert_close(whole[:, :, 8 * factor + margin :], tile[:, :, margin:])


def test_mistakes() -> None:
    with pytest.raises(ValidationError, match="with unshuffle above 1, only the upsampler pixel_shuffle"):
        Restoration(unshuffle=(1, 2), upsampler=("pixel_shuffle", "nearest_conv"))
    with pytest.raises(ValidationError, match="options must ascend"):
        Restoration(scale=1, unshuffle=(2, 1))
