"""What a TARGET on the command line means: a zoo network, a trained model, a file, a baseline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from falconet.errors import UserError

if TYPE_CHECKING:
    from falconet.graph import Input, NetSpec
    from falconet.spaces import Space
    from falconet.tasks import Run, Task

DEFAULT_OUTPUT = (1280, 720)
DEFAULT_TASK = "super_resolution"


@dataclass(frozen=True)
class Found:
    """A network and what it is called; the task when it is known, the (height, width) that it was made for if any."""

    title: str
    spec: NetSpec
    task: Task | None = None
    made_for: tuple[int, int] | None = None

    def sizes(self, input_shape: str | None) -> tuple[tuple[int, int], ...]:
        """(height, width) of each input, which the network can take; UserError otherwise.

        As given, or what it was made for, or what the task needs for 1280x720 out.
        """
        if input_shape is None:
            if self.made_for is not None:
                return (self.made_for,) * len(self.spec.inputs)
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
        self._check_fits((height, width))
        return ((height, width),) * len(self.spec.inputs)

    def _check_fits(self, size: tuple[int, int]) -> None:
        from falconet.graph import infer_shapes
        from falconet.graph.spec import input_shapes

        try:
            infer_shapes(self.spec, input_shapes(self.spec, size))
        except ValueError as error:
            size_text = "x".join(map(str, size))
            advice = f"; it was made for {self.made_for[0]}x{self.made_for[1]}" if self.made_for else ""
            raise UserError(f"{self.title} cannot take pictures of {size_text} pixels: {error}{advice}") from None


def network_of(target: str) -> Found:
    """The network that TARGET names: a zoo network, a model's name or folder, or a JSON file. UserError if none."""
    from falconet.deploy import load_model, shipped_models
    from falconet.run.reading import suggestion
    from falconet.zoo import PUBLISHED, ZOO

    path = Path(target)
    if target in ZOO:
        return Found(target, ZOO[target](), made_for=PUBLISHED[target].size if target in PUBLISHED else None)
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


def judged(
    target: str, task_name: str | None, settings: Mapping[str, object], weights: Path | None = None
) -> tuple[Run, Task]:
    """What TARGET computes, and the task that judges it, with the settings that a command gives.

    A model knows its task, a zoo network what it is for; a baseline (bicubic, noisy, nlm) belongs to a task; all else
    is super-resolution unless told. `weights` is the file of a zoo network's weights.
    """
    from falconet.deploy import load_model, shipped_models
    from falconet.tasks import TASKS
    from falconet.zoo import ZOO

    if target in ZOO:
        return _zoo_network(target, task_name, settings, weights)
    if weights is not None:
        raise UserError(f"--weights belongs to a zoo network (falconet list zoo); {target} is none")
    if Path(target).is_dir() or target in shipped_models():
        model = load_model(target).judged_as(**settings)
        if task_name is not None and task_name != model.task.name:
            raise UserError(f"{target} was made for {model.task.name}, not {task_name}; leave out --task")
        return model.run, model.task
    if Path(target).suffix in (".onnx", ".param"):
        return _file(Path(target), task_name or DEFAULT_TASK, settings)
    known = {baseline: name for name in TASKS for baseline in getattr(TASKS[name](), "baselines", ())}
    if target in known:
        task = _task(task_name or known[target], settings)
        return task.baseline(target), task
    shipped = ", ".join(shipped_models())
    raise UserError(
        f"there is nothing to evaluate called {target!r}: give a model folder, an .onnx or .param file, a zoo network "
        f"with --weights, or {', '.join(known)}" + (f", or a model that ships: {shipped}" if shipped else "")
    )


def _zoo_network(
    name: str, task_name: str | None, settings: Mapping[str, object], weights: Path | None
) -> tuple[Run, Task]:
    """A zoo network with weights from a file, at the scale that the command gives."""
    from falconet.zoo import GROUPS, designed

    if weights is None:
        raise UserError(f"{name} is a network without weights; add --weights FILE (.pth or .safetensors)")
    scale = settings.get("scale")
    spec = designed(name, {}, scale=scale if isinstance(scale, int) else None)
    task = _task_for(spec.inputs, task_name or next(group for group in GROUPS if name in GROUPS[group]), settings)
    if spec.inputs != task.inputs():
        raise UserError(f"{name} does not take what the task {task.name} gives; name another with --task or --set")
    from falconet.evaluate.quality import runner
    from falconet.graph.network import deployed
    from falconet.zoo.weights import load_weights

    return runner(deployed(load_weights(spec, weights))), task


def _task_for(inputs: Sequence[Input], task_name: str, settings: Mapping[str, object]) -> Task:
    """The task of that name for a network of these inputs: they say whether it is for one channel, and for a map."""
    from falconet.tasks import TASKS

    one = "grey" if task_name == "denoising" else "luma"
    fields = getattr(TASKS.get(task_name), "model_fields", {})
    found: dict[str, object] = {"colour": "rgb" if inputs[0].channels == 3 else one} if "colour" in fields else {}
    if len(inputs) == 2 and "noise_map" in fields:
        found["noise_map"] = True
    return _task(task_name, {**found, **settings})


def _task(name: str, settings: Mapping[str, object]) -> Task:
    """The task of that name, with the settings that a command gives."""
    from falconet.run.reading import Problems
    from falconet.tasks import TASKS

    problems = Problems("the command")
    task = problems.choose(TASKS, {"name": name, **settings}, "task")
    problems.stop()
    assert task is not None
    return task


def _file(path: Path, task_name: str, settings: Mapping[str, object]) -> tuple[Run, Task]:
    """An ONNX file run by ONNX Runtime, or an ncnn file by ncnn, with one thread."""
    from falconet.deploy import run_onnx
    from falconet.deploy.ncnn import NcnnFile

    run = run_onnx(path) if path.suffix == ".onnx" else NcnnFile(path)
    return run, _task_for(run.inputs, task_name, settings)
