"""BM3D, the rival that classical denoising has to offer (Dabov et al. 2007; in colour Dabov et al. 2007b).

    python benchmarks/bm3d.py --data BSD68 --sigma 25            # published: 28.57 dB
    python benchmarks/bm3d.py --real PolyU                       # real noise, told the level best on other cameras

Written for measurements alone: the implementations we know of may not be used commercially. Groups of similar 8x8
blocks are transformed together and their small values dropped; a second pass, which groups by the first one's result,
shrinks them as Wiener would. Colour: Y, Cb and Cr each filtered, all grouped by Y. Settings of the paper's normal
profile: blocks every 3 pixels, at most 16 and 32 within 39x39 that differ by less than 3000 and 400 a pixel, threshold
2.7 sigma, Kaiser windows of beta 2. Deviation: a cosine transform in the first pass too (theirs is bior1.5).
"""

from __future__ import annotations

import argparse
import math
import sys
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from real_noise_nlm import compare
from torch import Tensor
from torch.nn import functional as F

from falconet.files import write_json
from falconet.run.in_colour import YCBCR
from falconet.run.record import environment
from falconet.tasks import Denoising, Pictures
from falconet.tasks.task import Run

SIDE, STEP, REACH = 8, 3, 19
ALIKE = (16, 32)
UNLIKE = (3000.0, 400.0)
THRESHOLD, BETA = 2.7, 2.0
LEVELS = (3.0, 5.0, 7.0, 10.0, 14.0)
PLANES = torch.tensor(YCBCR)


def main() -> None:
    """Judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--data", type=Path, help="clean pictures, made grey; the noise is made here")
    where.add_argument("--real", type=Path, help="the folder of pairs, files ending in _real and _mean")
    parser.add_argument("--sigma", type=float, default=25.0)
    parser.add_argument("--only", default="*", help="names of the pictures that count")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.real:
        compare(given.real, "real_noise_bm3d", runner, LEVELS, given.out or Path("results/real_noise_bm3d.json"))
        return
    task = Denoising(sigma=given.sigma)
    result = task.test(runner(given.sigma), Pictures(folder=given.data, only=(given.only,)))
    found = {"sigma": given.sigma, "only": given.only, **result.metrics, "num_images": result.num_images}
    print(found)
    if given.out:
        write_json(given.out, {"benchmark": "bm3d", "environment": environment("python", sys.argv[0]), "found": found})


def runner(sigma: float) -> Run:
    """BM3D told `sigma`, as tasks call what they judge: inputs (1, channels, height, width) of 0 to 1."""
    return partial(_run, sigma)


def _run(sigma: float, xs: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([bm3d(one * 255, sigma) / 255 for one in xs[0]])


@torch.no_grad()
def bm3d(picture: Tensor, sigma: float) -> Tensor:
    """`picture` (1 or 3, height, width) without noise of standard deviation `sigma` in every channel."""
    coloured = picture.shape[0] == 3
    planes = torch.einsum("dc,chw->dhw", PLANES, picture) if coloured else picture
    levels = (PLANES.square().sum(1).sqrt() * sigma).tolist() if coloured else [sigma]
    height, width = picture.shape[1:]
    noisy = F.pad(planes[None], (REACH, REACH, REACH, REACH), mode="reflect")[0]
    places = _grouped(noisy[0], ALIKE[0], UNLIKE[0])
    basic = torch.stack([_filtered(one, None, places, level) for one, level in zip(noisy, levels, strict=True)])
    places = _grouped(basic[0], ALIKE[1], UNLIKE[1])
    final = torch.stack(
        [_filtered(one, guide, places, level) for one, guide, level in zip(noisy, basic, levels, strict=True)]
    )[:, REACH : REACH + height, REACH : REACH + width]
    return torch.einsum("dc,chw->dhw", torch.linalg.inv(PLANES), final) if coloured else final


def _grid(size: int) -> Tensor:
    """Where blocks begin along a padded side: every third pixel, and the last."""
    last = size - REACH - SIDE
    places = list(range(REACH, last + 1, STEP))
    return torch.tensor(places if places[-1] == last else [*places, last])


def _grouped(plane: Tensor, most: int, unlike: float) -> list[Tensor]:
    """For the blocks of the grid, where those begin that are alike, as y * width + x: (blocks, size) by size of group.

    A group has 1, 2, 4, ... `most` members, none of which differs from the block by `unlike` a pixel.
    """
    height, width = plane.shape
    ys, xs = _grid(height), _grid(width)
    own = (ys[:, None] * width + xs[None]).reshape(-1)
    top, left = height - 2 * REACH, width - 2 * REACH
    inner = plane[REACH : REACH + top, REACH : REACH + left]
    found = []
    for dy in range(-REACH, REACH + 1):
        rows = []
        for dx in range(-REACH, REACH + 1):
            other = plane[REACH + dy : REACH + dy + top, REACH + dx : REACH + dx + left]
            total = (inner - other).square_().double().cumsum(0).cumsum(1)
            total = F.pad(total, (1, 0, 1, 0))
            y, x = ys - REACH, xs - REACH
            boxes = total[y + SIDE][:, x + SIDE] - total[y][:, x + SIDE] - total[y + SIDE][:, x] + total[y][:, x]
            rows.append(boxes.float().reshape(-1))
        found.append(torch.stack(rows, 1))
    distances = torch.cat(found, 1)
    distances[:, distances.shape[1] // 2] = -1  # itself first
    found_at = distances.topk(most, dim=1, largest=False)
    best, side = found_at.indices, 2 * REACH + 1
    places = own[:, None] + (best // side - REACH) * width + (best % side - REACH)
    sizes = 2 ** (found_at.values < unlike * SIDE**2).sum(1).double().log2().floor().long()
    return [places[sizes == size, : int(size)] for size in sizes.unique()]


def _filtered(plane: Tensor, guide: Tensor | None, places: list[Tensor], sigma: float) -> Tensor:
    """The plane rebuilt of its groups: thresholded, or with a `guide` shrunk as Wiener would."""
    width = plane.shape[1]
    offsets = (torch.arange(SIDE)[:, None] * width + torch.arange(SIDE)[None]).reshape(-1)
    both = torch.kron(_cosines(SIDE), _cosines(SIDE))
    value, weight = torch.zeros(plane.numel()), torch.zeros(plane.numel())
    window = _kaiser()
    for part in [part for of_size in places for part in of_size.split(4096)]:
        along = _haar(part.shape[1])
        index = part[..., None] + offsets
        groups = along @ (plane.reshape(-1)[index] @ both.T)
        if guide is None:
            kept = groups.abs() > THRESHOLD * sigma
            groups = groups * kept
            trust = 1 / kept.sum((1, 2)).clamp(min=1)
        else:
            power = (along @ (guide.reshape(-1)[index] @ both.T)).square()
            shrink = power / (power + sigma**2)
            groups = groups * shrink
            trust = 1 / shrink.square().sum((1, 2)).clamp(min=1e-6)
        blocks = (along.T @ groups) @ both
        share = trust[:, None, None] * window
        value.index_add_(0, index.reshape(-1), (blocks * share).reshape(-1))
        weight.index_add_(0, index.reshape(-1), share.expand_as(blocks).reshape(-1))
    rebuilt = torch.where(weight > 0, value / weight.clamp(min=1e-12), plane.reshape(-1))
    return rebuilt.reshape(plane.shape)


@lru_cache
def _cosines(size: int) -> Tensor:
    """The orthonormal cosine transform of `size` values, as a matrix."""
    k, n = torch.arange(size)[:, None], torch.arange(size)[None]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / (2 * size)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


@lru_cache
def _haar(size: int) -> Tensor:
    """The orthonormal Haar transform of `size` values, a power of two, as a matrix."""
    matrix = torch.ones(1, 1)
    while matrix.shape[0] < size:
        same = torch.kron(matrix, torch.tensor([[1.0, 1.0]]))
        different = torch.kron(torch.eye(matrix.shape[0]), torch.tensor([[1.0, -1.0]]))
        matrix = torch.cat([same, different]) / math.sqrt(2)
    return matrix


@lru_cache
def _kaiser() -> Tensor:
    line = torch.from_numpy(np.kaiser(SIDE, BETA)).float()
    return (line[:, None] * line[None]).reshape(-1)


if __name__ == "__main__":
    main()
