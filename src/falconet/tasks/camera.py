"""Small pictures as cameras and messengers leave them: blurred, noisy, compressed.

A network that learned from cleanly shrunk pictures alone enlarges noise and JPEG blocks along with the rest. Here the
large picture is blurred by a Gaussian, shrunk by antialiased bicubic, given Gaussian noise, rounded to 8 bits, and
stored as JPEG (4:2:0 when it is in colour). How strong each is, is drawn evenly from the ranges in `Camera`.

Shapes: h, w of the small picture, H = h * scale, W = w * scale; hw or hwc with c = 3.
Left out: motion and lens blur, noise that depends on brightness, a second compression, other codecs.
"""

from __future__ import annotations

import hashlib
import io
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, field_validator

from falconet.tasks.degrade import resize_bicubic
from falconet.tasks.metrics import LUMA_WEIGHTS

Pixels = npt.NDArray[Any]

BLOCK = 8  # side of a JPEG block
LUMA_NOISE = math.hypot(
    *LUMA_WEIGHTS
)  # what is left, in the luma, of noise that R, G and B have each their own of: 0.57


class Camera(BaseModel):
    """Ranges of what is done to the small pictures of `degradation: camera`, each (least, most).

    `blur`: standard deviation of the Gaussian, in pixels of the large picture; `noise`: standard deviation in each of
    R, G and B, of 255; `jpeg`: quality as libjpeg counts it, 95 is hardly visible, 40 plainly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    blur: tuple[float, float] = (0.0, 1.5)
    noise: tuple[float, float] = (0.0, 8.0)
    jpeg: tuple[int, int] = (50, 95)

    @field_validator("blur", "noise", "jpeg", mode="before")
    @classmethod
    def _one_or_both_ends(cls, value: object) -> object:
        return (value, value) if isinstance(value, int | float) else value

    @field_validator("blur", "noise", "jpeg")
    @classmethod
    def _ascends(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1] <= 100:
            raise ValueError(f"must be two numbers from 0 to 100, the smaller first; got {list(value)}")
        return value

    @property
    def words(self) -> str:
        """The ranges in words."""
        return (
            f"blurred by a Gaussian (standard deviation {_span(self.blur)} pixels), shrunk, with Gaussian noise "
            f"({_span(self.noise)} of 255 in each of R, G and B), stored as JPEG (quality {_span(self.jpeg)})"
        )


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:g}" if ends[0] == ends[1] else f"{ends[0]:g} to {ends[1]:g}"


def seeded(*parts: object) -> np.random.Generator:
    """A source of chance that is a function of seeds and names alone, the same on every machine.

    >>> seeded("noise", 0, "cat.png").integers(100).item()
    0
    """
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def taken_small(high: Pixels, scale: int, settings: Camera, rng: np.random.Generator, luma: bool = False) -> Pixels:
    """HW or HWc of 0..255 as a camera might have left it `scale` times smaller: uint8 hw or hwc.

    `luma`: what is given is the luma of a colour picture, which has less noise than its colours.
    """
    blur, noise = rng.uniform(*settings.blur), rng.uniform(*settings.noise)
    quality = int(rng.integers(settings.jpeg[0], settings.jpeg[1] + 1))
    small = resize_bicubic(
        blurred(high.astype(np.float32), blur), math.ceil(high.shape[0] / scale), math.ceil(high.shape[1] / scale)
    )
    strength = np.float32(noise * LUMA_NOISE if luma else noise)
    small = small + strength * rng.standard_normal(small.shape, dtype=np.float32)
    return as_jpeg(np.clip(np.floor(small + 0.5), 0, 255).astype(np.uint8), quality)


def small_patch(
    target: Pixels, place: tuple[int, int], patch: int, scale: int, settings: Camera, rng: np.random.Generator
) -> Pixels:
    """The small patch at `place` (row and column in the small picture) of a large one, cHW of 0..1 or uint8.

    It is made of a larger part, so that blur and JPEG know the neighbours, and the JPEG blocks lie anywhere: they begin
    up to 8 pixels before the patch. float32 of 0..1, c x patch x patch.
    """
    before = rng.integers(1, BLOCK + 1, size=2).tolist()
    (top, bottom), (left, right) = (
        (max(0, at - more), min(side // scale, at + patch + BLOCK))
        for at, more, side in zip(place, before, target.shape[1:], strict=True)
    )
    part = target[:, top * scale : bottom * scale, left * scale : right * scale].transpose(1, 2, 0)
    part = part if part.dtype == np.uint8 else part * np.float32(255)
    is_luma = part.shape[2] == 1
    small = taken_small(part[..., 0] if is_luma else part, scale, settings, rng, is_luma)
    small = small[..., None] if is_luma else small
    top, left = place[0] - top, place[1] - left
    cut = small[top : top + patch, left : left + patch].transpose(2, 0, 1)
    return cut.astype(np.float32) / np.float32(255)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """float32 hw or hwc blurred by a Gaussian of that standard deviation; edges are mirrored. Below 0.1: as it is."""
    if sigma < 0.1:
        return pixels
    radius = min(math.ceil(3 * sigma), min(pixels.shape[:2]))
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-(offsets**2) / (2 * sigma**2)).astype(np.float32)
    window /= window.sum()
    for axis in (0, 1):
        lines = np.moveaxis(pixels, axis, 0)
        padded = np.pad(lines, [(radius, radius)] + [(0, 0)] * (lines.ndim - 1), mode="symmetric")
        total = np.zeros_like(lines)
        for step, weight in enumerate(window):
            total += weight * padded[step : step + len(lines)]
        pixels = np.moveaxis(total, 0, axis)
    return pixels


def as_jpeg(pixels: Pixels, quality: int) -> Pixels:
    """uint8 hw or hwc, stored as JPEG of that quality and read again."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)
