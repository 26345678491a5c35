"""ESR-EA's space: parameters and multiplications by the published formulas, and its structural anchor."""

from collections.abc import Iterator
from itertools import product
from random import Random

import pytest
import torch
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.evaluate import Budget
from falconet.graph import Costs, NetSpec, costs, count_params, flatten
from falconet.graph.network import Network
from falconet.graph.plan import compile_plan
from falconet.search import Feasible, feasible_sample
from falconet.spaces import Arch, Dense, build, largest, sample, smallest, union
from falconet.spaces.dense import Kind, dense_block

AT_720P = (360, 640)  # becomes 1280x720 at x2
OPTIONS = [(c, g, o) for c, g, o in product((4, 6, 8), (8, 16, 24, 32), (8, 16, 24, 32)) if o >= g]


def kernels(spec: NetSpec) -> int:
    """Learned values without biases."""
    return sum(value.numel() for value in Network(spec).weights().values() if value.dim() == 4)


def published(kind: Kind, c: int, g: int, o: int) -> float:
    """The formulas of ESR-EA's code."""
    if kind == "G":
        return 9 * g**2 * (3.5 + (c + 4) * (c - 3) / 8) + (c + 1) * g * o
    return g**2 * (9 * c + 0.5 * (c + 2) * (c - 1)) + (c + 1) * g * o / (4 if kind == "C" else 1)


def ends(inp: int, g: int, o: int) -> int:
    """The 1x1 convolutions that fit channels: in front, and beside the block."""
    return (inp * g if inp != g else 0) + (inp * o if o not in (inp, g) else 0)


@pytest.mark.parametrize("kind", ["S", "G", "C"])
def test_parameters_are_the_published_ones(kind: Kind) -> None:
    for (c, g, o), inp in product(OPTIONS, (16, 32)):
        assert kernels(dense_block(kind, inp, c, g, o)) == published(kind, c, g, o) + ends(inp, g, o)


@pytest.mark.parametrize("kind", ["S", "G", "C"])
def test_multiplications_are_parameters_at_the_small_size_but_for_contextual_ones(kind: Kind) -> None:
    for (c, g, o), inp in product(OPTIONS, (16, 32)):
        a_pixel = costs(dense_block(kind, inp, c, g, o), (8, 8)).macs / 64
        if kind == "C":  # 3x3 three times at a quarter of the pixels, 1x1 once there
            inner = 3 * 9 * c * g**2 + 0.5 * (c + 2) * (c - 1) * g**2
            assert a_pixel == inner / 4 + (c + 1) * g * o / 4 + ends(inp, g, o)
        else:
            assert a_pixel == published(kind, c, g, o) + ends(inp, g, o)


def test_a_contextual_block_uses_one_convolution_three_times() -> None:
    spec = dense_block("C", 16, 4, 16, 16)
    slots = [layer.slot for layer in spec.layers if layer.name.startswith("conv2")]
    assert slots == ["conv2"] * 3
    network = Network(spec)
    x = torch.rand(1, 16, 8, 8)
    network(x).sum().backward()  # type: ignore[union-attr]
    assert sum(name.startswith("conv") for name in network.state_dict()) == 2 * 4


def test_what_is_added_fits() -> None:
    """The input itself, the convolved input, or a 1x1 of the input."""

    def added(inp: int, g: int, o: int) -> str:
        return dense_block("S", inp, 4, g, o).layers[-1].inputs[1]

    assert [added(16, 16, 16), added(16, 8, 16), added(32, 16, 16), added(16, 8, 24)] == ["x", "x", "enter", "skip"]


@pytest.mark.parametrize("kind", ["S", "G", "C"])
def test_blocks_take_odd_pictures(kind: Kind) -> None:
    block = Network(dense_block(kind, 16, 4, 8, 24))
    y = block(torch.rand(2, 16, 7, 5))
    assert isinstance(y, torch.Tensor) and y.shape == (2, 24, 7, 5)


@pytest.mark.parametrize(("scale", "colour"), [(2, "rgb"), (3, "luma"), (4, "rgb")])
def test_networks_enlarge(scale: int, colour: str) -> None:
    space = Dense(scale=scale, colour=colour)
    for seed in range(3):
        network = Network(build(space, sample(space, Random(seed))))
        with torch.no_grad():
            y = network(torch.rand(1, space.channels, 5, 6))
        assert isinstance(y, torch.Tensor) and y.shape == (1, space.channels, 5 * scale, 6 * scale)


def test_sixteen_to_twenty_blocks_are_on() -> None:
    space = Dense()

    def blocks(arch: Arch) -> int:
        return len(
            [layer for layer in build(space, arch).layers if layer.name.startswith("b") and layer.name != "body"]
        )

    assert blocks(smallest(space)) == 16 and blocks(largest(space)) == 20
    met = {blocks(sample(space, Random(seed))) for seed in range(60)}
    assert met == {16, 17, 18, 19, 20}
    arch = sample(space, Random(3))
    assert all(f"b{gene}.kind" in arch for gene in range(20))  # genes that are off keep their block


def counted(spec: NetSpec) -> Costs:
    return costs(spec, AT_720P)


def nets_in(budget: Budget, number: int) -> Iterator[tuple[Arch, Costs]]:
    space = Dense()

    def count(spec: NetSpec) -> dict[str, float]:
        found = counted(spec)
        return {"params": found.params, "macs": found.macs}

    feasible, rng = Feasible(space, budget, count), Random(0)
    for _ in range(number):
        arch = feasible_sample(space, feasible, rng)
        yield arch, counted(build(space, arch))


def test_networks_of_the_published_size_cost_what_is_published() -> None:
    """ESRN-V has 324 K parameters and 73.4 GMACs. Without contextual blocks every kernel value is used once a pixel of
    the small picture, the last convolution four times; with them, a network of that size costs less, never more."""
    for arch, found in nets_in(Budget(params="315K..325K"), 3):
        spec = build(Dense(), arch)
        most = (kernels(spec) + 3 * 9 * 24 * 3) * 360 * 640
        contextual = any(layer.name.endswith("_C") for layer in spec.layers)
        assert found.macs < most if contextual else found.macs == most
        assert 0.7 * 73.4e9 < found.macs < 1.02 * 73.4e9


ANCHOR = """
    G_4_16_32 G_4_16_16 S_6_8_16 S_4_24_24 G_4_8_24 C_4_8_24 G_4_16_24 G_6_24_32 G_6_8_8
    G_6_24_24 G_6_8_8 G_6_16_24 S_4_16_16 C_4_16_24 S_4_24_32 S_6_8_24 G_4_8_16
""".split()  # noqa: SIM905


def arch_of(blocks: list[str]) -> Arch:
    """The architecture with these blocks, T_c_g_o, in its first places, the others off."""
    answers: dict[str, object] = {"active": len(blocks)}
    for gene, (kind, *numbers) in enumerate(block.split("_") for block in [*blocks, *["S_4_8_8"] * (20 - len(blocks))]):
        convs, growth, out = map(int, numbers)
        answers |= {f"b{gene}.kind": kind, f"b{gene}.convs": convs, f"b{gene}.growth": growth}
        answers |= {f"b{gene}.active": 1} if gene < len(blocks) < 20 else {}
        answers |= {f"b{gene}.g{growth}.out": out} if growth < 32 else {}
    return Arch.from_json(answers)


def test_a_network_of_the_space_has_exactly_the_published_size() -> None:
    """Of 17 blocks, biases counted: 324 K parameters, 73.4 GMACs."""
    spec = build(Dense(), arch_of(ANCHOR))
    assert count_params(spec) == counted(spec).params == 324_051
    assert counted(spec).macs == 73_381_478_400


def test_every_sample_fits_the_shared_weights() -> None:
    space = Dense(genes=4, least_active=2, growth=(8, 16), convs=(4, 6))
    store = union(space, Random(0))
    for seed in range(100):
        compile_plan(build(space, sample(space, Random(seed))), store)


def test_sharing_equals_extracting() -> None:
    space = Dense(genes=3, least_active=2, growth=(8, 16), convs=(4, 6), width=16, colour="luma")
    torch.manual_seed(0)
    supernet = Network(store=union(space, Random(0)))
    for seed in range(4):
        spec = build(space, sample(space, Random(seed)))
        x = torch.rand(1, 1, 6, 5)
        with torch.no_grad():
            assert torch.equal(supernet(x, spec), supernet.extract(spec)(x))


def test_nothing_is_merged_away() -> None:
    spec = build(Dense(), smallest(Dense()))
    assert counted(spec).params == count_params(spec)
    assert len({layer.slot for layer in flatten(spec).layers}) <= len(flatten(spec).layers)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"growth": (12,)}, "multiple of 8"),
        ({"convs": (6, 4)}, "must ascend"),
        ({"kinds": ()}, "at least one"),
        ({"genes": 3}, "only 3 genes"),
        ({"scale": 1}, "2, 3 or 4"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Dense.model_validate(wrong)


def test_blocks_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="no narrower"):
        dense_block("S", 16, 4, 16, 8)
