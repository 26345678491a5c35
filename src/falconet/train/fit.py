"""The only training loop: one network alone, or the sub-networks of a supernet.

Everything random in a step is a function of (seed, step): the batch, the sub-networks, dropout. So a training that was
killed and resumed ends with the same bits as one that was not (same machine, same thread count), and a checkpoint holds
no random state. What a step's only sub-network leaves out of a weight is not moved, by decay and momentum either (see
`sliced`); steps of several sub-networks (fair, sandwich) use all of every weight, or nearly, and move it whole.

Several processes (accelerate) see different batches and the same sub-networks; their gradients are averaged.
Left out on purpose: validation inside the loop, schedules by steps, early stopping.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from falconet.graph import BatchNorm, Dropout, NetSpec, deploy, flatten, merged
from falconet.graph.network import Network, channels_last, run
from falconet.tasks.task import Classifier
from falconet.train import checkpoint, optimizers, sliced
from falconet.train.paths import Paths
from falconet.train.recalibrate import recalibrate
from falconet.train.settings import TrainSettings

if TYPE_CHECKING:
    from accelerate import Accelerator

    from falconet.tasks.task import Dataset, Task

HOPELESS = 4  # times a float32 step that a first one of bfloat16 may take to be tried further
WARMING_SECONDS = 0.5  # and so much more, for what a first step sets up

OnStep = Callable[[int, float], None]
"""Called after each step with its number (from 1) and loss."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training came to: steps, mean loss of the last hundred, core and wall seconds over all its lives."""

    steps: int
    loss: float
    core_seconds: float
    wall_seconds: float
    precision: str


def fit(
    network: Network,
    task: Task,
    dataset: Dataset,
    settings: TrainSettings,
    paths: Paths,
    steps: int,
    folder: Path,
    seed: int,
    on_step: OnStep | None = None,
) -> Fitted:
    """Train `network` for `steps` steps, resuming from `folder` when it holds a checkpoint.

    The network ends with the kept weights: their moving average (settings.ema), and batch-norm statistics that belong
    to these (settings.recalibrate; not those of a bare store). Raises FloatingPointError when the loss is not finite;
    the last checkpoint stays.
    """
    trainer = _Trainer(network, task, dataset, settings, paths, steps, folder, seed)
    trainer.resume()
    trainer.train(on_step)
    return trainer.finish()


class _Trainer:
    """The state of one training: weights, their average, the optimizer, the clock."""

    def __init__(
        self,
        network: Network,
        task: Task,
        dataset: Dataset,
        settings: TrainSettings,
        paths: Paths,
        steps: int,
        folder: Path,
        seed: int,
    ) -> None:
        self.network, self.task, self.dataset, self.settings = network, task, dataset, settings
        self.paths, self.steps, self.folder, self.seed = paths, steps, folder, seed
        self.step, self.losses = 0, [0.0]
        self.subs: list[NetSpec] = []
        self.core, self.wall = 0.0, 0.0
        self.precision: str = settings.precision if settings.precision != "auto" else ""
        self.accelerator = _accelerator()
        channels_last(network.to(self.accelerator.device))
        self.named = dict(network.named_parameters())
        self.parameters = list(self.named.values())
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        self.average = [p.detach().clone() for p in self.parameters]
        self.optimizer = optimizers.make(self.parameters, settings)

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one."""
        found = checkpoint.newest(self.folder)
        if found is None:
            return
        checkpoint.sweep(self.folder, found)
        state = checkpoint.read_state(found)
        weights, average = checkpoint.read_tensors(found, "weights"), checkpoint.read_tensors(found, "average")
        self.network.load_state_dict(weights)
        for mine, name in zip(self.average, self.named, strict=True):
            mine.copy_(average[name])
        optimizers.load(self.optimizer, self.named, checkpoint.read_tensors(found, "optimizer"))
        self.step, self.losses = state["step"], state["losses"]
        self.core, self.wall, self.precision = state["core_seconds"], state["wall_seconds"], state["precision"]

    def save(self) -> None:
        """Write a checkpoint of where the training stands."""
        tensors = {
            "weights": dict(self.network.state_dict()),
            "average": dict(zip(self.named, self.average, strict=True)),
            "optimizer": optimizers.tensors(self.optimizer, self.named),
        }
        state = {
            "losses": self.losses[-100:],
            "core_seconds": self.core,
            "wall_seconds": self.wall,
            "precision": self.precision,
        }
        if self.accelerator.is_main_process:
            checkpoint.save(self.folder, self.step, tensors, state)

    def train(self, on_step: OnStep | None) -> None:
        """Run the steps that are left."""
        self.network.train()
        if self.step >= self.steps:
            return
        if not self.precision:
            self.precision = self.choose_precision()
            self.save()  # a choice made by timing is made once, whatever happens before the next checkpoint
        core, wall = time.process_time(), time.perf_counter()
        saved = wall
        while self.step < self.steps:
            loss = self.one_step(self.step)
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} at step {self.step}: lower learning_rate (now "
                    f"{self.settings.learning_rate:g}); the checkpoint before it is in {self.folder}"
                )
            self.step += 1
            self.losses = [*self.losses[-99:], loss]
            now = time.perf_counter()
            if now - saved > 60 * self.settings.checkpoint_minutes or self.step == self.steps:
                self.core, core = self.core + time.process_time() - core, time.process_time()
                self.wall, wall = self.wall + now - wall, now
                self.save()
                saved = now
            if on_step is not None:
                on_step(self.step, loss)

    def one_step(self, step: int) -> float:
        """One update of the weights; the loss of the first sub-network."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.gradients(step)
        self.average_gradients()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step, self.steps)
        plan = self.network.plan(self.subs[0])
        if len(self.subs) == 1 and any(cut is not None for cuts in plan.slots.values() for _, cut in cuts):
            sliced.step(self.optimizer, sliced.pieces(plan, self.named))
        else:
            self.optimizer.step()
        decay = min(self.settings.ema, (1 + step) / (10 + step)) if self.settings.ema else 0.0
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - decay)
        return loss

    def gradients(self, step: int) -> float:
        """Accumulate the gradients of a step's sub-networks; the first one's loss."""
        torch.manual_seed(_mix(self.seed, step))
        device = self.accelerator.device
        batch_seed = self.seed + 1_000_003 * self.accelerator.process_index
        with _low(device.type, self.precision):  # a teacher that is asked there costs more than all else
            xs, target = self.task.batch(self.dataset, batch_seed, step, self.settings.batch)
        xs = tuple(x.to(device).contiguous(memory_format=torch.channels_last) for x in xs)
        target, teacher, first = _moved(target, device), None, 0.0
        self.subs = self.paths.at(self.seed, step)
        for sub in self.subs:
            output = forward(self.network, sub, xs, self.settings.merge, self.precision)
            wanted = target if teacher is None else torch.lerp(target, teacher, self.paths.distill)
            loss = self.task.loss(_in_float32(output), wanted)
            self.accelerator.backward(loss / len(self.subs))
            if sub is self.subs[0]:
                first = float(loss.detach())
                if self.paths.distill:
                    assert isinstance(output, Tensor), "networks that teach others have one output"
                    teacher = self.as_target(output.detach().float())
        return first

    def as_target(self, output: Tensor) -> Tensor:
        """The largest network's output as the others learn it."""
        return self.task.as_target(output) if isinstance(self.task, Classifier) else output

    def average_gradients(self) -> None:
        """The mean of the gradients over all processes."""
        if self.accelerator.num_processes == 1:
            return
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad = self.accelerator.reduce(parameter.grad, "mean")

    def choose_precision(self) -> str:
        """float32, or bfloat16 when a step of it takes at most 0.8 of the time. Chosen once, kept in checkpoints.

        Processors that only imitate bfloat16 take ten times as long: the first step tells, and is the last.
        """
        seconds: dict[str, float] = {}
        for self.precision in ("float32", "bfloat16"):
            taken = []
            for step in range(4):
                start = time.process_time()
                self.gradients(step)
                taken.append(time.process_time() - start)
                if taken[0] > HOPELESS * seconds.get("float32", math.inf) + WARMING_SECONDS:
                    break
            seconds[self.precision] = min(taken[1:] or taken)
            self.optimizer.zero_grad(set_to_none=True)
        return "bfloat16" if seconds["bfloat16"] < 0.8 * seconds["float32"] else "float32"

    def finish(self) -> Fitted:
        """Put the kept weights into the network, and that back to the processor, where everything else is done."""
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average, strict=True):
                parameter.copy_(average)
        self.network.to("cpu").eval()
        if self.network.spec is not None:
            recalibrate(self.network, self.task, self.dataset, self.settings.recalibrate)
        return Fitted(self.step, sum(self.losses) / len(self.losses), self.core, self.wall, self.precision)


def _moved(target: Any, device: torch.device) -> Any:
    """The target of a step, one tensor or a tuple of them (see `distill`), on the device."""
    return tuple(one.to(device) for one in target) if isinstance(target, tuple) else target.to(device)


def _in_float32(output: Tensor | tuple[Tensor, ...]) -> Any:
    """The output or outputs of a network as losses take them."""
    return output.float() if isinstance(output, Tensor) else tuple(one.float() for one in output)


def forward(
    network: Network, sub: NetSpec, xs: tuple[Tensor, ...], merge: bool, precision: str = "float32"
) -> Tensor | tuple[Tensor, ...]:
    """`sub` on `network`'s weights; with `merge` through its merged form, which is the same function of the weights.

    Merging itself is done in float32 whatever the precision: its sums are small and its rounding would not average out.
    """
    low = _low(xs[0].device.type, precision)
    if merge and mergeable(sub):
        small, weights = deploy(sub, network.weights(sub))
        with low:
            return run(small, weights, xs, training=True)
    with low:
        outputs: Tensor | tuple[Tensor, ...] = network(xs, sub)
    return outputs


def _low(device: str, precision: str) -> torch.autocast:
    """Inside it, networks compute at `precision`."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16")


def mergeable(spec: NetSpec) -> bool:
    """Whether merging changes `spec` and may be trained through: nothing in it behaves otherwise in training."""
    known = spec.__dict__.get("_mergeable")
    if known is None:
        flat = flatten(spec)
        differs = any(layer.training_only or isinstance(layer.op, BatchNorm | Dropout) for layer in flat.layers)
        known = not differs and merged(spec) != spec
        object.__setattr__(spec, "_mergeable", known)
    return bool(known)


def learning_rate(settings: TrainSettings, step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine, or a line, to zero."""
    warmup = min(settings.warmup, steps // 10)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if settings.schedule == "linear":
        return settings.learning_rate * (1 - done)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def seconds_per_step(
    network: Network, task: Task, dataset: Dataset, settings: TrainSettings, paths: Paths, seed: int, steps: int = 8
) -> float:
    """Core seconds of one training step here: the median of `steps` after two warm ones. Weights do not change."""
    trainer = _Trainer(network, task, dataset, settings, paths, steps, Path(), seed)
    trainer.precision = trainer.precision or trainer.choose_precision()
    network.train()
    for group in trainer.optimizer.param_groups:
        group["lr"] = 0.0  # so that the optimizer's step can be timed along
    taken = []
    for step in range(steps + 2):
        start = time.process_time()
        trainer.optimizer.zero_grad(set_to_none=True)
        trainer.gradients(step)
        trainer.optimizer.step()
        taken.append(time.process_time() - start)
    trainer.optimizer.zero_grad(set_to_none=True)
    network.to("cpu").eval()
    return sorted(taken[2:])[steps // 2]


def _mix(seed: int, step: int) -> int:
    return (seed * 1_000_003 + step) % 2**63


def _accelerator() -> Accelerator:
    from accelerate import Accelerator

    return Accelerator(cpu=not torch.cuda.is_available() and not torch.backends.mps.is_available())
