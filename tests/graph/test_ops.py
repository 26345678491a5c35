"""One contract for every operator: what it says of itself is what torch does."""

import math
from dataclasses import fields
from fractions import Fraction
from itertools import combinations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from falconet.graph import (
    EDGE_KERNELS,
    OPS,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Contrast,
    Conv,
    Crop,
    DepthwiseConv,
    Draft,
    Dropout,
    EdgeConv,
    Extend,
    Flatten,
    GlobalAvgPool,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Mean,
    Multiply,
    NetSpec,
    Normalize,
    Op,
    PadChannels,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    Repeat,
    Resize,
    Scale,
    Shape,
    Shuffle,
    Sigmoid,
    Slice,
    Subtract,
    Tanh,
    TransposedConv,
    costs,
    reach,
    spec_from_json,
    spec_to_json,
)
from falconet.graph.network import Network
from falconet.graph.shape import plain

SIZES = ((12, 12), (14, 10))

# For each operator: settings with the channels of their inputs, all fed pictures of SIZES.
CASES: dict[type[Op], list[tuple[Op, tuple[int, ...]]]] = {
    Conv: [
        (Conv(5), (3,)),
        (Conv(4, 1, 2, bias=False), (6,)),
        (Conv(6, 5, 3, groups=2, pad=1), (4,)),
        (Conv(2, 4, pad=0), (2,)),
        (Conv(3, 1, pad=2), (2,)),
    ],
    DepthwiseConv: [(DepthwiseConv(), (4,)), (DepthwiseConv(5, 2, False), (3,)), (DepthwiseConv(2, pad=1), (3,))],
    EdgeConv: [(EdgeConv("sobel_x"), (3,)), (EdgeConv("sobel_y"), (1,)), (EdgeConv("laplacian"), (2,))],
    TransposedConv: [
        (TransposedConv(2), (4,)),
        (TransposedConv(1, 9, 3, pad=4, output_pad=2), (3,)),
        (TransposedConv(3, 2, 2, False, 0, 0), (2,)),
    ],
    Linear: [(Linear(7), (5,)), (Linear(2, bias=False), (3,))],
    BatchNorm: [(BatchNorm(), (4,)), (BatchNorm(1e-3, 0.3), (2,)), (BatchNorm(affine=False), (3,))],
    PReLU: [(PReLU(), (4,)), (PReLU(shared=True), (4,))],
    ReLU: [(ReLU(), (3,))],
    LeakyReLU: [(LeakyReLU(0.3), (3,))],
    HardSwish: [(HardSwish(), (3,))],
    Sigmoid: [(Sigmoid(), (3,))],
    HardSigmoid: [(HardSigmoid(), (3,))],
    Tanh: [(Tanh(), (3,))],
    Clip: [(Clip(-0.5, 0.25), (3,))],
    Identity: [(Identity(), (3,))],
    Dropout: [(Dropout(0.5), (3,))],
    Normalize: [(Normalize((0.5, 0.25, 0.1), (0.5, 2.0, 0.3)), (3,))],
    Scale: [(Scale(0.5), (3,))],
    Add: [(Add(), (3, 3)), (Add(), (2, 2, 2)), (Add(), (2,))],
    Subtract: [(Subtract(), (3, 3))],
    Multiply: [(Multiply(), (3, 3))],
    Concat: [(Concat(("a", "b")), (3, 2)), (Concat(("a", "b", "c")), (1, 2, 3))],
    Slice: [(Slice(1, 4), (5,))],
    Shuffle: [(Shuffle(2), (6,)), (Shuffle(3), (6,))],
    PixelShuffle: [(PixelShuffle(2), (8,)), (PixelShuffle(3), (9,))],
    PixelUnshuffle: [(PixelUnshuffle(2), (3,)), (PixelUnshuffle(1), (3,))],
    Repeat: [(Repeat(4), (1,)), (Repeat(3), (2,))],
    Resize: [(Resize(2), (2,)), (Resize(3, "bilinear"), (2,)), (Resize(4, "bicubic"), (1,))],
    MaxPool: [(MaxPool(), (2,)), (MaxPool(3, 2, 0, True), (2,)), (MaxPool(2, 1, 1), (2,))],
    AvgPool: [(AvgPool(), (2,)), (AvgPool(3, 2, 1, True), (2,)), (AvgPool(5, 4, 2, True), (1,))],
    Extend: [(Extend(), (3,)), (Extend(5), (2,))],
    Crop: [(Crop(), (3, 1))],
    GlobalAvgPool: [(GlobalAvgPool(), (3,))],
    Contrast: [(Contrast(), (3,))],
    LocalResponseNorm: [(LocalResponseNorm(), (7,)), (LocalResponseNorm(3, 0.5, 0.6, 2.0), (2,))],
    PadChannels: [(PadChannels(3), (2,))],
    Mean: [(Mean(), (3, 3)), (Mean(0.3), (2, 2, 2)), (Mean(), (2,))],
    Flatten: [(Flatten(), (3,)), (Flatten(4), (3,))],
}  # fmt: skip
ALL = [(op, channels) for cases in CASES.values() for op, channels in cases]
each = pytest.mark.parametrize(("op", "channels"), ALL, ids=[repr(op) for op, _ in ALL])


def network_of(op: Op, channels: tuple[int, ...]) -> NetSpec:
    """The operator alone; in front of those that want a flat tensor, what makes one."""
    names = [f"x{i}" for i in range(len(channels))]
    d = Draft(**dict(zip(names, channels, strict=True)))
    if isinstance(op, Linear):
        names = [d.layer("flat", Flatten(), d.layer("mean", GlobalAvgPool(), names[0]))]
    return d.build(d.layer("op", op, *names))


def sizes_for(op: Op) -> tuple[tuple[int, int], ...]:
    if isinstance(op, Flatten):
        return ((1, 1),) if op.pixels == 1 else ((2, 2), (1, 4))
    return SIZES


def pictures(channels: tuple[int, ...], size: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(2, count, *size, dtype=torch.float64) for count in channels)


def test_every_operator_is_tried() -> None:
    assert set(CASES) == set(OPS.values())
    assert all(name == kind.__name__ for name, kind in OPS.items())
    assert all(kind.__doc__ for kind in OPS.values())


@each
def test_shape_and_parameters_are_those_of_torch(op: Op, channels: tuple[int, ...]) -> None:
    spec = network_of(op, channels)
    network = Network(spec).double()
    for size in sizes_for(op):
        with torch.no_grad():
            y = network(pictures(channels, size))
        xs = tuple(Shape(plain(count), *size) for count in channels)
        if isinstance(op, Linear):
            xs = (Shape(plain(channels[0]), 1, 1),)
        parts, (height, width) = op.parts(*(x.parts for x in xs)), op.size(*(x.size for x in xs))
        assert isinstance(y, torch.Tensor)
        assert tuple(y.shape) == ((2, sum(n for _, n in parts), height, width) if y.dim() == 4 else (2, parts[0][1]))
        assert costs(spec, size).params == sum(p.numel() for p in network.parameters())


@each
def test_the_module_holds_exactly_the_weights_declared(op: Op, channels: tuple[int, ...]) -> None:
    parts = tuple(plain(count) for count in channels)
    declared, module = op.weights(*parts), op.module(*parts)
    if module is None:
        assert not declared
        return
    held = {name: tensor for name, tensor in module.state_dict().items() if name != "num_batches_tracked"}
    assert {name: weight.shape for name, weight in declared.items()} == {n: tuple(t.shape) for n, t in held.items()}
    assert {name for name, weight in declared.items() if weight.learned} == dict(module.named_parameters()).keys()


@each
def test_running_is_what_the_torch_module_does(op: Op, channels: tuple[int, ...]) -> None:
    """Where torch has a module of the same kind, its own forward is the reference, in training and after."""
    module = op.module(*(plain(count) for count in channels))
    if module is None or type(module) is torch.nn.Module:
        return
    module = module.double()
    weights = dict(module.named_parameters()) | dict(module.named_buffers())
    for size in sizes_for(op):
        (x,) = pictures(channels, size)
        x = x.mean((2, 3)) if isinstance(op, Linear) else x
        for training in (True, False):
            module.train(training)
            kept = {name: tensor.detach().clone() for name, tensor in weights.items()}
            torch.testing.assert_close(op.run(kept, (x,), training), module(x), rtol=0, atol=0)


@each
def test_multiplications_are_half_of_what_torch_counts(op: Op, channels: tuple[int, ...]) -> None:
    spec = network_of(op, channels)
    network = Network(spec)
    for size in sizes_for(op):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(tuple(x[:1].float() for x in pictures(channels, size)))
        assert costs(spec, size).macs == counter.get_total_flops() / 2


@each
def test_files_bring_every_setting_back(op: Op, channels: tuple[int, ...]) -> None:
    spec = network_of(op, channels)
    again = spec_from_json(spec_to_json(spec))
    assert again == spec
    assert again.layers[-1].op == op
    assert again.digest == spec.digest


@each
def test_reach_is_what_a_changed_pixel_shows(op: Op, channels: tuple[int, ...]) -> None:
    """No output pixel depends on an input pixel outside its stated span, and both ends of the span are met."""
    span = op.reach()
    if span is None:
        assert isinstance(op, GlobalAvgPool | Contrast | Flatten)
        return
    if isinstance(op, Linear):
        return
    network = Network(network_of(op, channels)).double().eval()
    first, last, step = (Fraction(x) for x in span)
    xs = tuple(x.requires_grad_() for x in pictures(channels, (60, 12)))
    out = network(xs)
    assert isinstance(out, torch.Tensor)
    furthest = [Fraction(60), Fraction(-60)]
    for p in range(out.shape[2] // 2 - 4, out.shape[2] // 2 + 5):
        row = out[:, :, p]
        (gradient,) = torch.autograd.grad((row * torch.rand_like(row)).sum(), xs[:1], retain_graph=True)
        rows = gradient.abs().sum((0, 1, 3)).nonzero()[:, 0].tolist()
        assert rows, "an output pixel must depend on some input pixel"
        assert math.ceil(p * step + first) <= rows[0] <= rows[-1] <= math.floor(p * step + last)
        furthest = [min(furthest[0], rows[0] - p * step), max(furthest[1], rows[-1] - p * step)]
    if not isinstance(op, MaxPool):  # which looks at its whole window, and depends on one pixel of it
        assert furthest[0] - first < 1
        assert last - furthest[1] < 1
    assert reach(network_of(op, channels)) >= max(0, math.floor(-first))


@each
def test_narrower_pieces_read_slices(op: Op, channels: tuple[int, ...]) -> None:
    """Every elastic field at its least on wider weights equals the network with a copy of the slice, exactly."""
    if not op.elastic or (isinstance(op, Conv) and op.groups > 1):
        return
    wide = network_of(op, tuple(2 * count + 1 for count in channels))
    least = {"out": 1, "kernel": op.kernel - 2 if getattr(op, "kernel", 0) > 2 else getattr(op, "kernel", 0)}
    pad = {}
    if isinstance(op, TransposedConv):
        pad = {"pad": min(op.pad, least["kernel"] - 1)}
    values = {f.name: getattr(op, f.name) for f in fields(op)}  # type: ignore[arg-type]
    small = type(op)(**{**values, **{name: least[name] for name in op.elastic}, **pad})
    sub = network_of(small, channels)
    network = Network(wide).double()
    alone = network.extract(sub)
    assert sum(p.numel() for p in alone.parameters()) < sum(p.numel() for p in network.parameters())
    for size in sizes_for(op):
        xs = pictures(channels, size)
        assert torch.equal(network(xs, sub), alone(xs))


def test_edge_masks_are_the_published_ones_and_sum_to_zero() -> None:
    sobel = torch.tensor(EDGE_KERNELS["sobel_x"])
    assert torch.equal(sobel, torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]))
    assert torch.equal(torch.tensor(EDGE_KERNELS["sobel_y"]), sobel.T)
    assert torch.equal(torch.tensor(EDGE_KERNELS["laplacian"]), torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]))
    assert all(torch.tensor(mask).sum() == 0 for mask in EDGE_KERNELS.values())


def test_pixel_shuffle_of_repeat_is_nearest_neighbour_enlargement() -> None:
    d = Draft(x=3)
    network = Network(d.build(d.layer("up", PixelShuffle(3), d.layer("again", Repeat(9), "x"))))
    x = torch.rand(1, 3, 4, 5)
    assert torch.equal(network(x), torch.nn.functional.interpolate(x, scale_factor=3.0, mode="nearest"))


def test_crop_undoes_extend_and_the_last_pixels_are_repeated() -> None:
    d = Draft(x=2)
    large = d.layer("large", Extend(4), "x")
    network = Network(d.build(d.layer("back", Crop(), large, "x"), large))
    x = torch.rand(1, 2, 5, 8)
    back, grown = network(x)
    assert torch.equal(back, x)
    assert grown.shape == (1, 2, 8, 8) and torch.equal(grown[:, :, 5:], x[:, :, 4:].expand(-1, -1, 3, -1))


def test_contrast_of_a_flat_picture_has_a_gradient() -> None:
    x = torch.full((1, 2, 4, 5), 0.5, requires_grad=True)
    y = Contrast().run({}, (x,), True)
    y.sum().backward()
    torch.testing.assert_close(y, torch.full((1, 2, 1, 1), 0.5), atol=2e-5, rtol=0)
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_slice_in_training_gives_torchs_gradient_in_the_order_of_its_input(order: torch.memory_format) -> None:
    x = torch.randn(2, 6, 4, 4).contiguous(memory_format=order).requires_grad_()
    wanted, factors = torch.zeros_like(x), torch.randn(2, 3, 4, 4)
    wanted[:, 2:5] = factors
    sliced = Slice(2, 5).run({}, (x,), True)
    assert torch.equal(sliced, x[:, 2:5])
    (gradient,) = torch.autograd.grad(sliced, x, factors)
    assert torch.equal(gradient, wanted)
    assert gradient.is_contiguous(memory_format=order)


def test_a_gate_of_one_pixel_multiplies_whole_channels() -> None:
    d = Draft(x=3)
    network = Network(d.build(d.layer("gated", Multiply(), "x", d.layer("gate", GlobalAvgPool(), "x"))))
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(network(x), x * x.mean((2, 3), keepdim=True))


def test_drop_path_averages_those_that_stay_and_one_always_does() -> None:
    torch.manual_seed(0)
    powers = tuple(torch.full((2000, 1, 1, 1), 2.0**i) for i in range(3))  # a sum tells which were in it
    trained = Mean(0.6).run({}, powers, True)[:, 0, 0, 0]
    subsets = {
        sum(6 * 2**i for i in kept) // n: n for n in (1, 2, 3) for kept in combinations(range(3), n)
    }  # six times the mean: how many were in it
    counts = torch.tensor([subsets[round(6 * float(value))] for value in trained])
    shares = [float((counts == n).float().mean()) for n in (1, 2, 3)]
    alone = 3 * 0.4 * 0.6**2 + 0.6**3  # one stayed, or all were to go
    assert shares == pytest.approx([alone, 3 * 0.4**2 * 0.6, 0.4**3], abs=0.03)
    assert torch.equal(Mean(0.6).run({}, powers, False), torch.full((2000, 1, 1, 1), 7 / 3))
    assert torch.equal(Mean(0.0).run({}, powers, True), torch.full((2000, 1, 1, 1), 7 / 3))


def test_response_norm_is_the_papers_formula() -> None:
    """Krizhevsky et al. 2012, section 3.3, with their constants; channel 1 of 4 sees channels 0 to 3."""
    op = LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    x = torch.tensor([30.0, -50.0, 70.0, 10.0])[None, :, None, None]
    y = op.run({}, (x,), False)[0, :, 0, 0]
    assert float(y[1]) == pytest.approx(-50 / (2 + 1e-4 * (30**2 + 50**2 + 70**2 + 10**2)) ** 0.75, rel=1e-6)
    assert float(y[0]) == pytest.approx(30 / (2 + 1e-4 * (30**2 + 50**2 + 70**2)) ** 0.75, rel=1e-6)


def test_a_linear_layer_wants_a_flat_tensor() -> None:
    d = Draft(x=3)
    network = Network(d.build(d.layer("classes", Linear(4), d.layer("mean", GlobalAvgPool(), "x"))))
    with pytest.raises(ValueError, match="put Flatten before it"):
        network(torch.rand(2, 3, 4, 5))


@pytest.mark.parametrize(
    ("op", "channels", "size", "message"),
    [
        (Conv(0), (1,), (8, 8), "out to be at least 1, got 0"),
        (Conv(4, 0), (1,), (8, 8), "kernel to be at least 1"),
        (Conv(4, 3, 0), (1,), (8, 8), "stride to be at least 1"),
        (Conv(4, groups=0), (4,), (8, 8), "groups to be at least 1"),
        (Conv(4, groups=3), (4,), (8, 8), "3 groups must divide"),
        (Conv(4, pad=-1), (1,), (8, 8), "pad to be at least 0"),
        (Conv(4, 9, pad=0), (1,), (8, 8), "9x9 window does not fit into 8x8"),
        (DepthwiseConv(3, 0), (1,), (8, 8), "stride"),
        (EdgeConv("sobel_x"), (1,), (2, 8), "window does not fit"),
        (TransposedConv(4, output_pad=2), (1,), (8, 8), "smaller than the stride"),
        (TransposedConv(4, 1, 1, pad=4, output_pad=0), (1,), (8, 8), "nothing is left"),
        (Linear(4), (1,), (8, 8), "put Flatten before it"),
        (Slice(2, 2), (4,), (8, 8), "must lie inside 4 channels"),
        (Slice(0, 5), (4,), (8, 8), "must lie inside"),
        (Shuffle(0), (4,), (8, 8), "groups"),
        (Shuffle(3), (4,), (8, 8), "must divide"),
        (PixelShuffle(2), (6,), (8, 8), "multiple of 4 channels, got 6"),
        (PixelShuffle(0), (6,), (8, 8), "factor"),
        (PixelUnshuffle(2), (1,), (7, 8), "multiple of 2 pixels"),
        (PixelUnshuffle(100_000), (1,), (8, 8), "at most 10,000,000 channels"),
        (Repeat(0), (1,), (8, 8), "times"),
        (Repeat(100_000_000), (1,), (8, 8), "at most 10,000,000 channels"),
        (Resize(0), (1,), (8, 8), "factor"),
        (MaxPool(2, 2, 2), (1,), (8, 8), "up to half its kernel"),
        (AvgPool(9, 1), (1,), (8, 8), "does not fit"),
        (AvgPool(20, 1, 0, True), (1,), (8, 8), "does not fit"),
        (Flatten(4), (1,), (8, 8), "declared for 4 pixels, got 8x8"),
        (Add(), (1, 2), (8, 8), "equal channels, got"),
        (Multiply(), (1, 2), (8, 8), "equal channels"),
        (Subtract(), (1, 2), (8, 8), "equal channels"),
        (Extend(0), (1,), (8, 8), "multiple to be at least 1"),
        (Contrast(0.0), (1,), (8, 8), "positive epsilon"),
        (Concat(("a", "a")), (1, 2), (8, 8), "one different key"),
        (Concat(("a", "b.c")), (1, 2), (8, 8), "without dots"),
        (Clip(1, 1), (1,), (8, 8), "low to be below high"),
        (LocalResponseNorm(4), (1,), (8, 8), "an odd window"),
        (PadChannels(0), (1,), (8, 8), "more to be at least 1"),
        (PadChannels(100_000_000), (1,), (8, 8), "at most 10,000,000 channels"),
        (Mean(1.0), (1, 1), (8, 8), "drop rate from 0 up to 1"),
        (Mean(), (1, 2), (8, 8), "equal channels, got"),
        (Dropout(1.0), (1,), (8, 8), "rate from 0 up to 1"),
        (BatchNorm(0.0), (1,), (8, 8), "positive epsilon"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Op) else "",
)
def test_what_cannot_be_is_refused_in_words(
    op: Op, channels: tuple[int, ...], size: tuple[int, int], message: str
) -> None:
    d = Draft(**{f"x{i}": count for i, count in enumerate(channels)})
    d.layer("op", op, *(f"x{i}" for i in range(len(channels))))
    with pytest.raises(ValueError, match=message) as error:
        costs(d.build("op"), size)
    assert "'op'" in str(error.value)


@pytest.mark.parametrize("op", [Add(), Mean(), Subtract(), Multiply(), Crop(), Concat(("a", "b"))], ids=repr)
def test_tensors_of_different_sizes_do_not_go_together(op: Op) -> None:
    d = Draft(x=2)
    spec = d.build(d.layer("op", op, "x", d.layer("large", Resize(2), "x")))
    with pytest.raises(ValueError, match=r"'op'.*size"):
        costs(spec, (8, 8))
