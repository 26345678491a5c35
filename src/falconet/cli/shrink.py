"""The command that starts from a heavy network: shrink."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from falconet.cli.show import remark


class By(StrEnum):
    """What a budget limits."""

    macs = "macs"
    latency_ms = "latency_ms"


class From(StrEnum):
    """Where smaller networks come from."""

    own = "own"
    restoration = "restoration"


def shrink(
    prototype: Annotated[
        str, typer.Argument(help="A zoo network, a model's name or folder, an .onnx file, or module:function.")
    ],
    data: Annotated[Path, typer.Option("--data", help="A folder of pictures to learn from.")],
    factor: Annotated[float, typer.Option("--factor", help="How many times less work.")] = 100,
    weights: Annotated[Path | None, typer.Option("--weights", help="The weights of PROTOTYPE.")] = None,
    macs: Annotated[
        str | None, typer.Option("--macs", help="Its work at 1280x720, where it cannot be counted.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="super_resolution or denoising, if not known.")] = None,
    scale: Annotated[int | None, typer.Option("--scale", help="The scale of super-resolution.")] = None,
    colour: Annotated[str | None, typer.Option("--colour", help="luma, grey or rgb.")] = None,
    sigma: Annotated[float | None, typer.Option("--sigma", help="The noise level of denoising, of 0..255.")] = None,
    by: Annotated[By, typer.Option("--by", help="What there is to be less of.")] = By.macs,
    on: Annotated[str | None, typer.Option("--on", help="The device whose milliseconds --by latency_ms means.")] = None,
    space: Annotated[
        From | None,
        typer.Option("--space", help="Its own layers, narrower and fewer, or restoration networks; by the factor."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the recipe.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="The name of the run: its folder is runs/NAME.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the recipe; train nothing.")] = False,
) -> None:
    """Make networks that do what a heavy one does, for a fraction of its work: it teaches them."""
    from falconet.cli.runs import finish
    from falconet.errors import UserError
    from falconet.evaluate import format_quantity, parse_quantity
    from falconet.run import pipeline
    from falconet.run.progress import shown
    from falconet.run.recipe import dump, from_tree
    from falconet.run.record import refuse_existing
    from falconet.run.shrinking import Goal, Heavy, shrunk
    from falconet.run.teacher import TeacherSettings

    folder = Path("runs") / (name or f"{Path(prototype.partition(':')[0]).stem}-{factor:g}")
    if not dry_run:
        refuse_existing(folder)
    told = (("scale", scale), ("colour", colour), ("sigma", sigma))
    heavy = Heavy(
        TeacherSettings(net=prototype, weights=weights),
        task,
        tuple((key, value) for key, value in told if value is not None),
        parse_quantity(macs) if macs else None,
    )
    if on is not None and by is not By.latency_ms:
        raise UserError("--on names the device of --by latency_ms; give both, or neither")
    goal = Goal(factor, by.value, on, space.value if space else None)
    recipe = from_tree(shrunk(heavy, goal, data), "shrink", settings or ())
    if dry_run:
        print(dump(recipe))
        return
    limits = ", ".join(f"{format_quantity(limit)} {cost}" for cost, limit in recipe.budget.limits().items())
    teaches = "teaches" if recipe.teacher else "has no weights and teaches nothing (--weights FILE)"
    remark(f"{prototype} {teaches}; the budget is {limits} at 1280x720")
    with shown() as progress:
        finish(folder, lambda: pipeline.run(recipe, folder, progress))
