"""The arithmetic of rewrites: kernels of merged convolutions, as differentiable functions of the weights they replace.

Legend: o output, m middle, i input channels; k kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from falconet.graph.ops import DepthwiseConv, EdgeConv, TransposedConv

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph.spec import Layer


def chain_kernel(weights: Mapping[str, Tensor], steps: Sequence[Layer]) -> tuple[Tensor, Tensor | None]:
    """The kernel (o, i, k, k) and bias (o) of one convolution, or of a 1x1 convolution and the one behind it."""
    last = steps[-1]
    kernel, bias = _kernel(weights, last)
    if len(steps) == 1:
        return kernel, bias
    slot = steps[0].slot
    first, first_bias = weights[f"{slot}.weight"], weights.get(f"{slot}.bias")
    first_mi = first[:, :, 0, 0]
    if isinstance(last.op, EdgeConv | DepthwiseConv):  # kernel is (o, 1, k, k), and o equals m
        joined = kernel * first
        carried = None if first_bias is None else kernel.sum((1, 2, 3)) * first_bias
    else:
        o, m, k, _ = kernel.shape
        joined = (kernel.permute(0, 2, 3, 1).reshape(-1, m) @ first_mi).reshape(o, k, k, -1).permute(0, 3, 1, 2)
        carried = None if first_bias is None else kernel.sum((2, 3)) @ first_bias
    if bias is None or carried is None:
        return joined, carried if bias is None else bias
    return joined, bias + carried


def _kernel(weights: Mapping[str, Tensor], layer: Layer) -> tuple[Tensor, Tensor | None]:
    slot = layer.slot
    if isinstance(layer.op, EdgeConv):
        return layer.op.kernel({"weight": weights[f"{slot}.weight"]}), weights[f"{slot}.bias"]
    return weights[f"{slot}.weight"], weights.get(f"{slot}.bias")


def identity_kernel(weights: Mapping[str, Tensor], channels: int) -> Tensor:
    """The 1x1 kernel (channels, channels, 1, 1) that passes everything through, of the weights' type and device."""
    import torch

    like = next(iter(weights.values()))
    return torch.eye(channels, dtype=like.dtype, device=like.device)[:, :, None, None]


def padded_kernel(kernel: Tensor, size: int) -> Tensor:
    """`kernel` with zeros around it, so that it measures size x size."""
    from torch.nn import functional

    border = (size - kernel.shape[-1]) // 2
    return functional.pad(kernel, (border,) * 4) if border else kernel


def scaled_weights(weights: dict[str, Tensor], before: Layer, norm: Layer, epsilon: float) -> None:
    """Fold batch norm `norm` into the weights of the layer `before` it, in place of the dictionary's entries."""
    weight = weights[f"{before.slot}.weight"]
    mean, variance = weights[f"{norm.slot}.running_mean"], weights[f"{norm.slot}.running_var"]
    gain = weights[f"{norm.slot}.weight"] / (variance + epsilon).sqrt()
    shape = [1] * weight.dim()
    shape[1 if isinstance(before.op, TransposedConv) else 0] = -1
    weights[f"{before.slot}.weight"] = weight * gain.reshape(shape)
    bias = weights.get(f"{before.slot}.bias")
    shift = -mean if bias is None else bias - mean
    weights[f"{before.slot}.bias"] = shift * gain + weights[f"{norm.slot}.bias"]
