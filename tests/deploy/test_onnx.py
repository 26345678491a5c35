"""Every operator, and nets drawn at random, give in ONNX Runtime what they give in PyTorch."""

import random

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from falconet.deploy.onnx import EMITTERS, OPSET, to_onnx
from falconet.graph import (
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
    Shuffle,
    Sigmoid,
    Slice,
    Subtract,
    Tanh,
    TransposedConv,
)
from falconet.graph.network import Network, deployed

SIZES = ((12, 12), (24, 36), (36, 12))  # multiples of what PixelUnshuffle asks for
ODD = ((7, 9), (13, 8), (16, 31))


def cases(*ops: Op, channels: int = 12, sizes: tuple[tuple[int, int], ...] = ODD) -> list[tuple[Op, int, tuple]]:
    return [(op, channels, sizes) for op in ops]


CASES: dict[type[Op], list[tuple[Op, int, tuple]]] = {
    Conv: cases(Conv(5), Conv(4, 5, stride=2, bias=False), Conv(6, groups=3), Conv(3, 1, pad=1), Conv(2, 3, pad=0)),
    DepthwiseConv: cases(DepthwiseConv(), DepthwiseConv(5, stride=2, bias=False), DepthwiseConv(3, pad=0)),
    EdgeConv: cases(EdgeConv("sobel_x"), EdgeConv("sobel_y"), EdgeConv("laplacian")),
    TransposedConv: cases(
        TransposedConv(1), TransposedConv(2, 9, 3, pad=4, output_pad=2), TransposedConv(3, 4, 2, False, 1, 0)
    ),
    Linear: cases(Linear(7), Linear(3, bias=False)),
    BatchNorm: cases(BatchNorm(), BatchNorm(epsilon=1e-2), BatchNorm(affine=False)),
    PReLU: cases(PReLU(), PReLU(shared=True)),
    ReLU: cases(ReLU()),
    LeakyReLU: cases(LeakyReLU(), LeakyReLU(0.3)),
    HardSwish: cases(HardSwish()),
    Sigmoid: cases(Sigmoid()),
    HardSigmoid: cases(HardSigmoid()),
    Tanh: cases(Tanh()),
    Clip: cases(Clip(), Clip(-0.5, 0.25)),
    Identity: cases(Identity()),
    Dropout: cases(Dropout()),
    Normalize: cases(Normalize((0.5, 0.25, 0.1), (0.5, 2.0, 0.3)), channels=3),
    Scale: cases(Scale()),
    Add: cases(Add()),
    Subtract: cases(Subtract()),
    Multiply: cases(Multiply()),
    Concat: cases(Concat(("a", "b"))),
    Slice: cases(Slice(0, 4), Slice(3, 12)),
    Shuffle: cases(Shuffle(2), Shuffle(3)),
    PixelShuffle: cases(PixelShuffle(2)) + cases(PixelShuffle(3), channels=18),
    PixelUnshuffle: cases(PixelUnshuffle(2), PixelUnshuffle(3), sizes=SIZES)
    + cases(PixelUnshuffle(4), channels=1, sizes=SIZES),
    Repeat: cases(Repeat(4)) + cases(Repeat(9), channels=1),
    Resize: cases(*(Resize(f, mode) for f in (2, 3, 4) for mode in ("nearest", "bilinear", "bicubic")), channels=3),  # type: ignore[arg-type]
    MaxPool: cases(
        MaxPool(), MaxPool(2, 2, 0), MaxPool(3, 2, 0, ceil=True), MaxPool(3, 2, ceil=True), MaxPool(2, 3, 0, True)
    ),
    AvgPool: cases(
        AvgPool(), AvgPool(3, 2, 1), AvgPool(3, 2, 0, ceil=True), AvgPool(3, 2, 1, ceil=True), AvgPool(2, 3, 0, True)
    ),
    Extend: cases(Extend(), Extend(4)),
    Crop: cases(Crop()),
    GlobalAvgPool: cases(GlobalAvgPool()),
    Contrast: cases(Contrast()),
    LocalResponseNorm: cases(LocalResponseNorm(), LocalResponseNorm(3, 0.5, 0.6, 2.0)),
    PadChannels: cases(PadChannels(5)),
    Mean: cases(Mean(), Mean(0.3)),
    Flatten: cases(Flatten()) + cases(Flatten(63), sizes=((7, 9),)),
}


def single(op: Op, channels: int) -> NetSpec:
    """A net of this one operator, with what it needs around it."""
    d = Draft(x=channels)
    inputs = ["x"]
    if op.num_inputs != 1:
        second = {Multiply: GlobalAvgPool(), Crop: AvgPool(2, 1)}.get(type(op), ReLU())
        inputs = ["x", d.layer("gate", second, "x")]
    if isinstance(op, Linear | Flatten) and getattr(op, "pixels", 1) == 1:
        inputs = [d.layer("mean", GlobalAvgPool(), "x")]
    if isinstance(op, Linear):
        inputs = [d.layer("flat", Flatten(), inputs[0])]
    return d.build(d.layer("y", op, *inputs))


def randomised(spec: NetSpec, seed: int) -> Network:
    """The network with every weight and statistic at random, in evaluation mode."""
    torch.manual_seed(seed)
    network = Network(spec).eval()
    with torch.no_grad():
        for name, value in network.weights().items():
            fan_in = max(25, value[0].numel()) if value.dim() == 4 else 10
            value.copy_(
                torch.rand_like(value) + 0.2 if name.endswith("running_var") else torch.randn_like(value) / fan_in**0.5
            )
    return network


def session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def assert_agrees(network: Network, sizes, tolerance: float = 1e-5) -> None:
    assert network.spec is not None
    runtime = session(to_onnx(network.spec, network.weights()))
    for batch, size in enumerate(sizes, start=1):
        xs = tuple(torch.randn(batch, i.channels, *size) for i in network.spec.inputs)
        with torch.no_grad():
            ours = network(xs)
        ours = ours if isinstance(ours, tuple) else (ours,)
        theirs = runtime.run(None, {i.name: x.numpy() for i, x in zip(network.spec.inputs, xs, strict=True)})
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.shape == other.shape
            assert np.abs(mine.numpy() - other).max() <= tolerance * max(1.0, float(mine.abs().max()))


def test_every_operator_has_an_emitter_and_a_case():
    assert set(EMITTERS) == set(OPS.values()) == set(CASES)


@pytest.mark.parametrize("kind", OPS)
def test_operator_agrees_with_torch(kind):
    for op, channels, sizes in CASES[OPS[kind]]:
        assert_agrees(randomised(single(op, channels), 0), sizes)


def random_net(rng: random.Random) -> NetSpec:
    """A restoration net with random blocks, activations, shared weights and upsampler."""
    d = Draft(x=rng.choice([1, 3]))
    width, scale = rng.choice([6, 8, 12]), rng.choice([2, 3])
    activations = [ReLU(), PReLU(), LeakyReLU(), HardSwish()]
    y = d.layer("head", Conv(width), "x")
    shared = ""
    for n in range(rng.randint(1, 4)):
        start, shape = y, rng.choice(["plain", "residual", "shuffle", "edge", "gate", "norm"])
        if shape == "shuffle":
            half = width // 2
            left, right = d.layer(f"left{n}", Slice(0, half), y), d.layer(f"right{n}", Slice(half, width), y)
            right = d.layer(f"dw{n}", DepthwiseConv(rng.choice([3, 5])), right)
            y = d.layer(f"mix{n}", Shuffle(2), d.concat(f"cat{n}", left=left, right=right))
        elif shape == "edge":
            a = d.layer(f"b{n}.conv", Conv(width), y)
            b = d.layer(f"b{n}.edge", EdgeConv("laplacian"), d.layer(f"b{n}.one", Conv(width, 1, pad=1), y))
            y = d.layer(f"b{n}.sum", Add(), a, b)
        elif shape == "gate":
            gate = d.layer(
                f"sigmoid{n}",
                HardSigmoid(),
                d.layer(f"squeeze{n}", Conv(width, 1), d.layer(f"mean{n}", GlobalAvgPool(), y)),
            )
            y = d.layer(f"gated{n}", Multiply(), y, gate)
        elif shape == "norm":
            y = d.layer(f"bn{n}", BatchNorm(), d.layer(f"conv{n}", Conv(width, bias=False), y))
        else:
            y = d.layer(f"conv{n}", Conv(width), y, weights=shared)
            shared = shared or f"conv{n}"
            y = d.layer(f"act{n}", rng.choice(activations), y)
            y = d.layer(f"skip{n}", Add(), y, start) if shape == "residual" else y
    channels = d._inputs[0].channels
    if rng.random() < 0.5:
        tail = d.layer("tail", Conv(channels * scale**2), y)
        up = d.layer("up", PixelShuffle(scale), d.layer("sum", Add(), tail, d.layer("again", Repeat(scale**2), "x")))
    else:
        # Both compute where a pixel thrice as fine lies with float32, and differ by up to 1e-4 on noise.
        smooth = rng.choice(["bilinear", "bicubic"]) if scale == 2 else "nearest"
        up = d.layer("tail", Conv(channels), d.layer("up", Resize(scale), y))
        up = d.layer("sum", Add(), up, d.layer("skip", Resize(scale, smooth), "x"))
    return d.build(d.layer("end", Clip(), up)) if rng.random() < 0.3 else d.build(up)


@pytest.mark.parametrize("seed", range(12))
def test_random_nets_agree_with_torch_as_trained_and_as_deployed(seed):
    network = randomised(random_net(random.Random(seed)), seed)
    assert_agrees(network, ODD)
    assert_agrees(deployed(network), ODD)


def test_several_inputs_and_outputs_even_the_same_one_twice():
    d = Draft(frame=3, before=2)
    both = d.layer("y", Conv(4), d.concat("cat", a="frame", b="before"))
    spec = d.build(both, "frame", both)
    assert_agrees(randomised(spec, 0), ODD)
    model = onnx.load_from_string(to_onnx(spec, randomised(spec, 0).weights()))
    assert len({o.name for o in model.graph.output}) == 3


def test_file_is_minimal_and_named_after_the_layers():
    d = Draft(x=1)
    y = d.chain([("head", Conv(8)), ("act", PReLU()), ("body", Conv(4)), ("up", PixelShuffle(2))], "x")
    network = randomised(d.build(y), 0)
    model = onnx.load_from_string(to_onnx(network.spec, network.weights()))
    assert [node.name for node in model.graph.node] == ["head", "act", "body", "up"]
    assert {t.name: tuple(t.dims) for t in model.graph.initializer} == {
        "head.weight": (8, 1, 3, 3),
        "head.bias": (8,),
        "act.weight": (8, 1, 1),
        "body.weight": (4, 8, 3, 3),
        "body.bias": (4,),
    }
    assert [
        (i.name, [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim]) for i in model.graph.input
    ] == [("x", ["batch", 1, "height", "width"])]
    assert [o.version for o in model.opset_import] == [OPSET] and not model.metadata_props


def test_same_network_gives_the_same_bytes():
    network = randomised(random_net(random.Random(3)), 3)
    assert to_onnx(network.spec, network.weights()) == to_onnx(network.spec, network.weights())


def test_shared_weights_are_stored_once():
    d = Draft(x=4)
    spec = d.build(d.layer("again", Conv(4), d.layer("once", Conv(4), "x"), weights="once"))
    network = randomised(spec, 0)
    model = onnx.load_from_string(to_onnx(spec, network.weights()))
    assert [t.name for t in model.graph.initializer] == ["once.weight", "once.bias"]
    assert_agrees(network, ODD)


def test_missing_weight_is_named():
    d = Draft(x=1)
    with pytest.raises(ValueError, match=r"'head' needs the weight 'head.weight'"):
        to_onnx(d.build(d.layer("head", Conv(2), "x")), {})
