"""What 8-bit integers cost and bring: the task's own figures, and times measured together, beside float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from falconet.deploy.target import ArrayRun, Sample
from falconet.deploy.timing import TIE, time_callables
from falconet.errors import UserError
from falconet.tasks import DataSettings, Task

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.tasks import Run

MOST_SAMPLES = 24
SECONDS = 30.0
FLOAT, INTEGER = "float32", "int8"


class Against(BaseModel):
    """int8 beside float32, by name: the task's figures on `num_pictures`, and milliseconds of the same rounds.

    `faster` is float32's least time over int8's, at inputs of (height, width) `size`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pictures: str
    num_pictures: int
    calibrated_on: int
    figures: dict[str, dict[str, float]]
    size: tuple[tuple[int, int], ...]
    times: dict[str, dict[str, float | int | None]]
    faster: float


def calibration(task: Task, folder: Path) -> list[Sample]:
    """Inputs as the task makes them of the pictures in a folder: what calibration looks at. UserError when too few."""
    dataset = task.read(DataSettings(train=(folder,), validation=0.5), seed=0)
    return [tuple(_unit(x) for x in example.inputs) for example in dataset.validation[:MOST_SAMPLES]]


def _unit(x: Any) -> Any:
    return x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32)


def against(
    runs: dict[str, ArrayRun], task: Task, folder: Path, sample: Sample, calibrated_on: int, seconds: float = SECONDS
) -> Against:
    """int8 beside float32 (`runs` by those names): judged on the pictures in `folder`, timed on `sample`."""
    tests = {name: task.test(_as_tensors(run), folder) for name, run in runs.items()}
    xs = [x if x.ndim == 4 else x[None] for x in sample]
    for run in runs.values():
        run(xs)
    found = time_callables({name: _call(run, xs) for name, run in runs.items()}, FLOAT, max_seconds=seconds)
    return Against(
        pictures=folder.name,
        num_pictures=tests[FLOAT].num_images,
        calibrated_on=calibrated_on,
        figures={name: dict(test.metrics) for name, test in tests.items()},
        size=tuple((x.shape[2], x.shape[3]) for x in xs),
        times={name: asdict(timing) for name, timing in found.items()},
        faster=found[FLOAT].min_ms / found[INTEGER].min_ms,
    )


def _call(run: ArrayRun, xs: Sequence[Any]) -> Any:
    return lambda: run(xs)


def _as_tensors(run: ArrayRun) -> Run:
    def called(xs: tuple[Tensor, ...]) -> Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(run([x.detach().cpu().numpy() for x in xs])[0]))

    return called


def told(found: Against) -> list[str]:
    """What the comparison says, in lines for a person.

    >>> told(found)                                                           # doctest: +SKIP
    ['psnr_y on Set5 (5 pictures): 37.36 float32, 37.11 int8 (-0.25)',
     'one picture of 640x360: 95.2 ms float32, 61.0 ms int8 (least of 40 rounds): int8 is 1.56 times as fast']
    """
    lines = []
    for name, value in found.figures[FLOAT].items():
        other = found.figures[INTEGER].get(name)
        if other is not None:
            lines.append(
                f"{name} on {found.pictures} ({found.num_pictures} pictures): "
                f"{value:.4g} float32, {other:.4g} int8 ({other - value:+.2g})"
            )
    height, width = found.size[0]
    times = {name: f"{row['min_ms']:.3g} ms {name}" for name, row in found.times.items()}
    if abs(found.faster - 1) < TIE:
        verdict = "no difference that can be told"
    elif found.faster > 1:
        verdict = f"int8 is {found.faster:.2f} times as fast"
    else:
        verdict = f"int8 is SLOWER, {1 / found.faster:.2f} times as slow: use float32"
    lines.append(f"one input of {width}x{height}: {times[FLOAT]}, {times[INTEGER]}, least times here: {verdict}")
    return lines


def needs_task(task: Task | None, folder: Path | None) -> tuple[Task, Path]:
    """The task and the pictures that int8 cannot do without. UserError when one is missing."""
    if task is None:
        raise UserError("int8 is judged by the network's task, which bare weights do not tell: export a model folder")
    if folder is None:
        raise UserError("int8 is calibrated and judged on real pictures: add --data FOLDER")
    return task, folder
