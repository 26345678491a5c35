"""Pairs of a picture to be restored and what it should be: read from folders, split, kept in memory for training.

The picture to be restored is made here (shrunk, made noisy), or read: from a second folder of partners, or from files
of the same folder whose names end differently. Pictures that cannot be used are left out by name, with the reason; they
never stop a run, unless too few are left.

Memory stays bounded: when the decoded training pictures would take more than `MEMORY_BYTES`, only a window of each is
kept, at a random place (by the seed), all windows being the same share of their pictures.

Shapes: c = channels (1 luma or grey, 3 RGB), h, w of the picture that goes in, H = h * scale, W = w * scale of the one
that comes out; scale is 1 where nothing is enlarged.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.tasks.degrade import crop_to_multiple, resize_bicubic
from falconet.tasks.images import Skipped, list_pictures, read_picture, stored_size
from falconet.tasks.metrics import grey, luma
from falconet.tasks.task import Dataset, DataSettings, Example, matches

Pixels = npt.NDArray[Any]
Colour = Literal["luma", "grey", "rgb"]

# (name, uint8 picture hw or hwc) to a network's inputs, each chw; none: the picture itself, spoiled anew each step.
Spoil = Callable[[str, Pixels], tuple[Pixels, ...]]
# (name, file) of the picture that should come out to the file of the one that goes in. UserError when there is none.
Partner = Callable[[str, Path], Path]

MEMORY_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What the pairs are like; the fields mean what the task's settings of the same names mean.

    `train` makes the inputs of training pictures and `fixed` those of validation pictures, where there are no partners.
    `is_target` tells which names are those of pictures that should come out.
    """

    scale: int
    colour: Colour
    patch: int
    train: Spoil
    fixed: Spoil
    shrinks: tuple[float, ...] = (1.0,)
    side: int = 128  # the most of a validation crop, as it goes in
    is_target: Callable[[str], bool] = lambda name: True

    @property
    def smallest(self) -> int:
        """Least side of a small picture from which some copy still holds a patch."""
        return math.ceil(self.patch / max(self.shrinks))


def read_pairs(settings: PairSettings, data: DataSettings, seed: int, partner: Partner | None = None) -> Dataset:
    """All pairs of the folders, split by the seed into training and validation. UserError when too few can be read."""
    if partner and settings.shrinks != (1.0,):
        raise UserError(
            "task.shrinks makes smaller copies of the training pictures, for which the pictures in data.lr or "
            "data.noisy are no partners. Leave out one of the two."
        )
    names = _kept_names(data, settings)
    skipped: list[Skipped] = []
    sizes = _usable(names, settings, skipped)
    if not sizes:
        raise UserError(none_usable(f"the {len(names)} pictures in {_joined(data.train)}", skipped))
    kept, checked = split([(path, names[path]) for path in sizes], data.validation, seed)
    share = min(1.0, MEMORY_BYTES / _bytes_needed([sizes[path] for path in kept], settings))

    train: list[Example] = []
    validation: list[Example] = []
    for number, path in enumerate((*kept, *checked)):
        try:
            high = read_8_bit(path)
        except UserError as error:
            skipped.append(Skipped(path, reason_of(error, path)))
            continue
        file = None if partner is None else partner(names[path], path)
        low = None if file is None else read_partner(names[path], high, file, settings.scale)
        if number >= len(kept):
            whole = _example(names[path], path, high, low, settings, settings.fixed)
            validation.append(replace(_centre(whole, settings), partner=file))
            continue
        if share < 1:
            high, low = _window(high, low, settings, share, np.random.default_rng((seed, number)))
        train += _with_shrunken(_example(names[path], path, high, low, settings, settings.train), high, settings)
    if not train or not validation:
        raise UserError(
            f"too few pictures in {_joined(data.train)} can be read: {len(train)} to train with and {len(validation)} "
            f"for validation; one of each is needed. {none_usable('the others', skipped)}"
        )
    limit = f"only {share:.0%} of each training picture is kept, to stay within {MEMORY_BYTES >> 20} MiB"
    ends = np.cumsum([_num_places(example, settings.patch) for example in train], dtype=np.int64)
    left_out = tuple(sorted(skipped, key=lambda item: item.path))
    return Dataset(tuple(train), tuple(validation), left_out, ends, (limit,) if share < 1 else ())


def split(named: Sequence[tuple[Path, str]], validation: int | float | str, seed: int) -> tuple[list[Path], list[Path]]:
    """Training and validation pictures of (file, name), both in the order given.

    `validation` is a count, a share below 1 (at least 1 and at most 20), or a pattern of names.

    >>> [[path.name for path in part] for part in split([(Path(x), x) for x in "abc"], validation=1, seed=0)]
    [['a', 'b'], ['c']]
    """
    if isinstance(validation, str):
        chosen = {number for number, (_, name) in enumerate(named) if matches(name, (validation,))}
        if not 0 < len(chosen) < len(named):
            raise UserError(
                f"data.validation is the pattern {validation!r}, which fits {len(chosen)} of {len(named)} usable "
                f"pictures (the first is {named[0][1]}); it must fit some and leave some to train with"
            )
    else:
        count = validation if isinstance(validation, int) else min(20, max(1, round(validation * len(named))))
        if len(named) < count + 1:
            raise UserError(
                f"at least {count + 1} usable pictures are needed, {count} of them for validation; there are "
                f"{len(named)}. Add pictures, or lower data.validation."
            )
        chosen = set(np.random.default_rng(seed).permutation(len(named))[:count].tolist())
    return (
        [path for number, (path, _) in enumerate(named) if number not in chosen],
        [path for number, (path, _) in enumerate(named) if number in chosen],
    )


def read_8_bit(path: Path) -> Pixels:
    """The pixels of the file as uint8: hw when it is grey, hwc when it is colour; transparency is left out."""
    pixels = read_picture(path).as_8_bit()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def to_channels(pixels: Pixels, colour: Colour) -> Pixels:
    """uint8 pixels as a network takes them: luma as float32 1hw of 0..1, grey as uint8 1hw, RGB as uint8 3hw.

    The luma is BT.601, unrounded, 16..235 of 255, the grey that of BSD68, 0..255; a grey picture is its own luma and
    grey, and in RGB three times itself.
    """
    if colour == "luma":
        values = luma(pixels) if pixels.ndim == 3 else pixels
        return np.asarray(values / 255.0, dtype=np.float32)[None]
    if colour == "grey":
        return (grey(pixels) if pixels.ndim == 3 else pixels)[None]
    return np.ascontiguousarray(as_rgb(pixels).transpose(2, 0, 1))


def same_mode(low: Pixels, high: Pixels) -> tuple[Pixels, Pixels]:
    """Both as they are, or both in colour when one of them is: partners may have been saved in different modes."""
    return (low, high) if low.ndim == high.ndim else (as_rgb(low), as_rgb(high))


def as_rgb(pixels: Pixels) -> Pixels:
    """The picture in three channels: a grey one three times itself."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def reason_of(error: UserError, path: Path) -> str:
    """The message without the path it begins with."""
    return str(error).removeprefix(f"{path}: ")


def none_usable(what: str, skipped: Sequence[Skipped]) -> str:
    """A message that none of `what` can be used, with the reasons, at most five."""
    reasons = [f"  {item.path}: {item.reason}" for item in skipped[:5]]
    more = [f"  ... and {len(skipped) - 5} more"] if len(skipped) > 5 else []
    return "\n".join([f"none of {what} can be used:", *reasons, *more])


def in_folder(folder: Path, scale: int) -> Partner:
    """Finds partners in a folder, by the path inside it without the ending.

    For "a/cat.png" at scale 2 it is the first there is of a/cat, a/catx2, a/cat_x2, a/cat-x2, a/cat_LR, a/cat-LR,
    whatever the ending; an _HR at the end of the name is left out. At scale 1: a/cat, a/cat_noisy, a/cat-noisy.
    """
    stems = {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_pictures(folder)}
    ends = ("", f"x{scale}", f"_x{scale}", f"-x{scale}", "_LR", "-LR") if scale > 1 else ("", "_noisy", "-noisy")
    what = "low-resolution" if scale > 1 else "noisy"

    def find(name: str, path: Path) -> Path:
        stem = name[: name.rindex(".")]
        base = re.sub(r"[_-]HR$", "", stem)
        tried = tuple(dict.fromkeys((stem, *(base + end for end in ends))))
        found = next((stems[option] for option in tried if option in stems), None)
        if found is None:
            raise UserError(f"{name} has no {what} partner; looked for {', '.join(tried)} with any ending.")
        return found

    return find


def beside(end: str, other: str) -> Partner:
    """Finds the partner of NAME`end`.png, NAME`other`.png, in the same folder, whatever the ending."""

    def find(name: str, path: Path) -> Path:
        stem = path.stem.removesuffix(end) + other
        for option in (path.with_name(stem + path.suffix), *sorted(path.parent.glob(f"{escape(stem)}.*"))):
            if option.is_file():
                return option
        raise UserError(f"{path} has no partner; looked for {stem} with any ending, in the same folder.")

    return find


def ends_with(end: str, other: str, name: str) -> bool:
    """Whether a file's name ends, before its ending, in `end` and not in `other`, which may hold it.

    >>> ends_with("_mean", "_real", "a_mean.png"), ends_with("", "_noisy", "a_noisy.png")
    (True, False)
    """
    stem = name.rpartition(".")[0]
    return stem.endswith(end) and not (other and stem.endswith(other))


def read_partner(name: str, high: Pixels, partner: Path, scale: int) -> Pixels:
    """The picture that goes in, uint8, hw or hwc.

    UserError when it cannot be read, or its size does not fit: a wrong pair spoils a training unseen.
    """
    low = read_8_bit(partner)
    expected = (high.shape[0] // scale, high.shape[1] // scale)
    if low.shape[:2] != expected:
        raise UserError(
            f"{partner}: the partner of {name} ({high.shape[1]}x{high.shape[0]} pixels) at scale {scale} must have "
            f"{expected[1]}x{expected[0]}, but has {low.shape[1]}x{low.shape[0]}."
        )
    return low


def _kept_names(data: DataSettings, settings: PairSettings) -> dict[Path, str]:
    """The files that may be trained with, and their names."""
    names = {path: name for path, name in _names(data.train).items() if settings.is_target(name)}
    if not names:
        raise UserError(
            f"no picture in {_joined(data.train)} has a name as task.ends says: the ends of the names of the noisy and "
            "of the clean picture of a pair, before .png or .jpg"
        )
    for pattern in data.leave_out:
        if not any(matches(name, (pattern,)) for name in names.values()):
            first = next(iter(names.values()))
            raise UserError(f"data.leave_out: no picture is named {pattern!r}; the first there is {first}")
    return {path: name for path, name in names.items() if not matches(name, data.leave_out)}


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
    """What the decoded training pairs take in memory: 4 bytes a luma value, 1 a grey one, 3 an RGB pixel."""
    copies = sum(factor**2 for factor in settings.shrinks) * (1 + 1 / settings.scale**2)
    each = {"luma": 4, "grey": 1, "rgb": 3}[settings.colour]
    return each * copies * sum(width * height for width, height in sizes)


def _example(name: str, path: Path, high: Pixels, low: Pixels | None, settings: PairSettings, spoil: Spoil) -> Example:
    """The pair as a network takes it; the picture that goes in is made here when there is none."""
    high = crop_to_multiple(high, settings.scale)
    if low is not None:
        low, high = same_mode(low, high)
        return Example(name, path, (to_channels(low, settings.colour),), to_channels(high, settings.colour))
    target = to_channels(high, settings.colour)
    return Example(name, path, spoil(name, high) or (target,), target)


def _with_shrunken(example: Example, high: Pixels, settings: PairSettings) -> list[Example]:
    """The training example at each of the sizes asked for at which it still holds a patch."""
    examples = []
    for factor in settings.shrinks:
        height, width = round(high.shape[0] * factor), round(high.shape[1] * factor)
        if factor == 1:
            examples.append(example)
        elif min(height, width) >= settings.patch * settings.scale:
            smaller = resize_bicubic(high, height, width)
            examples.append(_example(example.name, example.path, smaller, None, settings, settings.train))
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


def _centre(example: Example, settings: PairSettings) -> Example:
    """The middle of the pair, at most `side` pixels a side as it goes in; other inputs of the same size likewise."""
    scale, (rows, columns) = settings.scale, example.inputs[0].shape[1:]
    height, width = (min(side, settings.side) for side in (rows, columns))
    top, left = (rows - height) // 2, (columns - width) // 2
    inputs = tuple(np.ascontiguousarray(x[:, top : top + height, left : left + width]) for x in example.inputs)
    target = example.target[:, top * scale : (top + height) * scale, left * scale : (left + width) * scale]
    return Example(example.name, example.path, inputs, np.ascontiguousarray(target))


def _num_places(example: Example, patch: int) -> int:
    """At how many places a patch can be cut from the small picture."""
    low = example.inputs[0]
    return int((low.shape[1] - patch + 1) * (low.shape[2] - patch + 1))


def _joined(folders: Iterable[Path]) -> str:
    return ", ".join(str(folder) for folder in folders)
