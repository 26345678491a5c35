"""How well models do on drawings, which no photograph prepares for: black and white, letters, lines, checkerboards.

    python benchmarks/drawings.py sr-x2 sr-x2-small

Models that ship, or model folders. The drawings are made here, and judged as the models' task judges its test pictures:
PSNR of each drawing, beside bicubic for super-resolution. No times are measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from falconet.deploy.model import load_model
from falconet.evaluate.quality import runner
from falconet.files import write_json
from falconet.run.record import environment
from falconet.tasks import Denoising, SuperResolution
from falconet.tasks.task import Run

SIDE = 240
WORDS = "Falconet designs vision networks small enough for a phone. 0123456789"


def main() -> None:
    """Judge every model; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="models that ship, or model folders")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_drawings.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, float]] = {}
    for name in given.models:
        model = load_model(name)
        task = model.task
        assert isinstance(task, SuperResolution | Denoising)
        if isinstance(task, SuperResolution):
            rows.setdefault(f"bicubic x{task.scale}", judged(task, task.baseline("bicubic")))
        rows[name] = judged(task, runner(model.network))
    for name, figures in rows.items():
        print(f"{name:<24}{figures['mean']:8.2f}")
    about: dict[str, Any] = {"benchmark": "drawings", "environment": environment("python", sys.argv[0])}
    write_json(given.out, {**about, "psnr": rows})


def judged(task: SuperResolution | Denoising, run: Run) -> dict[str, float]:
    """PSNR (luma for super-resolution) of each drawing, made as the task makes its test pictures; and their mean."""
    with TemporaryDirectory() as folder:
        for name, picture in drawings().items():
            Image.fromarray(picture).save(Path(folder) / f"{name}.png")
        each = task.test(run, Path(folder)).per_image
    figures = {Path(name).stem: round(found[task.quality], 2) for name, found in each.items()}
    return figures | {"mean": round(mean(figures.values()), 3)}


def drawings() -> Mapping[str, npt.NDArray[np.uint8]]:
    """Name -> a grey picture of 240x240 in black and white."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    white = {f"checkerboard {side}": (x // side + y // side) % 2 for side in (4, 6, 10)}
    white["bars"] = sum((x + y // 3) // width % 2 * (y // 60 == row) for row, width in enumerate((3, 4, 6, 9)))
    discs = np.zeros((SIDE, SIDE), dtype=int)
    for _ in range(40):
        column, row, radius = rng.integers(SIDE), rng.integers(SIDE), rng.integers(5, 40)
        discs[(x - column) ** 2 + (y - row) ** 2 < radius**2] = rng.integers(2)
    white["discs"] = discs
    found = {name: (255 * where).astype(np.uint8) for name, where in white.items()}
    page = letters()
    return found | {"lines": lines(rng), "letters": page, "white letters": 255 - page}


def letters() -> npt.NDArray[np.uint8]:
    """Black letters of many sizes on white, with Pillow's own font."""
    page, top = Image.new("L", (SIDE, SIDE), 255), 4
    pen = ImageDraw.Draw(page)
    for number, size in enumerate((8, 9, 10, 11, 12, 14, 16, 20, 24, 32)):
        pen.text((4, top), (WORDS * 2)[7 * number :], fill=0, font=ImageFont.load_default(size))
        top += round(1.35 * size)
    return np.asarray(page)


def lines(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Straight black lines on white, one to three pixels wide."""
    page = Image.new("L", (SIDE, SIDE), 255)
    pen = ImageDraw.Draw(page)
    for _ in range(50):
        pen.line(rng.integers(SIDE, size=4).tolist(), fill=0, width=int(rng.integers(1, 4)))
    return np.asarray(page)


if __name__ == "__main__":
    main()
