"""A space as a chain of places: what decisions change is found, the pieces make up the whole, the rest is refused."""

from __future__ import annotations

from random import Random

import pytest
import torch

from falconet.errors import UserError
from falconet.graph import Conv, Draft, NetSpec, ReLU, costs
from falconet.graph.network import Network, piece
from falconet.spaces import Fbnet, NasBench201, Pick, Restoration, Shuffle, Space, draw, union
from falconet.spaces.places import Branch, Place, places

SIZE = (32, 32)
SPACES = {
    "shuffle, block search": Shuffle(layout="cifar", width=1.0),
    "shuffle, block and channel search": Shuffle(layout="cifar", width=(0.4, 1.0), kind=("shuffle3", "xception")),
    "fbnet, where a skip is no layer": Fbnet(),
}


def taken(place: Place, arch: dict[str, object]) -> Branch:
    return next(one for one in place.branches if all(arch[name] == option for name, option in one.answers.items()))


@pytest.mark.parametrize("name", SPACES)
def test_the_branches_of_an_architecture_are_the_network_and_cost_as_much(name: str) -> None:
    space, rng = SPACES[name], Random(1)
    chain = places(space, SIZE)
    torch.manual_seed(0)
    network = Network(store=union(space, Random(0), quiet=100)).eval()
    first = chain[0].branches[0].macs
    for _ in range(5):
        arch, spec = draw(space, rng)
        branches = [taken(place, dict(arch)) for place in chain]
        assert first + sum(branch.macs - first for branch in branches) == costs(spec, SIZE).macs
        x = torch.rand(2, 3, *SIZE)
        whole = network(x, spec)
        for branch in branches:
            x = x if branch.spec is None else piece(network, branch.spec, branch.reads, x)
        assert torch.equal(x, whole)


def test_decisions_at_one_place_make_one_place_with_all_combinations() -> None:
    chain = places(SPACES["shuffle, block and channel search"], SIZE)
    assert [len(place.branches) for place in chain] == [1] + [4] * 20 + [1]
    assert {tuple(branch.answers) for branch in chain[3].branches} == {("b2.kind", "b2.width")}


def wide(pick: Pick) -> NetSpec:
    d = Draft(x=3)
    return d.build(d.chain([("a", Conv(pick("width", (8, 16)))), ("b", Conv(4))], "x"))


def deep(pick: Pick) -> NetSpec:
    d, y = Draft(x=3), "x"
    for i in range(pick("depth", (1, 2))):
        y = d.layer(f"a{i}", Conv(pick(f"a{i}.out", (3, 4)) and 3), y)
    return d.build(y)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (NasBench201(cells=1), "may change one block"),
        (wide, "what the next one reads"),
        (deep, "always asked"),
        (Restoration(width=(8, 16)), "chain of blocks with one input"),
    ],
)
def test_a_space_of_another_form_is_refused_with_a_reason(space: Space, words: str) -> None:
    with pytest.raises(UserError, match=words):
        places(space, SIZE)


def test_a_decision_without_any_effect_is_a_place_where_nothing_is_computed() -> None:
    def idle(pick: Pick) -> NetSpec:
        pick("idle", (1, 2))
        d = Draft(x=3)
        return d.build(d.chain([("a", Conv(3)), ("act", ReLU())], "x"))

    chain = places(idle, SIZE)
    assert [len(place.branches) for place in chain] == [2, 1, 1]
    assert [branch.spec for branch in chain[0].branches] == [None, None]


def test_a_block_that_may_be_left_out_at_the_end() -> None:
    def short(pick: Pick) -> NetSpec:
        d = Draft(x=3)
        y = d.layer("a", Conv(3), "x")
        return d.build(d.layer("b", Conv(3), y) if pick("b", (False, True)) else y)

    last = places(short, SIZE)[-1]
    assert [branch.spec is None for branch in last.branches] == [True, False]
    assert last.branches[1].macs == 2 * last.branches[0].macs
