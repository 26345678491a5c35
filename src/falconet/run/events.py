"""TensorBoard's view of a run: everything that the progress bars show, as curves in the run folder's `events`.

    pip install 'falconet[tensorboard]'
    tensorboard --logdir runs/NAME/events

Losses of every training, best quality and size of the front of every search. Nothing reads these files back: without
TensorBoard they are not written, and nothing else changes.
"""

from __future__ import annotations

import importlib.util
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from falconet.run.progress import Progress, Update

FOLDER = "events"
SECONDS_BETWEEN_POINTS = 1.0


def with_events(progress: Progress, run: Path) -> Progress:
    """`progress` that also writes curves into `run`/events; as it is when TensorBoard is not installed."""
    return _Recorded(progress, run / FOLDER) if importlib.util.find_spec("tensorboard") else progress


class _Recorded:
    """Shows progress as another does, and writes a point of each figure about once a second, and the last."""

    def __init__(self, progress: Progress, folder: Path) -> None:
        self._progress = progress
        self._folder = folder

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Update]:
        """A task whose figures become the curves NAME/FIGURE, over its count."""
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(self._folder), filename_suffix="." + re.sub(r"[^\w.-]+", "-", name).strip("-"))
        last = 0.0
        with self._progress.task(name, total, start) as inner:

            def update(done: int, **figures: float) -> None:
                nonlocal last
                inner(done, **figures)
                if time.monotonic() - last >= SECONDS_BETWEEN_POINTS or done == total:
                    last = time.monotonic()
                    for figure, value in figures.items():
                        writer.add_scalar(f"{name}/{figure}", value, done)

            try:
                yield update
            finally:
                writer.close()

    def say(self, text: str) -> None:
        """One line about what happens, shown by the other."""
        self._progress.say(text)
