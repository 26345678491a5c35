"""The optimizer of a training, and its state as named tensors, as checkpoints keep it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from falconet.train.settings import TrainSettings


def make(parameters: list[torch.nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD or AdamW over weights; only kernels decay.

    SGD is not fused: torch's fused one fails when a weight gets its first gradient later than others, as it does in a
    supernet whose paths choose among branches.
    """
    kernels = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() <= 1]
    groups = [{"params": kernels, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    used = [group for group in groups if group["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(used, lr=settings.learning_rate, momentum=settings.momentum)
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW(used, lr=settings.learning_rate, fused=fused)


def tensors(optimizer: torch.optim.Optimizer, named: Mapping[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state by "name/key"; parameters that never had a gradient have none."""
    return {
        f"{name}/{key}": value
        for name, parameter in named.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load(optimizer: torch.optim.Optimizer, named: Mapping[str, torch.nn.Parameter], kept: Mapping[str, Tensor]) -> None:
    """Put back what `tensors` gave."""
    for path, value in kept.items():
        name, _, key = path.rpartition("/")
        parameter = named[name]
        held = value if value.shape != parameter.shape else torch.empty_like(parameter).copy_(value).detach()
        optimizer.state[parameter][key] = held
