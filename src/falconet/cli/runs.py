"""The commands that work on recipes and run folders: init, plan, run, search, resume, report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falconet.cli.show import print_json, remark

if TYPE_CHECKING:
    from falconet.run.recipe import Recipe

RecipeFile = Annotated[Path, typer.Argument(help="A recipe, such as the one `falconet init sr` writes.")]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, such as runs/NAME.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; may be given again.")
]
SpaceFile = Annotated[Path | None, typer.Option("--space", help="A Python file that defines your own search space.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def init(
    kind: Annotated[str, typer.Argument(help="One of sr, sr_x3, sr_x4, camera_sr, denoise, real_noise, classify.")],
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("recipe.yaml"),
) -> None:
    """Write a commented recipe to start from."""
    from falconet.run.templates import write_template

    write_template(kind, file)
    remark(f"wrote {file}; next: falconet plan {file}")


def plan(recipe: RecipeFile, settings: Settings = None, space: SpaceFile = None, as_json: AsJson = False) -> None:
    """Say what a recipe would do, before any training: the space, its costs, the budget, the time."""
    from falconet.run import pipeline
    from falconet.run.plan import describe
    from falconet.run.progress import shown

    loaded = _load(recipe, settings, space)
    with shown() as progress:
        planned = pipeline.plan(loaded, progress)
    if as_json:
        print_json(planned.model_dump(mode="json"))
    else:
        print("\n".join(describe(loaded, planned)))


def run(
    recipe: RecipeFile,
    settings: Settings = None,
    space: SpaceFile = None,
    name: Annotated[str | None, typer.Option("--name", help="The name of the run: its folder is runs/NAME.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder, if not under runs.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the recipe and the plan; train nothing.")] = False,
) -> None:
    """Run a recipe from photos to verified models, in a new run folder."""
    from falconet.run import pipeline
    from falconet.run.progress import shown
    from falconet.run.record import refuse_existing

    folder = out or Path("runs") / (name or recipe.stem)
    refuse_existing(folder)
    loaded = _load(recipe, settings, space)
    if dry_run:
        from falconet.run.plan import describe
        from falconet.run.recipe import dump

        print(dump(loaded))
        with shown() as progress:
            print("\n".join(describe(loaded, pipeline.plan(loaded, progress))))
        return
    with shown() as progress:
        finish(folder, lambda: pipeline.run(loaded, folder, progress))


def search(folder: RunFolder, settings: Settings = None) -> None:
    """Search again for another budget with the supernet a run has trained; nothing is trained twice."""
    from falconet.run import pipeline
    from falconet.run.progress import shown

    with shown() as progress:
        finish(folder, lambda: pipeline.search(folder, settings or [], progress))


def resume(folder: RunFolder) -> None:
    """Go on with a run after a crash, a kill or a power cut."""
    from falconet.run import pipeline
    from falconet.run.progress import shown

    with shown() as progress:
        finish(folder, lambda: pipeline.resume(folder, progress))


def report(folder: RunFolder) -> None:
    """Write report.html of a run again, from its files as they are."""
    from falconet.run import pipeline

    print(pipeline.report(folder))


def _load(path: Path, settings: list[str] | None, space: Path | None) -> Recipe:
    from falconet.run.recipe import load

    own = [f"space={{file: {json.dumps(str(space))}}}"] if space else []
    overrides = [*own, *(settings or [])]
    return load(path, overrides)


def finish(folder: Path, work: Callable[[], Path]) -> None:
    """Do the work, say where the report is; when interrupted, say how to go on."""
    try:
        print(work())
    except KeyboardInterrupt:
        kept = folder.is_dir()
        remark(f"stopped; nothing is lost: falconet resume {folder}" if kept else "stopped before the run began")
        raise typer.Exit(130) from None
