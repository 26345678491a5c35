"""The optimizer of a training, and its state as named tensors, as checkpoints keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from falconet.train.settings import TrainSettings

SOAP_BETAS = (0.95, 0.95)
"""Of the moments, as its authors have them; the second is that of the statistics, too."""
LONGEST_AXIS = 512
"""Longer axes of a kernel are left as they are: their matrices would cost more than the network."""
COUNT = "steps"
"""The key under which checkpoints hold how many steps SOAP has taken, which it counts for all weights together."""


def make(parameters: list[torch.nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """SGD, AdamW or SOAP over weights; only kernels decay.

    SGD is not fused: torch's fused one fails when a weight gets its first gradient later than others, as it does in a
    supernet whose paths choose among branches. SOAP turns each axis of a kernel into the eigenbasis of its gradients
    and takes Adam's steps there (Vyas et al. 2024); its first step moves nothing.
    """
    kernels = [p for p in parameters if p.dim() > 1]
    others = [p for p in parameters if p.dim() <= 1]
    groups = [{"params": kernels, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    used = [group for group in groups if group["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(used, lr=settings.learning_rate, momentum=settings.momentum)
    if settings.optimizer == "soap":
        from pytorch_optimizer import SOAP  # a second of imports, which the others need not wait for

        soap = SOAP(used, lr=settings.learning_rate, betas=SOAP_BETAS, max_precondition_dim=LONGEST_AXIS)
        soap.register_step_post_hook(_lay_out)
        return soap
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW(used, lr=settings.learning_rate, fused=fused)


def tensors(optimizer: torch.optim.Optimizer, named: Mapping[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state by "name/key", or "name/key.axis"; parameters that never had a gradient have none."""
    found: dict[str, Tensor] = {}
    for name, parameter in named.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                found[f"{name}/{key}"] = value
            elif isinstance(value, list):  # SOAP's matrices: one for each axis, empty where it has none
                found |= {f"{name}/{key}.{axis}": one for axis, one in enumerate(value) if len(one)}
    steps = optimizer.param_groups[0].get("step")
    return found if steps is None else {**found, COUNT: torch.tensor(steps)}


def load(optimizer: torch.optim.Optimizer, named: Mapping[str, torch.nn.Parameter], kept: Mapping[str, Tensor]) -> None:
    """Put back what `tensors` gave."""
    groups = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    paths = [path for path in kept if path != COUNT]
    if COUNT in kept:
        for group in optimizer.param_groups:
            group["step"] = int(kept[COUNT])
        for parameter in {named[path.rpartition("/")[0]] for path in paths}:
            optimizer.state[parameter] = _bare_soap(parameter, groups[parameter])
    for path in paths:
        name, _, key = path.rpartition("/")
        key, _, axis = key.partition(".")
        parameter, value = named[name], kept[path]
        state = optimizer.state[parameter]
        if axis:
            state[key][int(axis)] = value.clone()  # where it lies in the file's memory changes the bits of products
        else:
            state[key] = _like(parameter, value) if value.shape == parameter.shape else value


def _lay_out(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Lay SOAP's state out in memory as `load` does, so that what follows has the same bits after a resume."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, list):
                state[key] = [one.contiguous() if len(one) else one for one in value]
            elif isinstance(value, Tensor) and value.stride() != parameter.stride():
                state[key] = _like(parameter, value)


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """`value`, of the parameter's shape, laid out in memory as the parameter is."""
    return torch.empty_like(parameter).copy_(value).detach()


def _bare_soap(parameter: torch.nn.Parameter, group: Mapping[str, Any]) -> dict[str, Any]:
    """What SOAP keeps of a parameter besides tensors: its settings, and a place for the matrices of each axis."""
    return {
        "GG": [[] for _ in range(parameter.dim())],
        "Q": [[] for _ in range(parameter.dim())],
        "precondition_frequency": group["precondition_frequency"],
        "shampoo_beta": group["betas"][1],
    }
