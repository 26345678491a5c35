"""Single Path One-Shot's space: the published counts, the laws of shared weights, and the layout for small pictures."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from random import Random

import pytest
import torch
from pydantic import ValidationError

from falconet.graph import Costs, NetSpec, Store, costs, count_params, flatten, store_of
from falconet.graph.network import Network, deployed
from falconet.graph.plan import compile_plan
from falconet.spaces import SPACES, Arch, Shuffle, build, is_ordered, largest, mutate, sample, size, smallest, union
from falconet.zoo.shuffle_blocks import KINDS
from falconet.zoo.shufflenet_v2 import SPOS_BLOCKS

SCALES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
SCALE_IDS = (6, 5, 3, 5, 2, 6, 3, 4, 2, 5, 7, 5, 4, 6, 7, 4, 4, 5, 4, 3)
REPOSITORY = (2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)
BLOCKS_ONLY = Shuffle(width=1.0)
SMALL = Shuffle(layout="cifar")


@lru_cache(maxsize=4)
def shared(space: Shuffle) -> Store:
    """The weights that the networks of a space share."""
    return union(space, Random(0))


def arch_of(blocks: tuple[int, ...], scales: tuple[int, ...] = ()) -> Arch:
    answers = {f"b{i}.kind": KINDS[block] for i, block in enumerate(blocks)}
    return Arch({**answers, **{f"b{i}.width": SCALES[scale] for i, scale in enumerate(scales)}})


def at_224(space: Shuffle, arch: Arch) -> Costs:
    return costs(build(space, arch), (224, 224))


@pytest.mark.parametrize(
    ("blocks", "mega_macs", "mega_params"),
    [
        ((0,) * 20, 295.8, 3.15),
        ((1,) * 20, 313.7, 3.21),
        ((2,) * 20, 340.4, 3.30),
        ((3,) * 20, 358.8, 3.87),
        (REPOSITORY, 322.9, 3.56),
        (SPOS_BLOCKS, 318.7, 3.35),
    ],
)
def test_block_architectures_cost_what_was_published(
    blocks: tuple[int, ...], mega_macs: float, mega_params: float
) -> None:
    ours = at_224(BLOCKS_ONLY, arch_of(blocks))
    assert ours.macs / 1e6 == pytest.approx(mega_macs, abs=0.05)
    assert ours.params / 1e6 == pytest.approx(mega_params, abs=0.006)


def test_the_papers_architecture_with_its_widths_costs_what_was_published() -> None:
    ours = at_224(Shuffle(), arch_of(SPOS_BLOCKS, SCALE_IDS))
    assert ours.macs / 1e6 == pytest.approx(327.9, abs=0.05)
    assert ours.params / 1e6 == pytest.approx(3.43, abs=0.005)


def test_the_size_of_the_space() -> None:
    for space, options in ((BLOCKS_ONLY, 4), (Shuffle(), 32), (Shuffle(kind="shuffle3"), 8)):
        found = size(space, draws=20)
        assert (found.count, found.exact) == (options**20, True)


def test_width_is_ordered_and_the_kind_is_not() -> None:
    low, high = smallest(SMALL), largest(SMALL, sample(SMALL, Random(0)))
    assert {low[f"b{i}.width"] for i in range(20)} == {0.2}
    assert {high[f"b{i}.width"] for i in range(20)} == {1.6}
    assert len({high[f"b{i}.kind"] for i in range(20)}) > 1
    assert is_ordered(SCALES)
    assert not is_ordered(KINDS)


def test_small_pictures_are_halved_twice_and_cost_at_most_15_million() -> None:
    """The costliest of each block's options, added up: no network of the layout costs more."""
    base = arch_of((0,) * 20, (0,) * 20)
    start = costs(build(SMALL, base), (32, 32)).macs
    most = start
    for i in range(20):
        options = product(KINDS, SCALES)
        ours = (
            costs(build(SMALL, {**base, f"b{i}.kind": kind, f"b{i}.width": width}), (32, 32)).macs
            for kind, width in options
        )
        most += max(ours) - start
    assert 10e6 < most <= 15e6
    strides = [
        getattr(layer.op, "stride", 1) for layer in flatten(build(SMALL, base)).layers if "proj" not in layer.name
    ]
    assert strides.count(2) == 2
    for arch in (sample(SMALL, Random(i)) for i in range(50)):
        assert costs(build(SMALL, arch), (32, 32)).macs <= most


def test_every_fresh_sample_fits_the_shared_weights() -> None:
    store = shared(SMALL)
    rng = Random(1)
    for _ in range(200):
        compile_plan(build(SMALL, sample(SMALL, rng)), store)
    # Nothing is made up: four branches a block at the largest width, and what all share.
    alike = [store_of(build(SMALL, arch_of((kind,) * 20, (7,) * 20))) for kind in range(4)]
    wanted = alike[0]
    for one in alike[1:]:
        wanted = wanted.merge(one)
    assert wanted.slots.keys() == store.slots.keys()
    assert all(wanted.slots[name] == slot for name, slot in store.slots.items())


def randomised(network: Network) -> Network:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif value.is_floating_point():
                value.add_(0.1 * torch.randn_like(value))
    return network


@pytest.mark.parametrize("affine", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_an_extract_is_the_supernets_network_with_its_gradients(affine: bool) -> None:
    space = Shuffle(layout="cifar", affine=affine)
    supernet = randomised(Network(store=shared(space)).double()).eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for seed in range(3):
        spec = build(space, sample(space, Random(seed)))
        alone = supernet.extract(spec)
        inside, outside = supernet(x, spec), alone(x)
        assert torch.equal(inside, outside)
        supernet.zero_grad()
        inside.square().sum().backward()
        outside.square().sum().backward()
        grads = {name: value.grad for name, value in supernet.named_parameters()}
        for name, value in alone.named_parameters():
            assert value.grad is not None
            part = grads[name]
            assert part is not None
            assert float(part.abs().sum()) == pytest.approx(float(value.grad.abs().sum()), rel=1e-9)
        with torch.no_grad():
            torch.testing.assert_close(deployed(alone)(x), outside, rtol=1e-9, atol=1e-9)


def test_another_branch_shares_nothing_and_a_narrower_one_reads_the_first_channels() -> None:
    supernet = Network(store=shared(SMALL))
    names = {name for name, _ in supernet.named_parameters()}
    for i, kind in product(range(20), KINDS):
        assert any(name.startswith(f"b{i}.{kind}.") for name in names)
    narrow = supernet.weights(build(SMALL, arch_of((1,) * 20, (0,) * 20)))
    wide = supernet.weights(build(SMALL, arch_of((1,) * 20, (7,) * 20)))
    few = narrow["b9.shuffle5.dw.weight"]
    assert torch.equal(few, wide["b9.shuffle5.dw.weight"][: len(few)])
    assert few.untyped_storage().data_ptr() == wide["b9.shuffle5.dw.weight"].untyped_storage().data_ptr()


def test_without_affine_norms_there_are_as_many_parameters_fewer() -> None:
    arch = arch_of(SPOS_BLOCKS)

    def spec(affine: bool) -> NetSpec:
        return build(Shuffle(width=1.0, affine=affine), arch)

    gains = sum(
        2 * slot.inputs[0][0][1] if len(slot.inputs[0]) == 1 else 2 * sum(count for _, count in slot.inputs[0])
        for slot in store_of(spec(True)).slots.values()
        if type(slot.op).__name__ == "BatchNorm"
    )
    assert count_params(spec(True)) - count_params(spec(False)) == gains
    assert costs(spec(True), (224, 224)).macs == costs(spec(False), (224, 224)).macs


def test_the_classes_and_the_answers_are_checked() -> None:
    for space, classes in ((SMALL, 10), (Shuffle(), 1000), (Shuffle(layout="cifar", classes=43), 43)):
        spec = build(space, smallest(space))
        assert flatten(spec).layers[-1].op.out == classes  # type: ignore[union-attr]
    for settings, message in (
        ({"width": ()}, "at least one option"),
        ({"width": (1.0, 0.4)}, "must ascend"),
        ({"kind": ("shuffle3", "shuffle3")}, "each once"),
        ({"kind": "shuffle9"}, "shuffle3"),
        ({"classes": 1}, "greater than or equal to 2"),
        ({"layout": "mnist"}, "imagenet"),
    ):
        with pytest.raises(ValidationError, match=message):
            Shuffle(**settings)
    assert SPACES["shuffle"] is Shuffle


def test_mutation_keeps_to_the_space() -> None:
    rng = Random(0)
    arch = sample(SMALL, rng)
    for _ in range(50):
        other = mutate(SMALL, arch, rng)
        assert other != arch
        build(SMALL, other)
        arch = other
