"""Augmentation of small pictures: a shifted crop, a flip, and one operation drawn at random (TrivialAugment).

    augment(images, Augmentation(pad=4, flip=True, policy="trivial_wide"), rng)      # nhwc uint8 to nhwc uint8

TrivialAugment (Müller and Hutter 2021, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation") draws for
each picture one operation of a table and one of 31 strengths, all uniformly; there is nothing to tune. `OPERATIONS` is
that table, with the paper's ranges: `trivial` has those of RandAugment, `trivial_wide` the wide ones.

Everything is numpy on whole groups of pictures: those that drew the same operation are changed together. Shearing,
shifting and turning take the nearest pixel, as the published code does; what comes from outside is grey (128).
Deviations: sharpness and contrast are computed without Pillow's intermediate rounding; a crop's border is grey, not
black. Shapes: n = pictures, h, w = height, width, c = channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Policy = Literal["none", "trivial", "trivial_wide"]

GREY = 128
LEVELS = 30  # strengths are 0 to LEVELS, of LEVELS
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Pixels of border to shift a crop by, whether to mirror, and the policy of further operations."""

    pad: int = 4
    flip: bool = True
    policy: Policy = "trivial_wide"


@dataclass(frozen=True, slots=True)
class Operation:
    """A function of (images nhwc uint8, strengths n) and the strengths at the strongest level: standard and wide.

    A `signed` operation goes either way: the strength is negated for half of the pictures.
    """

    run: Callable[[Pixels, Floats], Pixels]
    most: float
    most_wide: float
    signed: bool = False


def augment(images: Pixels, settings: Augmentation, rng: np.random.Generator) -> Pixels:
    """A changed copy of each of the pictures, nhwc uint8."""
    n = len(images)
    shifts = rng.integers(-settings.pad, settings.pad + 1, size=(2, n))
    mirrored = rng.random(n) < 0.5 if settings.flip else np.zeros(n, bool)
    found = shifted_crops(images, shifts[0], shifts[1], settings.pad)
    found[mirrored] = found[mirrored, :, ::-1]
    if settings.policy == "none":
        return found
    drawn = rng.integers(len(OPERATIONS), size=n)
    levels, signs = rng.integers(LEVELS + 1, size=n), rng.choice(np.array([-1, 1]), size=n)
    for number, operation in enumerate(OPERATIONS.values()):
        places = np.flatnonzero(drawn == number)
        if len(places):
            most = operation.most_wide if settings.policy == "trivial_wide" else operation.most
            strengths = (most * levels[places] / LEVELS).astype(np.float32)
            strengths = strengths * signs[places] if operation.signed else strengths
            found[places] = operation.run(found[places], strengths.astype(np.float32))
    return found


def shifted_crops(images: Pixels, down: npt.NDArray[np.int64], right: npt.NDArray[np.int64], pad: int) -> Pixels:
    """Each picture moved by its numbers of pixels, at most `pad`; what comes in is grey.

    >>> shifted_crops(np.array([[[[1], [2], [3]]]], np.uint8), np.array([0]), np.array([1]), 1)[0, 0, :, 0].tolist()
    [128, 1, 2]
    """
    n, height, width, channels = images.shape
    wide = np.full((n, height + 2 * pad, width + 2 * pad, channels), GREY, np.uint8)
    wide[:, pad : pad + height, pad : pad + width] = images
    windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(1, 2))
    return np.ascontiguousarray(windows[np.arange(n), pad - down, pad - right].transpose(0, 2, 3, 1))


def affine(images: Pixels, matrices: Floats) -> Pixels:
    """Each picture with its pixel (x, y), counted from the middle, taken from matrix @ (x, y, 1); n matrices 2 x 3."""
    n, height, width, _ = images.shape
    y, x = np.mgrid[:height, :width].astype(np.float32).reshape(2, -1)
    middle = np.array([[(width - 1) / 2], [(height - 1) / 2]], np.float32)
    points = np.vstack([x - middle[0], y - middle[1], np.ones_like(x)])
    from_x, from_y = np.rint(matrices @ points + middle).astype(np.int64).transpose(1, 0, 2)
    inside = (from_x >= 0) & (from_x < width) & (from_y >= 0) & (from_y < height)
    from_x, from_y = from_x.clip(0, width - 1), from_y.clip(0, height - 1)
    found = images.reshape(n, height * width, -1)[np.arange(n)[:, None], from_y * width + from_x]
    found[~inside] = GREY
    whole: Pixels = found.reshape(images.shape)
    return whole


def _matrices(entries: Mapping[tuple[int, int], Floats], n: int) -> Floats:
    """n identity matrices 2 x 3 with some entries set."""
    found = np.tile(np.eye(2, 3, dtype=np.float32), (n, 1, 1))
    for (row, column), values in entries.items():
        found[:, row, column] = values
    return found


def _shear(images: Pixels, strengths: Floats, at: tuple[int, int]) -> Pixels:
    return affine(images, _matrices({at: strengths}, len(images)))


def _shift(images: Pixels, strengths: Floats, at: tuple[int, int]) -> Pixels:
    """Strengths are shares of the side."""
    side = images.shape[2 if at[0] == 0 else 1]
    return affine(images, _matrices({at: strengths * side}, len(images)))


def _rotate(images: Pixels, degrees: Floats) -> Pixels:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return affine(images, _matrices({(0, 0): cos, (0, 1): -sin, (1, 0): sin, (1, 1): cos}, len(images)))


def _blend(images: Pixels, other: Pixels, strengths: Floats) -> Pixels:
    """1 + strength parts of the picture, the rest of the other: strength 0 changes nothing, -1 gives the other."""
    share = (1 + strengths)[:, None, None, None]
    mixed = other + (images - other) * share
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def _grey(images: Pixels) -> Floats:
    """nhw1 luma of nhwc."""
    values = images.astype(np.float32)
    return values if images.shape[3] == 1 else (values @ LUMA)[..., None]


def _brightness(images: Pixels, strengths: Floats) -> Pixels:
    return _blend(images, np.zeros(1, np.float32), strengths)


def _colour(images: Pixels, strengths: Floats) -> Pixels:
    return _blend(images, _grey(images), strengths)


def _contrast(images: Pixels, strengths: Floats) -> Pixels:
    return _blend(images, np.rint(_grey(images).mean(axis=(1, 2, 3), keepdims=True)), strengths)


def _sharpness(images: Pixels, strengths: Floats) -> Pixels:
    """Against a 3x3 blur (the middle counts five times); the outermost pixels stay."""
    values = images.astype(np.float32)
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    blurred = values.copy()
    inner = values[:, 1:-1, 1:-1]
    blurred[:, 1:-1, 1:-1] = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * inner) / 13
    return _blend(images, blurred, strengths)


def _posterize(images: Pixels, strengths: Floats) -> Pixels:
    """8 - strength bits a value."""
    dropped = np.rint(strengths).astype(np.uint8)[:, None, None, None]
    return (images >> dropped) << dropped


def _solarize(images: Pixels, strengths: Floats) -> Pixels:
    """Values from 256 - strength on are inverted."""
    return np.where(images >= (256 - strengths)[:, None, None, None], 255 - images, images)


def _auto_contrast(images: Pixels, strengths: Floats) -> Pixels:
    """Each channel stretched to 0..255."""
    values = images.astype(np.float32)
    low, high = values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True)
    stretched = np.floor((values - low) * (255 / np.maximum(high - low, 1)))
    return np.where(high > low, stretched, values).astype(np.uint8)


def _equalize(images: Pixels, strengths: Floats) -> Pixels:
    """Each channel's histogram made flat, as Pillow does it."""
    n, height, width, channels = images.shape
    planes = images.transpose(0, 3, 1, 2).reshape(n * channels, height * width)
    rows = np.arange(n * channels)[:, None]
    counts = np.bincount((planes + 256 * rows).ravel(), minlength=256 * n * channels).reshape(-1, 256)
    last = 255 - (counts[:, ::-1] > 0).argmax(axis=1)
    step = (height * width - counts[rows[:, 0], last]) // 255
    before = counts.cumsum(axis=1) - counts
    table = np.minimum((before + step[:, None] // 2) // np.maximum(step, 1)[:, None], 255)
    table = np.where(step[:, None] > 0, table, np.arange(256)).astype(np.uint8)
    return table[rows, planes].reshape(n, channels, height, width).transpose(0, 2, 3, 1)


def _same(images: Pixels, strengths: Floats) -> Pixels:
    return images


OPERATIONS: Mapping[str, Operation] = {
    "identity": Operation(_same, 0, 0),
    "auto_contrast": Operation(_auto_contrast, 0, 0),
    "equalize": Operation(_equalize, 0, 0),
    "rotate": Operation(_rotate, 30, 135, signed=True),
    "solarize": Operation(_solarize, 256, 256),
    "colour": Operation(_colour, 0.9, 0.99, signed=True),
    "posterize": Operation(_posterize, 4, 6),
    "contrast": Operation(_contrast, 0.9, 0.99, signed=True),
    "brightness": Operation(_brightness, 0.9, 0.99, signed=True),
    "sharpness": Operation(_sharpness, 0.9, 0.99, signed=True),
    "shear_x": Operation(partial(_shear, at=(0, 1)), 0.3, 0.99, signed=True),
    "shear_y": Operation(partial(_shear, at=(1, 0)), 0.3, 0.99, signed=True),
    "shift_x": Operation(partial(_shift, at=(0, 2)), 10 / 32, 1.0, signed=True),
    "shift_y": Operation(partial(_shift, at=(1, 2)), 10 / 32, 1.0, signed=True),
}
