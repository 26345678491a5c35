"""Trainings of networks alone, as many at once as the recipe has workers: kept networks, rivals, networks for trust.

Each goes on in a process of its own (`worker`) with one thread. The weights are the same whichever way it was trained.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from falconet.run.progress import Progress
from falconet.run.recipe import Recipe, can_be_written
from falconet.run.record import Record


@dataclass(frozen=True)
class Job:
    """One training that is not done: what a worker is told to find it, its name and steps, how it is done here."""

    words: tuple[str, ...]
    name: str
    steps: int
    here: Callable[[], object]


def do_all(record: Record, recipe: Recipe, jobs: Sequence[Job], progress: Progress) -> None:
    """Do every job; afterwards its stage is done. RuntimeError, with what it wrote last, when a process fails."""
    side_by_side = recipe.workers > 1 and len(jobs) > 1
    if side_by_side and not can_be_written(recipe):
        record.log("trainings go one after another: other processes cannot have the objects of this program")
        side_by_side = False
    if side_by_side:
        with ThreadPoolExecutor(recipe.workers) as pool:
            for done in [pool.submit(_in_process, record, job, progress) for job in jobs]:
                done.result()
        return
    for job in jobs:
        job.here()


def _in_process(record: Record, job: Job, progress: Progress) -> None:
    """Do a job in a process of its own, which holds the run's lock as well, and show its progress."""
    command = [sys.executable, "-m", "falconet.run.worker", str(record.folder), *job.words]
    locks = (record.lock,) if record.lock is not None else ()
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=locks) as process,
        progress.task(job.name, job.steps) as update,
    ):
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            done, figures = json.loads(line)
            update(done, **figures)
        errors = process.stderr.read()
    if process.returncode != 0:
        raise RuntimeError(f"the training of {job.name} ended with code {process.returncode}:\n{errors[-4000:]}")
