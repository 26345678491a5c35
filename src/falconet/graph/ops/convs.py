"""Operators with learned kernels: convolutions, linear layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from falconet.graph.ops.base import Op, Reach, at_least, same_pad, window
from falconet.graph.shape import Axis, Parts, Shape, Size, Weight, plain, total

if TYPE_CHECKING:
    from torch import Tensor, nn


def _axis(count: int) -> Axis:
    return Axis(plain(count))


def _kernel(size: int) -> Axis:
    return Axis(plain(size), centred=True)


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """2-D convolution; input channels come from the layer that feeds it. `pad` None keeps the size at stride 1.

    With `groups` > 1 sub-networks share weights only at equal group counts.
    """

    out: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1
    bias: bool = True
    pad: int | None = None
    elastic: ClassVar[frozenset[str]] = frozenset({"out", "kernel"})

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "out", "kernel", "stride", "groups")
        at_least(self, 0, "pad")
        if total(xs[0]) % self.groups or self.out % self.groups:
            raise ValueError(f"{self.groups} groups must divide {total(xs[0])} input and {self.out} output channels")
        return plain(self.out)

    def size(self, *sizes: Size) -> Size:
        return window(sizes[0], self.kernel, self.stride, same_pad(self.kernel, self.pad))

    def macs(self, xs: tuple[Shape, ...], out: Shape) -> int:
        return self.kernel**2 * (xs[0].channels // self.groups) * self.out * out.pixels

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        if self.groups > 1:  # each group keeps its own rows and columns
            rows = Axis(tuple((f"g{g}", self.out // self.groups) for g in range(self.groups)))
            columns = _axis(total(xs[0]) // self.groups)
        else:
            rows, columns = _axis(self.out), Axis(xs[0])
        kernel = _kernel(self.kernel)
        found = {"weight": Weight((rows, columns, kernel, kernel))}
        if self.bias:
            found["bias"] = Weight((rows,))
        return found

    def module(self, *xs: Parts) -> nn.Module:
        from torch import nn

        pad = same_pad(self.kernel, self.pad)
        return nn.Conv2d(total(xs[0]), self.out, self.kernel, self.stride, pad, groups=self.groups, bias=self.bias)

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        from torch.nn import functional

        pad = same_pad(self.kernel, self.pad)
        return functional.conv2d(xs[0], w["weight"], w.get("bias"), self.stride, pad, 1, self.groups)

    def reach(self) -> Reach:
        pad = same_pad(self.kernel, self.pad)
        return -pad, self.kernel - 1 - pad, self.stride


@dataclass(frozen=True, slots=True)
class DepthwiseConv(Op):
    """One k x k filter for every channel."""

    kernel: int = 3
    stride: int = 1
    bias: bool = True
    pad: int | None = None
    elastic: ClassVar[frozenset[str]] = frozenset({"kernel"})

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "kernel", "stride")
        at_least(self, 0, "pad")
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        return window(sizes[0], self.kernel, self.stride, same_pad(self.kernel, self.pad))

    def macs(self, xs: tuple[Shape, ...], out: Shape) -> int:
        return self.kernel**2 * out.channels * out.pixels

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        kernel = _kernel(self.kernel)
        found = {"weight": Weight((Axis(xs[0]), _axis(1), kernel, kernel))}
        if self.bias:
            found["bias"] = Weight((Axis(xs[0]),))
        return found

    def module(self, *xs: Parts) -> nn.Module:
        from torch import nn

        channels, pad = total(xs[0]), same_pad(self.kernel, self.pad)
        return nn.Conv2d(channels, channels, self.kernel, self.stride, pad, groups=channels, bias=self.bias)

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        from torch.nn import functional

        pad = same_pad(self.kernel, self.pad)
        return functional.conv2d(xs[0], w["weight"], w.get("bias"), self.stride, pad, 1, w["weight"].shape[0])

    def reach(self) -> Reach:
        pad = same_pad(self.kernel, self.pad)
        return -pad, self.kernel - 1 - pad, self.stride


EDGE_KERNELS: dict[str, tuple[tuple[float, ...], ...]] = {
    "sobel_x": ((1, 0, -1), (2, 0, -2), (1, 0, -1)),
    "sobel_y": ((1, 2, 1), (0, 0, 0), (-1, -2, -1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
}


@dataclass(frozen=True, slots=True)
class EdgeConv(Op):
    """A fixed 3x3 edge mask on every channel, with a learned scale and bias (ECB: Zhang et al. 2021, eq. 5 to 8).

    No padding: the 1x1 convolution before it carries it, so that merging is exact at borders.
    """

    kind: Literal["sobel_x", "sobel_y", "laplacian"]

    def size(self, *sizes: Size) -> Size:
        return window(sizes[0], 3, 1, 0)

    def macs(self, xs: tuple[Shape, ...], out: Shape) -> int:
        return 9 * out.channels * out.pixels

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        axis = Axis(xs[0])
        return {"weight": Weight((axis, _axis(1), _axis(1), _axis(1))), "bias": Weight((axis,))}

    def module(self, *xs: Parts) -> nn.Module:
        import torch
        from torch import nn

        channels = total(xs[0])
        holder = nn.Module()
        holder.register_parameter("weight", nn.Parameter(torch.randn(channels, 1, 1, 1) * 1e-3))
        holder.register_parameter("bias", nn.Parameter(torch.randn(channels) * 1e-3))
        return holder

    def kernel(self, w: Mapping[str, Tensor]) -> Tensor:
        """The depthwise kernel in force, shape (channels, 1, 3, 3): mask times scale."""
        return w["weight"] * w["weight"].new_tensor(EDGE_KERNELS[self.kind])

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        from torch.nn import functional

        return functional.conv2d(xs[0], self.kernel(w), w["bias"], 1, 0, 1, w["bias"].shape[0])

    def reach(self) -> Reach:
        return 0, 2, 1


@dataclass(frozen=True, slots=True)
class TransposedConv(Op):
    """Transposed ("de-") convolution: upscales by `stride`."""

    out: int
    kernel: int = 9
    stride: int = 2
    bias: bool = True
    pad: int = 4
    output_pad: int = 1
    elastic: ClassVar[frozenset[str]] = frozenset({"out", "kernel"})

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "out", "kernel", "stride")
        at_least(self, 0, "pad", "output_pad")
        if self.output_pad >= self.stride:
            raise ValueError(f"output_pad must be smaller than the stride, {self.stride}; got {self.output_pad}")
        return plain(self.out)

    def size(self, *sizes: Size) -> Size:
        height, width = ((n - 1) * self.stride - 2 * self.pad + self.kernel + self.output_pad for n in sizes[0])
        if height < 1 or width < 1:
            raise ValueError(f"nothing is left of {sizes[0][0]}x{sizes[0][1]} pixels with padding {self.pad}")
        return height, width

    def macs(self, xs: tuple[Shape, ...], out: Shape) -> int:
        return self.kernel**2 * xs[0].channels * self.out * xs[0].pixels

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        kernel = _kernel(self.kernel)
        found = {"weight": Weight((Axis(xs[0]), _axis(self.out), kernel, kernel))}
        if self.bias:
            found["bias"] = Weight((_axis(self.out),))
        return found

    def module(self, *xs: Parts) -> nn.Module:
        from torch import nn

        return nn.ConvTranspose2d(
            total(xs[0]), self.out, self.kernel, self.stride, self.pad, self.output_pad, bias=self.bias
        )

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        from torch.nn import functional

        return functional.conv_transpose2d(xs[0], w["weight"], w.get("bias"), self.stride, self.pad, self.output_pad)

    def reach(self) -> Reach:
        first, last = Fraction(self.pad - self.kernel + 1, self.stride), Fraction(self.pad, self.stride)
        return first, last, Fraction(1, self.stride)


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """Fully connected layer on a flat tensor (see Flatten)."""

    out: int
    bias: bool = True
    elastic: ClassVar[frozenset[str]] = frozenset({"out"})

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "out")
        return plain(self.out)

    def size(self, *sizes: Size) -> Size:
        if sizes[0] != (1, 1):
            came = f"{sizes[0][0]}x{sizes[0][1]}"
            raise ValueError(f"a linear layer needs a flat tensor, got {came}: put Flatten before it")
        return sizes[0]

    def macs(self, xs: tuple[Shape, ...], out: Shape) -> int:
        return xs[0].channels * self.out

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        found = {"weight": Weight((_axis(self.out), Axis(xs[0])))}
        if self.bias:
            found["bias"] = Weight((_axis(self.out),))
        return found

    def module(self, *xs: Parts) -> nn.Module:
        from torch import nn

        return nn.Linear(total(xs[0]), self.out, bias=self.bias)

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        from torch.nn import functional

        if xs[0].dim() != 2:
            raise ValueError(
                f"a linear layer needs a flat tensor, got shape {tuple(xs[0].shape)}: put Flatten before it"
            )
        return functional.linear(xs[0], w["weight"], w.get("bias"))
