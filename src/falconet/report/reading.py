"""Reads a run folder into one frozen `Run`. What is not there yet is empty; what cannot be read is named in `problems`.

The report must open on a run that was killed a minute ago or whose disk filled up, so a broken file costs its own
section and nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from falconet.errors import UserError
from falconet.evaluate.score import Trial
from falconet.files import read_lines
from falconet.graph import NetSpec, spec_from_json
from falconet.report.results import PictureExample, Results, Stage, read_results

PICTURE_KINDS = ("before", "after", "truth")


@dataclass(frozen=True)
class Picture:
    """One example of a model: the files that exist, by kind (before, after, truth), and what is known about it."""

    example: PictureExample
    files: Mapping[str, Path]


@dataclass(frozen=True)
class ModelFolder:
    """What `models/NAME/` holds: model.json, the network it describes, other files, and example pictures."""

    name: str
    metadata: Mapping[str, object] = field(default_factory=dict)
    spec: NetSpec | None = None
    files: tuple[tuple[str, int], ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Run:
    """A run folder as it stands. Mappings and tuples are empty when their file is not there."""

    folder: Path
    results: Results = field(default_factory=Results)
    recipe_text: str = ""
    environment: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    plan: Mapping[str, object] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    models: Mapping[str, ModelFolder] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the run is called: its own name, or its folder's."""
        return self.results.run or self.folder.resolve().name


def read_run(folder: Path) -> Run:
    """Return everything the report needs from `folder`.

    Raises UserError when it is not a folder, or holds no file of a run at all.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: give the folder of a run, such as runs/NAME")
    if not any((folder / name).exists() for name in ("recipe.yaml", "results.json", "trials.jsonl")):
        raise UserError(f"{folder} holds no run: a run folder has a recipe.yaml, made by `falconet run RECIPE`")
    problems: list[str] = []
    recipe_text = _text(folder / "recipe.yaml", problems)
    results = _results(folder, problems)
    names = ("environment", "data", "plan")
    environment, data, plan = (_object(folder / f"{name}.json", problems) for name in names)
    trials = _trials(folder / "trials.jsonl", problems)
    models = _models(folder, results, problems)
    stages = results.stages or _stages(folder / "stages", problems)
    return Run(folder, results, recipe_text, environment, data, plan, trials, models, stages, tuple(problems))


def _text(path: Path, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name} could not be read: {error}")
        return ""


def _object(path: Path, problems: list[str]) -> dict[str, object]:
    """The JSON object in a file; empty, and a problem, when it is something else."""
    text = _text(path, problems)
    if not text:
        return {}
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        problems.append(f"{path.name} is not JSON: {error}")
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path.name} holds no JSON object")
        return {}
    return content


def _results(folder: Path, problems: list[str]) -> Results:
    try:
        return read_results(folder)
    except UserError as error:
        problems.append(str(error))
        return Results()


def _trials(path: Path, problems: list[str]) -> tuple[Trial, ...]:
    """Every trial that can be read; lines that cannot are counted in one problem."""
    try:
        lines = read_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path.name} could not be read: {error}")
        return ()
    trials: list[Trial] = []
    for line in lines:
        try:
            trials.append(Trial.from_json(json.loads(line)))
        except (ValueError, TypeError, KeyError):  # pydantic's ValidationError is a ValueError
            continue
    if len(trials) < len(lines):
        problems.append(f"{len(lines) - len(trials)} of {len(lines)} lines of {path.name} could not be read")
    return tuple(trials)


def _stages(folder: Path, problems: list[str]) -> tuple[Stage, ...]:
    """The clocks of the stages, oldest first: what is known about time before results.json says more."""
    found = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime):
        state = _object(path, problems)
        try:
            done = bool(state.get("done", False))
            found.append(Stage.model_validate({"name": path.stem, "seconds": _seconds(state), "done": done}))
        except (ValidationError, TypeError) as error:
            problems.append(f"stages/{path.name} could not be read: {error}")
    return tuple(found)


def _seconds(state: Mapping[str, object]) -> float | None:
    minutes = state.get("wall_minutes")
    return minutes * 60 if isinstance(minutes, int | float) else None


def _models(folder: Path, results: Results, problems: list[str]) -> dict[str, ModelFolder]:
    known = {model.name: model.examples for model in results.models}
    found = sorted(path.name for path in (folder / "models").glob("*") if path.is_dir())
    return {
        name: _model(folder / "models" / name, known.get(name, ()), problems)
        for name in dict.fromkeys((*(name for name in known if name in found), *found))
    }


def _model(folder: Path, examples: tuple[PictureExample, ...], problems: list[str]) -> ModelFolder:
    metadata = _object(folder / "model.json", problems)
    spec = None
    if metadata.get("spec") is not None:
        try:
            spec = spec_from_json(metadata["spec"])
        except ValueError as error:
            problems.append(f"the network in models/{folder.name}/model.json could not be read: {error}")
    files = tuple((path.name, path.stat().st_size) for path in sorted(folder.iterdir()) if path.is_file())
    shown = tuple((name, size) for name, size in files if not name.startswith("."))
    return ModelFolder(folder.name, metadata, spec, shown, _pictures(folder / "examples", examples))


def _pictures(folder: Path, examples: tuple[PictureExample, ...]) -> tuple[Picture, ...]:
    """Captioned pictures in their order, then those that lie there without a caption; both before and after must be."""
    named = {example.picture: example for example in examples}
    for path in sorted(folder.glob("*-after.png")):
        picture = path.name.removesuffix("-after.png")
        named.setdefault(picture, PictureExample(picture=picture))
    pictures = []
    for name, example in named.items():
        paths = {kind: folder / f"{name}-{kind}.png" for kind in PICTURE_KINDS}
        inside = "/" not in name and "\\" not in name and "\0" not in name  # a name from a file never leaves the folder
        files = {kind: path for kind, path in paths.items() if path.is_file()} if inside else {}
        if "before" in files and "after" in files:
            pictures.append(Picture(example, files))
    return tuple(pictures)
