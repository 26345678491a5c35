"""Which part of a picture to show in a report: where the old way does worst, there is most to see.

Shapes: h, w = height, width; pixels are uint8, hw or hwc.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from falconet.tasks.enhance import Tile
from falconet.tasks.images import Picture, encode

Pixels = npt.NDArray[Any]


def hardest_part(before: Pixels, truth: Pixels, height: int, width: int) -> Tile:
    """The part of at most height x width pixels with the largest squared error; the topmost, leftmost one of equals.

    >>> before, truth = np.zeros((1, 5)), np.array([[0, 0, 0, 9, 9]])
    >>> hardest_part(before, truth, height=1, width=2)
    Tile(top=0, bottom=1, left=3, right=5)
    """
    error = np.square(np.subtract(before, truth, dtype=np.float64))
    error = error if error.ndim == 2 else error.sum(axis=2)
    height, width = min(height, error.shape[0]), min(width, error.shape[1])
    sums = np.pad(error, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)  # sums[y, x]: of all above and left
    windows = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = (int(place) for place in np.unravel_index(windows.argmax(), windows.shape))
    return Tile(top, top + height, left, left + width)


def middle(pixels: Pixels, most: int, multiple: int) -> Tile:
    """The middle of the picture, at most `most` pixels a side; its corner and sides are multiples of `multiple`."""
    height, width = (min(side, most) // multiple * multiple for side in pixels.shape[:2])
    top, left = (
        (side - part) // 2 // multiple * multiple for side, part in zip(pixels.shape, (height, width), strict=False)
    )
    return Tile(top, top + height, left, left + width)


def png(pixels: Pixels) -> bytes:
    """A PNG file of uint8 pixels."""
    return encode(Picture(pixels if pixels.ndim == 3 else pixels[..., None]))
