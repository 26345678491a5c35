"""How good a network is on the fixed validation pictures, with the weights it has or inherits.

What is judged is what ships: the deployed (merged, folded) form of an extract. Its batch-norm statistics are its own,
taken on training pictures (train/recalibrate.py); shared buffers are never touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from falconet.graph.network import Network, channels_last, deployed
from falconet.train.recalibrate import inherited

if TYPE_CHECKING:
    from falconet.graph import NetSpec
    from falconet.tasks.task import Dataset, Run, Task


def quality(
    network: Network, task: Task, dataset: Dataset, sub: NetSpec | None = None, recalibrated: int = 8
) -> dict[str, float]:
    """The task's figures for `network`, or for `sub` on its weights: inherited quality when `network` is a supernet.

    `recalibrated` is the number of batches on which `sub`'s batch-norm statistics are taken; 0: the shared ones.
    """
    if sub is None:
        return task.validate(runner(deployed(network)), dataset)
    return task.validate(runner(deployed(inherited(network, sub, task, dataset, recalibrated))), dataset)


def runner(network: Network) -> Run:
    """`network` as the callable that tasks judge: a tuple of inputs (batch, channels, height, width) to its output.

    Evaluation mode, no gradients, channels last.
    """
    channels_last(network.eval())

    def run(xs: tuple[Tensor, ...]) -> Tensor:
        with torch.inference_mode():
            output = network(tuple(x.contiguous(memory_format=torch.channels_last) for x in xs))
        assert isinstance(output, Tensor)
        return output

    return run
