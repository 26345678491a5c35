"""`falconet shrink`: from a heavy, trained network to a recipe whose networks do the same at a fraction of its work.

    tree = shrunk(Heavy(TeacherSettings(net="vdsr", weights=Path("vdsr.pth"))), factor=100, data=Path("photos"))
    run(from_tree(tree, "shrink"), Path("runs/vdsr-100"))

The prototype becomes the teacher; the budget is its multiply-accumulates at 1280x720 divided by the factor; the space
is that of restoration networks, as wide as lets its largest network cost about half as much again as the budget. What
comes of it is an ordinary recipe, so that a run can be resumed, reported and searched again as any other.

Left out: keeping layers of the prototype. A network a hundred times smaller has too little in common with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from falconet.errors import UserError
from falconet.evaluate import format_quantity
from falconet.graph import costs
from falconet.run.settings import shown
from falconet.run.teacher import Prototype, TeacherSettings, load_prototype
from falconet.tasks import TASKS, Task
from falconet.zoo import GROUPS

AT = (1280, 720)  # width and height of the output that costs are counted for
ROOM = 1.5  # the largest network of the space costs at most this many budgets
STAGES, DEPTHS = 2, (1, 2, 3)
LEAST_WIDTH, MOST_WIDTH = 4, 64
PROBE = 64  # side of the picture on which a torch module is counted


@dataclass(frozen=True)
class Heavy:
    """A network to be shrunk: which, its task by name (None: the one that it says itself) and what is set of that."""

    teacher: TeacherSettings
    task: str | None = None
    settings: tuple[tuple[str, object], ...] = ()
    macs: float | None = None


def shrunk(heavy: Heavy, factor: float, data: Path) -> dict[str, object]:
    """The tree of a recipe whose budget is 1/factor of the prototype's multiply-accumulates.

    UserError when the prototype cannot be read or counted, or nothing is left of it at that factor.
    """
    if not (math.isfinite(factor) and factor > 1):
        raise UserError(f"--factor must be a number above 1, how many times less work; got {factor}")
    task = task_of(heavy)
    prototype = load_prototype(heavy.teacher, task)
    check_does(prototype, task, heavy.teacher.net)
    macs = heavy.macs or macs_of(prototype, task, heavy.teacher.net)
    budget = macs / factor
    settings = {key: value for key, value in heavy.settings if value is not None}
    return {
        "task": {"name": task.name, **settings},
        "data": {"train": str(data)},
        "space": space_within(task, budget),
        "budget": {"macs": shown(round(budget)), "at_output": f"{AT[0]}x{AT[1]}"},
        "supernet": {"minutes": 20, "batch": 16, "learning_rate": 2e-3, "paths": {"name": "sandwich", "distill": 0.3}},
        "search": {"strategy": "nsga2", "evaluations": 160},
        "final": {"minutes": 40},
        "teacher": heavy.teacher.model_dump(mode="json", exclude_none=True),
    }


def task_of(heavy: Heavy) -> Task:
    """The task that the prototype does: as given, as its model folder says, or that of its group in the zoo."""
    from falconet.deploy import load_model, shipped_models

    net, settings = heavy.teacher.net, dict(heavy.settings)
    given = {key: value for key, value in settings.items() if value is not None}
    if heavy.task is None and (Path(net).is_dir() or net in shipped_models()):
        known = load_model(net).task
        return TASKS[known.name].model_validate({**known.model_dump(mode="json"), **given})  # type: ignore[attr-defined]
    name = heavy.task or next((group for group in GROUPS if net in GROUPS[group]), "super_resolution")
    if name not in ("super_resolution", "denoising"):
        raise UserError(f"shrink makes smaller networks for pictures; {net} does {name}")
    return TASKS[name].model_validate({"name": name, **given})


def check_does(prototype: Prototype, task: Task, title: str) -> None:
    """UserError unless the prototype takes what the task gives, and makes a picture of the size that it wants."""
    import torch

    side = 12 * scale_of(task)
    sizes = task.input_sizes(at_output=(side, side))
    xs = tuple(torch.zeros(1, one.channels, *size) for one, size in zip(task.inputs(), sizes, strict=True))
    try:
        made = tuple(prototype.run(xs).shape)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:  # whatever a network of any origin raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{title} does not take what the task {task.name} gives: {reason}") from None
    if made[2:] != (side, side):
        raise UserError(
            f"{title} makes a picture of {'x'.join(map(str, made[2:]))} where the task {task.name} wants {side}x{side};"
            " say what it does with --task and --scale"
        )


def scale_of(task: Task) -> int:
    """How many times larger the output is than the input."""
    return int(getattr(task, "scale", 1))


def macs_of(prototype: Prototype, task: Task, title: str) -> float:
    """The prototype's multiply-accumulates at 1280x720: counted on its NetSpec, or by torch on a small picture."""
    if prototype.network is not None and prototype.network.spec is not None:
        return float(costs(prototype.network.spec, *task.input_sizes(at_output=AT)).macs)
    if prototype.module is None:
        raise UserError(f"the work of {title} cannot be counted: say it with --macs, such as --macs 612G, at 1280x720")
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    sizes = task.input_sizes(at_input=(PROBE, PROBE))
    xs = tuple(torch.zeros(1, one.channels, *size) for one, size in zip(task.inputs(), sizes, strict=True))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made = prototype.module(*xs)
    a_pixel = counter.get_total_flops() / 2 / (made.shape[-1] * made.shape[-2])
    return float(a_pixel * AT[0] * AT[1])


def space_within(task: Task, macs: float) -> dict[str, object]:
    """A space of residual networks in two stages whose largest costs about `ROOM` times `macs` at 1280x720.

    A block of width w costs 18 w^2 for each pixel that the network works on: those of the small picture, and for
    denoising those of the picture at half size. UserError when not even `LEAST_WIDTH` channels can be had.
    """
    scale = scale_of(task)
    shrink = scale if scale > 1 else 2
    a_pixel = ROOM * macs * shrink**2 / (AT[0] * AT[1])
    widest = math.isqrt(max(0, round(a_pixel / (18 * STAGES * max(DEPTHS)))))
    widest = min(MOST_WIDTH, widest - widest % 2)
    if widest < LEAST_WIDTH:
        raise UserError(
            f"nothing is left at {format_quantity(macs)} multiply-accumulates for 1280x720: networks of "
            f"{LEAST_WIDTH} channels cost more. Choose a smaller --factor"
        )
    step = max(2, widest // 12 * 2)
    widths = sorted({max(LEAST_WIDTH, widest - step * k) for k in range(6)})
    space: dict[str, object] = {
        "name": "restoration",
        "stages": STAGES,
        "width": widths,
        "depth": list(DEPTHS),
        "kind": ["residual"],
        "activation": ["relu", "leaky_relu"],
    }
    return space if scale > 1 else {**space, "unshuffle": [2]}
