"""Normalize: what a network does to a picture before anything is learned, as part of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from falconet.graph.ops.base import Op
from falconet.graph.shape import Parts, total

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Normalize(Op):
    """(x - mean) / std for each channel, with numbers that are part of the network and never learned.

    >>> Normalize((0.5,), (0.25,)).gains, Normalize((0.5,), (0.25,)).shifts       # x * 4 - 2
    ((4.0,), (-2.0,))

    It counts no multiply-accumulates. What ships computes it as a depthwise 1x1 convolution, which every runtime knows.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def gains(self) -> tuple[float, ...]:
        """What each channel is multiplied by."""
        return tuple(1 / std for std in self.std)

    @property
    def shifts(self) -> tuple[float, ...]:
        """What is added to each channel afterwards."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))

    def parts(self, *xs: Parts) -> Parts:
        if len(self.mean) != len(self.std) or not all(std > 0 for std in self.std):
            raise ValueError(f"Normalize needs as many means as standard deviations, these above 0; got {self}")
        if len(self.mean) != total(xs[0]):
            raise ValueError(f"Normalize was given {len(self.mean)} means for {total(xs[0])} channels")
        return xs[0]

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        import torch

        (x,) = xs
        gains, shifts = (
            torch.tensor(v, dtype=x.dtype, device=x.device)[:, None, None] for v in (self.gains, self.shifts)
        )
        return x * gains + shifts
