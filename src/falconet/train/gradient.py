"""Gradient-based search: architecture weights learned by descent beside the network's own. A baseline to compare with.

Every place of the space (see `spaces.places`) has one logit a branch. Weights learn on training batches, logits on held
out ones, in turns. Two published ways to compute a place:

- ``branches: all``: every branch computes, outputs are summed with the softmax of the logits (DARTS, Liu et al. 2019,
  equation 2; first order). Memory and time grow with the number of branches.
- ``branches: two``: weights learn on one path drawn by these probabilities; logits on two drawn branches a place, whose
  gates are zero and one in the forward pass (ProxylessNAS, Cai et al. 2019, section 3.2, equations 3 and 4). Afterwards
  the two logits are moved together so that the probabilities of all others stay.

Deviations. Costs: the expected MACs over the budget, as a share of it, times `pressure`, are added to the loss, where
ProxylessNAS adds its expected latency whatever the budget (equation 6). In the end the most probable network that meets
the budget is taken, where both take the most probable of all. One run serves one budget: that is what one-shot ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from falconet.errors import UserError
from falconet.graph.network import Network, channels_last, piece
from falconet.spaces.places import Branch, Place
from falconet.spaces.space import Arch, Option
from falconet.train import checkpoint, optimizers
from falconet.train.fit import OnStep, learning_rate
from falconet.train.settings import Fraction, TrainSettings

if TYPE_CHECKING:
    from falconet.tasks.task import Dataset, Task

Share: TypeAlias = "tuple[list[int], Tensor]"
"""What a place computes: which branches, and the weight of each."""
GRAINS = 10_000
"""Steps into which a budget is cut when the most probable network within it is sought."""


class GradientSettings(BaseModel):
    """How logits are learned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    branches: Literal["all", "two"] = "two"
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    """Of Adam over the logits. Published: 3e-4 (DARTS, 50 epochs of CIFAR-10), 1e-3 (ProxylessNAS, 120 of ImageNet)."""
    warm: Fraction = 0.25
    """Share of the steps in which only weights learn, with equal probabilities."""
    pressure: Annotated[float, Field(ge=0)] = 1.0
    """Loss for expected MACs of twice the budget."""


@dataclass(frozen=True, slots=True)
class Found:
    """The network found, each place's probabilities, expected MACs, core seconds over all lives of the search."""

    arch: Arch
    probabilities: tuple[tuple[float, ...], ...]
    expected_macs: float
    core_seconds: float


def descend(
    network: Network,
    chain: Sequence[Place],
    limit: float,
    task: Task,
    datasets: tuple[Dataset, Dataset],
    settings: tuple[TrainSettings, GradientSettings],
    steps: int,
    folder: Path,
    seed: int,
    on_step: OnStep | None = None,
) -> Found:
    """Search the chain for a network of at most `limit` MACs, on `network`, the store of the space.

    `datasets`: for weights, for logits. Resumes from `folder` when it holds a checkpoint. Raises UserError when no
    network meets the limit, FloatingPointError when the loss is not finite.
    """
    most_probable(chain, [[0.0] * len(place.branches) for place in chain], limit)  # says at once that none meets it
    search = _Descent(network, chain, limit, task, datasets, settings, steps, folder, seed)
    return search.run(on_step)


class _Descent:
    """The state of one search: weights, logits, an optimizer for each, the clock."""

    def __init__(
        self,
        network: Network,
        chain: Sequence[Place],
        limit: float,
        task: Task,
        datasets: tuple[Dataset, Dataset],
        settings: tuple[TrainSettings, GradientSettings],
        steps: int,
        folder: Path,
        seed: int,
    ) -> None:
        self.network, self.chain, self.limit, self.task = network, chain, limit, task
        self.train, self.held = datasets
        self.settings, self.arch = settings
        self.steps, self.folder, self.seed = steps, folder, seed
        self.step, self.core = 0, 0.0
        channels_last(network)
        self.named = dict(network.named_parameters())
        self.optimizer = optimizers.make(list(self.named.values()), self.settings)
        self.logits = [torch.nn.Parameter(torch.zeros(len(place.branches))) for place in chain]
        self.logit_names = {str(i): logit for i, logit in enumerate(self.logits)}
        memory, decay = ((0.5, 0.999), 1e-3) if self.arch.branches == "all" else ((0.0, 0.999), 0.0)  # as published
        self.descent = torch.optim.Adam(self.logits, self.arch.learning_rate, memory, weight_decay=decay)
        self.macs = [torch.tensor([branch.macs for branch in place.branches], dtype=torch.float64) for place in chain]

    def run(self, on_step: OnStep | None) -> Found:
        """All steps that are left, and the network they lead to."""
        self.resume()
        self.network.train()
        began, saved = time.process_time(), time.perf_counter()
        while self.step < self.steps:
            loss = self.learn_weights()
            if self.step >= self.arch.warm * self.steps:
                self.learn_logits()
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} at step {self.step}: lower learning_rate")
            self.step += 1
            if time.perf_counter() - saved > 60 * self.settings.checkpoint_minutes or self.step == self.steps:
                self.core, began = self.core + time.process_time() - began, time.process_time()
                self.save()
                saved = time.perf_counter()
            if on_step is not None:
                on_step(self.step, loss)
        self.network.eval()
        logs = [logit.detach().log_softmax(0).tolist() for logit in self.logits]
        shares = tuple(tuple(math.exp(value) for value in place) for place in logs)
        return Found(
            most_probable(self.chain, logs, self.limit), shares, float(self.expected_macs().detach()), self.core
        )

    def learn_weights(self) -> float:
        """One step of the weights, on one path or on all; the loss."""
        torch.manual_seed(2 * (self.seed * 1_000_003 + self.step))
        probabilities = [logit.detach().softmax(0) for logit in self.logits]
        every = self.arch.branches == "all"
        loss = self.loss(self.train, [_all(p) if every else _one(p) for p in probabilities])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.named.values(), self.settings.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, self.step, self.steps)
        self.optimizer.step()
        return float(loss.detach())

    def learn_logits(self) -> None:
        """One step of the logits, on a held-out batch; the weights stay."""
        torch.manual_seed(2 * (self.seed * 1_000_003 + self.step) + 1)
        every = self.arch.branches == "all"
        shares = [_all(logit.softmax(0)) if every else _two(logit) for logit in self.logits]
        over = torch.relu(self.expected_macs() / self.limit - 1)
        loss = self.loss(self.held, shares) + self.arch.pressure * over
        free = [logit for logit in self.logits if len(logit) > 1]
        for logit, slope in zip(free, torch.autograd.grad(loss, free), strict=True):
            logit.grad = slope
        before = [logit.detach().clone() for logit in self.logits]
        self.descent.step()
        if not every:
            with torch.no_grad():
                for logit, old, (two, _) in zip(self.logits, before, shares, strict=True):
                    moved = logit[two] + (old[two].logsumexp(0) - logit[two].logsumexp(0))
                    logit.copy_(old).index_copy_(0, torch.tensor(two), moved)

    def loss(self, dataset: Dataset, shares: Sequence[Share]) -> Tensor:
        """The task's loss of the mixture on this step's batch of `dataset`."""
        xs, target = self.task.batch(dataset, self.seed, self.step, self.settings.batch)
        x = xs[0].contiguous(memory_format=torch.channels_last)
        return self.task.loss(mixture(self.network, self.chain, shares, x), target)

    def expected_macs(self) -> Tensor:
        """The mean MACs of networks drawn by the probabilities: a sum over places."""
        first = self.macs[0][0]
        extra = [p.double().softmax(0) @ (macs - first) for p, macs in zip(self.logits, self.macs, strict=True)]
        return first + torch.stack(extra).sum()

    def save(self) -> None:
        """Write a checkpoint of where the search stands."""
        tensors = {
            "weights": dict(self.network.state_dict()),
            "optimizer": optimizers.tensors(self.optimizer, self.named),
            "logits": {name: logit.detach() for name, logit in self.logit_names.items()},
            "descent": optimizers.tensors(self.descent, self.logit_names),
        }
        checkpoint.save(self.folder, self.step, tensors, {"core_seconds": self.core})

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one."""
        found = checkpoint.newest(self.folder)
        if found is None:
            return
        checkpoint.sweep(self.folder, found)
        state = checkpoint.read_state(found)
        self.network.load_state_dict(checkpoint.read_tensors(found, "weights"))
        optimizers.load(self.optimizer, self.named, checkpoint.read_tensors(found, "optimizer"))
        kept = checkpoint.read_tensors(found, "logits")
        with torch.no_grad():
            for name, logit in self.logit_names.items():
                logit.copy_(kept[name])
        optimizers.load(self.descent, self.logit_names, checkpoint.read_tensors(found, "descent"))
        self.step, self.core = state["step"], state["core_seconds"]


def mixture(network: Network, chain: Sequence[Place], shares: Sequence[Share], x: Tensor) -> Tensor:
    """The chain's output for x (bchw): at each place the sum of the branches that have a share, times that share."""
    for place, (which, weights) in zip(chain, shares, strict=True):
        outputs = [through(network, place.branches[i], x) for i in which]
        if len(outputs) == 1 and not weights.requires_grad:  # its share is one
            x = outputs[0]
        else:
            x = reduce(torch.add, [w * y for w, y in zip(weights, outputs, strict=True)])
    return x


def through(network: Network, branch: Branch, x: Tensor) -> Tensor:
    """The output of one branch, on the weights of the network, for what the place before it hands on."""
    if branch.spec is None:
        return x
    y = piece(network, branch.spec, branch.reads, x)
    assert isinstance(y, Tensor)
    return y


def _all(probabilities: Tensor) -> Share:
    return list(range(len(probabilities))), probabilities


def _one(probabilities: Tensor) -> Share:
    return [int(torch.multinomial(probabilities, 1))], torch.ones(1)


def _two(logit: Tensor) -> Share:
    """Two drawn branches, one of them with its gate open; slopes reach the logits through their probabilities."""
    if len(logit) == 1:
        return [0], torch.ones(1)
    drawn: list[int] = torch.multinomial(logit.detach().softmax(0), 2).tolist()
    probabilities = logit[drawn].softmax(0)
    open_ = torch.nn.functional.one_hot(torch.multinomial(probabilities.detach(), 1)[0], 2)
    return drawn, open_ + probabilities - probabilities.detach()


def most_probable(chain: Sequence[Place], logs: Sequence[Sequence[float]], limit: float) -> Arch:
    """The network of at most `limit` MACs whose branches have the largest product of probabilities.

    `logs` are their logarithms. A knapsack, exact but that a branch's MACs are rounded up to a ten-thousandth of what
    the budget leaves. Raises UserError when no network meets the limit.
    """
    first = chain[0].branches[0].macs
    lowest = [min(branch.macs for branch in place.branches) for place in chain]
    least = first + sum(macs - first for macs in lowest)
    if least > limit:
        raise UserError(f"no network meets {limit:,.0f} multiply-accumulates; the smallest of this space has {least:,}")
    grain = max((limit - least) / GRAINS, 1e-9)
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for place, low, likely in zip(chain, lowest, logs, strict=True):
        after = dict[int, tuple[float, tuple[int, ...]]]()
        weighed = [math.ceil((branch.macs - low) / grain) for branch in place.branches]
        for spent, (log, taken) in best.items():
            for i, more in enumerate(weighed):
                held = after.get(spent + more)
                if spent + more <= GRAINS and (held is None or log + likely[i] > held[0]):
                    after[spent + more] = (log + likely[i], (*taken, i))
        best = after
    _, taken = max(best.values())
    answers: dict[str, Option] = {}
    for place, i in zip(chain, taken, strict=True):
        answers |= place.branches[i].answers
    return Arch(answers)
