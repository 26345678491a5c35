"""Gradients written by hand where torch's own would cost more: none differs in value.

Imported when a network is trained, so that operators can be declared without torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Channels(torch.autograd.Function):
    """Channels from `start` up to `stop`, whose gradient keeps the memory order of x.

    Torch's own slice gives a gradient with channels first even when x has them last, and every operator before it then
    works on two orders at once.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, start: int, stop: int) -> Tensor:
        """A view of x (bchw)."""
        ctx.like, ctx.channels = torch.empty_like(x, device="meta"), slice(start, stop)  # its order, not its values
        return x[:, start:stop]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Zeros, but for the channels that were taken."""
        whole = torch.zeros_like(ctx.like, device=gradients[0].device)
        whole[:, ctx.channels] = gradients[0]
        return whole, None, None


def channels(x: Tensor, start: int, stop: int) -> Tensor:
    """Channels of x (bchw) from `start` up to `stop`, for training."""
    taken: Tensor = Channels.apply(x, start, stop)  # type: ignore[no-untyped-call]
    return taken
