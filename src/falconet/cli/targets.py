"""What a TARGET on the command line means: a zoo network, a trained model, a file, a baseline."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from falconet.errors import UserError

if TYPE_CHECKING:
    from falconet.graph import NetSpec
    from falconet.spaces import Space
    from falconet.tasks import Run, Task

DEFAULT_OUTPUT = (1280, 720)


@dataclass(frozen=True)
class Found:
    """A network and what it is called; the task when it is known."""

    title: str
    spec: NetSpec
    task: Task | None = None

    def sizes(self, input_shape: str | None) -> tuple[tuple[int, int], ...]:
        """(height, width) of each input: as given, or what the task needs for 1280x720 out. UserError otherwise."""
        if input_shape is None:
            if self.task is not None:
                return self.task.input_sizes(at_output=DEFAULT_OUTPUT)
            channels = self.spec.inputs[0].channels
            raise UserError(f"the costs of {self.title} depend on its input: add --input {channels}xHEIGHTxWIDTH")
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", input_shape)
        if match is None or "0" in match.groups():
            raise UserError(f"--input must be CHANNELSxHEIGHTxWIDTH, such as 3x224x224; got {input_shape!r}")
        channels, height, width = map(int, match.groups())
        for given in self.spec.inputs:
            if given.channels != channels:
                right = f"--input {given.channels}x{height}x{width}"
                raise UserError(f"{self.title} takes {given.channels} channels, not {channels}: {right}")
        return ((height, width),) * len(self.spec.inputs)


def network_of(target: str) -> Found:
    """The network that TARGET names: a zoo network, a model's name or folder, or a JSON file. UserError if none."""
    from falconet.deploy import load_model, shipped_models
    from falconet.run.reading import suggestion
    from falconet.zoo import ZOO

    path = Path(target)
    if target in ZOO:
        return Found(target, ZOO[target]())
    if path.is_dir() or target in shipped_models():
        model = load_model(target)
        return Found(model.name, model.spec, model.task)
    if path.is_file():
        return _from_file(path)
    raise UserError(
        f"there is no network {target!r}: it is neither a file or folder, nor a zoo network, nor a model that ships"
        + suggestion(target, [*ZOO, *shipped_models()])
    )


def _from_file(path: Path) -> Found:
    """A network's JSON: the spec itself, an object that holds one under "spec" (model.json), or {"space", "arch"}."""
    from falconet.graph import spec_from_json
    from falconet.run.reading import Problems
    from falconet.spaces import SPACES, Arch, build

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise UserError(f"{path} is not a network: a JSON file with its layers is needed") from None
    if isinstance(content, dict) and isinstance(content.get("arch"), dict) and "space" in content:
        problems = Problems(str(path))
        space: object = problems.choose(SPACES, content["space"], "space")
        problems.stop()
        return Found(path.name, build(cast("Space", space), Arch.from_json(content["arch"])))
    if isinstance(content, dict) and "spec" in content:
        content = content["spec"]
    try:
        return Found(path.name, spec_from_json(content))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def judged(target: str, task_name: str, scale: int | None) -> tuple[Run, Task]:
    """What TARGET computes, and the task that judges it: a model knows its own, the rest is told."""
    from falconet.deploy import shipped_models

    if target == "bicubic":
        task = _task(task_name, scale)
        return task.baseline(target), task
    if target.endswith(".onnx"):
        return _onnx_file(Path(target), task_name, scale)
    if Path(target).is_dir() or target in shipped_models():
        from falconet.deploy import load_model

        model = load_model(target)
        if scale is not None and getattr(model.task, "scale", scale) != scale:
            raise UserError(f"{target} was made for scale {getattr(model.task, 'scale', None)}, not {scale}")
        return model.run, model.task
    shipped = ", ".join(shipped_models())
    raise UserError(
        f"there is nothing to evaluate called {target!r}: give a model folder, an .onnx file, or bicubic"
        + (f", or a model that ships: {shipped}" if shipped else "")
    )


def _task(name: str, scale: int | None, colour: str | None = None) -> Task:
    """The task of that name, with the settings that a command gives."""
    from falconet.run.reading import Problems
    from falconet.tasks import TASKS

    problems = Problems("the command")
    settings = {"name": name, "scale": scale, "colour": colour}
    task = problems.choose(TASKS, {key: value for key, value in settings.items() if value is not None}, "--task")
    problems.stop()
    assert task is not None
    return task


def _onnx_file(path: Path, task_name: str, scale: int | None) -> tuple[Run, Task]:
    """An ONNX file run by ONNX Runtime with one thread; its input's channels say whether it is for luma or RGB."""
    from falconet.deploy import run_onnx

    run = run_onnx(path)
    return run, _task(task_name, scale, {1: "luma", 3: "rgb"}.get(run.inputs[0].channels))
