"""Operators that move values: concatenation, slices, shuffles, resizing, borders, pooling. None has weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from falconet.graph.ops.base import Op, Reach, at_least, same_pad, window
from falconet.graph.shape import Parts, Size, plain, total

if TYPE_CHECKING:
    from torch import Tensor

Tensors = tuple["Tensor", ...]
MOST_PARTS = 4096
MOST_CHANNELS = 10_000_000


def grown(channels: int) -> Parts:
    """Plain parts, unless there would be absurdly many channels (a few lines of a file can ask for that)."""
    if channels > MOST_CHANNELS:
        raise ValueError(f"a tensor may have at most {MOST_CHANNELS:,} channels")
    return plain(channels)


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """Tensors side by side in channels; each keeps its `keys` label, so a consumer keeps a slice of weights for each.

    >>> Concat(("left", "right")).parts((("", 8),), (("", 4),))
    (('left', 8), ('right', 4))
    """

    keys: tuple[str, ...]
    num_inputs: ClassVar[int | None] = None

    def parts(self, *xs: Parts) -> Parts:
        if len(xs) != len(self.keys) or len(set(self.keys)) != len(self.keys):
            raise ValueError(f"Concat needs one different key for each input, got {self.keys} for {len(xs)} inputs")
        if not all(self.keys) or any("." in key for key in self.keys):
            raise ValueError(f"the keys of a Concat must be words without dots, got {self.keys}")
        found = tuple(
            (f"{key}.{label}" if label else key, count)
            for key, x in zip(self.keys, xs, strict=True)
            for label, count in x
        )
        if len(found) > MOST_PARTS:
            raise ValueError(f"a tensor may have at most {MOST_PARTS} labelled parts, Concat makes {len(found)}")
        return found

    def size(self, *sizes: Size) -> Size:
        if len(set(sizes)) > 1:
            raise ValueError(f"Concat needs tensors of one size, got {list(sizes)}")
        return sizes[0]

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        import torch

        return torch.cat(xs, 1)


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """Channels from `start` up to `stop`."""

    start: int
    stop: int

    def parts(self, *xs: Parts) -> Parts:
        if not 0 <= self.start < self.stop <= total(xs[0]):
            raise ValueError(f"a slice {self.start}:{self.stop} must lie inside {total(xs[0])} channels")
        return plain(self.stop - self.start)

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        if not training:
            return xs[0][:, self.start : self.stop]
        from falconet.graph.ops.gradients import channels

        return channels(xs[0], self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Shuffle(Op):
    """Channel shuffle (ShuffleNet): channels as a (groups, channels/groups) matrix, transposed."""

    groups: int = 2

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "groups")
        if total(xs[0]) % self.groups:
            raise ValueError(f"{self.groups} groups must divide {total(xs[0])} channels")
        return plain(total(xs[0]))

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.channel_shuffle(xs[0], self.groups)


@dataclass(frozen=True, slots=True)
class PixelShuffle(Op):
    """Channels to pixels: (c*f*f, h, w) becomes (c, h*f, w*f)."""

    factor: int = 2

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "factor")
        channels, square = total(xs[0]), self.factor**2
        if channels % square:
            raise ValueError(f"PixelShuffle({self.factor}) needs a multiple of {square} channels, got {channels}")
        return plain(channels // square)

    def size(self, *sizes: Size) -> Size:
        return sizes[0][0] * self.factor, sizes[0][1] * self.factor

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.pixel_shuffle(xs[0], self.factor)

    def reach(self) -> Reach:
        return Fraction(1, self.factor) - 1, 0, Fraction(1, self.factor)


@dataclass(frozen=True, slots=True)
class PixelUnshuffle(Op):
    """Pixels to channels: (c, h*f, w*f) becomes (c*f*f, h, w)."""

    factor: int = 2

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "factor")
        return grown(total(xs[0]) * self.factor**2)

    def size(self, *sizes: Size) -> Size:
        if sizes[0][0] % self.factor or sizes[0][1] % self.factor:
            raise ValueError(f"PixelUnshuffle({self.factor}) needs a multiple of {self.factor} pixels, got {sizes[0]}")
        return sizes[0][0] // self.factor, sizes[0][1] // self.factor

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.pixel_unshuffle(xs[0], self.factor)

    def reach(self) -> Reach:
        return 0, self.factor - 1, self.factor


@dataclass(frozen=True, slots=True)
class Repeat(Op):
    """Each channel `times` times in a row; PixelShuffle(f) of Repeat(f*f) is nearest-neighbour upscaling."""

    times: int

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "times")
        return grown(total(xs[0]) * self.times)

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        x = xs[0]
        if x.shape[1] == 1:
            return x.expand(-1, self.times, -1, -1)
        return x.repeat_interleave(self.times, 1)


@dataclass(frozen=True, slots=True)
class Resize(Op):
    """Upscaled by a whole factor; half-pixel centres, no antialiasing (none is needed upwards)."""

    factor: int = 2
    mode: Literal["nearest", "bilinear", "bicubic"] = "nearest"

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "factor")
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        return sizes[0][0] * self.factor, sizes[0][1] * self.factor

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        corners = None if self.mode == "nearest" else False
        return functional.interpolate(xs[0], scale_factor=float(self.factor), mode=self.mode, align_corners=corners)

    def reach(self) -> Reach:
        step = Fraction(1, self.factor)
        if self.mode == "nearest":
            return step - 1, 0, step
        near = {"bilinear": 1, "bicubic": 2}[self.mode]  # neighbours on each side of (p + 1/2) * step - 1/2
        return (step - 1) / 2 - near, (step - 1) / 2 + near, step


@dataclass(frozen=True, slots=True)
class Extend(Op):
    """Grown on the right and below to a multiple of `multiple` pixels, by repeating the last ones; Crop undoes it.

    >>> Extend(2).size((61, 48))
    (62, 48)
    """

    multiple: int = 2

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "multiple")
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        height, width = (n + -n % self.multiple for n in sizes[0])
        return height, width

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        below, right = (-n % self.multiple for n in xs[0].shape[2:])
        return functional.pad(xs[0], (0, right, 0, below), mode="replicate")


@dataclass(frozen=True, slots=True)
class Crop(Op):
    """The upper left part of the first tensor, as high and wide as the second, which may have other channels."""

    num_inputs: ClassVar[int | None] = 2

    def size(self, *sizes: Size) -> Size:
        (height, width), wanted = sizes
        if height < wanted[0] or width < wanted[1]:
            raise ValueError(f"Crop needs a first tensor that is no smaller in size than the second, got {list(sizes)}")
        return wanted

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0][:, :, : xs[1].shape[2], : xs[1].shape[3]]


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """The largest value of each window. `ceil` rounds the output size up, as Caffe does."""

    kernel: int = 3
    stride: int = 2
    pad: int | None = None
    ceil: bool = False

    def parts(self, *xs: Parts) -> Parts:
        return _pooled(self, xs[0], self.kernel, same_pad(self.kernel, self.pad))

    def size(self, *sizes: Size) -> Size:
        return pool_size(sizes[0], self.kernel, self.stride, same_pad(self.kernel, self.pad), self.ceil)

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        pad = same_pad(self.kernel, self.pad)
        return functional.max_pool2d(xs[0], self.kernel, self.stride, pad, ceil_mode=self.ceil)

    def reach(self) -> Reach:
        pad = same_pad(self.kernel, self.pad)
        return -pad, self.kernel - 1 - pad, self.stride


@dataclass(frozen=True, slots=True)
class AvgPool(Op):
    """The mean of each window; padding is not counted."""

    kernel: int = 2
    stride: int = 2
    pad: int = 0
    ceil: bool = False

    def parts(self, *xs: Parts) -> Parts:
        return _pooled(self, xs[0], self.kernel, self.pad)

    def size(self, *sizes: Size) -> Size:
        return pool_size(sizes[0], self.kernel, self.stride, self.pad, self.ceil)

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        from torch.nn import functional

        return functional.avg_pool2d(xs[0], self.kernel, self.stride, self.pad, self.ceil, count_include_pad=False)

    def reach(self) -> Reach:
        pad = same_pad(self.kernel, self.pad)
        return -pad, self.kernel - 1 - pad, self.stride


def _pooled(op: Op, x: Parts, kernel: int, pad: int) -> Parts:
    at_least(op, 1, "kernel", "stride")
    at_least(op, 0, "pad")
    if 2 * pad > kernel:
        raise ValueError(f"{type(op).__name__} takes padding up to half its kernel of {kernel}, got {pad}")
    return x


def pool_size(size: Size, kernel: int, stride: int, pad: int, ceil: bool) -> Size:
    """Height and width after pooling; as in torch, no window starts in the padding on the right."""
    if not ceil:
        return window(size, kernel, stride, pad)
    sides = []
    for n in size:
        side = -(-(n + 2 * pad - kernel) // stride) + 1
        sides.append(side - 1 if (side - 1) * stride >= n + pad else side)
    if min(sides) < 1:
        raise ValueError(f"a {kernel}x{kernel} window does not fit into {size[0]}x{size[1]} pixels with padding {pad}")
    return sides[0], sides[1]


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(Op):
    """The mean over all pixels, as a 1x1 picture."""

    def size(self, *sizes: Size) -> Size:
        return 1, 1

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0].mean((2, 3), keepdim=True)

    def reach(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Contrast(Op):
    """Mean plus standard deviation over all pixels, as a 1x1 picture (IMDN's attention: Hui et al. 2019, eq. 4).

    `epsilon` is added to the variance, so that a flat picture has a gradient too (the paper has none).
    """

    epsilon: float = 1e-10

    def parts(self, *xs: Parts) -> Parts:
        if not self.epsilon > 0:
            raise ValueError(f"Contrast needs a positive epsilon, got {self.epsilon}")
        return xs[0]

    def size(self, *sizes: Size) -> Size:
        return 1, 1

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        mean = xs[0].mean((2, 3), keepdim=True)
        return mean + ((xs[0] - mean).square().mean((2, 3), keepdim=True) + self.epsilon).sqrt()

    def reach(self) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """(c, h, w) to c*h*w values; `pixels` states h*w, since weights behind it depend on it."""

    pixels: int = 1

    def parts(self, *xs: Parts) -> Parts:
        at_least(self, 1, "pixels")
        return xs[0] if self.pixels == 1 else grown(total(xs[0]) * self.pixels)

    def size(self, *sizes: Size) -> Size:
        if sizes[0][0] * sizes[0][1] != self.pixels:
            raise ValueError(f"Flatten was declared for {self.pixels} pixels, got {sizes[0][0]}x{sizes[0][1]}")
        return 1, 1

    def run(self, w: Mapping[str, Tensor], xs: Tensors, training: bool) -> Tensor:
        return xs[0].flatten(1)

    def reach(self) -> None:
        return None
