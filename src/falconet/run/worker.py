"""A part of a run in a process of its own: `python -m falconet.run.worker RUN_FOLDER WHAT ...`.

    final SEARCH NAME       a network that a search kept
    rival TITLE             a rival of the recipe
    trust NUMBER            a network that tells how well the supernet ranks
    judge SEARCH            networks of a search, one a line of stdin; the answers go to stdout

Reads everything from the run folder and writes only the checkpoints and the stage of the network it trains. It ends
when the process that started it does. Progress goes to stdout, one JSON list a line: [steps done, {figures}].
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from falconet.errors import UserError
from falconet.run.choosing import again, choose, choose_random
from falconet.run.evaluating import judge_lines
from falconet.run.pictures import read_pictures
from falconet.run.plan import Plan
from falconet.run.progress import Update
from falconet.run.record import Record
from falconet.run.rivals import stage_of, train_rival
from falconet.run.searches import read_recipe, searches
from falconet.run.side_by_side import MENDABLE
from falconet.run.supernet import train_supernet
from falconet.run.training import train_one
from falconet.run.trust import draws, train_for_trust

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


def main(folder: Path, what: str, *which: str) -> None:
    """Train one network, or judge many."""
    import torch

    torch.set_num_threads(1)
    record, recipe, progress = Record(folder, keeps_log=False), read_recipe(folder), ToParent()
    planned = Plan.read(folder / "plan.json")
    dataset = read_pictures(record, recipe)
    if what == "rival":
        rival = next(rival for rival in recipe.rivals.nets if rival.title == which[0])
        train_rival(record, recipe, rival, dataset, planned.steps[stage_of(rival)], progress)
        return
    supernet = train_supernet(record, recipe, dataset, planned.steps["supernet"], progress)
    if what == "trust":
        index = int(which[0])
        arch = draws(recipe)[index]
        train_for_trust(record, recipe, arch, index, supernet, dataset, progress)
        return
    all_searches = searches(folder, recipe)
    one = next(search for search in all_searches if search.id == which[0])
    if what == "judge":
        judge_lines(record, one.recipe, supernet, dataset)
    kept = choose(record, one, all_searches)
    trained_here = [*kept, *choose_random(record, one, all_searches), *again(one.recipe, kept)]
    chosen = next(chosen for chosen in trained_here if chosen.name == which[1])
    steps = Plan.read(one.folder / "plan.json").steps
    train_one(record, one, chosen, supernet, dataset, steps[chosen.steps_of], progress)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except (UserError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        sys.exit(MENDABLE)
