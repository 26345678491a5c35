"""The whole story, from a folder of photos to models that can be trusted, in the order in which it happens.

    run(recipe, Path("runs/x"))        begins a run and does all of it
    resume(Path("runs/x"))             goes on with one that was stopped anywhere
    search(Path("runs/x"), [...])      searches its supernet again for another budget, and does the rest for that

A stage leaves a marker when it is done and is skipped from then on; one that was stopped half-way goes on from its own
checkpoint. Whatever is chosen by timing is chosen once and written down. So a run that was killed ends with the same
bits as one that was not, on the same machine, but for measured times.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from falconet.errors import UserError
from falconet.report import write_results
from falconet.report.page import write_report
from falconet.run.choosing import Chosen, again, choose, choose_random
from falconet.run.collecting import collect
from falconet.run.evaluating import Judge
from falconet.run.events import with_events
from falconet.run.pictures import data_facts, read_pictures
from falconet.run.plan import Plan, make_plan
from falconet.run.progress import Progress, Silent
from falconet.run.recipe import Recipe, to_yaml
from falconet.run.record import Record, core_seconds, create, opened, refuse_existing, require_run, to_json
from falconet.run.rivals import stage_of as rival_stage
from falconet.run.rivals import train_rival, train_rivals
from falconet.run.searches import OneSearch, add, another, kept_recipe, read_recipe, searches
from falconet.run.searching import search_twice, stage_of_search
from falconet.run.shipping import ship, test_baseline, test_rival, time_models
from falconet.run.supernet import STAGE as SUPERNET
from falconet.run.supernet import train_supernet
from falconet.run.training import train_all, trained
from falconet.run.trust import measure_trust
from falconet.run.wanted import resolved

THREADS = 1  # more would change the last bits, and two threads are slower than one on a busy machine


def plan(recipe: Recipe, progress: Progress | None = None) -> Plan:
    """What a recipe would do here; nothing is trained or written."""
    _set_threads()
    return make_plan(resolved(recipe), progress or Silent())


def run(recipe: Recipe, folder: Path, progress: Progress | None = None) -> Path:
    """Begin a run in a new folder and do all of it; the path of its report.

    Raises UserError, before the folder is made, when the recipe cannot be done: no pictures, a budget nothing can meet,
    a folder that is there already.
    """
    recipe = resolved(recipe)
    begin(recipe, folder, progress)
    return resume(folder, progress, recipe)


def begin(recipe: Recipe, folder: Path, progress: Progress | None = None) -> None:
    """Plan a recipe and make its run folder: recipe.yaml, environment.json, data.json, plan.json."""
    _set_threads()
    refuse_existing(folder)
    recipe = resolved(recipe)
    wall, core = time.monotonic(), core_seconds()
    dataset = recipe.task.read(recipe.data, recipe.seed)
    planned = make_plan(recipe, progress or Silent(), dataset)
    tree, files = kept_recipe(recipe)
    spent = {"wall_minutes": (time.monotonic() - wall) / 60, "core_minutes": (core_seconds() - core) / 60}
    texts = {
        "recipe.yaml": to_yaml(tree),
        "data.json": to_json(data_facts(dataset)),
        "plan.json": planned.text(),
        "stages/plan.json": to_json({"done": True, "starts": 1, **spent, "facts": {}}),
        "clock.json": to_json({"done": True, "starts": 1, **spent, "facts": {}}),
    }
    create(folder, {**{name: text.encode() for name, text in texts.items()}, **files})


def resume(folder: Path, progress: Progress | None = None, recipe: Recipe | None = None) -> Path:
    """Do what is left of a run; the path of its report. `recipe` is needed only when it holds objects of a program."""
    _set_threads()
    with opened(folder) as record:
        return _work(record, recipe or read_recipe(folder), progress or Silent())


def search(
    folder: Path, overrides: Sequence[str], progress: Progress | None = None, recipe: Recipe | None = None
) -> Path:
    """Add a search with some settings changed, such as ["budget.macs=2G"], and do it; the path of the report.

    `recipe` is that of the run, and needed only when it holds objects of a program. Raises UserError when the supernet
    is not trained yet, or a setting changes that it depends on.
    """
    _set_threads()
    progress = progress or Silent()
    with opened(folder) as record:
        recipe = recipe or read_recipe(folder)
        if not record.done(SUPERNET):
            raise UserError(f"the supernet of {folder} is not trained yet; first: falconet resume {folder}")
        own = another(folder, recipe, overrides)
        earlier = Plan.read(folder / "plan.json")
        one = add(folder, own, make_plan(own, progress, read_pictures(record, recipe), earlier))
        record.log(f"{one.id}: added, with {' '.join(overrides)}")
        return _work(record, recipe, progress)


def report(folder: Path) -> Path:
    """Write results.json and report.html again, from the files there are; the path of the report."""
    require_run(folder)
    record, recipe = Record(folder, keeps_log=False), read_recipe(folder)
    all_searches = searches(folder, recipe)
    done = [one for one in all_searches if record.done(stage_of_search(one))]
    found = {one.id: (one, choose(record, one, all_searches) if one in done else []) for one in all_searches}
    write_results(folder, collect(record, found))
    return write_report(folder)


def _work(record: Record, recipe: Recipe, progress: Progress) -> Path:
    """Every stage that is not done, in order."""
    record.log("works")
    progress = with_events(progress, record.folder)
    all_searches = searches(record.folder, recipe)
    planned = Plan.read(record.path("plan.json"))
    dataset = read_pictures(record, recipe)
    supernet = train_supernet(record, recipe, dataset, planned.steps["supernet"], progress)
    test_baseline(record, recipe, dataset, progress)
    found: dict[str, tuple[OneSearch, list[Chosen]]] = {}
    for one in all_searches:
        search_twice(record, one, Judge(supernet, dataset, planned.latency), progress)
        kept, drawn = choose(record, one, all_searches), choose_random(record, one, all_searches)
        steps = Plan.read(one.folder / "plan.json").steps
        others = [*drawn, *again(one.recipe, kept)]
        train_all(record, one, [*kept, *others], supernet, dataset, steps, progress)
        ship(record, one, kept, supernet, dataset, progress)
        for chosen in others:
            test_rival(record, recipe, chosen.name, trained(record, one, chosen, supernet, dataset), dataset, progress)
        found[one.id] = (one, kept)
        time_models(record, one, [chosen.name for _, chosens in found.values() for chosen in chosens], progress)
    train_rivals(record, recipe, dataset, planned.steps, progress)
    for rival in recipe.rivals.nets:
        network = train_rival(record, recipe, rival, dataset, planned.steps[rival_stage(rival)], progress)
        test_rival(record, recipe, rival_stage(rival), network, dataset, progress)
    measure_trust(record, recipe, supernet, dataset, progress)
    write_results(record.folder, collect(record, found))
    return write_report(record.folder)


def _set_threads() -> None:
    import torch

    torch.set_num_threads(THREADS)
