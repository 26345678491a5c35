"""A recipe that trains one network and searches nothing: what `falconet train` runs.

A network of the zoo begins with nothing learned; a model goes on from its weights, at a lower learning rate, and keeps
them if validation pictures say that they were better.

Everything else of a run is as ever: checkpoints, test sets, the model folder with its proofs, the report.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from falconet.deploy import load_model, shipped_models
from falconet.errors import UserError
from falconet.run.recipe import Recipe, from_tree
from falconet.tasks import TASKS
from falconet.zoo import ZOO

TRAINING: Mapping[str, Mapping[str, object]] = {
    "classification": {"batch": 128, "learning_rate": 2e-3, "weight_decay": 0.02},
    "super_resolution": {},
    "denoising": {},
}
"""How a network of each task is trained unless told otherwise; what is not here is as `final` has it."""
GENTLE = 1e-3
"""Learning rate for weights that have learned already."""


def lone_recipe(
    net: str,
    data: Sequence[Path],
    *,
    steps: int | None = None,
    minutes: float | None = None,
    task: str | None = None,
    test: Path | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe that trains `net` on the pictures in `data`, for steps or minutes (10 minutes).

    `net` is a network of the zoo, a model that ships, or a model folder. The task is what it is made for. UserError
    when there is no such network, or the settings do not fit.
    """
    task_settings, space, final = _of_zoo(net, task) if net in ZOO else _of_model(net, task)
    length: dict[str, object] = {"steps": steps} if steps is not None else {"minutes": minutes or 10.0}
    parted = {"holdout": 0.1} if task_settings["name"] == "classification" and test is None else {}
    tree: dict[str, object] = {
        "task": task_settings,
        "data": {"train": [str(path) for path in data], **parted, "test": {test.stem: str(test)} if test else {}},
        "space": space,
        "supernet": {"steps": 0},
        "search": {"strategy": "random", "evaluations": 1},
        "final": {**final, **length},
    }
    return from_tree(tree, f"falconet train {net}", overrides)


Parts: TypeAlias = tuple[dict[str, object], dict[str, object], dict[str, object]]  # task, space, final


def _of_zoo(net: str, task: str | None) -> Parts:
    """What a recipe says of a network of the zoo."""
    name = task or task_of(net)
    if name not in TRAINING:
        raise UserError(f"--task is {name!r}, which does not exist; there are: {', '.join(TRAINING)}")
    return {"name": name, **_colour(net, name)}, {"zoo": net}, {**TRAINING[name], "start": "scratch"}


def _of_model(net: str, task: str | None) -> Parts:
    """What a recipe says of a model. UserError when there is none of that name either."""
    shipped = shipped_models()
    if not Path(net).is_dir() and net not in shipped:
        near = difflib.get_close_matches(net, [*ZOO, *shipped], 1)
        what = f"did you mean {near[0]}?" if near else "`falconet list zoo` and `falconet list models` show them"
        raise UserError(f"there is no zoo network, model or model folder {net!r}; {what}")
    made_for = load_model(net).facts.task
    if task not in (None, made_for["name"]):
        raise UserError(f"--task is {task!r}, but {net} was made for {made_for['name']}; leave --task out")
    kept = {key: value for key, value in made_for.items() if key != "metrics"}
    name = str(made_for["name"])
    return kept, {"model": net}, {**TRAINING[name], "learning_rate": GENTLE, "start": "inherited"}


def task_of(net: str) -> str:
    """The task that a zoo network is made for, by the settings that it takes: classes, a scale, or neither.

    >>> task_of("resnet20"), task_of("espcn"), task_of("dncnn")
    ('classification', 'super_resolution', 'denoising')
    """
    taken = inspect.signature(ZOO[net]).parameters
    return "classification" if "classes" in taken else "super_resolution" if "scale" in taken else "denoising"


def _colour(net: str, name: str) -> dict[str, object]:
    """The task's setting of colours that gives the network the channels it takes; none when the default does."""
    wanted = ZOO[net]().inputs[0].channels
    for colour in (None, "rgb", "luma", "grey"):
        settings = {} if colour is None else {"colour": colour}
        try:
            found = TASKS[name].model_validate(settings)
        except ValueError:
            continue
        if found.inputs()[0].channels == wanted:
            return dict(settings)
    return {}
