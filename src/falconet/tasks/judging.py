"""The loops every task on pixels judges by: fixed validation crops, and folders of whole pictures.

Shapes: c = channels, h, w of the picture that goes in, H, W of the one that comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.tasks.batches import unit
from falconet.tasks.enhance import run_network
from falconet.tasks.images import Skipped
from falconet.tasks.metrics import Metric
from falconet.tasks.pairs import none_usable, read_8_bit, reason_of
from falconet.tasks.task import Dataset, Example, Run, TestResult

Pixels = npt.NDArray[Any]
Figures = dict[str, float]

VALIDATION_BATCH = 10


def validated(run: Run, dataset: Dataset, scale: int, score: Callable[[Pixels, Pixels], Figures]) -> Figures:
    """Means of `score(output, truth)`, both cHW, over the validation crops; those of one size go through together."""
    groups: dict[tuple[int, ...], list[Example]] = {}
    for example in dataset.validation:
        groups.setdefault(example.target.shape, []).append(example)
    rows: list[Figures] = []
    for group in groups.values():
        for start in range(0, len(group), VALIDATION_BATCH):
            part = group[start : start + VALIDATION_BATCH]
            inputs = tuple(unit(np.stack(several)) for several in zip(*[one.inputs for one in part], strict=True))
            outputs = run_network(run, inputs, scale)
            rows += [score(output, unit(one.target)) for output, one in zip(outputs, part, strict=True)]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def tested(
    paths: Iterable[Path], folder: Path, least: int, score: Callable[[str, Path, Pixels], Figures]
) -> TestResult:
    """Means of `score(name, path, uint8 pixels)` over pictures; names are paths inside the folder.

    Unusable pictures, also those with a side below `least`, are named in `skipped`. UserError when none is left.
    """
    per_image: dict[str, Figures] = {}
    skipped: list[Skipped] = []
    all_paths = tuple(paths)
    for path in all_paths:
        name = path.relative_to(folder).as_posix()
        try:
            pixels = read_8_bit(path)
        except UserError as error:
            skipped.append(Skipped(path, reason_of(error, path)))
            continue
        if min(pixels.shape[:2]) < least:
            skipped.append(Skipped(path, too_small(pixels, least)))
            continue
        per_image[name] = score(name, path, pixels)
    if not per_image:
        raise UserError(none_usable(f"the {len(all_paths)} pictures in {folder}", skipped))
    names = next(iter(per_image.values()))
    means = {name: float(np.mean([row[name] for row in per_image.values()])) for name in names}
    return TestResult(means, len(per_image), per_image, tuple(skipped))


def too_small(pixels: Pixels, least: int) -> str:
    """Why a picture cannot be judged."""
    return f"{pixels.shape[1]}x{pixels.shape[0]} pixels are too few: {least}x{least} are needed"


def figure(metrics: Mapping[str, Metric | None], name: str, result: Pixels, truth: Pixels) -> float:
    """One figure of two pictures; UserError when it is a function of the user's that a file cannot hold."""
    metric = metrics[name]
    if metric is None:
        raise UserError(f"the metric {name!r} is a function of your own; pass it again, metrics={{{name!r}: f}}")
    return float(metric(result, truth))


def to_255(values: Pixels, rounded: bool) -> npt.NDArray[np.float64]:
    """Values of 0..1, clipped, as 0..255."""
    clipped = np.clip(values, 0.0, 1.0).astype(np.float64) * 255.0
    return np.round(clipped) if rounded else clipped
