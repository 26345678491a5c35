"""Pictures as files: read in every common mode, written back in the mode they came in.

`read_picture` turns a file into a `Picture`: grey or colour pixels of 8 or 16 bits, transparency apart, upright.

    colour, grey                 as they are, 8 or 16 bits (16-bit colour too, which Pillow alone cuts to 8)
    alpha (LA, RGBA, tRNS)       pixels and alpha apart
    palette, 1 bit               spread out to colour or grey of 8 bits
    CMYK, YCbCr, Lab, HSV        converted to RGB, without colour management; a note says so
    EXIF orientation             applied: what is up in the picture is up in the array
    animations                   their first frame; a note says so
    32 bits a value, float       refused; so are 16-bit TIFF files that keep their colour planes apart

Left out: colour management (an ICC profile is carried along untouched), EXIF but for the orientation, and raw photos.
Shapes: h, w = height, width; c = channels, 1 or 3.
"""

import contextlib
import io
import itertools
import os
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from falconet.errors import UserError
from falconet.files import write_pieces
from falconet.tasks import deep

Pixels = npt.NDArray[Any]

# What counts as a picture in a folder. Some (.heic) cannot be read, and are named as left out instead of passed over.
EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif", ".heic", ".heif"}
    | {".pbm", ".pgm", ".ppm", ".pnm"}
)

# What Pillow raises, one time or another, on a file that is not whole or not what its name says.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

MOST_PIXELS = 64_000_000  # of a picture that is held as a whole to be written

_EIGHT_BIT = ("L", "LA", "RGB", "RGBA")
_BITS_PER_SAMPLE, _PLANAR = 258, 284  # TIFF tags


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture in memory: `pixels` uint8 or uint16, h x w x c with c 1 (grey) or 3 (RGB); `alpha` h x w, same type.

    `format` is the file format it came in ("PNG"), `icc` its colour profile, `notes` what reading had to change.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    path: Path | None = None
    format: str = "PNG"
    icc: bytes | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.pixels.ndim == 3 and self.pixels.shape[2] in (1, 3) and self.pixels.dtype in (np.uint8, np.uint16)
        assert self.alpha is None or (self.alpha.shape, self.alpha.dtype) == (self.pixels.shape[:2], self.pixels.dtype)

    @property
    def kind(self) -> Literal["grey", "rgb"]:
        """Whether the pixels are grey or colour."""
        return "grey" if self.pixels.shape[2] == 1 else "rgb"

    @property
    def bits(self) -> int:
        """Bits of one value: 8 or 16."""
        return 8 * self.pixels.itemsize

    @property
    def height(self) -> int:
        """Height in pixels, upright."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Width in pixels, upright."""
        return int(self.pixels.shape[1])

    def as_8_bit(self) -> Pixels:
        """The pixels as uint8, hwc: 65535 becomes 255, halves round up."""
        if self.bits == 8:
            return self.pixels
        return ((self.pixels.astype(np.uint32) * 255 + 32768) // 65535).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture that was left out, and why, in words for the user."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"left out {self.path}: {self.reason}"


def list_pictures(folders: Path | Iterable[Path]) -> tuple[Path, ...]:
    """The picture files under one or several folders and their subfolders, each folder sorted; by extension alone.

    Hidden files and folders are passed over. UserError when a folder is missing, is a file, or holds no picture.
    """
    found: list[Path] = []
    for folder in (folders,) if isinstance(folders, (str, Path)) else folders:
        folder = Path(folder)
        if not folder.is_dir():
            what = "is a file, not a folder" if folder.exists() else "does not exist"
            raise UserError(f"a folder of pictures is needed, but {folder} {what}. Check the path.")
        inside = [path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file()]
        inside = [path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
        if not inside:
            kinds = " ".join(sorted(EXTENSIONS))
            raise UserError(f"{folder} holds no pictures. Files with one of these endings are needed: {kinds}")
        found += sorted(inside, key=lambda path: path.relative_to(folder).as_posix())
    return tuple(dict.fromkeys(found))


def stored_size(path: Path) -> tuple[int, int]:
    """(width, height) by the file's header, not yet upright; nothing is decoded. UserError when there is no header."""
    try:
        with _opened(path) as image:
            return image.size
    except UserError:
        raise
    except BROKEN as error:
        raise _unreadable(path, error) from error


def read_picture(path: Path) -> Picture:
    """The picture in the file, upright; see the top of this module for what becomes of each mode.

    Raises UserError, with the path and the reason, when the file is missing, is no picture, is cut short, holds more
    than 178 megapixels (Pillow's own guard against decompression bombs) or has a mode that is not supported.
    """
    path = Path(path)
    try:
        with _opened(path) as image:
            return _decode(image, path)
    except UserError:
        raise
    except BROKEN as error:
        raise _unreadable(path, error) from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # Opened here and not by Pillow, which would map the file into memory and so scramble TIFF files that lie on a side.
    with Path(path).open("rb") as file:
        with warnings.catch_warnings():
            # Pillow warns of a bomb from 89 megapixels on; phones make such photos. It refuses from 178 on, as we do.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                image = Image.open(file)
            except Image.DecompressionBombError as error:
                raise UserError(f"{path}: more than 178 megapixels. Cut it into parts first.") from error
        yield image


def _unreadable(path: Path, error: Exception) -> UserError:
    if not path.exists():
        return UserError(f"{path}: no such file")
    if path.is_dir():
        return UserError(f"{path}: a picture file is needed, but this is a folder")
    if isinstance(error, PermissionError):
        return UserError(f"{path}: may not be read (permission denied)")
    if isinstance(error, UnidentifiedImageError):
        return UserError(f"{path}: not a picture, or of an unknown format")
    return UserError(f"{path}: the file is damaged or cut short ({error})")


def _decode(image: Image.Image, path: Path) -> Picture:
    file_format, icc = image.format or "PNG", image.info.get("icc_profile")
    frames = getattr(image, "n_frames", 1)
    notes = [f"only the first of {frames} frames is used"] if frames > 1 else []
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PLANAR) == 2 and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8:  # Pillow mixes up their bytes, silently
        raise UserError(f"{path}: 16-bit TIFF files with separate colour planes are not supported. Save it as PNG.")
    setting = deep.second_reading(image)
    if setting:
        with _opened(path) as again:
            pixels = deep.decode(image, again, setting)
    else:
        plain, note = _plain_mode(ImageOps.exif_transpose(image), path)
        notes += [note] if note else []
        if plain.mode in _EIGHT_BIT and max(tags.get(_BITS_PER_SAMPLE, (8,))) > 8:
            notes.append("16 bits a value cut to 8")
        icc = icc if image.mode != "CMYK" else None  # a profile for inks says nothing about RGB
        pixels = np.asarray(plain)
        pixels = pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.uint16)  # native byte order; I is 32 bit
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] in (1, 3):
        return Picture(np.ascontiguousarray(pixels), None, path, file_format, icc, tuple(notes))
    colour, alpha = np.ascontiguousarray(pixels[..., :-1]), np.ascontiguousarray(pixels[..., -1])
    return Picture(colour, alpha, path, file_format, icc, tuple(notes))


def _plain_mode(image: Image.Image, path: Path) -> tuple[Image.Image, str]:
    """The picture as L, LA, RGB, RGBA or 16-bit grey, and a note where that lost or changed something."""
    mode = image.mode
    if mode.startswith("I;16"):
        return image, ""
    if mode == "I":
        values = np.asarray(image)
        if values.min() >= 0 and values.max() <= 65535:
            return image, ""  # 16-bit PGM files come as 32-bit integers
    if mode in ("I", "F"):
        raise UserError(f"{path}: 8 or 16 bits a value are supported, this picture has 32. Convert it first.")
    if "transparency" in image.info and mode in ("1", "L", "P", "RGB"):
        return image.convert("LA" if mode in ("1", "L") else "RGBA"), ""
    if mode in _EIGHT_BIT:
        return image, ""
    if mode in ("1", "P", "PA", "La", "RGBa", "RGBX"):
        return image.convert({"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}[mode]), ""
    return image.convert("RGB"), f"converted from {mode} to RGB without colour management"


def write_picture(picture: Picture, path: Path) -> Path:
    """Write the picture, never over a file that exists, and return where: `path`, or `path` with -2, -3, ... added.

    The format follows the ending of `path`; where that format cannot hold the picture (16-bit colour in anything but
    PNG, transparency in JPEG, an ending that cannot be written) the ending becomes .png. JPEG and WebP are written at
    quality 95 without colour subsampling.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    holds = suffix in _WRITES and (picture.bits == 8 or (suffix, picture.kind) in _DEEP)
    holds = holds and (picture.alpha is None or (suffix in _ALPHA and (picture.bits == 8 or suffix == ".png")))
    path = path if holds else path.with_suffix(".png")
    return _put([encode(picture, path.suffix.lower())], path)


def write_strips(strips: Iterable[Picture], height: int, path: Path) -> Path:
    """Write a picture of `height` rows that comes in strips, all of one mode, as `write_picture` does; returns where.

    One of more than `MOST_PIXELS` is never held as a whole: it is written as PNG while it comes.
    """
    remaining = iter(strips)
    first = next(remaining)
    whole = itertools.chain([first], remaining)
    if height * first.width <= MOST_PIXELS:
        return write_picture(joined(whole, height), path)
    return _put(deep.png_pieces(map(_all_channels, whole), height, first.icc), Path(path).with_suffix(".png"))


def joined(strips: Iterable[Picture], height: int) -> Picture:
    """Strips as one picture of `height` rows; each is let go of as soon as it is in its place."""
    top, pixels, alpha, last = 0, None, None, None
    for last in strips:
        if pixels is None:
            pixels = np.empty((height, *last.pixels.shape[1:]), dtype=last.pixels.dtype)
            alpha = None if last.alpha is None else np.empty(pixels.shape[:2], dtype=pixels.dtype)
        pixels[top : top + last.height] = last.pixels
        if alpha is not None:
            alpha[top : top + last.height] = last.alpha
        top += last.height
    assert last is not None and pixels is not None and top == height
    return replace(last, pixels=pixels, alpha=alpha)


def _put(pieces: Iterable[bytes], path: Path) -> Path:
    """Write the pieces of a file beside `path`, and give it that name, or the next that is free."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        write_pieces(partial, pieces)
        for number in itertools.count(1):
            free = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
            with contextlib.suppress(FileExistsError):
                _move_to_free(partial, free)
                return free
    finally:
        partial.unlink(missing_ok=True)
    raise AssertionError("unreachable: some name is free")


def _move_to_free(partial: Path, path: Path) -> None:
    """Give the finished file its name, in one step that fails when the name is taken, even if only just now."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name first, then fill it
        path.touch(exist_ok=False)
        partial.replace(path)


def encode(picture: Picture, suffix: str = ".png") -> bytes:
    """The bytes of a picture file, its format by the ending; the format must be able to hold the picture."""
    channels = _all_channels(picture)
    if picture.bits == 16 and channels.shape[2] > 1:
        assert suffix == ".png"
        return deep.encode_png(channels, picture.icc)
    image = Image.fromarray(channels[..., 0] if channels.shape[2] == 1 else channels)
    file_format, options = _WRITES[suffix]
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, icc_profile=picture.icc, **options)
    return buffer.getvalue()


def _all_channels(picture: Picture) -> Pixels:
    """Pixels and alpha together, hwc."""
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


# Ending -> Pillow's name of the format, and how to write it.
_WRITES: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 95}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".bmp": ("BMP", {}),
}
_ALPHA = frozenset({".png", ".webp", ".tif", ".tiff"})
_DEEP = frozenset({(".png", "grey"), (".png", "rgb"), (".tif", "grey"), (".tiff", "grey")})
