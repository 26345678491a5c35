"""Whether the networks of a space suit the task: asked when a run is planned, so that nobody trains hours for nothing.

A space of the user's own may have been written for another scale or other colours, or hold networks that need sides of
an even number of pixels. Left out: whether they are any good.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from falconet.errors import UserError
from falconet.graph import Input, NetSpec, infer_shapes
from falconet.graph.spec import input_shapes
from falconet.spaces import Arch, Space, build
from falconet.tasks import Classifier, Task

if TYPE_CHECKING:
    from falconet.tasks import Dataset

ODD = (61, 47)  # height, width: no multiple of anything


def check_suits(space: Space, task: Task, dataset: Dataset, archs: Iterable[Arch]) -> None:
    """Raise UserError unless each architecture takes what the task gives, makes what it wants, at any picture size.

    Pictures to classify are all of one size; others may have any.
    """
    inputs, target = task.batch(dataset, 0, 0, 1)
    sizes = tuple((x.shape[2], x.shape[3]) for x in inputs)
    wanted = (*target.shape[1:], 1, 1)[:3]  # values for classes are pictures of one pixel
    given = task.inputs()
    for arch in archs:
        spec = build(space, arch)
        check_takes(spec, task)
        made = _made(spec, sizes)
        if made != wanted:
            raise UserError(
                f"of an input of {_shape((given[0].channels, *sizes[0]))} a network of this space makes "
                f"{_shape(made)}, but the task {task.name} wants {_shape(wanted)}; "
                "write the space for the settings of the task"
            )
        if isinstance(task, Classifier):  # its pictures are all of the size just tried
            continue
        try:
            _made(spec, (ODD,) * len(given))
        except ValueError as error:
            raise UserError(
                f"a network of this space cannot take a picture of {ODD[1]}x{ODD[0]} pixels: {error}. "
                "Networks must take pictures of any size; leave out what needs a multiple"
            ) from None


def check_takes(spec: NetSpec, task: Task) -> None:
    """Raise UserError unless a network takes what the task gives."""
    if spec.inputs != (given := task.inputs()):
        raise UserError(
            f"the networks of this space take {_listed(spec.inputs)}, but the task {task.name} gives "
            f"{_listed(given)}; write the space for the settings of the task, or set those of the task"
        )


def _made(spec: NetSpec, sizes: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Channels, height and width of the first output."""
    shape = infer_shapes(spec, input_shapes(spec, *sizes))[spec.outputs[0]]
    return shape.channels, shape.height, shape.width


def _shape(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))


def _listed(inputs: tuple[Input, ...]) -> str:
    """Such as "x (1 channel)"."""
    return ", ".join(f"{one.name} ({one.channels} channel{'s' * (one.channels != 1)})" for one in inputs)
