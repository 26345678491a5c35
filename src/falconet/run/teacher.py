"""The teacher of a run: a trained network that the networks of the search learn from, beside the truth.

    teacher: {net: vdsr, weights: vdsr.pth}          a network of the zoo with weights from a file
    teacher: {net: runs/x/models/best}               a model folder, or the name of a model that ships
    teacher: {net: heavy.onnx}                       any ONNX file that does the same task
    teacher: {net: "my_net:make", weights: my.pth}   a function of the user's own that returns a torch module

The last is the user's code, which they choose to run, as with a space of their own. Files are data: nothing of them is
run. A teacher whose network is known as a NetSpec can be learned from by its features as well.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from falconet.errors import UserError
from falconet.graph import NetSpec, infer_parts
from falconet.graph.shape import plain, total
from falconet.tasks import Classifier, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from falconet.graph.network import Network
    from falconet.train.distill import Teacher

OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")  # module:function


class TeacherSettings(BaseModel):
    """A trained network to learn from: `net` with `weights` (see the module), and how much it says.

    `output` is its share in every target, `feature` the weight of its features in final trainings; 0: neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    net: str
    weights: Path | None = None
    options: dict[str, int | float | str | bool] = {}
    output: float = Field(0.5, ge=0, le=1)
    feature: float = Field(0.1, ge=0)


@dataclass(frozen=True)
class Prototype:
    """A trained network: what it computes, and the network itself where it is known as a NetSpec or a torch module."""

    run: Callable[[tuple[Tensor, ...]], Tensor]
    network: Network | None = None
    module: nn.Module | None = None


def load_prototype(settings: TeacherSettings, task: Task) -> Prototype:
    """The network that `settings` name, with its weights. UserError when there is none, or it lacks weights."""
    from falconet.deploy import load_model, run_onnx, shipped_models
    from falconet.zoo import ZOO

    name, weights = settings.net, settings.weights
    if name in ZOO:
        return _of(_from_zoo(settings, task))
    if name.endswith(".onnx"):
        _no_weights(settings)
        return Prototype(run_onnx(Path(name)))
    if Path(name).is_dir() or name in shipped_models():
        _no_weights(settings)
        return _of(load_model(name).network)
    if OWN.fullmatch(name):
        return _own(name, weights, settings.options)
    raise UserError(
        f"there is no network {name!r} to learn from: give a zoo network with its weights, a model folder, an .onnx "
        "file, or module:function of your own"
    )


def teacher_of(settings: TeacherSettings, task: Task) -> Teacher:
    """The network as a teacher. UserError for tasks that make no picture."""
    from falconet.graph.network import channels_last, from_weights
    from falconet.train.distill import Teacher, feature_of

    if isinstance(task, Classifier):
        raise UserError(f"a teacher makes pictures, and the task {task.name} has none to make; leave out teacher")
    found = load_prototype(settings, task)
    if found.network is None:
        return Teacher(lambda xs: (found.run(xs), None))
    spec = found.network.spec
    assert spec is not None
    feature = feature_of(spec)
    both = from_weights(replace(spec, outputs=(spec.outputs[0], feature)), found.network.weights())
    channels_last(both.eval())

    def run(xs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        said = both(xs)
        assert isinstance(said, tuple)
        return said[0], said[1]

    parts = infer_parts(spec, tuple(plain(one.channels) for one in spec.inputs))
    return Teacher(run, total(parts[feature]))


def taught(settings: TeacherSettings | None, task: Task) -> Task:
    """The task as the supernet learns it: with the teacher's share in every target, or itself without a teacher."""
    if settings is None:
        return task
    from falconet.train.distill import Taught

    made: Task = Taught(task, teacher_of(settings, task), settings.output)
    return made


def lesson(settings: TeacherSettings | None, task: Task, network: Network, seed: int) -> tuple[Network, Task]:
    """What a final training trains, and the task as it learns it.

    It trains `network` itself, or a copy with an adapter where the teacher's features are learned too; by `take_over`
    the network gets what the copy learned.
    """
    if settings is None:
        return network, task
    import torch

    from falconet.graph.network import Network
    from falconet.train.distill import Taught, with_adapter

    teacher = teacher_of(settings, task)
    if not (settings.feature and teacher.channels):
        plain_lesson: Task = Taught(task, teacher, settings.output)
        return network, plain_lesson
    assert network.spec is not None
    torch.manual_seed(seed)
    student = Network(with_adapter(network.spec, teacher.channels))
    student.load_state_dict({**student.state_dict(), **network.state_dict()})
    whole_lesson: Task = Taught(task, teacher, settings.output, settings.feature)
    return student, whole_lesson


def take_over(network: Network, student: Network) -> None:
    """Give `network` the weights that `student`, itself or its copy with an adapter, has learned."""
    if student is not network:
        learned = student.state_dict()
        network.load_state_dict({name: learned[name] for name in network.state_dict()})
    network.eval()


def knows_nothing(settings: TeacherSettings) -> bool:
    """Whether the network is one of the zoo, without weights: it can be counted, and teaches nothing."""
    from falconet.zoo import ZOO

    return settings.net in ZOO and settings.weights is None


def untrained(settings: TeacherSettings, task: Task) -> Prototype:
    """A network of the zoo as it begins: what there is of one that `knows_nothing`."""
    from falconet.train.init import fresh

    return _of(fresh(_zoo_spec(settings, task), 0))


def _from_zoo(settings: TeacherSettings, task: Task) -> Network:
    from falconet.zoo.weights import load_weights

    if settings.weights is None:
        raise UserError(f"{settings.net} has no weights to learn from; give a file of them, .pth or .safetensors")
    return load_weights(_zoo_spec(settings, task), settings.weights)


def _zoo_spec(settings: TeacherSettings, task: Task) -> NetSpec:
    from falconet.zoo import designed

    return designed(settings.net, settings.options, scale=getattr(task, "scale", None))


def _of(network: Network) -> Prototype:
    """The fused network, and as the function of its inputs."""
    from falconet.evaluate.quality import runner
    from falconet.graph.network import deployed

    small = deployed(network)
    return Prototype(runner(small), network=small)


def _own(name: str, weights: Path | None, options: dict[str, int | float | str | bool]) -> Prototype:
    """The torch module that the user's function makes, with the weights of a file if one is given."""
    import torch
    from torch import nn

    from falconet.zoo.weights import read_state

    module_name, _, function = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as `python my_net.py` would find it
    try:
        made = getattr(importlib.import_module(module_name), function)(**options)
    except (ImportError, AttributeError, TypeError) as error:
        raise UserError(f"{name} cannot be used: {error}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"{name} must return a torch module, not {type(made).__name__}")
    if weights is not None:
        try:
            made.load_state_dict(read_state(weights))
        except RuntimeError as error:
            raise UserError(f"the weights in {weights} do not fit {name}: {error}") from None
    made.eval()

    def run(xs: tuple[Tensor, ...]) -> Tensor:
        with torch.inference_mode():
            out = made(*xs)
        assert isinstance(out, torch.Tensor), "a teacher makes one picture"
        return out

    return Prototype(run, module=made)


def _no_weights(settings: TeacherSettings) -> None:
    if settings.weights is not None:
        raise UserError(f"{settings.net} holds its weights itself; leave out {settings.weights}")
