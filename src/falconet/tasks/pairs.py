"""Pairs of a low and a high-resolution picture: read from folders, split, and kept in memory for training.

The small picture is made here by the published protocol, or read from a second folder of partners. Pictures that cannot
be used are left out by name, with the reason; they never stop a run, unless too few are left.

Memory stays bounded: when the decoded training pictures would take more than `MEMORY_BYTES`, only a window of each is
kept, at a random place (by the seed), all windows being the same share of their pictures.

Shapes: c = channels (1 luma, 3 RGB), h, w of the small picture, H = h * scale, W = w * scale of the large one.
"""

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
from falconet.tasks.task import DataSettings, Dataset, Example

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


def read_pairs(settings: PairSettings, data: DataSettings, seed: int) -> Dataset:
    """All pairs of the folders, split by the seed into training and validation. UserError when too few can be read."""
    if data.lr and settings.shrinks != (1.0,):
        raise UserError("task.shrinks makes smaller copies of the training pictures, for which the pictures in data.lr are "
                        "no partners. Leave out one of the two.")  # fmt: skip
    partners = _by_stem(data.lr) if data.lr else None
    names = _names(data.train)
    skipped: list[Skipped] = []
    sizes = _usable(names, settings, skipped)
    if not sizes:
        reasons = "\n".join(f"  {item.path}: {item.reason}" for item in skipped[:5])
        raise UserError(f"none of the {len(names)} pictures in {_joined(data.train)} can be used:\n{reasons}")
    kept, checked = split(tuple(sizes), data.validation, seed)
    share = min(1.0, MEMORY_BYTES / _bytes_needed([sizes[path] for path in kept], settings))

    train: list[Example] = []
    validation: list[Example] = []
    for number, path in enumerate((*kept, *checked)):
        try:
            high = read_8_bit(path)
            low = _partner(path, names[path], high, partners, settings.scale) if partners is not None else None
        except UserError as error:
            if partners is not None and path.is_file() and not str(error).startswith(f"{path}:"):
                raise  # about the partner: a wrong pair must not pass unseen
            skipped.append(Skipped(path, _reason(error, path)))
            continue
        if number < len(kept):
            rng = np.random.default_rng((seed, number)) if share < 1 else None
            train += _training_examples(names[path], path, high, low, settings, share, rng)
        else:
            validation.append(_centre(_example(names[path], path, high, low, settings), settings.scale))
    if not train or not validation:
        raise UserError(f"too few pictures in {_joined(data.train)} can be read: {len(train)} to train with, "
                        f"{len(validation)} for validation; at least one of each is needed.")  # fmt: skip
    notes = () if share == 1 else (f"only {share:.0%} of each training picture is kept, to stay within {MEMORY_BYTES >> 20} MiB",)
    ends = np.cumsum([_num_places(example, settings.patch) for example in train], dtype=np.int64)
    return Dataset(tuple(train), tuple(validation), tuple(sorted(skipped, key=lambda item: item.path)), ends, notes)


def split(paths: Sequence[Path], validation: int | float, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures, both in the order given; a share below 1 means at least 1 and at most 20.

    >>> [[path.name for path in part] for part in split([Path("a"), Path("b"), Path("c")], validation=1, seed=0)]
    [['a', 'b'], ['c']]
    """
    count = validation if isinstance(validation, int) else min(20, max(1, round(validation * len(paths))))
    if len(paths) < count + 1:
        raise UserError(f"at least {count + 1} usable pictures are needed, {count} of them for validation; "
                        f"there are {len(paths)}. Add pictures, or lower data.validation.")  # fmt: skip
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
    spread = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(spread.transpose(2, 0, 1))


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
    least = settings.patch * settings.scale
    for path in paths:
        try:
            size = stored_size(path)
        except UserError as error:
            skipped.append(Skipped(path, _reason(error, path)))
            continue
        if min(size) < least:
            reason = f"{size[0]}x{size[1]} pixels; a training patch takes {least}x{least}"
            skipped.append(Skipped(path, reason))
        else:
            sizes[path] = size
    return sizes


def _bytes_needed(sizes: Iterable[tuple[int, int]], settings: PairSettings) -> float:
    """What the decoded training pairs take in memory: 4 bytes a luma value, 3 an RGB pixel."""
    copies = sum(factor**2 for factor in settings.shrinks) * (1 + 1 / settings.scale**2)
    each = 4 if settings.colour == "luma" else 3
    return each * copies * sum(width * height for width, height in sizes)


def _by_stem(folder: Path) -> dict[str, Path]:
    """The partners in the folder, by their path inside it without the ending."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_pictures(folder)}


def _partner(path: Path, name: str, high: Pixels, partners: Mapping[str, Path], scale: int) -> Pixels:
    """The low-resolution partner of a picture; UserError when there is none, or its size does not fit."""
    stem = re.sub(r"\.[^./]+$", "", name)
    base = re.sub(r"[_-]?HR$", "", stem)
    tried = dict.fromkeys(f"{base}{end}" for end in ("", f"x{scale}", f"_x{scale}", f"-x{scale}", "_LR", "-LR", "LR"))
    tried = {stem: None, **tried}
    found = next((partners[option] for option in tried if option in partners), None)
    if found is None:
        raise UserError(f"no low-resolution partner of {path.name} in data.lr; looked for {', '.join(tried)}, any ending.")
    low = read_8_bit(found)
    expected = (high.shape[0] // scale, high.shape[1] // scale)
    if low.shape[:2] != expected:
        raise UserError(
            f"{found}: a partner of {path.name} at scale {scale} has {expected[1]}x{expected[0]} pixels (width x height), "
            f"this one has {low.shape[1]}x{low.shape[0]}."
        )
    return low


def _training_examples(
    name: str,
    path: Path,
    high: Pixels,
    low: Pixels | None,
    settings: PairSettings,
    share: float,
    rng: np.random.Generator | None,
) -> list[Example]:
    """The pair, cut to its window when an `rng` is given, and its shrunken copies that still hold a patch."""
    if rng is not None:
        high, low = _window(high, low, settings, share, rng)
    examples = []
    for factor in settings.shrinks:
        height, width = round(high.shape[0] * factor), round(high.shape[1] * factor)
        if min(height, width) >= settings.patch * settings.scale:
            copy = high if factor == 1 else resize_bicubic(high, height, width)
            examples.append(_example(name, path, copy, low, settings))
    return examples


def _example(name: str, path: Path, high: Pixels, low: Pixels | None, settings: PairSettings) -> Example:
    high = crop_to_multiple(high, settings.scale)
    low = shrink(high, settings.scale) if low is None else low
    if low.ndim != high.ndim:  # one is grey, the other colour
        low, high = (np.repeat(x[..., None], 3, axis=2) if x.ndim == 2 else x for x in (low, high))
    return Example(name, path, (to_channels(low, settings.colour),), to_channels(high, settings.colour))


def _window(
    high: Pixels, low: Pixels | None, settings: PairSettings, share: float, rng: np.random.Generator
) -> tuple[Pixels, Pixels | None]:
    """A random part of the pair with this share of its area, but no smaller than a patch."""
    scale, patch = settings.scale, settings.patch
    size = [max(patch, int(side // scale * share**0.5)) for side in high.shape[:2]]
    top, left = (int(rng.integers(side // scale - part + 1)) for side, part in zip(high.shape[:2], size, strict=True))
    cut = high[top * scale : (top + size[0]) * scale, left * scale : (left + size[1]) * scale].copy()
    return cut, None if low is None else low[top : top + size[0], left : left + size[1]].copy()


def _centre(example: Example, scale: int) -> Example:
    """The middle of the pair, at most VALIDATION_SIDE pixels of the small picture a side."""
    (low,) = example.inputs
    height, width = (min(side, VALIDATION_SIDE) for side in low.shape[1:])
    top, left = (low.shape[1] - height) // 2, (low.shape[2] - width) // 2
    cut = low[:, top : top + height, left : left + width]
    target = example.target[:, top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Example(example.name, example.path, (np.ascontiguousarray(cut),), np.ascontiguousarray(target))


def _num_places(example: Example, patch: int) -> int:
    (low,) = example.inputs
    return int((low.shape[1] - patch + 1) * (low.shape[2] - patch + 1))


def _reason(error: UserError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _joined(folders: Iterable[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
