"""How weights begin: MSRA initialization (He et al. 2015), quiet outputs, and heads that do not see brightness.

MSRA keeps the variance of activations from layer to layer, which deep networks without normalization need: torch's own
default shrinks it by about three at each 3x3 layer, and a network of a dozen layers then barely starts to learn.

A network that adds its input to what it gives needs no brightness inside, but pixels of 0 to 1 are brightness above
all: it drowns what is to be learned, until training has silenced it. So the kernels that see the input begin with a sum
of zero (docs/decisions/0034).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from falconet.graph import (
    Add,
    AvgPool,
    Clip,
    Concat,
    Conv,
    Crop,
    DepthwiseConv,
    Extend,
    Identity,
    Linear,
    NetSpec,
    PixelShuffle,
    PixelUnshuffle,
    Repeat,
    Resize,
    Subtract,
    TransposedConv,
    flatten,
    merged,
)
from falconet.graph.network import Network

QUIET = 0.1  # factor on the weights of output layers
PASSING = Add | Subtract | PixelShuffle | Resize | Repeat | Identity | Clip | Crop  # from the last layer to an output
TAKING = AvgPool | Concat | Extend | Identity | PixelUnshuffle  # from an input to the first layer


def msra(network: Network, specs: Iterable[NetSpec], slope: float = 0.1) -> None:
    """Initialise `network` for rectifiers of negative `slope`: std sqrt(2 / ((1 + slope^2) n)), n the fan-in, biases 0.

    He et al. 2015, equation 14. `specs` are networks that will run on it: layers that some of them merges away (the
    branches of a re-parameterized block) keep torch's default, since their sum would be too loud. Layers that feed a
    sum, and those with nothing but linear operators behind them up to an output, are made quiet (a tenth): a residual
    block begins near the identity, and a network with a global skip near that skip. In such a network the kernels that
    see an input sum to zero over each part of it. Deviation: He et al. have none of this.
    """
    plain, last, heads = set[str](), set[str](), set[str]()
    for spec in specs:
        small = flatten(merged(spec))
        plain |= {layer.slot for layer in small.layers}
        last |= _ends(small)
        heads |= _heads(small)
    for name, slot in network.store.slots.items():
        module = network.get_submodule(name)
        if name not in plain or not isinstance(slot.op, Conv | DepthwiseConv | TransposedConv | Linear):
            continue
        weight, bias = module.weight, getattr(module, "bias", None)
        assert isinstance(weight, nn.Parameter)
        fan_in = weight[0].numel()
        if isinstance(slot.op, TransposedConv):
            fan_in = weight.shape[0] * slot.op.kernel**2 // slot.op.stride**2
        std = math.sqrt(2 / ((1 + slope**2) * fan_in)) * (QUIET if name in last else 1.0)
        with torch.no_grad():
            weight.normal_(0.0, std)
            if name in heads:
                _sum_to_zero(weight, [count for _, count in slot.inputs[0]])
            if bias is not None:
                bias.zero_()


def fresh(spec: NetSpec, seed: int) -> Network:
    """A network that has learned nothing: every training from scratch begins with it."""
    torch.manual_seed(seed)
    network = Network(spec)
    msra(network, [spec])
    return network


def _ends(flat: NetSpec) -> set[str]:
    """The slots that feed a sum, or from which an output is reached through linear operators alone."""
    sums = [name for layer in flat.layers if isinstance(layer.op, Add | Subtract) for name in layer.inputs]
    behind = _behind(flat, [*flat.outputs, *sums])
    return {one.slot for one in flat.layers if one.name in behind and isinstance(one.op, Conv | TransposedConv)}


def _heads(flat: NetSpec) -> set[str]:
    """The slots of convolutions that see an input as it is, in a network that adds an input to its output."""
    seen = {one.name for one in flat.inputs}
    heads = set[str]()
    for layer in flat.layers:
        if isinstance(layer.op, TAKING) and seen.issuperset(layer.inputs):
            seen.add(layer.name)
        elif isinstance(layer.op, Conv) and layer.op.kernel > 1 and layer.inputs[0] in seen:
            heads.add(layer.slot)
    return heads if seen & _behind(flat, flat.outputs) else set()


def _behind(flat: NetSpec, names: Iterable[str]) -> set[str]:
    """`names`, and all from which one of them is reached through linear operators alone."""
    by_name = {layer.name: layer for layer in flat.layers}
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        layer = by_name.get(name)
        if layer is not None and isinstance(layer.op, PASSING):  # the second input of Crop tells a size alone
            waiting += layer.inputs[:1] if isinstance(layer.op, Crop) else layer.inputs
    return found


def _sum_to_zero(weight: Tensor, parts: Sequence[int]) -> None:
    """Take its mean off each kernel (out, in, k, k), for so many channels at a time."""
    for part in weight.split(list(parts), 1):
        part -= part.mean((1, 2, 3), keepdim=True)
