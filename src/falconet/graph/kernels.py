"""The arithmetic of rewrites: weights of merged convolutions, as differentiable functions of the weights they replace.

A rewrite of a spec is worked out once; what it means for the weights is a list of these actions, replayed on tensors at
every training step of a re-parameterized network. Legend: o output, m middle, i input channels; k kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from falconet.graph.ops import EDGE_KERNELS, DepthwiseConv, EdgeConv, TransposedConv

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from falconet.graph.spec import Layer

Steps: TypeAlias = "tuple[Layer, ...]"
"""A linear branch: nothing (what comes in), a convolution, or a 1x1 convolution and the one behind it."""


@dataclass(frozen=True, slots=True)
class Merge:
    """The sum of `branches` becomes one convolution, kernel x kernel on `channels`, whose weights are called `name`."""

    name: str
    branches: tuple[Steps, ...]
    kernel: int
    channels: int
    bias: bool

    def apply(self, weights: dict[str, Tensor]) -> None:
        """Add the merged kernel and bias to `weights`."""
        edges = [steps for steps in self.branches if steps and isinstance(steps[-1].op, EdgeConv)]
        kernels = [edge_kernel(weights, edges)] if edges else []
        biases = [weights[f"{steps[-1].slot}.bias"] for steps in edges]
        for steps in self.branches:
            if steps not in edges:
                kernel, more = chain_kernel(weights, steps) if steps else (identity_kernel(weights, self.channels), [])
                kernels.append(kernel)
                biases += more
        kernels = [padded_kernel(kernel, self.kernel) for kernel in kernels]
        weights[f"{self.name}.weight"] = sum(kernels[1:], kernels[0])
        if self.bias:
            mute = [value for first, _ in edges if (value := weights.get(f"{first.slot}.bias")) is not None]
            weights[f"{self.name}.bias"] = _sum(biases, mute)


@dataclass(frozen=True, slots=True)
class FoldNorm:
    """Batch norm `norm` goes into the weights of the layer `before` it."""

    before: Layer
    norm: Layer
    epsilon: float

    def apply(self, weights: dict[str, Tensor]) -> None:
        """Replace the entries of the layer before."""
        slot, norm = self.before.slot, self.norm.slot
        weight, bias = weights[f"{slot}.weight"], weights.get(f"{slot}.bias")
        gain = (weights[f"{norm}.running_var"] + self.epsilon).rsqrt()
        learned, shift = weights.get(f"{norm}.weight"), weights.get(f"{norm}.bias")
        gain = gain if learned is None else learned * gain
        shape = [1] * weight.dim()
        shape[1 if isinstance(self.before.op, TransposedConv) else 0] = -1
        weights[f"{slot}.weight"] = weight * gain.reshape(shape)
        mean = weights[f"{norm}.running_mean"]
        centred = (-mean if bias is None else bias - mean) * gain
        weights[f"{slot}.bias"] = centred if shift is None else centred + shift


@dataclass(frozen=True, slots=True)
class Fixed:
    """The layer `name` becomes a depthwise 1x1 convolution with these numbers as weights."""

    name: str
    gains: tuple[float, ...]
    shifts: tuple[float, ...]

    def apply(self, weights: dict[str, Tensor]) -> None:
        """Add its kernel and bias to `weights`."""
        import torch

        like = next((one for one in weights.values()), torch.zeros(1))
        gains, shifts = (torch.tensor(v, dtype=like.dtype, device=like.device) for v in (self.gains, self.shifts))
        weights[f"{self.name}.weight"], weights[f"{self.name}.bias"] = gains[:, None, None, None], shifts


Action: TypeAlias = Merge | FoldNorm | Fixed


def chain_kernel(weights: Mapping[str, Tensor], steps: Steps) -> tuple[Tensor, list[Tensor]]:
    """The kernel (o, i, k, k) of one convolution, or of a 1x1 and the one behind it, and what adds up to its bias."""
    last = steps[-1]
    weight, biases = weights[f"{last.slot}.weight"], _given(weights.get(f"{last.slot}.bias"))
    if len(steps) == 1:
        return weight, biases
    first, first_bias = weights[f"{steps[0].slot}.weight"], weights.get(f"{steps[0].slot}.bias")
    if isinstance(last.op, DepthwiseConv):  # weight is (o, 1, k, k), and o equals m
        carried = None if first_bias is None else weight.sum((1, 2, 3)) * first_bias
        return weight * first, biases + _given(carried)
    o, m, k, _ = weight.shape
    joined = first.reshape(m, -1).t() @ weight.reshape(o, m, k * k)
    carried = None if first_bias is None else weight.sum((2, 3)) @ first_bias
    return joined.reshape(o, -1, k, k), biases + _given(carried)


def edge_kernel(weights: Mapping[str, Tensor], chains: Sequence[Steps]) -> Tensor:
    """The kernel (o, i, 3, 3) of the sum of 1x1 convolutions with edge masks behind them.

    A mask sums to zero, so the bias of a 1x1 convolution does not get through.
    """
    import torch

    scaled = [weights[f"{first.slot}.weight"] * weights[f"{edge.slot}.weight"] for first, edge in chains]
    o, i = scaled[0].shape[:2]
    kinds = tuple(edge.op.kind for _, edge in chains if isinstance(edge.op, EdgeConv))
    masks = edge_masks(kinds, scaled[0].dtype, scaled[0].device)
    return (torch.cat(scaled, 3).reshape(o, i, len(kinds)) @ masks).reshape(o, i, 3, 3)


@lru_cache(maxsize=64)
def edge_masks(kinds: tuple[str, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The masks of EdgeConvs, one in each row of nine."""
    import torch

    return torch.tensor([EDGE_KERNELS[kind] for kind in kinds], dtype=dtype, device=device).reshape(len(kinds), 9)


def _given(value: Tensor | None) -> list[Tensor]:
    return [] if value is None else [value]


def _sum(vectors: list[Tensor], mute: list[Tensor]) -> Tensor:
    """The sum of `vectors`; those that are `mute` count for nothing, and get gradients of zero instead of none."""
    import torch

    if len(vectors) == 1 and not mute:
        return vectors[0]
    counts = _ones_and_zeros(len(vectors), len(mute), vectors[0].dtype, vectors[0].device)
    return counts @ torch.stack(vectors + mute)


@lru_cache(maxsize=64)
def _ones_and_zeros(ones: int, zeros: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    import torch

    return torch.tensor([1.0] * ones + [0.0] * zeros, dtype=dtype, device=device)


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
