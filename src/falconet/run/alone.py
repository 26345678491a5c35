"""A recipe that trains one hand-designed network and searches nothing: what `falconet train` runs.

Everything else of a run is as ever: checkpoints, test sets, the model folder with its proofs, the report.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    """The recipe that trains the zoo network `net` on the pictures in `data`, for steps or minutes (10 minutes).

    The task is what the network is made for. UserError when there is no such network, or the settings do not fit.
    """
    if net not in ZOO:
        near = difflib.get_close_matches(net, ZOO, 1)
        what = f"; did you mean {near[0]}?" if near else "; `falconet list zoo` shows those there are"
        raise UserError(f"there is no zoo network {net!r}{what}")
    name = task or task_of(net)
    if name not in TRAINING:
        raise UserError(f"--task is {name!r}, which does not exist; there are: {', '.join(TRAINING)}")
    length: dict[str, object] = {"steps": steps} if steps is not None else {"minutes": minutes or 10.0}
    parted = {"holdout": 0.1} if name == "classification" and test is None else {}
    tree: dict[str, object] = {
        "task": {"name": name, **_colour(net, name)},
        "data": {"train": [str(path) for path in data], **parted, "test": {test.stem: str(test)} if test else {}},
        "space": {"zoo": net},
        "supernet": {"steps": 0},
        "search": {"strategy": "random", "evaluations": 1},
        "final": {**TRAINING[name], **length, "start": "scratch"},
    }
    return from_tree(tree, f"falconet train {net}", overrides)


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
