"""Real pictures on which exported files are compared with PyTorch, cut to the sizes that a network takes.

One photo ships for this: a part of NASA's portrait of Eileen Collins, which is in the public domain. Pictures of your
own are better: values like those that the network will see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from falconet.deploy.target import Sample, Sizes
from falconet.errors import UserError
from falconet.graph import NetSpec, infer_shapes
from falconet.graph.spec import input_shapes
from falconet.tasks.images import list_pictures, read_picture

Pixels = npt.NDArray[Any]

PHOTO = Path(__file__).with_name("proof.jpg")
PROOF_SIZES = ((96, 96), (61, 47), (33, 80), (17, 23))  # height and width: odd ones, and smaller than most tiles
MOST_PHOTOS = 8
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def proof_photos(folder: Path | None = None) -> list[Pixels]:
    """Photos, hw3 of 0..1: those of a folder (the first eight that can be read), or the one that ships."""
    if folder is None:
        return [_rgb(PHOTO)]
    found: list[Pixels] = []
    for path in list_pictures(folder):
        try:
            found.append(_rgb(path))
        except UserError:
            continue  # `falconet evaluate` names the damaged ones
        if len(found) == MOST_PHOTOS:
            break
    if not found:
        raise UserError(f"{folder} holds no picture that can be read; the proof of an export needs one")
    return found


def _rgb(path: Path) -> Pixels:
    picture = read_picture(path)
    pixels = picture.pixels.astype(np.float32) / np.float32(np.iinfo(picture.pixels.dtype).max)
    return pixels.repeat(3, axis=2)[..., :3] if pixels.shape[2] == 1 else pixels


def proof_sizes(spec: NetSpec, also: Sizes) -> tuple[Sizes, ...]:
    """The sizes to prove a network on: PROOF_SIZES for each input as far as the network takes them, else `also`.

    UserError when it takes none of them.
    """
    same = tuple((size,) * len(spec.inputs) for size in PROOF_SIZES)
    found = tuple(sizes for sizes in same if fits(spec, sizes))
    if found:
        return found
    if also and fits(spec, also):
        return (also,)
    raise UserError("the network takes none of the usual picture sizes: name one with --size WIDTHxHEIGHT")


def fits(spec: NetSpec, sizes: Sizes) -> bool:
    """Whether the network takes inputs of these sizes."""
    try:
        infer_shapes(spec, input_shapes(spec, *sizes))
    except ValueError:
        return False
    return True


def proof_sample(spec: NetSpec, sizes: Sizes, photos: Sequence[Pixels], number: int) -> Sample:
    """Inputs of those sizes, chw, cut from the photos; another `number`, another place or photo.

    An input of one channel is grey, one of three colour, any other takes colours in turn.
    """
    photo = photos[number % len(photos)]
    return tuple(
        np.ascontiguousarray(_channels(_cut(photo, *size, number), given.channels))
        for given, size in zip(spec.inputs, sizes, strict=True)
    )


def _cut(photo: Pixels, height: int, width: int, number: int) -> Pixels:
    """A part of the photo, which is mirrored where it is too small."""
    more = [(0, max(0, want - have)) for want, have in zip((height, width), photo.shape[:2], strict=True)]
    grown = np.pad(photo, (*more, (0, 0)), mode="symmetric")
    top, left = ((have - want) * (number % 3) // 2 for have, want in zip(grown.shape[:2], (height, width), strict=True))
    return grown[top : top + height, left : left + width]


def _channels(pixels: Pixels, count: int) -> Pixels:
    if count == 1:
        return (pixels @ GREY)[None]
    return pixels.transpose(2, 0, 1)[np.arange(count) % 3]
