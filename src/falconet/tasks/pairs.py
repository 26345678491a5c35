"""Pairs of a low and a high-resolution picture: read from folders, split, and kept in memory for training.

The small picture is made here by the published protocol, or read from a second folder of partners. Pictures that cannot
be used are left out by name, with the reason; they never stop a run, unless too few are left.

Memory stays bounded: when the decoded training pictures would take more than `MEMORY_BYTES`, only a window of each is
kept, at a random place (by the seed), all windows being the same share of their pictures.

Shapes: c = channels (1 luma, 3 RGB), h, w of the small picture, H = h * scale, W = w * scale of the large one.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.tasks.degrade import crop_to_multiple, resize_bicubic, shrink
from falconet.tasks.images import Skipped, list_pictures, read_picture, stored_size
from falconet.tasks.metrics import luma
from falconet.tasks.task import Dataset, DataSettings, Example

Pixels = npt.NDArray[Any]
Colour = Literal["luma", "rgb"]

MEMORY_BYTES = 2 * 1024**3
VALIDATION_SIDE = 128  # of the small picture


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What the pairs are like; the fields mean what the task's settings of the same names mean."""

    scale: int
    colour: Colour
    patch: int
    shrinks: tuple[float, ...] = (1.0,)

    @property
    def smallest(self) -> int:
        """Least side of a small picture from which some copy still holds a patch."""
        return math.ceil(self.patch / max(self.shrinks))


def read_pairs(settings: PairSettings, data: DataSettings, seed: int) -> Dataset:
    """All pairs of the folders, split by the seed into training and validation. UserError when too few can be read."""
    if data.lr and settings.shrinks != (1.0,):
        raise UserError(
            "task.shrinks makes smaller copies of the training pictures, for which the pictures in data.lr are no "
            "partners. Leave out one of the two."
        )
    partners = by_stem(data.lr) if data.lr else None
    names = _names(data.train)
    skipped: list[Skipped] = []
    sizes = _usable(names, settings, skipped)
    if not sizes:
        raise UserError(none_usable(f"the {len(names)} pictures in {_joined(data.train)}", skipped))
    kept, checked = split(tuple(sizes), data.validation, seed)
    share = min(1.0, MEMORY_BYTES / _bytes_needed([sizes[path] for path in kept], settings))

    train: list[Example] = []
    validation: list[Example] = []
    for number, path in enumerate((*kept, *checked)):
        try:
            high = read_8_bit(path)
        except UserError as error:
            skipped.append(Skipped(path, reason_of(error, path)))
            continue
        low = None if partners is None else read_partner(names[path], high, partners, settings.scale)
        if number >= len(kept):
            validation.append(_centre(_example(names[path], path, high, low, settings), settings.scale))
            continue
        if share < 1:
            high, low = _window(high, low, settings, share, np.random.default_rng((seed, number)))
        train += _with_shrunken(_example(names[path], path, high, low, settings), high, settings)
    if not train or not validation:
        raise UserError(
            f"too few pictures in {_joined(data.train)} can be read: {len(train)} to train with and {len(validation)} "
            f"for validation; one of each is needed. {none_usable('the others', skipped)}"
        )
    limit = f"only {share:.0%} of each training picture is kept, to stay within {MEMORY_BYTES >> 20} MiB"
    ends = np.cumsum([_num_places(example, settings.patch) for example in train], dtype=np.int64)
    left_out = tuple(sorted(skipped, key=lambda item: item.path))
    return Dataset(tuple(train), tuple(validation), left_out, ends, (limit,) if share < 1 else ())


def split(paths: Sequence[Path], validation: int | float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures, both in the order given; a share below 1 means at least 1 and at most 20.

    >>> [[path.name for path in part] for part in split([Path("a"), Path("b"), Path("c")], validation=1, seed=0)]
    [['a', 'b'], ['c']]
    """
    count = validation if isinstance(validation, int) else min(20, max(1, round(validation * len(paths))))
    if len(paths) < count + 1:
        raise UserError(
            f"at least {count + 1} usable pictures are needed, {count} of them for validation; there are {len(paths)}. "
            f"Add pictures, or lower data.validation."
        )
    chosen = set(np.random.default_rng(seed).permutation(len(paths))[:count].tolist())
    return (
        [path for number, path in enumerate(paths) if number not in chosen],
        [path for number, path in enumerate(paths) if number in chosen],
    )


def read_8_bit(path: Path) -> Pixels:
    """The pixels of the file as uint8: hw when it is grey, hwc when it is colour; transparency is left out."""
    pixels = read_picture(path).as_8_bit()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def to_channels(pixels: Pixels, colour: Colour) -> Pixels:
    """uint8 pixels as a network takes them: luma as float32 1hw of 0..1, RGB as uint8 3hw.

    The luma is BT.601, unrounded, 16..235 of 255; a grey picture is its own luma, and in RGB three times itself.
    """
    if colour == "luma":
        values = luma(pixels) if pixels.ndim == 3 else pixels
        return np.asarray(values / 255.0, dtype=np.float32)[None]
    return np.ascontiguousarray(_as_rgb(pixels).transpose(2, 0, 1))


def same_mode(low: Pixels, high: Pixels) -> tuple[Pixels, Pixels]:
    """Both as they are, or both in colour when one of them is: partners may have been saved in different modes."""
    return (low, high) if low.ndim == high.ndim else (_as_rgb(low), _as_rgb(high))


def _as_rgb(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def reason_of(error: UserError, path: Path) -> str:
    """The message without the path it begins with."""
    return str(error).removeprefix(f"{path}: ")


def none_usable(what: str, skipped: Sequence[Skipped]) -> str:
    """A message that none of `what` can be used, with the reasons, at most five."""
    reasons = [f"  {item.path}: {item.reason}" for item in skipped[:5]]
    more = [f"  ... and {len(skipped) - 5} more"] if len(skipped) > 5 else []
    return "\n".join([f"none of {what} can be used:", *reasons, *more])


def by_stem(folder: Path) -> dict[str, Path]:
    """The pictures of a folder of partners, by their path inside it without the ending."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_pictures(folder)}


def read_partner(name: str, high: Pixels, partners: Mapping[str, Path], scale: int) -> Pixels:
    """The low-resolution partner of the picture `name`, uint8, hw or hwc.

    For "a/cat.png" at scale 2 it is the first there is of a/cat, a/catx2, a/cat_x2, a/cat-x2, a/cat_LR, a/cat-LR,
    whatever the ending; an _HR at the end of the name is left out. UserError when there is none, it cannot be read, or
    its size does not fit: a wrong pair spoils a training unseen.
    """
    stem = name[: name.rindex(".")]
    base = re.sub(r"[_-]HR$", "", stem)
    ends = ("", f"x{scale}", f"_x{scale}", f"-x{scale}", "_LR", "-LR")
    tried = tuple(dict.fromkeys((stem, *(base + end for end in ends))))
    found = next((partners[option] for option in tried if option in partners), None)
    if found is None:
        raise UserError(f"{name} has no low-resolution partner; looked for {', '.join(tried)} with any ending.")
    low = read_8_bit(found)
    expected = (high.shape[0] // scale, high.shape[1] // scale)
    if low.shape[:2] != expected:
        raise UserError(
            f"{found}: the partner of {name} ({high.shape[1]}x{high.shape[0]} pixels) at scale {scale} must have "
            f"{expected[1]}x{expected[0]}, but has {low.shape[1]}x{low.shape[0]}."
        )
    return low


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """File -> its name: the path inside its folder, with the folder's own name before it when there are several."""
    names: dict[Path, str] = {}
    for folder in folders:
        for path in list_pictures(folder):
            inside = path.relative_to(folder).as_posix()
            names.setdefault(path, inside if len(folders) == 1 else f"{folder.resolve().name}/{inside}")
    if len(set(names.values())) < len(names):  # two folders of the same name: tell them apart by the whole path
        return {path: path.as_posix() for path in names}
    return names


def _usable(paths: Iterable[Path], settings: PairSettings, skipped: list[Skipped]) -> dict[Path, tuple[int, int]]:
    """The files whose header is that of a picture at least a patch large, with their sizes; the others are skipped."""
    sizes: dict[Path, tuple[int, int]] = {}
    least = settings.smallest * settings.scale
    for path in paths:
        try:
            size = stored_size(path)
        except UserError as error:
            skipped.append(Skipped(path, reason_of(error, path)))
            continue
        if min(size) < least:
            reason = f"{size[0]}x{size[1]} pixels are too few: a training patch takes {least}x{least}"
            skipped.append(Skipped(path, reason))
        else:
            sizes[path] = size
    return sizes


def _bytes_needed(sizes: Iterable[tuple[int, int]], settings: PairSettings) -> float:
    """What the decoded training pairs take in memory: 4 bytes a luma value, 3 an RGB pixel."""
    copies = sum(factor**2 for factor in settings.shrinks) * (1 + 1 / settings.scale**2)
    each = 4 if settings.colour == "luma" else 3
    return each * copies * sum(width * height for width, height in sizes)


def _example(name: str, path: Path, high: Pixels, low: Pixels | None, settings: PairSettings) -> Example:
    """The pair as a network takes it; the small picture is made here when there is none."""
    high = crop_to_multiple(high, settings.scale)
    low, high = same_mode(shrink(high, settings.scale) if low is None else low, high)
    return Example(name, path, (to_channels(low, settings.colour),), to_channels(high, settings.colour))


def _with_shrunken(example: Example, high: Pixels, settings: PairSettings) -> list[Example]:
    """The training example at each of the sizes asked for at which it still holds a patch."""
    examples = []
    for factor in settings.shrinks:
        height, width = round(high.shape[0] * factor), round(high.shape[1] * factor)
        if factor == 1:
            examples.append(example)
        elif min(height, width) >= settings.patch * settings.scale:
            smaller = resize_bicubic(high, height, width)
            examples.append(_example(example.name, example.path, smaller, None, settings))
    return examples


def _window(
    high: Pixels, low: Pixels | None, settings: PairSettings, share: float, rng: np.random.Generator
) -> tuple[Pixels, Pixels | None]:
    """A random part of the pair with this share of its area, but no smaller than a patch."""
    scale = settings.scale
    sides = [side // scale for side in high.shape[:2]]
    height, width = (max(settings.smallest, int(side * share**0.5)) for side in sides)
    top, left = int(rng.integers(sides[0] - height + 1)), int(rng.integers(sides[1] - width + 1))
    cut = high[top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return cut, None if low is None else low[top : top + height, left : left + width]


def _centre(example: Example, scale: int) -> Example:
    """The middle of the pair, at most VALIDATION_SIDE pixels of the small picture a side."""
    (low,) = example.inputs
    height, width = (min(side, VALIDATION_SIDE) for side in low.shape[1:])
    top, left = (low.shape[1] - height) // 2, (low.shape[2] - width) // 2
    cut = low[:, top : top + height, left : left + width]
    target = example.target[:, top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Example(example.name, example.path, (np.ascontiguousarray(cut),), np.ascontiguousarray(target))


def _num_places(example: Example, patch: int) -> int:
    """At how many places a patch can be cut from the small picture."""
    (low,) = example.inputs
    return int((low.shape[1] - patch + 1) * (low.shape[2] - patch + 1))


def _joined(folders: Iterable[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
