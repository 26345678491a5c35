"""`falconet shrink`: from a heavy, trained network to a recipe whose networks do the same at a fraction of its work.

    tree = shrunk(Heavy(TeacherSettings(net="vdsr", weights=Path("vdsr.pth"))), factor=100, data=Path("photos"))
    run(from_tree(tree, "shrink"), Path("runs/vdsr-100"))

The prototype becomes the teacher; the budget is its multiply-accumulates at 1280x720, or its latency, divided by the
factor. The space is either the one below the prototype, where that is known layer by layer (`own`: its layers, narrower
and fewer), or that of restoration networks, as wide as lets its largest network
cost about half as much again as the budget. What comes of it is an ordinary recipe, so that a run can be resumed,
reported and searched again as any other.

Left out: both spaces in one search. A supernet of two kinds ranks one kind before the other for reasons of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from falconet.errors import UserError
from falconet.evaluate import format_quantity
from falconet.evaluate.estimate import estimator
from falconet.graph import NetSpec, costs
from falconet.run.below_space import BelowSpace, options_within
from falconet.run.settings import shown
from falconet.run.teacher import Prototype, TeacherSettings, knows_nothing, load_prototype, untrained
from falconet.spaces import Restoration, build, largest
from falconet.tasks import TASKS, Task
from falconet.zoo import GROUPS, ZOO

AT = (1280, 720)  # width and height of the output that costs are counted for
ROOM = 1.5  # the largest network of the space costs at most this many budgets
STAGES, DEPTHS = 2, (1, 2, 3)
LEAST_WIDTH, MOST_WIDTH = 4, 64
PROBE = 64  # side of the picture on which a torch module is counted
OWN_UP_TO = 10  # factors up to which a prototype's own layers are taken, where nothing else is asked for
TIMED = 3  # rounds in which a heavy network is timed
FITTINGS = 4  # times that a space is made larger or smaller to fit a latency
FIRST_MACS = 1e9  # where that begins for a prototype whose work nobody counted

SpaceKind = Literal["own", "restoration"]
Tree = dict[str, object]


@dataclass(frozen=True)
class Heavy:
    """A network to be shrunk: which, its task by name (None: the one that it says itself) and what is set of that."""

    teacher: TeacherSettings
    task: str | None = None
    settings: tuple[tuple[str, object], ...] = ()
    macs: float | None = None


@dataclass(frozen=True)
class Goal:
    """How far down: `factor` times less of the multiply-accumulates, or with `by` latency_ms of the time, on the device
    `on` or (None) ONNX Runtime here; and from which space (None: as the factor suggests)."""

    factor: float = 100
    by: Literal["macs", "latency_ms"] = "macs"
    on: str | None = None
    space: SpaceKind | None = None


def shrunk(heavy: Heavy, goal: Goal, data: Path) -> Tree:
    """The tree of a recipe whose budget is 1/factor of the prototype's multiply-accumulates, or latency.

    A network of the zoo without weights tells the task, the budget and its layers; it teaches nothing. UserError when
    the prototype cannot be read, counted or timed, or nothing is left of it at that factor.
    """
    if not (math.isfinite(goal.factor) and goal.factor > 1):
        raise UserError(f"--factor must be a number above 1, how many times less work; got {goal.factor}")
    task = task_of(heavy)
    teaches = not knows_nothing(heavy.teacher)
    prototype = load_prototype(heavy.teacher, task) if teaches else untrained(heavy.teacher, task)
    check_does(prototype, task, heavy.teacher.net)
    if goal.by == "macs":
        macs = (heavy.macs or macs_of(prototype, task, heavy.teacher.net)) / goal.factor
        budget: Tree = {"macs": shown(round(macs))}
        space = space_of(heavy, prototype, task, goal, macs)
    else:
        limit = latency_of(prototype, heavy.teacher.net, task, goal.on) / goal.factor
        budget = {"latency_ms": float(f"{limit:.4g}"), **({"on": goal.on} if goal.on else {})}
        space = space_in_time(heavy, prototype, task, goal, limit)
    return {
        "task": {"name": task.name, **task.model_dump(mode="json", exclude_defaults=True)},  # type: ignore[attr-defined]
        "data": {"train": str(data)},
        "space": space,
        "budget": {**budget, "at_output": f"{AT[0]}x{AT[1]}"},
        "supernet": {
            "minutes": 20,
            "batch": 16,
            "optimizer": "soap",
            "learning_rate": 5e-3,
            "paths": {"name": "sandwich", "distill": 0.3},
        },
        "search": {"strategy": "nsga2", "evaluations": 160},
        "final": {"minutes": 40, "optimizer": "soap", "learning_rate": 8e-3},
        "teacher": heavy.teacher.model_dump(mode="json", exclude_none=True) if teaches else None,
    }


def space_of(heavy: Heavy, prototype: Prototype, task: Task, goal: Goal, macs: float) -> Tree:
    """The section `space` of a recipe whose networks cost around `macs`.

    UserError when the prototype's own layers are asked for, and it has none that are known, or none can be so small.
    """
    spec = prototype.network.spec if prototype.network is not None else None
    title = heavy.teacher.net
    if goal.space == "restoration" or (goal.space is None and (spec is None or goal.factor > OWN_UP_TO)):
        return space_within(task, macs)
    if spec is None:
        raise UserError(f"the layers of {title} are not known, it teaches alone: leave out --space own")
    found = options_within(spec, macs, task.input_sizes(at_output=AT)[0], scale_of(task))
    if found is None and goal.space is None:
        return space_within(task, macs)
    if found is None:
        raise UserError(
            f"{title} has no layers that could be so narrow: networks of {format_quantity(macs)} multiply-accumulates "
            "for 1280x720 cannot be made of them. Choose a smaller --factor, or --space restoration"
        )
    own: Tree = {"below": title, **found}
    if title in ZOO:
        own["options"] = dict(heavy.teacher.options)
    return own


def space_in_time(heavy: Heavy, prototype: Prototype, task: Task, goal: Goal, limit_ms: float) -> Tree:
    """The section `space` whose largest network takes about `ROOM` times `limit_ms`: found by timing some."""
    try:
        macs = (heavy.macs or macs_of(prototype, task, heavy.teacher.net)) / goal.factor
    except UserError:
        macs = FIRST_MACS
    found: Tree = {}
    for _ in range(FITTINGS):
        try:
            found = space_of(heavy, prototype, task, goal, macs)
        except UserError:
            if not found:
                raise
            break  # so few cannot be: whether the space before has networks that are fast enough, the plan will tell
        ms = _ms(_largest(found, task), task, goal.on)
        if limit_ms < ms < 2 * limit_ms:
            break
        macs *= ROOM * limit_ms / ms
    return found


def latency_of(prototype: Prototype, title: str, task: Task, on: str | None) -> float:
    """Milliseconds of the prototype at 1280x720 out: measured on ONNX Runtime here, or predicted for a device.

    UserError for a torch module, or an ONNX file on a device.
    """
    if prototype.network is not None and prototype.network.spec is not None:
        return _ms(prototype.network.spec, task, on)
    if prototype.module is not None or on is not None:
        raise UserError(
            f"the time of {title} cannot be told{' for a device' if on else ''}: its layers are not known. "
            + ("Leave out --on" if prototype.module is None else "Export it to ONNX, and give that file")
        )
    return _ms(Path(title), task, None)


def _ms(net: NetSpec | Path, task: Task, on: str | None) -> float:
    """Least milliseconds of a network at 1280x720 out."""
    from falconet.evaluate.latency import measure_latency

    sizes = task.input_sizes(at_output=AT)
    if on is not None:
        assert isinstance(net, NetSpec)
        return estimator(on)(net, sizes).ms
    return measure_latency({"net": net}, sizes, rounds=TIMED, burst=1)["net"].min_ms


def _largest(space: Tree, task: Task) -> NetSpec:
    """The largest network of a section `space`."""
    shared = {key: getattr(task, key) for key in ("scale", "colour", "noise_map") if hasattr(task, key)}
    made = (
        BelowSpace.model_validate({"scale": shared.get("scale"), **space})
        if "below" in space
        else Restoration.model_validate({"scale": 1, **shared, **space})
    )
    return build(made, largest(made))


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
