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
from typing import IO

from falconet.errors import UserError
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe, can_be_written
from falconet.run.record import Record

MENDABLE = 2  # the code of a process that ends with something the user can put right; its message is on stderr


@dataclass(frozen=True)
class Job:
    """One training that is not done: what a worker is told to find it, its name and steps, how it is done here."""

    words: tuple[str, ...]
    name: str
    steps: int
    here: Callable[[], object]


def do_all(record: Record, recipe: Recipe, jobs: Sequence[Job], progress: Progress) -> None:
    """Do every job; afterwards its stage is done.

    UserError when a process ends with what the user can put right; RuntimeError, with what it wrote last, when one
    fails.
    """
    if len(jobs) > 1 and may_share(record, recipe):
        with ThreadPoolExecutor(recipe.workers) as pool:
            for done in [pool.submit(_in_process, record, job, progress) for job in jobs]:
                done.result()
        return
    for job in jobs:
        job.here()


def may_share(record: Record, recipe: Recipe) -> bool:
    """Whether the recipe has workers, and they can be told everything."""
    if recipe.workers > 1 and not can_be_written(recipe):
        record.log("one thing after another: other processes cannot have the objects of this program")
        return False
    return recipe.workers > 1


def start(
    record: Record, words: Sequence[str], stderr: int | IO[str], stdin: int | None = None
) -> subprocess.Popen[str]:
    """A process that works on the run folder (see `worker`), and holds the run's lock as well."""
    command = [sys.executable, "-m", "falconet.run.worker", str(record.folder), *words]
    locks = (record.lock,) if record.lock is not None else ()
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, text=True, pass_fds=locks)


def _in_process(record: Record, job: Job, progress: Progress) -> None:
    """Do a job in a process of its own, and show its progress."""
    with start(record, job.words, subprocess.PIPE) as process, progress.task(job.name, job.steps) as update:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            done, figures = json.loads(line)
            update(done, **figures)
        errors = process.stderr.read()
    if process.returncode == MENDABLE:
        raise UserError(f"the training of {job.name} stopped: {errors.strip().splitlines()[-1]}")
    if process.returncode != 0:
        raise RuntimeError(f"the training of {job.name} ended with code {process.returncode}:\n{errors[-4000:]}")
