"""A final training in a process of its own: `python -m falconet.run.worker RUN_FOLDER SEARCH NAME`.

Reads everything from the run folder and writes only the checkpoints and the stage of that one network. It ends when
the process that started it does. Progress goes to stdout, one JSON list a line: [steps done, {figures}].
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from falconet.run.choosing import again, choose, choose_random
from falconet.run.pictures import read_pictures
from falconet.run.plan import Plan
from falconet.run.progress import Update
from falconet.run.record import Record
from falconet.run.searches import read_recipe, searches
from falconet.run.supernet import train_supernet
from falconet.run.training import train_one

SECONDS_BETWEEN_LINES = 1.0


class ToParent:
    """Progress as lines for the process that started this one; without it, there is nothing to go on for."""

    def __init__(self) -> None:
        self._parent = os.getppid()

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Update]:
        """A task that writes a line a second."""
        last = 0.0

        def update(done: int, **figures: float) -> None:
            nonlocal last
            if os.getppid() != self._parent:
                os._exit(1)
            if time.monotonic() - last >= SECONDS_BETWEEN_LINES or done == total:
                last = time.monotonic()
                print(json.dumps([done, figures]), flush=True)

        yield update

    def say(self, text: str) -> None:
        """Nothing: the parent speaks."""


def main(folder: Path, search_id: str, name: str) -> None:
    """Train one kept network of one search."""
    import torch

    torch.set_num_threads(1)
    record, recipe, progress = Record(folder, keeps_log=False), read_recipe(folder), ToParent()
    all_searches = searches(folder, recipe)
    one = next(search for search in all_searches if search.id == search_id)
    kept = choose(record, one, all_searches)
    trained_here = [*kept, *choose_random(record, one, all_searches), *again(one.recipe, kept)]
    chosen = next(chosen for chosen in trained_here if chosen.name == name)
    plan = Plan.read(one.folder / "plan.json")
    dataset = read_pictures(record, recipe)
    supernet = train_supernet(record, recipe, dataset, plan.steps["supernet"], progress)
    train_one(record, one, chosen, supernet, dataset, plan.steps[chosen.steps_of], progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
