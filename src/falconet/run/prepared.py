"""What a classification task adds to a recipe: its classes, found from the pictures, and what its networks begin with.

The rest of a run knows neither: its space builds networks that normalize their input and have one output a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from falconet.errors import UserError
from falconet.graph import NetSpec
from falconet.spaces import SPACES, Pick, build, decisions, smallest
from falconet.tasks import Classifier, DataSettings, Task
from falconet.zoo import CLASSIFICATION, designed

Space = Callable[[Pick], NetSpec]


@dataclass(frozen=True)
class Prepared:
    """A space whose networks stand behind what the task does to its input. It is known by what it wraps."""

    space: Space
    task: Classifier

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        return self.task.prepare(self.space(pick))


def prepared(space: Space, task: Task) -> Space:
    """The space as a run of the task needs it: itself, unless the task classifies."""
    if not isinstance(task, Classifier):
        return space
    return Prepared(unwrapped(space), task)


def unwrapped(space: Space) -> Space:
    """The space that the user gave."""
    return space.space if isinstance(space, Prepared) else space


def knowing(task: Task, data: DataSettings) -> Task:
    """The task with the classes of the pictures, when it classifies and they are there; else they are missed later."""
    if not isinstance(task, Classifier) or not all(path.exists() for path in data.train):
        return task
    return task.knowing(data)


def shared_settings(task: Task) -> Mapping[str, object]:
    """The settings that spaces and zoo networks take over from a task, by name: all of its own, and `classes`."""
    found = {name: getattr(task, name) for name in getattr(type(task), "model_fields", ()) if name != "name"}
    if isinstance(task, Classifier):
        found.pop("classes", None)
        found |= {"classes": len(task.classes)} if task.classes else {}
    return found


def zoo_network(name: str, task: Task, options: Mapping[str, int | float | str]) -> NetSpec:
    """A network of the zoo for a task: its scale, channels or classes taken over, its input prepared.

    Or of a space in which `options` leave nothing to decide, such as shuffle with one kind of block and one width.
    UserError when it is for another kind of task, or has no such option.
    """
    if name in SPACES:
        spec = _only_network(name, task, options)
        return task.prepare(spec) if isinstance(task, Classifier) else spec
    if (name in CLASSIFICATION) != isinstance(task, Classifier):
        kind = "classifies pictures" if name in CLASSIFICATION else "makes pictures"
        raise UserError(
            f"{name} {kind}, which the task {task.name} does not; `falconet list zoo` tells what is for what"
        )
    if isinstance(task, Classifier):
        return task.prepare(designed(name, options, classes=len(task.classes) or None))
    given = [one.channels for one in task.inputs()]
    spec = designed(name, options, scale=getattr(task, "scale", None), channels=given[0])
    if (takes := [one.channels for one in spec.inputs]) != given:
        words = " and ".join(map(str, takes)), " and ".join(map(str, given))
        raise UserError(
            f"{name} takes {words[0]} channel(s), the task {task.name} gives {words[1]}; choose another net"
        )
    return spec


def _only_network(name: str, task: Task, options: Mapping[str, int | float | str]) -> NetSpec:
    """The one network of a space with these options. UserError when they leave something to decide, or do not fit."""
    fields = getattr(SPACES[name], "model_fields", ())
    shared = {key: value for key, value in shared_settings(task).items() if key in fields}
    try:
        space = SPACES[name](**{**shared, **options})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(f"rivals.nets: {name}.{place}: {first['msg']}; got {first['input']!r}") from None
    arch = smallest(space)
    if asked := [key for key, choices in decisions(space, arch).items() if len(choices) > 1]:
        raise UserError(
            f"rivals.nets: the space {name} is no single network with these options, it still decides {asked[0]}; "
            "give one option for each setting"
        )
    return build(space, arch)
