"""The published cell spaces: costs as published, digits, and what is left out of a cell."""

import pytest

from falconet.errors import UserError
from falconet.graph import costs, infer_shapes
from falconet.graph.spec import input_shapes
from falconet.spaces import build, every, sample, size
from falconet.spaces.fbnet import BLOCKS, Fbnet
from falconet.spaces.nb201 import NasBench201, cell, from_digits, live_edges, one_cell, to_digits

# Digits, M MACs and M parameters as published: the extremes (Dong and Yang 2020, Dong et al. 2021), the best network on
# CIFAR-10's test set after 200 epochs, and a common find of searches.
PUBLISHED = {
    "333333": (220.12, 1.5315),
    "000000": (7.78, 0.0733),
    "332133": (153.27, 1.0735),
    "333133": (184.73, 1.2885),
}


@pytest.mark.parametrize("digits", PUBLISHED)
def test_costs_are_the_published_ones(digits):
    found = costs(build(NasBench201(), from_digits(digits)), (32, 32))
    assert (round(found.macs / 1e6, 2), round(found.params / 1e6, 4)) == PUBLISHED[digits]


def test_there_are_15625_and_digits_name_them():
    assert size(one_cell).count == 15_625
    seen = {to_digits(arch) for arch in every(one_cell)}
    assert len(seen) == 15_625 and all(to_digits(from_digits(digits)) == digits for digits in sorted(seen)[::500])


def test_what_carries_nothing_is_left_out():
    assert live_edges(("conv3", "none", "none", "skip", "none", "conv1")) == (3,)
    assert live_edges(("conv3",) * 3 + ("none",) * 3) == ()
    for dead, alive in (("300100", "000100"), ("000103", "000100"), ("333000", "000000")):
        ops = tuple(from_digits(dead).values()), tuple(from_digits(alive).values())
        assert cell(ops[0], 16).digest == cell(ops[1], 16).digest
    assert (
        cell(tuple(from_digits("100020").values()), 16).digest != cell(tuple(from_digits("000200").values()), 16).digest
    )


def test_networks_run_and_a_dead_cell_gives_a_constant():
    import torch

    from falconet.graph.network import Network

    space = NasBench201(width=4, cells=1)
    for digits in ("412312", "300100", "111111"):
        network = Network(build(space, from_digits(digits))).eval()
        x = torch.rand(2, 3, 9, 13, generator=torch.Generator().manual_seed(0))
        y = network(x)
        assert y.shape == (2, 10) and not torch.equal(y[0], y[1])
    dead = Network(build(space, from_digits("333000"))).eval()
    assert torch.allclose(dead(x)[0], dead(x)[1])


@pytest.mark.parametrize("digits", ["33312", "333125", "33312a", ""])
def test_digits_that_mean_nothing_are_refused(digits):
    with pytest.raises(UserError, match="six digits from 0 to 4, such as 333123"):
        from_digits(digits)
    with pytest.raises(UserError, match=r"not an architecture of NAS-Bench-201.*e10, e20"):
        to_digits({"e10": "conv5"})


def test_fbnet_networks_take_pictures_and_make_classes():
    from random import Random

    space = Fbnet(classes=10)
    for kind in BLOCKS:
        spec = build(space, {f"b{layer}": kind for layer in range(22)})
        assert infer_shapes(spec, input_shapes(spec, (32, 32)))[spec.outputs[0]].channels == 10
    assert size(space).count == 9**22
    assert costs(build(space, sample(space, Random(0))), (32, 32)).macs > 1e6
