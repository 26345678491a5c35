"""What every operator knows of itself. Operators are values; torch is imported only where something runs."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from falconet.graph.shape import Parts, Shape, Size, Weight

if TYPE_CHECKING:
    from torch import Tensor, nn


Reach: TypeAlias = tuple[Fraction | int, Fraction | int, Fraction | int]
"""(first, last, step): output pixel p depends on input pixels p*step + first to p*step + last, in each axis."""


class Op:
    """An operator of a network: a frozen dataclass that overrides what differs from "one tensor in, the same out".

    Adding an operator: one such class and one entry in OPS (and in deploy's ONNX table, if it is to be exported).
    """

    elastic: ClassVar[frozenset[str]] = frozenset()
    """Fields in which sub-networks may differ and still share weights; the store keeps the largest."""
    loose: ClassVar[frozenset[str]] = frozenset({"stride", "pad", "output_pad"})
    """Fields that change how the operator runs, and no weight."""
    num_inputs: ClassVar[int | None] = 1
    """How many tensors it takes; None: one or more."""

    def parts(self, *xs: Parts) -> Parts:
        """The channels that come out. Raises ValueError when the inputs do not fit."""
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        """Height and width that come out."""
        return sizes[0]

    def macs(self, xs: tuple[Shape, ...], out: Shape) -> int:
        """Multiply-accumulates on one image, of convolutions and matrix products (as flop counters count them)."""
        return 0

    def weights(self, *xs: Parts) -> dict[str, Weight]:
        """Its weight tensors by the names that the torch module uses: shapes, and how they are sliced."""
        return {}

    def module(self, *xs: Parts) -> nn.Module | None:
        """A fresh torch module that holds its weights, initialised; None when it has none."""
        return None

    def run(self, w: Mapping[str, Tensor], xs: tuple[Tensor, ...], training: bool) -> Tensor:
        """What it computes: `w` by the names of `weights`, tensors (batch, channels, height, width)."""
        raise NotImplementedError(type(self).__name__)

    def reach(self) -> Reach | None:
        """Where an output pixel looks; None when it sees the whole picture."""
        return 0, 0, 1


def at_least(op: Op, low: int, *names: str) -> None:
    """Refuse `op` when one of its settings is below `low`."""
    for name in names:
        value = getattr(op, name)
        if value is not None and value < low:
            raise ValueError(f"{type(op).__name__} needs {name} to be at least {low}, got {value}")


def same_pad(kernel: int, pad: int | None) -> int:
    """The padding in force: `pad`, or half the kernel when it is None."""
    return kernel // 2 if pad is None else pad


def window(size: Size, kernel: int, stride: int, pad: int) -> Size:
    """Height and width after a sliding window: ``window((8, 8), 3, 2, 1) == (4, 4)``."""
    height, width = ((n + 2 * pad - kernel) // stride + 1 for n in size)
    if height < 1 or width < 1:
        raise ValueError(f"a {kernel}x{kernel} window does not fit into {size[0]}x{size[1]} pixels with padding {pad}")
    return height, width
