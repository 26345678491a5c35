"""Pictures with labels, from any of three places, decoded once to uint8 pictures of one size.

    folder/CLASS/picture.jpg ...          a folder for each class, any sizes and modes
    pictures.npz                          `images` (n, h, w) or (n, h, w, c) uint8, or `data` and `offsets`: the bytes
                                          of picture files end to end; with both `labels`, and if you like `classes`
                                          (names), and `track` or `group`
    table.csv                             columns path, label and, if you like, group; paths relative to the table

A group is what may not be torn apart by a split: frames of one video, photos of one sign. Groups of different classes
are different groups. Labels are compared by name; classes are sorted, as numbers where all are numbers.

A picture is cropped to its middle square and resized (`to_square`); `run.py` of a model folder does the same.
Left out: several labels a picture, boxes, and pictures larger in all than `MEMORY_BYTES` when decoded.
Shapes: n = pictures, h, w = height, width, c = channels, 1 or 3.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from falconet.errors import UserError
from falconet.tasks.images import BROKEN, Skipped, list_pictures, read_picture

Pixels = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Colour = Literal["rgb", "grey"]

MEMORY_BYTES = 4 * 1024**3
PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})  # 8 bits a value


@dataclass(frozen=True, eq=False)
class Listing:
    """The pictures of one source, not yet decoded: a name, a label and a group for each.

    `decode(i)` gives picture i as it is, uint8, hw or hwc; UserError says why it cannot. `classes` are in the source's
    own order where it names them, else sorted. `groups` are "" where there are none.
    """

    path: Path
    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    decode: Callable[[int], Pixels]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Decoded pictures: `images` nhwc uint8, `labels` n places in `classes`, `groups` n numbers, a name each."""

    images: Pixels
    labels: Integers
    groups: Integers
    names: tuple[str, ...]
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    is_grouped: bool = False


def listing(path: Path) -> Listing:
    """What a folder, .npz or .csv holds. UserError when it is none of these, or not sound."""
    path = Path(path)
    if path.is_dir():
        return _list_folder(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: a folder with a folder for each class is needed, or an .npz or .csv")
    readers = {".npz": _list_npz, ".csv": _list_csv}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: a folder with a folder for each class is needed, or an .npz or .csv file")
    return readers[path.suffix.lower()](path)


def find_classes(paths: Sequence[Path]) -> tuple[str, ...]:
    """The names of the classes in all sources; nothing is decoded."""
    return _all_classes([listing(path) for path in paths])


def read_labelled(paths: Sequence[Path], size: int, colour: Colour, classes: tuple[str, ...] = ()) -> Labelled:
    """All pictures of the sources, decoded to `size` x `size`; `classes` names those there may be (none: all found).

    Pictures that cannot be read are left out by name. UserError when none is left, a label is not among the classes, or
    memory would not hold them.
    """
    listings = [listing(path) for path in paths]
    found = _all_classes(listings)
    if unknown := [name for name in found if classes and name not in classes]:
        raise UserError(
            f"{_joined(paths)} holds the class {unknown[0]!r}, which is not one of the {len(classes)} that the network "
            f"knows: {_some(classes)}"
        )
    classes = classes or found
    place = {name: index for index, name in enumerate(classes)}
    channels, total = (3 if colour == "rgb" else 1), sum(len(one.names) for one in listings)
    if total * size * size * channels > MEMORY_BYTES:
        raise UserError(
            f"{total:,} pictures of {size}x{size} take more than {MEMORY_BYTES >> 30} GiB decoded: lower task.size, or "
            "give fewer pictures"
        )
    images = np.empty((total, size, size, channels), np.uint8)
    labels: list[int] = []
    groups: list[tuple[Path, str, str]] = []
    names: list[str] = []
    skipped: list[Skipped] = []
    for one in listings:
        prefix = f"{one.path.stem}/" if len(listings) > 1 else ""
        for index, name in enumerate(one.names):
            try:
                images[len(names)] = to_square(one.decode(index), size, colour)
            except UserError as error:
                skipped.append(Skipped(one.path / name, str(error).removeprefix(f"{one.path / name}: ")))
                continue
            labels.append(place[one.labels[index]])
            groups.append((one.path, one.labels[index], one.groups[index] or f"alone {index}"))
            names.append(prefix + name)
    if not names:
        reasons = "".join(f"\n  {item.path}: {item.reason}" for item in skipped[:5])
        raise UserError(f"none of the {total} pictures in {_joined(paths)} can be used:{reasons}")
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return Labelled(
        images[: len(names)],
        np.array(labels, np.int64),
        np.array([numbers[group] for group in groups], np.int64),
        tuple(names),
        classes,
        tuple(skipped),
        is_grouped=any(any(one.groups) for one in listings),
    )


def to_square(pixels: Pixels, size: int, colour: Colour) -> Pixels:
    """The middle square of a picture (uint8, hw or hwc), resized to size x size by antialiased bicubic; hwc.

    >>> to_square(np.zeros((4, 9), np.uint8), 2, "rgb").shape
    (2, 2, 3)
    """
    pixels = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    is_grey = pixels.ndim == 2
    if is_grey == (colour == "grey") and pixels.shape[:2] == (size, size):
        return pixels[..., None] if is_grey else pixels
    image = Image.fromarray(pixels).convert("L" if colour == "grey" else "RGB")
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    found = np.asarray(image)
    return found[..., None] if found.ndim == 2 else found


def natural(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once, sorted: as numbers when all are numbers.

    >>> natural(["10", "9", "9"]), natural(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    unique = set(names)
    return tuple(sorted(unique, key=int) if all(re.fullmatch("[0-9]{1,9}", one) for one in unique) else sorted(unique))


def _list_folder(folder: Path) -> Listing:
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not inside:
        raise UserError(f"{folder} holds no folders: pictures to classify lie in a folder for each class")
    paths = [path for one in inside for path in list_pictures(one)]
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    labels = tuple(name.partition("/")[0] for name in names)
    return Listing(folder, names, labels, ("",) * len(names), natural(labels), lambda index: _from_file(paths[index]))


def _list_csv(table: Path) -> Listing:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a table: {error}") from None
    if not rows or not {"path", "label"} <= set(rows[0]):
        had = ", ".join(str(key) for key in rows[0]) if rows else "nothing"
        raise UserError(f"{table} must have a first line with the columns path and label; it has {had}")
    for number, row in enumerate(rows, 2):
        if not row["path"] or not row["label"]:
            raise UserError(f"{table}, line {number}: path and label must be given")
    names, labels = (tuple(str(row[key]).strip() for row in rows) for key in ("path", "label"))
    groups = tuple(str(row.get("group") or "").strip() for row in rows)
    return Listing(table, names, labels, groups, natural(labels), lambda index: _from_file(table.parent / names[index]))


def _list_npz(path: Path) -> Listing:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, AttributeError, *BROKEN) as error:  # AttributeError: one array, not several
        raise UserError(f"{path} is damaged, or holds what is not plain numbers and text: {error}") from None
    if "labels" not in arrays or not ({"data", "offsets"} <= set(arrays) or "images" in arrays):
        raise UserError(f"{path} must hold labels, and images or data with offsets; it holds {', '.join(arrays)}")
    decode, count = _from_images(path, arrays["images"]) if "images" in arrays else _from_bytes(path, arrays)
    labels = arrays["labels"]
    if labels.shape != (count,) or labels.dtype.kind not in "iuUS":
        raise UserError(f"{path}: labels must be {count} numbers or names, one a picture; they are {labels.shape}")
    words = tuple(str(label) for label in labels.tolist())
    classes = natural(words)
    if "classes" in arrays:
        given = tuple(str(name) for name in arrays["classes"].tolist())
        if labels.dtype.kind in "iu":
            if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < len(given):
                raise UserError(f"{path}: labels must lie from 0 to {len(given) - 1}, the places of its classes")
            words = tuple(given[label] for label in labels.tolist())
        classes = given
    group = arrays.get("track", arrays.get("group"))
    if group is not None and group.shape != (count,):
        raise UserError(f"{path}: track (or group) must hold one entry a picture, {count}; it is {group.shape}")
    groups = ("",) * count if group is None else tuple(str(one) for one in group.tolist())
    return Listing(path, tuple(map(str, range(count))), words, groups, classes, decode)


def _from_images(path: Path, images: Pixels) -> tuple[Callable[[int], Pixels], int]:
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise UserError(
            f"{path}: images must be uint8 (n, h, w) or (n, h, w, 1 or 3); got {images.dtype} {images.shape}"
        )
    return lambda index: images[index], len(images)


def _from_bytes(path: Path, arrays: dict[str, Pixels]) -> tuple[Callable[[int], Pixels], int]:
    data, offsets = arrays["data"], arrays["offsets"]
    sound = (
        data.ndim == offsets.ndim == 1 and data.dtype == np.uint8 and offsets.dtype.kind in "iu" and len(offsets) > 1
    )
    offsets = offsets.astype(np.int64)
    if not sound or offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        raise UserError(f"{path}: offsets must ascend within data, one more than there are pictures")

    def decode(index: int) -> Pixels:
        try:
            with Image.open(io.BytesIO(data[offsets[index] : offsets[index + 1]].tobytes())) as image:
                if image.mode not in PLAIN_MODES:
                    raise UserError(f"{path / str(index)}: 8 bits a value are supported, not the mode {image.mode}")
                upright = ImageOps.exif_transpose(image)
                return np.asarray(upright if upright.mode in ("L", "RGB") else upright.convert("RGB"))
        except (Image.DecompressionBombError, *BROKEN) as error:
            raise UserError(f"{path / str(index)}: damaged or cut short ({error})") from None

    return decode, len(offsets) - 1


def _from_file(path: Path) -> Pixels:
    return read_picture(path).as_8_bit()


def _all_classes(listings: Sequence[Listing]) -> tuple[str, ...]:
    """The classes of all sources; in their own order when they agree on it."""
    first = listings[0].classes
    if all(one.classes == first for one in listings):
        return first
    return natural([name for one in listings for name in one.classes])


def _joined(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
