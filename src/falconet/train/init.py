"""How weights begin: MSRA initialization (He et al. 2015), and quiet outputs.

MSRA keeps the variance of activations from layer to layer, which deep networks without normalization need: torch's own
default shrinks it by about three at each 3x3 layer, and a network of a dozen layers then barely starts to learn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from falconet.graph import (
    Add,
    Clip,
    Conv,
    Crop,
    DepthwiseConv,
    Identity,
    Linear,
    NetSpec,
    PixelShuffle,
    Repeat,
    Resize,
    Subtract,
    TransposedConv,
    flatten,
    merged,
)
from falconet.graph.network import Network

QUIET = 0.1  # factor on the weights of output layers


def msra(network: Network, specs: Iterable[NetSpec], slope: float = 0.1) -> None:
    """Initialise `network` for rectifiers of negative `slope`: std sqrt(2 / ((1 + slope^2) n)), n the fan-in, biases 0.

    He et al. 2015, equation 14. `specs` are networks that will run on it: layers that some of them merges away (the
    branches of a re-parameterized block) keep torch's default, since their sum would be too loud. Layers that feed a
    sum, and those with nothing but linear operators behind them up to an output, are made quiet (a tenth): a residual
    block begins near the identity, and a network with a global skip near that skip. Deviation: He et al. have none.
    """
    plain, last = set[str](), set[str]()
    for spec in specs:
        small = flatten(merged(spec))
        plain |= {layer.slot for layer in small.layers}
        last |= _ends(small)
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
    by_name = {layer.name: layer for layer in flat.layers}
    found = set[str]()
    sums = [layer for layer in flat.layers if isinstance(layer.op, Add | Subtract)]
    waiting = [*flat.outputs, *(name for layer in sums for name in layer.inputs)]
    seen = set[str]()
    while waiting:
        layer = by_name.get(waiting.pop())
        if layer is None or layer.name in seen:
            continue
        seen.add(layer.name)
        if isinstance(layer.op, Conv | TransposedConv):
            found.add(layer.slot)
        elif isinstance(layer.op, Add | Subtract | PixelShuffle | Resize | Repeat | Identity | Clip | Crop):
            waiting += layer.inputs
    return found
