"""The space below a network: what its members are, that they share its weights, what it refuses."""

from random import Random

import pytest
import torch

from falconet.errors import UserError
from falconet.graph import costs
from falconet.graph.network import Network
from falconet.spaces import build, largest, sample, smallest, union
from falconet.spaces.below import Below, below, works_coarsely
from falconet.zoo import ZOO, dncnn_17, vdsr


def space(factor: int = 1) -> Below:
    return Below(dncnn_17(), (0.125, 0.25, 0.5), ((3, 9, 15),), factor)


def test_the_network_itself_is_its_largest() -> None:
    whole = Below(dncnn_17(), (0.5, 1.0), ((5, 15),))
    assert [layer.op for layer in build(whole, largest(whole)).layers] == [layer.op for layer in dncnn_17().layers]


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_members_share_one_set_of_weights(factor: int) -> None:
    network = Network(store=union(space(factor), Random(0), quiet=20))
    rng = Random(1)
    for _ in range(5):
        spec = build(space(factor), sample(space(factor), rng))
        with torch.no_grad():
            made = network(torch.rand(1, 1, 13, 11), spec)
        assert isinstance(made, torch.Tensor) and made.shape == (1, 1, 13, 11)  # no multiple of anything
    assert costs(build(space(), smallest(space())), (9, 9)).macs < costs(build(space(), largest(space())), (9, 9)).macs


def test_vdsr_at_the_size_of_the_small_picture() -> None:
    """What is quoted everywhere: of a hundred times, four are VDSR's enlarging first."""
    full, coarse = costs(vdsr(2), (360, 640)).macs, costs(below(vdsr(2), 1.0, (18,), 2), (360, 640)).macs
    assert round(full / 1e9, 1) == 612.6
    assert coarse == 9 * (4 * 64 + 18 * 64 * 64 + 64 * 4) * 360 * 640
    assert round(coarse / 1e9) == 154
    with torch.no_grad():
        made = Network(below(vdsr(3), 0.125, (4,), 3))(torch.rand(1, 1, 7, 5))
    assert isinstance(made, torch.Tensor) and made.shape == (1, 1, 21, 15)


def test_which_networks_can_work_coarsely() -> None:
    names = ("srcnn", "vdsr", "dncnn_17", "espcn", "ffdnet", "carn")
    assert [name for name in names if works_coarsely(ZOO[name]())] == ["srcnn", "vdsr", "dncnn_17"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (((), ((3,),), 1), "width must be shares above 0"),
        (((0.5, 1.5), ((3,),), 1), "width must be shares above 0"),
        (((0.5,), (), 1), r"blocks must have a list of numbers for each run that repeats \(1 to 15\)"),
        (((0.5,), ((3, 16),), 1), "blocks must have a list"),
    ],
)
def test_what_makes_no_space_is_told(settings: tuple[object, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Below(dncnn_17(), *settings)  # type: ignore[arg-type]


def test_a_network_that_cannot_be_made_smaller_is_told() -> None:
    with pytest.raises(UserError, match="no width that could be made smaller"):
        Below(ZOO["shufflenet_v1_g2"](), (0.5,), ((1,), (1,), (1,)))
    with pytest.raises(UserError, match="factor must be 1"):
        Below(ZOO["espcn"](), (0.5,), (), 2)
