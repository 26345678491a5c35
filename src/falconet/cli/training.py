"""`falconet train`: one network, trained on your pictures, into an ordinary run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from falconet.cli.runs import Settings, finish
from falconet.errors import UserError

Net = Annotated[
    str,
    typer.Argument(metavar="NET", help="A network of the zoo (`falconet list zoo`), or a model to go on with."),
]
Data = Annotated[list[Path], typer.Option("--data", help="Pictures to train with: a folder; to classify, see --task.")]


def train(
    net: Net,
    data: Data,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="How many steps to train.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0.01, help="How long to train; 10 minutes.")] = None,
    test: Annotated[
        Path | None, typer.Option("--test", help="Pictures that are read for the final table only.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="The task, when the network's own is not meant.")] = None,
    settings: Settings = None,
    name: Annotated[str | None, typer.Option("--name", help="The name of the run: its folder is runs/NAME.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder, if not under runs.")] = None,
) -> None:
    """Train a hand-designed network on your pictures, or go on with a model: model files, test figures and a report.

    A model (a folder, or the name of one that ships) begins with its weights and keeps them if they turn out better.

    Pictures to classify lie in a folder for each class, in an .npz or in a .csv with the columns path and label; a
    tenth judges the training, a tenth is held out for the final figures. It can be stopped: `falconet resume` goes on.
    """
    from falconet.run import pipeline
    from falconet.run.alone import lone_recipe
    from falconet.run.progress import shown
    from falconet.run.record import refuse_existing

    if steps is not None and minutes is not None:
        raise UserError("give --steps or --minutes, one of the two")
    folder = out or Path("runs") / (name or Path(net).name)
    refuse_existing(folder)
    recipe = lone_recipe(net, data, steps=steps, minutes=minutes, task=task, test=test, overrides=settings or [])
    with shown() as progress:
        finish(folder, lambda: pipeline.run(recipe, folder, progress))
