"""A whole picture made better by a network: any mode, any size, by tiles whose seams cannot be seen.

A tile is run with a margin of true neighbours around it, which is cut off the result. When the margin is at least the
network's reach (how many pixels away, at most, an input can change an output), no pixel can tell that there were tiles;
at the edges of the picture the network pads as it does on a whole picture. The result comes in strips from top to
bottom, so memory beyond the picture given is that of one strip.

A luma network makes the brightness; the colours are enlarged by bicubic, as is transparency. YCbCr to RGB is linear and
adds the luma to all three channels alike, so colours need no conversion: RGB by bicubic, plus what the network changed.
A grey network that keeps the size (a denoiser) does each channel of a colour picture by itself.

Shapes: b = batch, c = channels, h, w of the picture given, H = h * scale, W = w * scale.
Left out: colour management, and edges between opaque and transparent pixels, which are enlarged like all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.tasks.degrade import enlarge
from falconet.tasks.images import Picture, joined
from falconet.tasks.metrics import luma

if TYPE_CHECKING:
    from falconet.tasks.task import Run

Pixels = npt.NDArray[Any]

# A tile of the picture given, hwc of 0..1, to what becomes of it, HWc of about 0..1; float32.
Make = Callable[[Pixels], Pixels]

TILE = 240  # side of a tile of the picture given, without its margin; a multiple of any stride a network may have
MARGIN = 32  # when nothing is known of the network's reach
BICUBIC_REACH = 3

# R, G and B each grow by 255/219 of what the luma (16..235) grows: ITU-R BT.601.
RGB_PER_LUMA = 255.0 / 219.0


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture: rows top..bottom and columns left..right."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, pixels: Pixels) -> Pixels:
        """This part of hw or hwc pixels."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def shrunk(self, scale: int) -> Tile:
        """The same part of a picture `scale` times smaller; its sides and corner are multiples of `scale`."""
        return Tile(self.top // scale, self.bottom // scale, self.left // scale, self.right // scale)


def tiles(height: int, width: int, side: int, margin: int) -> Iterator[tuple[Tile, Tile]]:
    """(tile, the same with its margin, as far as the picture goes) covering the picture once.

    >>> [(inner.left, inner.right, outer.left, outer.right) for inner, outer in tiles(4, 10, side=6, margin=2)]
    [(0, 6, 0, 8), (6, 10, 4, 10)]
    """
    for top in range(0, height, side):
        for left in range(0, width, side):
            inner = Tile(top, min(top + side, height), left, min(left + side, width))
            yield (
                inner,
                Tile(
                    max(0, inner.top - margin),
                    min(height, inner.bottom + margin),
                    max(0, inner.left - margin),
                    min(width, inner.right + margin),
                ),
            )


def enlarge_picture(
    run: Run,
    picture: Picture,
    scale: int,
    colour: Literal["luma", "rgb"],
    margin: int = MARGIN,
    tile: int = TILE,
    progress: Callable[[int, int], None] | None = None,
) -> Picture:
    """The picture `scale` times larger, in the mode it came in: grey or colour, 8 or 16 bits, alpha.

    `margin` is the network's reach in pixels of the small picture; `progress` is told the tiles done and their number.
    """
    make = partial(enlarged_tile, run, scale, colour)
    return joined(strips(make, picture, scale, margin, tile, progress), picture.height * scale)


def strips(
    make: Make,
    picture: Picture,
    scale: int,
    margin: int = MARGIN,
    tile: int = TILE,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Picture]:
    """What `make` makes of the picture, as pictures of `tile` * `scale` rows from top to bottom, in its own mode."""
    assert margin >= 0 and tile >= 1
    peak = np.iinfo(picture.pixels.dtype).max
    parts = list(tiles(picture.height, picture.width, tile, max(margin, BICUBIC_REACH)))
    done = 0
    for top in range(0, picture.height, tile):
        row = [part for part in parts if part[0].top == top]
        height, first = (row[0][0].bottom - top) * scale, row[0][1]
        result = np.empty((height, picture.width * scale, picture.pixels.shape[2]), dtype=picture.pixels.dtype)
        for inner, outer in row:
            given = outer.cut(picture.pixels).astype(np.float32) / np.float32(peak)
            place = result[:, inner.left * scale : inner.right * scale]
            down, across = (inner.top - outer.top) * scale, (inner.left - outer.left) * scale
            kept = make(given)[down : down + place.shape[0], across : across + place.shape[1]]
            place[...] = np.floor(np.clip(kept, 0.0, 1.0) * np.float32(peak) + np.float32(0.5))
            done += 1
            if progress is not None:
                progress(done, len(parts))
        alpha = None
        if picture.alpha is not None:
            skip = (top - first.top) * scale
            alpha = enlarge(picture.alpha[first.top : first.bottom], scale)[skip : skip + height]
        yield replace(picture, pixels=result, alpha=alpha)


def enlarged_tile(run: Run, scale: int, colour: Literal["luma", "rgb"], small: Pixels) -> Pixels:
    """hwc of 0..1 to HWc of about 0..1, float32."""
    is_grey = small.shape[2] == 1
    if colour == "rgb":
        large = _run(run, np.repeat(small, 3, axis=2) if is_grey else small, scale)
        return large.mean(axis=2, keepdims=True) if is_grey else large
    if is_grey:
        return _run(run, small, scale)
    brightness = _run(run, _unit_luma(small), scale)
    by_bicubic = enlarge(small, scale)
    change = np.clip(brightness, 0.0, 1.0) - _unit_luma(by_bicubic)
    return by_bicubic + change * np.float32(RGB_PER_LUMA)


def cleaned_tile(run: Run, colour: Literal["grey", "rgb"], level: float | None, given: Pixels) -> Pixels:
    """hwc of 0..1 to hwc of about 0..1, float32; `level` is what the noise map holds, None where there is none."""
    chw = np.ascontiguousarray(given.transpose(2, 0, 1))
    if colour == "grey":
        bchw = chw[:, None]
    else:
        bchw = (np.repeat(chw, 3, axis=0) if len(chw) == 1 else chw)[None]
    maps = () if level is None else (np.full((len(bchw), 1, *bchw.shape[2:]), level, dtype=np.float32),)
    output = run_network(run, (bchw, *maps), scale=1)
    result = output[:, 0] if colour == "grey" else output[0]
    result = result.mean(axis=0, keepdims=True) if len(result) > len(chw) else result
    return result.transpose(1, 2, 0)


def _unit_luma(rgb: Pixels) -> Pixels:
    """The luma as a network takes it: hw3 of 0..1 to hw1 of 16/255 .. 235/255."""
    return (luma(rgb, peak=1.0)[..., None] / 255.0).astype(np.float32)


def _run(run: Run, small: Pixels, scale: int) -> Pixels:
    """The network on hwc, as HWc; both float32."""
    values: Pixels = run_network(run, (np.ascontiguousarray(small.transpose(2, 0, 1))[None],), scale)[0]
    return values.transpose(1, 2, 0)


def run_network(run: Run, inputs: tuple[Pixels, ...], scale: int) -> Pixels:
    """The network's output bcHW for float32 inputs bchw, without gradients; it has the channels of the first input.

    UserError when its size shows another scale.
    """
    import torch

    with torch.no_grad():
        output: Pixels = run(tuple(torch.from_numpy(x) for x in inputs)).numpy()
    batch, channels, height, width = inputs[0].shape
    expected = (batch, channels, height * scale, width * scale)
    if output.shape != expected:
        given, made, wanted = (" x ".join(map(str, one[1:])) for one in (inputs[0].shape, output.shape, expected))
        raise UserError(
            f"at scale {scale} the network must make {wanted} (channels x height x width) of {given}, but made {made}. "
            f"Is the scale right?"
        )
    return output
