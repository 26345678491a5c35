"""An optimizer's step on the parts of weights that a sub-network used, and on nothing else.

A weight that a sub-network leaves out has no gradient, and PyTorch's optimizers pass it over. Of a weight that it uses
a slice of, the rest has a gradient of zero, and momentum and weight decay would move it. Here the step is taken on
views of the slices: weights, momenta and all are those of a network that were trained alone on these steps.

`step` reads and writes the state of the torch optimizer it is given (SGD with momentum, or AdamW), so that whole and
sliced steps may alternate, and checkpoints know no difference. Left out: Nesterov's momentum, other optimizers.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from falconet.graph.plan import Cut, Plan

Piece = tuple[nn.Parameter, Cut | None]


def pieces(plan: Plan, named: Mapping[str, nn.Parameter]) -> list[Piece]:
    """The parameters that a plan reads, each with what is cut out of it (None: all of it)."""
    return [
        (named[f"{slot}.{name}"], cut)
        for slot, cuts in plan.slots.items()
        for name, cut in cuts
        if f"{slot}.{name}" in named
    ]


def views(tensor: Tensor, cut: Cut | None) -> Iterator[Tensor]:
    """The parts of a tensor that a cut takes, as views: one for each way to take a piece of every axis.

    >>> [part.tolist() for part in views(torch.arange(6), (((0, 2), (4, 6)),))]
    [[0, 1], [4, 5]]
    """
    if cut is None:
        yield tensor
        return
    for spans in itertools.product(*cut):
        yield tensor[tuple(slice(*span) for span in spans)]


@torch.no_grad()
def step(optimizer: torch.optim.Optimizer, used: Iterable[Piece]) -> None:
    """One step of the optimizer on the pieces `used`, of parameters that have a gradient.

    Raises TypeError for optimizers other than SGD and AdamW.
    """
    if not isinstance(optimizer, torch.optim.SGD | torch.optim.AdamW):
        raise TypeError(f"steps on slices of weights are those of SGD and AdamW, not of {optimizer}")
    group_of = {parameter: group for group in optimizer.param_groups for parameter in group["params"]}
    groups: dict[tuple[float, float], list[tuple[dict[str, Any], Piece]]] = defaultdict(list)
    is_adam = isinstance(optimizer, torch.optim.AdamW)
    for parameter, cut in used:
        if parameter.grad is None:
            continue
        state = optimizer.state[parameter]
        if not state:
            state.update(_fresh_adam(parameter) if is_adam else {"momentum_buffer": torch.zeros_like(parameter)})
        if is_adam:
            state["step"] += 1
        count = float(state["step"]) if is_adam else 0.0
        groups[group_of[parameter]["weight_decay"], count].append((state, (parameter, cut)))
    for (_, count), members in groups.items():
        group = group_of[members[0][1][0]]
        _adam(group, members, count) if is_adam else _sgd(group, members)


def _fresh_adam(parameter: nn.Parameter) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


def _sgd(group: Mapping[str, Any], members: list[tuple[dict[str, Any], Piece]]) -> None:
    """v = momentum v + g + decay p;  p = p - rate v."""
    weights, gradients, (speeds,) = _gathered(members, ("momentum_buffer",))
    if group["weight_decay"]:
        torch._foreach_add_(gradients, weights, alpha=group["weight_decay"])
    torch._foreach_mul_(speeds, group["momentum"])
    torch._foreach_add_(speeds, gradients)
    torch._foreach_add_(weights, speeds, alpha=-group["lr"])


def _adam(group: Mapping[str, Any], members: list[tuple[dict[str, Any], Piece]], count: float) -> None:
    """Loshchilov and Hutter 2019, algorithm 2; `count` steps have used these weights."""
    weights, gradients, (means, squares) = _gathered(members, ("exp_avg", "exp_avg_sq"))
    first, second = group["betas"]
    torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_lerp_(means, gradients, 1 - first)
    torch._foreach_mul_(squares, second)
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
    roots = torch._foreach_sqrt(squares)
    torch._foreach_div_(roots, math.sqrt(1 - second**count))
    torch._foreach_add_(roots, group["eps"])
    torch._foreach_addcdiv_(weights, means, roots, -group["lr"] / (1 - first**count))


def _gathered(
    members: list[tuple[dict[str, Any], Piece]], keys: tuple[str, ...]
) -> tuple[list[Tensor], list[Tensor], list[list[Tensor]]]:
    """Views of all weights, of their gradients, and of their state under each key."""
    weights = [view for _, (parameter, cut) in members for view in views(parameter.data, cut)]
    gradients = [view for _, (p, cut) in members if p.grad is not None for view in views(p.grad, cut)]
    return (
        weights,
        gradients,
        [[view for state, (_, cut) in members for view in views(state[key], cut)] for key in keys],
    )
