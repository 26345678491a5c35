"""Example pictures as data the page carries in itself, and the patch in which before and after differ most.

Pictures are stored as lossless WebP: every pixel is kept, at about three quarters of the size of PNG. A picture wider
or higher than MAX_SIDE is shown by its middle, since a report is for looking at details.
"""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from falconet.report.reading import Picture

MAX_SIDE = 1200
MAX_PIXELS = 40_000_000
PATCH = (84, 56)  # width and height of the close-up, pixels


@dataclass(frozen=True)
class Patch:
    """A close-up: data URIs by kind, and where it lies in the picture, in per cent of its width and height."""

    images: dict[str, str]
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Embedded:
    """One example ready for the page: data URIs by kind, the size shown, a close-up. `cropped`: only its middle."""

    picture: Picture
    images: dict[str, str]
    width: int
    height: int
    patch: Patch | None = None
    cropped: bool = False


def embed(picture: Picture, close_up: bool = True) -> Embedded:
    """The example with its files as data URIs; with a close-up, if that is wanted and the picture is large enough.

    Raises ValueError, naming the file, when one of them is no picture, is too large or differs in size from the others.
    """
    opened = {kind: _open(picture, kind) for kind in picture.files}
    sizes = {image.size for image in opened.values()}
    if len(sizes) != 1:
        raise ValueError(f"the files of example {picture.example.picture!r} differ in size: {sorted(sizes)}")
    cropped = max(sizes.pop()) > MAX_SIDE
    if cropped:
        opened = {kind: _middle(image) for kind, image in opened.items()}
    width, height = opened["after"].size
    images = {kind: data_uri(image) for kind, image in opened.items()}
    return Embedded(picture, images, width, height, _patch(opened) if close_up else None, cropped)


def _open(picture: Picture, kind: str) -> Image.Image:
    path = picture.files[kind]
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{path.name} has {image.width}x{image.height} pixels, too many for a report")
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise ValueError(f"{path.name} is not a picture that can be read: {error}") from error


def _middle(image: Image.Image) -> Image.Image:
    width, height = min(MAX_SIDE, image.width), min(MAX_SIDE * 2 // 3, image.height)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def data_uri(image: Image.Image) -> str:
    """The picture as a data URI, lossless."""
    buffer = BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=0, method=2)  # the quick way costs 2 % of size
    return f"data:image/webp;base64,{b64encode(buffer.getvalue()).decode()}"


def _patch(opened: dict[str, Image.Image]) -> Patch | None:
    width, height = opened["after"].size
    if width < 2 * PATCH[0] or height < 2 * PATCH[1]:
        return None
    left, top = most_different(*(np.asarray(opened[kind].convert("L"), np.float32) for kind in ("before", "after")))
    box = (left, top, left + PATCH[0], top + PATCH[1])
    images = {kind: data_uri(image.crop(box)) for kind, image in opened.items()}
    return Patch(images, 100 * left / width, 100 * top / height, 100 * PATCH[0] / width, 100 * PATCH[1] / height)


def most_different(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """(left, top) of the PATCH-sized window with the largest sum of |after - before|; arrays (height, width).

    The truth has no say, so the window shows the network's worst changes as readily as its best.
    """
    width, height = PATCH
    sums = np.pad(np.abs(after - before).astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    windows = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(left), int(top)
