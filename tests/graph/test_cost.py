"""Costs against torch's own counter, against values worked by hand, and against themselves."""

from collections.abc import Callable
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from falconet.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    Costs,
    DepthwiseConv,
    Draft,
    Flatten,
    GlobalAvgPool,
    Identity,
    LeakyReLU,
    Linear,
    MaxPool,
    NetSpec,
    Op,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    Repeat,
    Resize,
    TransposedConv,
    costs,
    count_params,
    flatten,
    infer_shapes,
    layer_costs,
    merged,
    reach,
)
from falconet.graph.network import Network, deployed
from falconet.graph.shape import Shape, plain
from falconet.spaces import Restoration, build, decisions, is_ordered, sample
from falconet.zoo import DENOISING, SUPER_RESOLUTION, ZOO, ecb_block, residual_block

Randomise = Callable[..., Network]
SPACE = Restoration(
    scale=2, stages=2, width=(8, 12, 16), depth=(1, 2, 3), kernel=(3, 5), upsampler=("pixel_shuffle", "nearest_conv"),
    skip=(False, True),
)  # fmt: skip


def counted_by_torch(network: Network, *size: int) -> int:
    assert network.spec is not None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(tuple(torch.zeros(1, i.channels, *size) for i in network.spec.inputs))
    return int(counter.get_total_flops()) // 2


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1_000_000))
def test_random_networks_cost_what_torch_counts(seed: int, random_net: Callable[[int], NetSpec]) -> None:
    spec = random_net(seed)
    assert costs(spec, (12, 9)).macs == counted_by_torch(deployed(Network(spec)), 12, 9)
    assert costs(spec, (12, 9)) == costs(flatten(spec), (12, 9))
    assert costs(spec, (12, 9)) == costs(merged(spec), (12, 9))
    network, small = Network(spec), Network(merged(spec))
    assert count_params(spec) == sum(p.numel() for p in network.parameters())
    assert costs(spec, (12, 9)).params == sum(p.numel() for p in small.parameters())
    assert costs(spec, (12, 9)).peak_activation_bytes == 4 * most_held(merged(spec), (12, 9))


def most_held(spec: NetSpec, size: tuple[int, int]) -> int:
    """The most values at once, the slow way: at each layer of the flat network, all that it or a later one reads."""
    flat = flatten(spec)
    shapes = infer_shapes(flat, tuple(Shape(plain(i.channels), *size) for i in flat.inputs))
    made = [i.name for i in flat.inputs]
    most = 0
    for number in range(len(flat.layers) + 1):
        later = {name for layer in flat.layers[number:] for name in layer.inputs} | set(flat.outputs)
        held = [name for name in made if name in later]
        if number < len(flat.layers):
            held.append(flat.layers[number].name)
            made.append(flat.layers[number].name)
        most = max(most, sum(shapes[name].values for name in held))
    return most


@pytest.mark.parametrize("name", [*SUPER_RESOLUTION, *DENOISING])  # classifiers: tests/zoo/test_classifiers.py
def test_the_zoo_costs_what_torch_counts(name: str) -> None:
    spec = ZOO[name]()
    assert costs(spec, (10, 12)).macs == counted_by_torch(deployed(Network(spec)), 10, 12)


def test_sampled_networks_cost_what_torch_counts() -> None:
    rng = Random(0)
    for _ in range(15):
        spec = build(SPACE, sample(SPACE, rng))
        small = deployed(Network(spec))
        ours = costs(spec, (9, 11))
        assert ours.macs == counted_by_torch(small, 9, 11)
        assert ours.params == sum(p.numel() for p in small.parameters())


def test_a_classifier_costs_what_torch_counts() -> None:
    d = Draft(x=3)
    y = d.chain([("stem", Conv(8, 3, 2, bias=False)), ("norm", BatchNorm()), ("act", ReLU()), ("pool", MaxPool())], "x")
    y = d.layer("block", residual_block(8), y)
    y = d.chain([("mean", GlobalAvgPool()), ("flat", Flatten()), ("classes", Linear(10))], y)
    spec = d.build(y)
    assert costs(spec, (33, 33)).macs == counted_by_torch(deployed(Network(spec).eval()), 33, 33)
    assert costs(spec, (33, 33)).params == 27 * 8 + 2 * 8 + 2 * (9 * 64 + 8) + 8 * 10 + 10


def test_more_of_any_ordered_decision_never_costs_fewer_multiplications() -> None:
    """Width, depth and kernel, one step up at a time, over random networks of the restoration space."""
    rng, steps = Random(1), 0
    for _ in range(60):
        arch = sample(SPACE, rng)
        asked = decisions(SPACE, arch)
        here = costs(build(SPACE, arch), (36, 64))
        for name, options in asked.items():
            place = options.index(arch[name])
            if not is_ordered(options) or place + 1 == len(options):
                continue
            answers = {**arch, name: options[place + 1]}
            try:
                there = costs(build(SPACE, answers), (36, 64))
            except ValueError:  # a deeper network asks for kernels that the shallow one did not have
                added = {f"{name[:3]}b{i}.kernel": 3 for i in range(options[place], options[place + 1])}  # type: ignore
                there = costs(build(SPACE, {**answers, **added}), (36, 64))
            assert there.macs >= here.macs, (name, arch)
            assert there.params >= here.params
            steps += 1
    assert steps > 100


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 24), kernel=st.sampled_from((1, 3, 5)), multiplier=st.integers(1, 3), inp=st.integers(1, 12)
)
def test_wider_blocks_never_cost_less(width: int, kernel: int, multiplier: int, inp: int) -> None:
    """Merging decides by cost, so it cannot make a wider network cheaper."""

    def chained(width: int) -> NetSpec:
        d = Draft(x=inp)
        y = d.layer("one", Conv(width, 1, pad=kernel // 2), "x")
        y = d.layer("sum", Add(), d.layer("k", Conv(4, kernel, pad=0), y), d.layer("beside", Conv(4, 1), "x"))
        return d.build(y)

    for make in (chained, lambda w: ecb_block(inp, w, kernel, multiplier)):
        assert costs(make(width + 1), (8, 8)).macs >= costs(make(width), (8, 8)).macs


def test_costs_of_a_network_worked_by_hand() -> None:
    """4x4 pixels: x 1 channel, head 8 (3x3), body 8 (3x3), + head, tail 4 (1x1), pixel shuffle to 8x8."""
    d = Draft(x=1)
    head = d.layer("head", Conv(8), "x")
    y = d.layer("act", ReLU(), d.layer("body", Conv(8), head))
    y = d.layer("sum", Add(), y, head)
    y = d.layer("up", PixelShuffle(2), d.layer("tail", Conv(4, 1), y))
    assert costs(d.build(y), (4, 4)) == Costs(
        macs=16 * (9 * 1 * 8 + 9 * 8 * 8 + 8 * 4),
        params=(72 + 8) + (576 + 8) + (32 + 4),
        peak_activation_bytes=4 * 3 * 8 * 16,  # head, body's output and act's output: 128 values each
    )


@pytest.mark.parametrize(("later", "values"), [(False, 128 + 64), (True, 16 + 128 + 64)])
def test_what_is_needed_later_is_held(later: bool, values: int) -> None:
    """x has 16 values, a 128, b 64: while b runs, a and b are held, and x too when something behind b reads it."""
    inner = Draft(x=1)
    block = inner.build(inner.layer("b", Conv(4), inner.layer("a", Conv(8), "x")))
    d = Draft(x=1)
    y = d.layer("out", Conv(1, 1), d.layer("block", block, "x"))
    spec = d.build(d.layer("end", Add(), y, "x")) if later else d.build(y)
    assert costs(spec, (4, 4)).peak_activation_bytes == 4 * values


def test_an_output_made_early_is_held_to_the_end() -> None:
    d = Draft(x=1)
    early = d.layer("early", Conv(2, 1), "x")
    y = d.layer("b", Conv(8), d.layer("a", Conv(8), "x"))
    assert costs(d.build(y, early), (4, 4)).peak_activation_bytes == 4 * 16 * (2 + 8 + 8)
    assert costs(d.build(y), (4, 4)).peak_activation_bytes == 4 * 16 * (8 + 8)


def test_shared_weights_count_once_and_run_each_time() -> None:
    d = Draft(x=4)
    y = d.layer("a", Conv(4), "x")
    y = d.layer("b", Conv(4), y, weights="a")
    spec = d.build(d.layer("c", Conv(4), y, weights="a"))
    assert costs(spec, (8, 8)).params == 9 * 16 + 4
    assert costs(spec, (8, 8)).macs == 3 * 9 * 16 * 64
    assert [row.params for row in layer_costs(spec, (8, 8))] == [9 * 16 + 4, 0, 0]
    outer = Draft(x=4)
    y = outer.layer("one", spec, "x")
    twice = outer.build(outer.layer("two", spec, y, weights="one"))
    assert costs(twice, (8, 8)).params == 9 * 16 + 4
    assert count_params(twice) == sum(p.numel() for p in Network(twice).parameters())


def test_the_table_of_layers_adds_up() -> None:
    spec = merged(ZOO["ecbsr_m4c8"]())
    rows = layer_costs(spec, (36, 64))
    total = costs(spec, (36, 64))
    assert sum(row.macs for row in rows) == total.macs
    assert sum(row.params for row in rows) == total.params
    assert [row.name for row in rows] == [layer.name for layer in flatten(spec).layers]
    assert (rows[0].op, rows[0].output) == ("Conv", (8, 36, 64))
    assert rows[-1].output == (1, 72, 128)


def test_sizes_that_do_not_fit_name_the_layer() -> None:
    d = Draft(x=1)
    inner = Draft(x=4)
    block = inner.build(inner.layer("small", PixelUnshuffle(2), "x"))
    d.layer("b", block, d.layer("head", Conv(4), "x"))
    with pytest.raises(ValueError, match=r"layer 'b': layer 'small': .*multiple of 2 pixels, got \(7, 8\)"):
        costs(d.build("b"), (7, 8))


# The operators of a network, the margin that its tiles need, and how much less would already show.
REACHES: dict[str, tuple[list[Op], int, int]] = {
    "nothing": ([Identity()], 0, 1),
    "points": ([Conv(4, 1), ReLU(), PReLU()], 0, 1),
    "three": ([Conv(4)], 1, 1),
    "five threes": ([Conv(4), LeakyReLU()] * 5, 5, 1),
    "seven": ([Conv(4, 7), DepthwiseConv(5)], 5, 1),
    "enlarged": ([Repeat(4), PixelShuffle(2), Conv(4)], 1, 1),
    "enlarged more": ([Repeat(4), PixelShuffle(2), Conv(4), Conv(4)], 1, 1),
    "enlarged much more": ([Repeat(4), PixelShuffle(2), Conv(4), Conv(4), Conv(4)], 2, 1),
    "nearest": ([Resize(2), Conv(4, 1)], 0, 1),
    "bilinear": ([Resize(2, "bilinear")], 1, 1),
    "bicubic": ([Resize(3, "bicubic")], 2, 1),
    "bicubic and more": ([Resize(2, "bicubic"), Conv(4), Conv(4)], 3, 1),
    "fsrcnn": ([Conv(4, 5), Conv(4), TransposedConv(1, 9, 2, True, 4, 1)], 5, 1),
    "unshuffled": ([PixelUnshuffle(2), Conv(4), PixelShuffle(2)], 4, 4),
    "halved": ([Conv(4, 3, 2), Conv(4), TransposedConv(2, 4, 2, True, 1, 0)], 6, 4),
    "pooled": ([MaxPool(2, 2, 0), Conv(4), Resize(2)], 4, 4),
    "averaged": ([AvgPool(2, 2), Conv(4), Resize(2, "bilinear")], 4, 2),
}


@pytest.mark.parametrize("name", REACHES)
def test_tiles_with_the_margin_that_reach_says_are_exact(name: str, randomised: Randomise) -> None:
    ops, margin, less = REACHES[name]
    d = Draft(x=2)
    spec = d.build(d.chain([(f"l{i}", op) for i, op in enumerate(ops)], "x"))
    assert reach(spec) == margin
    network = randomised(Network(spec).double()).eval()
    x = torch.randn(1, 2, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        whole = network(x)
        assert isinstance(whole, torch.Tensor)
        scale = whole.shape[2] // 32
        errors = []
        for around in (margin, max(0, margin - less)):  # pixels more on each side of the middle 8x8
            tile = network(x[:, :, 12 - around : 20 + around, 12 - around : 20 + around])
            assert isinstance(tile, torch.Tensor)
            middle = slice(around * scale, (around + 8) * scale)
            inner = slice(12 * scale, 20 * scale)
            errors.append(float((tile[:, :, middle, middle] - whole[:, :, inner, inner]).abs().max()))
    assert errors[0] < 1e-12
    assert errors[1] > 1e-9 or margin == 0


def test_what_looks_at_everything_has_no_reach() -> None:
    d = Draft(x=2)
    with pytest.raises(ValueError, match="'mean' looks at the whole picture"):
        reach(d.build(d.layer("mean", GlobalAvgPool(), "x")))


def test_reach_is_that_of_the_merged_network() -> None:
    assert reach(ZOO["ecbsr_m4c16"]()) == reach(ZOO["plain_4x16"]()) == 6
    assert reach(ZOO["vdsr"]()) == 2 + 10
