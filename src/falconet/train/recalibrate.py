"""Batch-norm statistics that belong to one network: taken anew on training pictures, never from the shared buffers.

The running statistics of a supernet are a mixture over all its sub-networks and fit none of them; those of a network
whose weights are averaged (settings.ema) belong to the weights before averaging. So they are recomputed: the mean over
a few batches of the mean and variance of each, every batch counting alike (a cumulative average: momentum 1/i).

Guo et al. 2020 (Single Path One-Shot, section 3.4) do so on 200 batches of 128 augmented pictures. Deviations: the
pictures are plain ones, as those that will be judged, and there are fewer (`settings.recalibrate` batches of 128).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from falconet.graph import BatchNorm, Dropout, Identity, Layer, NetSpec, flatten
from falconet.graph.network import Network, channels_last
from falconet.graph.spec import remembered
from falconet.tasks.task import Classifier

if TYPE_CHECKING:
    from falconet.tasks.task import Dataset, Task

PICTURES = 128
"""Pictures of one batch."""


def inherited(supernet: Network, sub: NetSpec, task: Task, dataset: Dataset, batches: int) -> Network:
    """A stand-alone network of `sub` with the supernet's weights and statistics of its own; `supernet` stays as it is.

    With no `batches`, or no batch norm in `sub`, the statistics are the shared ones.
    """
    return recalibrate(supernet.extract(sub), task, dataset, batches)


def recalibrate(network: Network, task: Task, dataset: Dataset, batches: int) -> Network:
    """`network` itself, its batch-norm statistics replaced by means over `batches` batches of training pictures."""
    assert network.spec is not None, "statistics belong to one network: extract it first"
    if not batches or not normed(network.spec):
        return network
    probe, was_training = _probe(network.spec), network.training
    weights = network.weights()
    held = [value for name, value in weights.items() if name.endswith((".running_mean", ".running_var"))]
    means = [torch.zeros_like(value) for value in held]
    channels_last(network.train())
    with torch.no_grad():
        for index in range(batches):
            network(_pictures(task, dataset, index), probe)
            torch._foreach_lerp_(means, held, 1 / (index + 1))
        torch._foreach_copy_(held, means)
    return network.train(was_training)


@remembered
def normed(spec: NetSpec) -> bool:
    """Whether the network has batch norm."""
    return any(
        normed(layer.op) if isinstance(layer.op, NetSpec) else isinstance(layer.op, BatchNorm) for layer in spec.layers
    )


def _pictures(task: Task, dataset: Dataset, index: int) -> tuple[Tensor, ...]:
    """Inputs of a batch, always the same; plain ones where the task has them."""
    if isinstance(task, Classifier):
        xs = task.plain_batch(dataset, index, PICTURES)
    else:
        xs = task.batch(dataset, 0, index, PICTURES)[0]
    return tuple(x.contiguous(memory_format=torch.channels_last) for x in xs)


@remembered
def _probe(spec: NetSpec) -> NetSpec:
    """The network with batch norms that forget all but the last batch, and without dropout."""
    flat = flatten(spec)
    return NetSpec.unchecked(flat.inputs, tuple(map(_probing, flat.layers)), flat.outputs)


def _probing(layer: Layer) -> Layer:
    if isinstance(layer.op, BatchNorm):
        return replace(layer, op=replace(layer.op, momentum=1.0))
    return replace(layer, op=Identity()) if isinstance(layer.op, Dropout) else layer
