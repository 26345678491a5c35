"""Antialiased bicubic resizing, as the super-resolution literature defines it.

`resize_bicubic` computes what MATLAB's `imresize(picture, [height width], "bicubic")` computes: Keys' cubic kernel with
a = -0.5, stretched by 1/scale when shrinking (so that it also removes what the small picture cannot hold), edges
mirrored, and for integer pictures one rounding at the end. Pillow's BICUBIC uses the same kernel, but cuts it off at
the edges instead of mirroring; OpenCV's and torch's do not antialias by default. Figures measured on differently made
small pictures cannot be compared, which is why this is spelled out here.

Shapes: h, w = height, width of the picture given; H, W of the one returned; c = channels (2-D pictures have none).
Left out: other kernels, and gamma: values are resized as stored, as everybody does.

Paper: R. Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 15 with a = -0.5.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

# One array of pixels: uint8, uint16 or float; h x w, or h x w x c.
Pixels = npt.NDArray[Any]

BLOCK = 32  # new pixels made by one small matrix product; 16 and 64 were slower


def cubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The weight of a pixel at this distance (in pixels): 1 at 0, 0.5625 at 0.5, -0.0625 at 1.5, 0 from 2 on."""
    x = np.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1.0, near, np.where(x < 2.0, far, 0.0))


@lru_cache(maxsize=64)
def taps(size: int, new_size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Which old pixels make each new one, and their weights: two (new_size, num_taps) arrays.

    Pixel centres sit at half integers: new pixel i looks at (i + 0.5) / scale - 0.5. Halving 4 pixels to 2 puts the
    first at 0.5, between old pixels 0 and 1; the kernel is 8 wide there and the pixels before 0 are mirrored:

    >>> index, weight = taps(4, 2)
    >>> index[0].tolist(), (weight[0] * 256).tolist()
    ([2, 1, 0, 0, 1, 2, 3, 3], [-3.0, -9.0, 29.0, 111.0, 111.0, 29.0, -9.0, -3.0])
    """
    scale = new_size / size
    stretch = min(scale, 1.0)  # < 1 when shrinking: the kernel grows wider and lower
    width = 4.0 / stretch
    centre = (np.arange(new_size) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2).astype(np.intp)
    index = first[:, None] + np.arange(int(np.ceil(width)) + 2)
    weight = cubic((centre[:, None] - index) * stretch)
    weight /= weight.sum(axis=1, keepdims=True)
    used = np.flatnonzero(weight.any(axis=0))
    index, weight = index[:, used[0] : used[-1] + 1], weight[:, used[0] : used[-1] + 1]
    mirrored = index % (2 * size)  # the picture and its mirror image, repeated for ever
    mirrored = np.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)
    mirrored.flags.writeable = weight.flags.writeable = False  # cached: shared by all callers
    return mirrored, weight


@dataclass(frozen=True, eq=False)
class Block:
    """New pixels start..stop of a line are `matrix` (stop-start, last-first) times the old pixels first..last."""

    start: int
    stop: int
    first: int
    last: int
    matrix: Pixels


def blocks(size: int, new_size: int, dtype: npt.DTypeLike) -> Iterator[Block]:
    """The taps of a line as small dense matrices, which multiply faster than single taps gather."""
    index, weight = taps(size, new_size)
    for start in range(0, new_size, BLOCK):
        stop = min(start + BLOCK, new_size)
        used, weights = index[start:stop], weight[start:stop]
        first, last = int(used.min()), int(used.max()) + 1
        matrix = np.zeros((stop - start, last - first))
        np.add.at(matrix, (np.arange(stop - start)[:, None], used - first), weights)  # mirrored pixels come twice
        yield Block(start, stop, first, last, matrix.astype(dtype))


def resize_bicubic(pixels: Pixels, height: int, width: int) -> Pixels:
    """The picture in exactly height x width pixels, of the type it came in; hw -> HW, hwc -> HWc.

    uint8 and uint16 come back rounded (halves up) and clipped to their range; floats come back as they are, and may
    overshoot the range of the input near sharp edges. Working memory is a few rows.

    >>> resize_bicubic(np.array([[0, 0, 100, 100]], dtype=np.uint8), 1, 2).tolist()
    [[5, 95]]
    """
    assert pixels.ndim in (2, 3) and min(pixels.shape) >= 1 and min(height, width) >= 1
    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    is_integer = np.issubdtype(pixels.dtype, np.integer)
    # In float64 halving sums 8-bit pixels without any error, so a value halfway rounds alike on every machine.
    working = np.float64 if is_integer else pixels.dtype
    columns = tuple(blocks(pixels.shape[1], width, working))
    planes = pixels.reshape(*pixels.shape[:2], -1)
    old_width, num_channels = planes.shape[1:]
    result = np.empty((height, width, num_channels), dtype=pixels.dtype)
    peak = np.iinfo(pixels.dtype).max if is_integer else None
    for rows in blocks(pixels.shape[0], height, working):
        count = rows.stop - rows.start
        strip = rows.matrix @ planes[rows.first : rows.last].reshape(rows.last - rows.first, -1).astype(working)
        lines = strip.reshape(count, old_width, num_channels).transpose(2, 0, 1).reshape(-1, old_width)
        made = np.empty((len(lines), width), dtype=working)
        for block in columns:
            np.matmul(lines[:, block.first : block.last], block.matrix.T, out=made[:, block.start : block.stop])
        if peak is not None:
            made += 0.5
            np.floor(made, out=made)
            np.clip(made, 0, peak, out=made)
        result[rows.start : rows.stop] = made.reshape(num_channels, count, width).transpose(1, 2, 0)
    return result.reshape(height, width, *pixels.shape[2:])


def crop_to_multiple(pixels: Pixels, scale: int) -> Pixels:
    """The picture without its last rows and columns, so that both sides divide by `scale`; a view, not a copy."""
    height, width = pixels.shape[0] // scale * scale, pixels.shape[1] // scale * scale
    return pixels[:height, :width]


def shrink(pixels: Pixels, scale: int) -> Pixels:
    """The low-resolution picture of the published protocol: cropped to a multiple of `scale`, shrunk by bicubic."""
    cropped = crop_to_multiple(pixels, scale)
    return resize_bicubic(cropped, cropped.shape[0] // scale, cropped.shape[1] // scale)


def enlarge(pixels: Pixels, scale: int) -> Pixels:
    """The picture enlarged `scale` times by bicubic: what every super-resolution network has to beat."""
    return resize_bicubic(pixels, pixels.shape[0] * scale, pixels.shape[1] * scale)
