"""How the kinds of a block begin once one of them has learned: as nearly the same function as each can be.

Drawn apart, the kinds of a block say unrelated things in the same channel, and the block behind it can make sense of
none of them: a supernet of four kinds then learns much slower than one of a single kind. Begun alike they differ
only by what each of them learns from there. Deviation: Single Path One-Shot draws all of them apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from falconet.graph.network import Network


def spread(network: Network, begins_as: Callable[[str], str | None]) -> None:
    """Give every slot of a store the weights of the slot it begins as (see `spaces.space.Kinds`).

    A larger kernel holds the smaller one in its middle, zeros around it.
    """
    with torch.no_grad():
        for name in network.store.slots:
            source = begins_as(name)
            if source is None:
                continue
            weights = network.get_submodule(name).state_dict()
            if not source:
                _pass_on(weights["weight"])
                continue
            for key, value in network.get_submodule(source).state_dict().items():
                _put(weights[key], value)


def _pass_on(weight: Tensor) -> None:
    """Make a convolution (out, in / groups, k, k) the identity; depthwise when it reads one channel each."""
    nn.init.dirac_(weight, groups=weight.shape[0] if weight.shape[1] == 1 else 1)


def _put(weight: Tensor, value: Tensor) -> None:
    """Copy `value` into `weight`, in the middle of its kernel where that is larger."""
    if weight.shape == value.shape:
        weight.copy_(value)
        return
    edge, side = (weight.shape[-1] - value.shape[-1]) // 2, value.shape[-1]
    weight.zero_()[..., edge : edge + side, edge : edge + side] = value
