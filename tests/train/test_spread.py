"""Laws of a supernet that begins with one kind of block: the other kinds begin as the same function."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch import Tensor

from falconet.errors import UserError
from falconet.graph.network import Network
from falconet.spaces import Arch, Kinds, Shuffle, build, sample, union
from falconet.train.spread import spread

WIDTHS = (0.6, 1.0)


def begun(space: Shuffle) -> Network:
    """A supernet of the space whose weights and gains are far from how they begin, spread over the kinds."""
    torch.manual_seed(0)
    network = Network(store=union(space, Random(0)))
    for name, value in network.named_parameters():
        if name.endswith("_norm.weight"):
            torch.nn.init.uniform_(value, 0.5, 1.5)
    spread(network, space.begins_as)
    return network.train()


def output(network: Network, space: Shuffle, kind: str) -> Tensor:
    widths = {f"b{i}.width": WIDTHS[i % 2] for i in range(20)}
    spec = build(space, Arch({**{f"b{i}.kind": kind for i in range(20)}, **widths}))
    small = network.extract(spec).train()  # by the batch's own statistics
    torch.manual_seed(1)  # for dropout too
    with torch.no_grad():
        found = small((torch.rand(4, 3, 32, 32),))
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("kind", ["shuffle5", "shuffle7"])
def test_larger_kernels_begin_as_the_same_function(kind: str) -> None:
    space = Shuffle(layout="cifar", width=WIDTHS)
    network = begun(space)
    assert torch.allclose(output(network, space, kind), output(network, space, "shuffle3"), atol=1e-4)


def test_the_deeper_branch_begins_with_the_same_weights_and_layers_that_pass_their_input_on() -> None:
    space = Shuffle(layout="cifar", width=WIDTHS)
    weights = begun(space).state_dict()
    for theirs, ours in (("pw1", "pw1"), ("dw", "dw2"), ("pw2", "pw3"), ("dw_norm", "dw2_norm")):
        assert torch.equal(weights[f"b3.shuffle3.{theirs}.weight"], weights[f"b3.xception.{ours}.weight"])
    x = torch.rand(2, weights["b3.xception.pw2.weight"].shape[0], 5, 5)
    assert torch.equal(torch.nn.functional.conv2d(x, weights["b3.xception.pw2.weight"]), x)
    passing = weights["b3.xception.dw1.weight"]
    x = torch.rand(2, passing.shape[0], 5, 5)
    assert torch.equal(torch.nn.functional.conv2d(x, passing, padding=1, groups=passing.shape[0]), x)


def test_without_spreading_the_kinds_are_unrelated() -> None:
    space = Shuffle(layout="cifar", width=WIDTHS)
    torch.manual_seed(0)
    network = Network(store=union(space, Random(0)))
    assert not torch.allclose(output(network, space, "shuffle5"), output(network, space, "shuffle3"), atol=0.1)


def test_the_one_kind_reads_weights_that_the_whole_space_has_and_moves_no_others() -> None:
    space = Shuffle(layout="cifar", width=WIDTHS)
    assert isinstance(space, Kinds)
    whole, alone = union(space, Random(0)), union(space.one_kind(), Random(0))
    assert set(alone.slots) < set(whole.slots)
    assert all(space.begins_as(name) is None for name in alone.slots)
    spec = build(space.one_kind(), sample(space.one_kind(), Random(2)))
    assert Network(store=whole).extract(spec).spec == spec


def test_a_space_without_the_kind_says_so() -> None:
    with pytest.raises(UserError, match=r"shuffle3 alone, but space.kind is \['shuffle5', 'xception'\]"):
        Shuffle(kind=("shuffle5", "xception")).one_kind()
