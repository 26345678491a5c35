"""Training patches: where they are cut, and how they are laid down. A function of the chance given, and nothing else.

Shapes: c = channels; p = side of a patch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from falconet.tasks.degrade import shrink
from falconet.tasks.task import Dataset, Example

Pixels = npt.NDArray[Any]

STRETCH = (2.0, 8.0)  # how much stronger the contrast of a stretched patch becomes
AROUND = 8  # pixels of the small picture beside a stretched patch, so that what makes it smaller knows the neighbours


def places(
    dataset: Dataset, rng: np.random.Generator, size: int, patch: int, scale: int = 1, share: float = 0.0
) -> Iterator[tuple[Example, int, int, int]]:
    """(training example, row, column, turn) of `size` patches of its inputs; every place is equally likely.

    This share of them comes from an example made for it, whose contrast is stretched; its input is as large as the
    target, or made `scale` times smaller by bicubic.
    """
    numbers = rng.integers(dataset.ends[-1], size=size)
    which = np.searchsorted(dataset.ends, numbers, side="right").tolist()
    turns = rng.integers(8, size=size).tolist()
    for example, number, turn in zip(which, numbers.tolist(), turns, strict=True):
        chosen = dataset.train[example]
        row, column = divmod(int(dataset.ends[example]) - 1 - number, chosen.inputs[0].shape[2] - patch + 1)
        if share and rng.random() < share:
            part, row, column = stretched(chosen.target, row, column, patch, scale, rng)
            small = shrink(part.transpose(1, 2, 0), scale).transpose(2, 0, 1) if scale > 1 else part
            is_kept_as_bytes = chosen.target.dtype == np.uint8
            small, part = (small, part) if is_kept_as_bytes else (unit(small), unit(part))
            chosen = replace(chosen, inputs=(small,), target=part)
        yield chosen, row, column, turn


def cut(pixels: Pixels, row: int, column: int, side: int, turn: int) -> Pixels:
    """A patch of chw pixels, turned: c x p x p."""
    return turned(pixels[:, row : row + side, column : column + side], turn)


def turned(patch_chw: Pixels, turn: int) -> Pixels:
    """One of the 8 ways to lay a square patch down: transposed for turn & 4, flipped for turn & 1 and turn & 2."""
    if turn & 1:
        patch_chw = patch_chw[:, ::-1]
    if turn & 2:
        patch_chw = patch_chw[:, :, ::-1]
    return patch_chw.transpose(0, 2, 1) if turn & 4 else patch_chw


def stretched(
    target: Pixels, row: int, column: int, patch: int, scale: int, rng: np.random.Generator
) -> tuple[Pixels, int, int]:
    """The surroundings of a patch, its contrast stretched as far as that of drawings and print.

    `row` and `column` are the patch's in the small picture, whose large one is `target`, cHW of uint8 or 0..1. Values
    move away from their mean, which becomes middle grey, by a factor drawn from `STRETCH`, and are cut off at black and
    white. Returned: the large surroundings, uint8, and the row and column in their small picture.
    """
    top, left = max(0, row - AROUND), max(0, column - AROUND)
    bottom, right = row + patch + AROUND, column + patch + AROUND
    part = unit(target[:, top * scale : bottom * scale, left * scale : right * scale])
    part = (part - part.mean()) * np.float32(rng.uniform(*STRETCH)) + np.float32(0.5)
    return np.rint(255 * np.clip(part, 0, 1)).astype(np.uint8), row - top, column - left


def unit(values: Pixels) -> Pixels:
    """Values of 0..1 as float32; uint8 is divided by 255, floats are of 0..1 already."""
    return values * np.float32(1 / 255) if values.dtype == np.uint8 else values
