"""Operators that act on every value alone, or on values at the same place: activations, norms, sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from falconet.graph.ops.base import Op
from falconet.graph.shape import Axis, Parts, Size, Weight, plain, total

if TYPE_CHECKING:
    from torch import Tensor, nn

Tensors = tuple["Tensor", ...]


@dataclass(frozen=True, slots=True)
class ReLU(Op):
    """max(x, 0)."""

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0].relu()


@dataclass(frozen=True, slots=True)
class LeakyReLU(Op):
    """x where positive, `slope` times x elsewhere."""

    slope: float = 0.1

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.leaky_relu(xs[0], self.slope)


@dataclass(frozen=True, slots=True)
class PReLU(Op):
    """x where positive, a learned slope times x elsewhere (He et al. 2015); one slope a channel, or one `shared`."""

    shared: bool = False

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        return {"weight": Weight((Axis(plain(1)) if self.shared else Axis(xs[0]),))}

    def module(self, *xs: Parts) -> nn.Module:
        from torch import nn

        return nn.PReLU(1 if self.shared else total(xs[0]))

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        import torch

        return torch.prelu(xs[0], w["weight"])


@dataclass(frozen=True, slots=True)
class HardSwish(Op):
    """x * clip(x + 3, 0, 6) / 6."""

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.hardswish(xs[0])


@dataclass(frozen=True, slots=True)
class Sigmoid(Op):
    """1 / (1 + exp(-x))."""

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0].sigmoid()


@dataclass(frozen=True, slots=True)
class Tanh(Op):
    """The hyperbolic tangent."""

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0].tanh()


@dataclass(frozen=True, slots=True)
class HardSigmoid(Op):
    """clip(x / 6 + 1/2, 0, 1)."""

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.hardsigmoid(xs[0])


@dataclass(frozen=True, slots=True)
class Clip(Op):
    """Values held between `low` and `high`."""

    low: float = 0.0
    high: float = 1.0

    def parts(self, *xs: Parts) -> Parts:
        if not self.low < self.high:
            raise ValueError(f"Clip needs low to be below high, got {self.low} and {self.high}")
        return xs[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0].clamp(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Identity(Op):
    """What came in. Rewrites drop it."""

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0]


@dataclass(frozen=True, slots=True)
class Dropout(Op):
    """Values dropped at random in training; nothing otherwise."""

    rate: float = 0.1

    def parts(self, *xs: Parts) -> Parts:
        if not 0 <= self.rate < 1:
            raise ValueError(f"Dropout needs a rate from 0 up to 1, got {self.rate}")
        return xs[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.dropout(xs[0], self.rate, training)


@dataclass(frozen=True, slots=True)
class BatchNorm(Op):
    """Batch normalization, momentum 0.1, epsilon 1e-5 unless said; `affine` false: without learned gain and shift."""

    epsilon: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def parts(self, *xs: Parts) -> Parts:
        if not (self.epsilon > 0 and 0 <= self.momentum <= 1):
            raise ValueError(f"BatchNorm needs a positive epsilon and a momentum from 0 to 1, got {self}")
        return xs[0]

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        axis = (Axis(xs[0]),)
        learned = {"weight": Weight(axis), "bias": Weight(axis)} if self.affine else {}
        return {**learned, "running_mean": Weight(axis, learned=False), "running_var": Weight(axis, learned=False)}

    def module(self, *xs: Parts) -> nn.Module:
        from torch import nn

        return nn.BatchNorm2d(total(xs[0]), self.epsilon, self.momentum, self.affine)

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.batch_norm(
            xs[0],
            w["running_mean"],
            w["running_var"],
            w.get("weight"),
            w.get("bias"),
            training,
            self.momentum,
            self.epsilon,
        )


@dataclass(frozen=True, slots=True)
class Scale(Op):
    """A learned factor for every channel, `start` at first."""

    start: float = 1.0

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        return {"weight": Weight((Axis(xs[0]), Axis(plain(1)), Axis(plain(1))))}

    def module(self, *xs: Parts) -> nn.Module:
        import torch
        from torch import nn

        holder = nn.Module()
        holder.register_parameter("weight", nn.Parameter(torch.full((total(xs[0]), 1, 1), self.start)))
        return holder

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0] * w["weight"]


def _equal(name: str, xs: tuple[Parts, ...], sizes_too: str = "channels") -> None:
    if len({total(x) for x in xs}) > 1:
        raise ValueError(f"{name} needs equal {sizes_too}, got {[total(x) for x in xs]}")


@dataclass(frozen=True, slots=True)
class Add(Op):
    """The sum of tensors of equal shape. Parts are those of the first."""

    num_inputs: ClassVar[int | None] = None

    def parts(self, *xs: Parts) -> Parts:
        _equal("Add", xs)
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        if len(set(sizes)) > 1:
            raise ValueError(f"Add needs tensors of one size, got {list(sizes)}")
        return sizes[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        total_sum = xs[0]
        for x in xs[1:]:
            total_sum = total_sum + x
        return total_sum


@dataclass(frozen=True, slots=True)
class Subtract(Op):
    """The first tensor without the second: how a network that predicts the noise gives the picture."""

    num_inputs: ClassVar[int | None] = 2

    def parts(self, *xs: Parts) -> Parts:
        _equal("Subtract", xs)
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        if len(set(sizes)) > 1:
            raise ValueError(f"Subtract needs tensors of one size, got {list(sizes)}")
        return sizes[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0] - xs[1]


@dataclass(frozen=True, slots=True)
class Multiply(Op):
    """The product of two tensors: equal shapes, or the second 1x1 in size (a gate for every channel)."""

    num_inputs: ClassVar[int | None] = 2

    def parts(self, *xs: Parts) -> Parts:
        _equal("Multiply", xs)
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        if sizes[1] not in (sizes[0], (1, 1)):
            raise ValueError(f"Multiply needs equal sizes or a 1x1 gate, got {list(sizes)}")
        return sizes[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0] * xs[1]
