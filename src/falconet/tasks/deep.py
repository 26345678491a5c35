"""16-bit colour, which Pillow can neither hold nor write: decoded in two readings of the same file, written by hand;
and PNG files of any depth written row by row, for pictures too large to be held.

Pillow unpacks a 16-bit colour file into 8 bits a value, keeping the high byte of each. Which byte it takes for the
high one is a setting of its decoder ("RGB;16B" for big-endian files). Read a second time with the other setting it
yields the low bytes, and high * 256 + low is the exact value; interlacing, filters and compression stay Pillow's work.

Left out: 16-bit CMYK, and TIFF files with premultiplied alpha, which come out with 8 bits.
Shapes: h, w = height, width; c = channels: 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha.
"""

import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

Pixels = npt.NDArray[Any]

_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER = {"L": "B", "B": "L"}
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # of a PNG, by its number of channels
_ROWS_AT_ONCE = 256


def second_reading(image: Image.Image) -> str:
    """The decoder setting that yields the low bytes of this opened 16-bit colour file; "" when it is no such file."""
    if not isinstance(image, ImageFile.ImageFile) or not image.tile:
        return ""
    args = image.tile[0].args
    mode = args if isinstance(args, str) else str(args[0]) if args else ""
    if mode == "LA;16B":
        return "RGBA"  # four bytes a pixel, as they lie in the file: both bytes of grey, both of alpha
    base, _, end = mode.partition(";16")
    if base not in ("RGB", "RGBA", "RGBX") or end not in ("L", "B", "N"):
        return ""
    return f"{base};16{_OTHER[_NATIVE if end == 'N' else end]}"


def decode(image: Image.Image, again: Image.Image, setting: str) -> Pixels:
    """The upright pixels of a 16-bit colour file that was opened twice: uint16, hwc, c 2 to 4.

    `setting` is what `second_reading` said. Raises what Pillow raises on damaged files.
    """
    assert isinstance(again, ImageFile.ImageFile)
    again.tile = [tile._replace(args=_with_mode(tile.args, setting)) for tile in again.tile]
    low = np.asarray(ImageOps.exif_transpose(again))
    if setting == "RGBA":
        return _joined(low[..., 0::2], low[..., 1::2])
    return _joined(np.asarray(ImageOps.exif_transpose(image)), low)


def _joined(high: Pixels, low: Pixels) -> Pixels:
    joined = high.astype(np.uint16)
    joined <<= 8
    joined |= low
    return joined


def _with_mode(args: Any, mode: str) -> Any:
    return mode if isinstance(args, str) else (mode, *args[1:])


def encode_png(pixels: Pixels, icc: bytes | None = None) -> bytes:
    """A PNG file of these uint16 pixels, hwc with c 1 to 4; `icc` is a colour profile to carry along."""
    assert pixels.dtype == np.uint16 and pixels.ndim == 3
    height = pixels.shape[0]
    return b"".join(png_pieces([pixels], height, icc))


def png_pieces(strips: Iterable[Pixels], height: int, icc: bytes | None = None) -> Iterator[bytes]:
    """A PNG file of `height` rows in pieces, made as the strips come: uint8 or uint16, hwc with c 1 to 4.

    Every row holds differences to the pixel on its left (filter type 1 of the PNG specification, section 9).
    """
    packer, rows_done = zlib.compressobj(4), 0
    for strip in strips:
        count, width, channels = strip.shape
        if rows_done == 0:
            yield b"\x89PNG\r\n\x1a\n"
            yield _chunk(
                b"IHDR",
                struct.pack(">IIBBBBB", width, height, 8 * strip.itemsize, _COLOUR_TYPE[channels], 0, 0, 0),
            )
            if icc:
                yield _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
        for start in range(0, count, _ROWS_AT_ONCE):
            rows = strip[start : start + _ROWS_AT_ONCE]
            rows = rows.astype(">u2") if rows.dtype == np.uint16 else rows
            values = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), width, strip.itemsize * channels)
            filtered = np.ones((len(rows), 1 + width * values.shape[2]), dtype=np.uint8)
            filtered[:, 1:] = np.diff(values, axis=1, prepend=np.uint8(0)).reshape(len(rows), -1)
            packed = packer.compress(filtered.tobytes())
            if packed:
                yield _chunk(b"IDAT", packed)
        rows_done += count
    assert rows_done == height
    yield _chunk(b"IDAT", packer.flush())
    yield _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
