"""Commands to copy from the report: how to go on, and how to use what the run made."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from falconet.report.reading import Run
from falconet.report.results import ModelResult
from falconet.report.words import amount


@dataclass(frozen=True)
class Command:
    """A command to copy, and what it does."""

    what: str
    text: str


def shown_folder(run: Run, ending: str = "") -> str:
    """The run folder as commands name it: its last two parts, so that no one's home directory is in the report."""
    folder = run.folder.resolve()
    return shlex.quote(str(Path(folder.parent.name, folder.name + ending)))


def next_commands(run: Run) -> list[Command]:
    """The command that continues this run."""
    return [Command("Continue where it stopped; nothing done is done again", f"falconet resume {shown_folder(run)}")]


def usage(run: Run) -> list[Command]:
    """Commands that use what the run made; those for a model only when one was written."""
    folder, models = shown_folder(run), run.results.models
    written = [model for model in models if model.name in run.models]
    found = _model_commands(run, folder, written[0]) if written else []
    if run.trials or models:
        least = min((model.costs["macs"] for model in models if "macs" in model.costs), default=4e9)
        half = amount(least / 2, 2).replace(" ", "")
        what = "Serve another budget from the same trained supernet, without training it again"
        found.append(Command(what, f"falconet search {folder} --set budget.macs={half}"))
    found.append(
        Command("Run the whole recipe again", f"falconet run {folder}/recipe.yaml --out {shown_folder(run, '-again')}")
    )
    found.append(Command("Write this page again", f"falconet report {folder}"))
    return found


def _model_commands(run: Run, folder: str, model: ModelResult) -> list[Command]:
    path = f"{folder}/models/{shlex.quote(model.name)}"
    is_classifier = bool(run.results.classes)
    enhance = Command("Enhance photos", f"falconet enhance photo.jpg --model {path} --out enhanced")
    found = [
        *([] if is_classifier else [enhance]),
        Command("Score it on a folder of your own", f"falconet evaluate {path} --data my_pictures"),
        Command("See its layers and costs", f"falconet inspect {path}"),
    ]
    if any(name == "run.py" for name, _ in run.models[model.name].files):
        what = "Run the file itself, without Falconet: onnxruntime, numpy and pillow are all it needs"
        found.append(Command(what, f"python {path}/run.py photo.jpg{'' if is_classifier else ' enhanced.png'}"))
    return found
