"""Random networks that the laws of graph/ are tried on: nested blocks of everything that rewrites and costs treat."""

from collections.abc import Callable
from random import Random

import pytest
import torch

from falconet.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    DepthwiseConv,
    Draft,
    Dropout,
    EdgeConv,
    Identity,
    Layer,
    LeakyReLU,
    MaxPool,
    Multiply,
    NetSpec,
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
    TransposedConv,
    flatten,
)
from falconet.graph.network import Network
from falconet.zoo import ecb_block, residual_block

Block = Callable[[Random, int], NetSpec]


def parallel(rng: Random, width: int) -> NetSpec:
    """A sum of linear branches; sometimes one that must not be merged."""
    d = Draft(x=width)
    stride = rng.choice((1, 1, 2))
    names = []
    for i in range(rng.randint(1, 3)):
        kernel = rng.choice((1, 3, 5))
        names.append(d.layer(f"conv{i}", Conv(width, kernel, stride, bias=rng.random() < 0.7), "x"))
    if rng.random() < 0.5:
        pad = rng.choice((0, 1))  # 0: padded in the middle
        first = d.layer("one", Conv(width * 2, 1, pad=pad, bias=rng.random() < 0.7), "x")
        names.append(d.layer("three", Conv(width, 3, stride, pad=1 - pad), first))
    if stride == 1 and rng.random() < 0.5:
        names.append("x")
    if len(names) > 1 and rng.random() < 0.2:
        names[0] = d.layer("bend", ReLU(), names[0])
    if rng.random() < 0.2:
        names.append(names[0])  # read twice: not private, stays
    y = d.layer("sum", Add(), *names)
    return d.build(d.layer("norm", BatchNorm(), y) if rng.random() < 0.4 else y)


def chain(rng: Random, width: int) -> NetSpec:
    """Convolutions one behind the other, padded at the front, in the middle, or not at all."""
    d = Draft(x=width)
    pads = rng.choice(((1, 0), (0, 1), (0, 0), (1, 1)))
    first = d.layer("first", Conv(rng.choice((2, width, 3 * width)), 1, pad=pads[0], bias=rng.random() < 0.5), "x")
    kind = rng.random()
    if kind < 0.5:
        y = d.layer("second", Conv(width, 3, rng.choice((1, 2)), pad=pads[1]), first)
    elif kind < 0.75:
        y = d.layer("second", DepthwiseConv(3, pad=pads[1]), first)
    else:
        y = d.layer("second", EdgeConv("laplacian"), d.layer("edge_in", Conv(width, 1, pad=1), first))
    return d.build(d.layer("third", Conv(width, 1, bias=rng.random() < 0.5), y))


def normed(rng: Random, width: int) -> NetSpec:
    """Batch norms behind everything they can be folded into, and where they cannot."""
    d = Draft(x=width)
    y = d.layer("conv", Conv(width * 2, 3, groups=rng.choice((1, 2)), bias=rng.random() < 0.5), "x")
    y = d.layer("norm1", BatchNorm(), y)
    y = d.layer("act1", PReLU(shared=rng.random() < 0.5), y)
    y = d.layer("depthwise", DepthwiseConv(rng.choice((3, 5)), bias=False), y)
    y = d.layer("norm2", BatchNorm(epsilon=1e-3, affine=rng.random() < 0.5), y)
    if rng.random() < 0.5:
        y = d.layer("more", BatchNorm(), y)
    y = d.layer("up", TransposedConv(width, 4, 2, bias=False, pad=1, output_pad=0), y)
    y = d.layer("norm3", BatchNorm(), y)
    y = d.layer("pool", rng.choice((MaxPool(), AvgPool(), MaxPool(2, 2, 0))), y)
    return d.build(d.layer("norm4", BatchNorm(), y))


def shared(rng: Random, width: int) -> NetSpec:
    """One convolution used three times, once on fewer channels; one norm used twice."""
    d = Draft(x=width)
    y = d.layer("conv", Conv(width), "x")
    y = d.layer("norm", BatchNorm(), y)
    y = d.layer("again", Conv(width), y, weights="conv")
    y = d.layer("norm_again", BatchNorm(), y, weights="norm")
    few = d.layer("few", Slice(0, max(1, width // 2)), y)
    return d.build(d.layer("third", Conv(width), few, weights="conv"))


def joined(rng: Random, width: int) -> NetSpec:
    """Parts side by side, mixed, gated; something dropped, something passed on."""
    d = Draft(x=width)
    left = d.layer("left", Conv(3, 3), "x")
    right = d.layer("right", residual_block(width), "x")
    y = d.concat("cat", left=left, right=right, rest=d.layer("passed", Identity(), "x"))
    y = d.layer("mix", Shuffle(1), d.layer("drop", Dropout(0.5), y))
    y = d.layer("narrow", Conv(width, 1), y)
    gate = d.layer("gate", Sigmoid(), d.layer("gate_scale", Scale(0.5), "x"))
    return d.build(d.layer("product", Multiply(), y, gate))


def training_extra(rng: Random, width: int) -> NetSpec:
    """Layers that exist only in training, one of them a block."""
    d = Draft(x=width)
    y = d.layer("noise", LeakyReLU(0.5), "x", training_only=True)
    y = d.layer("conv", Conv(width), y)
    y = d.layer("extra", residual_block(width), y, training_only=True)
    return d.build(d.layer("act", ReLU(), y))


def pixels(rng: Random, width: int) -> NetSpec:
    """There and back between pixels and channels."""
    d = Draft(x=width)
    y = d.layer("many", Repeat(4), "x")
    y = d.layer("shuffle", PixelShuffle(2), y)
    y = d.layer("enlarge", Resize(2, rng.choice(("nearest", "bilinear", "bicubic"))), y)
    y = d.layer("back", PixelUnshuffle(2), d.layer("conv", Conv(width), y))
    return d.build(d.layer("out", Conv(width, 1, 2), y))


def ecb(rng: Random, width: int) -> NetSpec:
    """ECBSR's block."""
    return ecb_block(width, width, rng.choice((3, 5)), rng.choice((1, 2)), rng.random() < 0.5)


BLOCKS: tuple[Block, ...] = (parallel, chain, normed, shared, joined, training_extra, pixels, ecb)


def nested(rng: Random, width: int) -> NetSpec:
    """A block of blocks, whose input is needed after them; one that passes its input on."""
    d = Draft(x=width)
    one = d.layer("a", rng.choice((shared, joined, training_extra, ecb))(rng, width), "x")
    if rng.random() < 0.5:
        two = d.layer("b", rng.choice((joined, ecb))(rng, width), one)
    else:
        p = Draft(unused=width, x=width)
        two = d.layer("b", p.build(p.layer("nothing", Identity(), "x")), one, one)
    p = Draft(left=width, right=width)
    both = p.build(p.layer("sum", Add(), p.layer("c", Conv(width), "left"), "right"))
    return d.build(d.layer("last", both, *rng.choice(((one, two), (two, two), ("x", two)))))


def random_spec(seed: int) -> NetSpec:
    """A network of two to five random blocks, two inputs and one or two outputs."""
    rng = Random(seed)
    width = rng.choice((4, 6))
    d = Draft(x=2, y=1)
    y = d.concat("cat", x="x", y="y")
    y = d.layer("head", Conv(width), y)
    early = y
    for i in range(rng.randint(2, 5)):
        y = d.layer(f"b{i}", rng.choice((*BLOCKS, nested))(rng, width), y)
        if rng.random() < 0.3:
            y = d.layer(f"b{i}_act", rng.choice((ReLU(), PReLU(), Identity(), Dropout(0.2))), y)
    y = d.layer("tail", Conv(3), y)
    if rng.random() < 0.3:
        return d.build(y, d.layer("side", Conv(1, 1), early))
    return d.build(y)


def with_random_weights(network: Network, seed: int = 0) -> Network:
    """The network with every weight and statistic at random, of sizes that keep values near one."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.copy_(torch.rand_like(value) + 0.5)
            elif value.is_floating_point():
                fan_in = value[0].numel() if value.dim() > 1 else 4
                value.copy_(torch.randn_like(value) / fan_in**0.5)
    return network


def as_deployed(spec: NetSpec) -> NetSpec:
    """The flat network with an Identity in the place of each layer that exists only in training."""
    flat = flatten(spec)
    layers = [Layer(x.name, Identity(), x.inputs[:1]) if x.training_only else x for x in flat.layers]
    return NetSpec(flat.inputs, tuple(layers), flat.outputs)


@pytest.fixture(scope="session")
def without_training() -> Callable[[NetSpec], NetSpec]:
    return as_deployed


@pytest.fixture(scope="session")
def random_net() -> Callable[[int], NetSpec]:
    return random_spec


@pytest.fixture(scope="session")
def randomised() -> Callable[..., Network]:
    return with_random_weights
