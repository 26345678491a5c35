"""Operators that hand-designed classifiers brought: response normalization, padded shortcuts, joins with drop-path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from falconet.graph.ops.base import Op, at_least
from falconet.graph.ops.layout import grown
from falconet.graph.shape import Parts, Size, total

if TYPE_CHECKING:
    from torch import Tensor

Tensors = tuple["Tensor", ...]


@dataclass(frozen=True, slots=True)
class LocalResponseNorm(Op):
    """x / (k + alpha * m)^beta, m the mean square over `window` neighbouring channels, zeros beyond the ends.

    As PyTorch, ONNX and Caffe count `alpha`: of the mean. Krizhevsky et al. 2012 (section 3.3) multiply the sum, so
    their 1e-4 over 5 channels is 5e-4 here.
    """

    window: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "window")
        if not (self.window % 2 and self.alpha >= 0 and self.beta >= 0 and self.k > 0):
            raise ValueError(f"LocalResponseNorm needs an odd window, alpha and beta from 0, k above 0; got {self}")
        return xs[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.local_response_norm(xs[0], self.window, self.alpha, self.beta, self.k)


@dataclass(frozen=True, slots=True)
class PadChannels(Op):
    """`more` channels of zeros behind those that came: a shortcut that widens without weights (He et al. 2016)."""

    more: int

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "more")
        return grown(total(xs[0]) + self.more)

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.pad(xs[0], (0, 0, 0, 0, 0, self.more))


@dataclass(frozen=True, slots=True)
class Mean(Op):
    """The mean of tensors of equal shape. Parts are those of the first.

    With `drop` above 0 it trains by local drop-path (Larsson et al. 2017, section 3): for each image each tensor is
    left out with that probability, at least one stays, and the mean is over those that stay. Afterwards all count.
    """

    drop: float = 0.0
    num_inputs: ClassVar[int | None] = None

    def parts(self, *xs: Parts) -> Parts:
        if not 0 <= self.drop < 1:
            raise ValueError(f"Mean needs a drop rate from 0 up to 1, got {self.drop}")
        if len({total(x) for x in xs}) > 1:
            raise ValueError(f"Mean needs equal channels, got {[total(x) for x in xs]}")
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        if len(set(sizes)) > 1:
            raise ValueError(f"Mean needs tensors of one size, got {list(sizes)}")
        return sizes[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        import torch

        if not (training and self.drop and len(xs) > 1):
            return torch.stack(xs).mean(0)
        images = (xs[0].shape[0], *(1,) * (xs[0].dim() - 1))
        chances = torch.rand(len(xs), *images, device=xs[0].device)
        stays = (chances >= self.drop) | (chances == chances.amax(0))  # the luckiest stays in any case
        shares = (stays / stays.sum(0)).to(xs[0].dtype)
        return (torch.stack(xs) * shares).sum(0)
