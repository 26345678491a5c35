"""Learning from a teacher as well as from the truth (Hinton et al. 2015; Romero et al. 2015, "FitNets").

    taught = Taught(task, teacher, output=0.5)           # fit(network, taught, ...) and all else as ever

The teacher is asked in every training step, on the pictures of that step and at the precision of the training. Its
output moves the target, as the largest network's does in a sandwich step; one mixed target, not two losses
(docs/decisions/0012). Its features may be learned too: `with_adapter` gives a network a 1x1 convolution, in training
only, from what its last convolution reads to the teacher's channels; the mean distance between the two is added to the
loss. A teacher that computes at a multiple of the student's size is averaged down to it; where sizes are no multiples,
features cannot be compared.

Left out: several teachers, and teachers for classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from falconet.errors import UserError
from falconet.graph import Conv, Layer, NetSpec, TransposedConv, flatten
from falconet.tasks.task import Dataset, Task

ADAPTER = "teacher_adapter"


@dataclass(frozen=True, slots=True)
class Teacher:
    """What a trained network says: `run` of a step's inputs (bchw each) to its output and its features, without
    gradients; no features where it is a black box. `channels` counts those of its features."""

    run: Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor | None]]
    channels: int = 0


@dataclass(frozen=True)
class Taught:
    """A task whose targets a teacher has a share in: `output` of the target; `feature` is the weight of the features'
    loss, for networks `with_adapter`, 0 for others. All else is the task's own.
    """

    task: Task
    teacher: Teacher
    output: float = 0.5
    feature: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def batch(self, dataset: Dataset, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Any]:
        """The task's batch; its target moved towards the teacher's output, with the teacher's features if wanted."""
        xs, target = self.task.batch(dataset, seed, step, size)
        with torch.no_grad():
            said, features = self.teacher.run(xs)
        if said.shape != target.shape:
            raise UserError(
                f"the teacher makes {_shape(said)} where the task {self.task.name} wants {_shape(target)}: "
                "it must do the same task, at the same scale and in the same colours"
            )
        mixed = torch.lerp(target, said.float(), self.output)
        return (xs, (mixed, features)) if self.feature and features is not None else (xs, mixed)

    def loss(self, output: Any, target: Any) -> Tensor:
        """The task's loss, and the distance of the features where there are any."""
        if isinstance(target, Tensor):
            return self.task.loss(output, target)
        made, adapted = output
        wanted, features = target
        return self.task.loss(made, wanted) + self.feature * functional.l1_loss(adapted, _resized(features, adapted))


def with_adapter(spec: NetSpec, channels: int) -> NetSpec:
    """`spec`, flat, with a second output that exists in training only: a 1x1 from what its last convolution reads.

    >>> from falconet.graph import Draft, count_params, merged
    >>> d = Draft(x=1)
    >>> spec = d.build(d.chain([("head", Conv(4)), ("tail", Conv(1))], "x"))
    >>> taught = with_adapter(spec, 8)
    >>> taught.outputs, count_params(taught) - count_params(spec), merged(taught) == merged(spec)
    (('tail', 'teacher_adapter'), 40, True)
    """
    flat = flatten(spec)
    adapter = Layer(ADAPTER, Conv(channels, 1), (feature_of(flat),), training_only=True)
    return replace(flat, layers=(*flat.layers, adapter), outputs=(*flat.outputs, ADAPTER))


def feature_of(flat: NetSpec) -> str:
    """The value that the last convolution of a flat network reads. UserError when it has no convolution."""
    convolutions = [layer for layer in flat.layers if isinstance(layer.op, Conv | TransposedConv)]
    if not convolutions:
        raise UserError("features are what the last convolution reads, and this network has no convolution")
    return convolutions[-1].inputs[0]


def _resized(features: Tensor, like: Tensor) -> Tensor:
    """The teacher's features at the size of the student's."""
    high, wide = features.shape[2] // like.shape[2], features.shape[3] // like.shape[3]
    if (high * like.shape[2], wide * like.shape[3]) != tuple(features.shape[2:]):
        raise UserError(
            f"the teacher's features are of {_shape(features)}, no multiple of {_shape(like)} as the student's; "
            "set teacher.feature to 0"
        )
    return functional.avg_pool2d(features, (high, wide)) if (high, wide) != (1, 1) else features


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape[1:]))
