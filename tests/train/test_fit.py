"""Laws of the training loop: resumed equals uninterrupted, merged equals unmerged, unused weights stay."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from random import Random
from typing import Literal

import pytest
import torch

from falconet.graph import NetSpec
from falconet.graph.network import Network
from falconet.spaces import Restoration, build, draw, largest, smallest, union
from falconet.tasks import DataSettings, SuperResolution
from falconet.tasks.task import Dataset
from falconet.train import checkpoint
from falconet.train.fit import Fitted, fit, forward, learning_rate, mergeable, seconds_per_step
from falconet.train.paths import Paths, alone, sandwich, uniform
from falconet.train.settings import PathSettings, TrainSettings

TASK = SuperResolution(scale=2, patch=12)
SPACE = Restoration(width=(4, 8), depth=(1, 2), kind=("plain", "ecb"), activation=("relu", "prelu"))
QUICK = TrainSettings(batch=2, warmup=2, precision="float32", checkpoint_minutes=1e-6)
SOAP = QUICK.model_copy(update={"optimizer": "soap"})
STEPS = 13  # SOAP takes its basis anew after ten


@pytest.fixture(scope="module")
def dataset(photos: Path) -> Dataset:
    return TASK.read(DataSettings(train=(photos,), validation=2), seed=0)


def supernet() -> Network:
    torch.manual_seed(0)
    return Network(store=union(SPACE, Random(0), quiet=50))


def ecb_net() -> NetSpec:
    space = Restoration(width=(8,), depth=(2,), kind=("ecb",), activation=("prelu",))
    return build(space, largest(space))


def same_weights(a: Network, b: Network) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[key], other[key]) for key in mine)


def train(
    network: Network,
    dataset: Dataset,
    folder: Path,
    steps: int = 6,
    paths: Paths | None = None,
    how: TrainSettings = QUICK,
) -> Fitted:
    return fit(network, TASK, dataset, how, paths or sandwich(SPACE, 1), steps, folder, seed=3)


@pytest.mark.parametrize(("name", "how"), [("sandwich", QUICK), ("uniform", QUICK), ("sandwich", SOAP)])
def test_resumed_equals_uninterrupted_to_the_bit(
    dataset: Dataset, tmp_path: Path, name: str, how: TrainSettings
) -> None:
    paths = sandwich(SPACE, 1) if name == "sandwich" else uniform(SPACE)
    whole = supernet()
    train(whole, dataset, tmp_path / "whole", STEPS, paths, how)
    for last in (STEPS - 5, STEPS - 2):

        def stop(step: int, loss: float, last: int = last) -> None:
            if step == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(supernet(), TASK, dataset, how, paths, STEPS, tmp_path / "parts", 3, stop)
    fresh = supernet()
    done = train(fresh, dataset, tmp_path / "parts", STEPS, paths, how)
    assert done.steps == STEPS
    assert same_weights(whole, fresh)


def test_killed_at_any_instant_is_not_lost(dataset: Dataset, tmp_path: Path) -> None:
    whole = supernet()
    train(whole, dataset, tmp_path / "whole", 40)
    rng = Random(5)
    for _ in range(3):
        child = multiprocessing.get_context("fork").Process(
            target=train, args=(supernet(), dataset, tmp_path / "killed", 40)
        )
        child.start()
        time.sleep(rng.uniform(0.05, 0.6))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    resumed = supernet()
    train(resumed, dataset, tmp_path / "killed", 40)
    assert same_weights(whole, resumed)


def test_a_finished_training_is_read_back_and_not_repeated(dataset: Dataset, tmp_path: Path) -> None:
    first, second = supernet(), supernet()
    train(first, dataset, tmp_path)
    steps: list[int] = []
    fit(second, TASK, dataset, QUICK, sandwich(SPACE, 1), 6, tmp_path, 3, lambda step, loss: steps.append(step))
    assert not steps
    assert same_weights(first, second)


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_training_learns(dataset: Dataset, tmp_path: Path, optimizer: Literal["adamw", "soap"]) -> None:
    torch.manual_seed(0)
    network, losses = Network(ecb_net()), []
    settings = TrainSettings(batch=8, warmup=5, precision="float32", ema=0.9, optimizer=optimizer)
    fit(network, TASK, dataset, settings, alone(ecb_net()), 60, tmp_path, 0, lambda _, loss: losses.append(loss))
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_merged_training_is_the_same_function_with_the_same_gradients() -> None:
    torch.manual_seed(0)
    network, x = Network(ecb_net()).double(), torch.rand(2, 1, 9, 11, dtype=torch.float64)
    found = []
    for merge in (False, True):
        network.zero_grad()
        output = forward(network, ecb_net(), (x,), merge)
        assert isinstance(output, torch.Tensor)
        (output**2).sum().backward()
        found.append((output.detach(), [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    assert len(found[0][1]) == len(found[1][1]) == len(list(network.parameters()))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-8, atol=1e-8)


def test_a_plain_network_has_nothing_to_merge() -> None:
    space = Restoration(width=(8,), depth=(2,), kind=("plain",), activation=("relu",))
    assert not mergeable(build(space, largest(space)))
    assert mergeable(ecb_net())


def test_uniform_paths_leave_unused_weights_alone(dataset: Dataset, tmp_path: Path) -> None:
    spec = build(SPACE, largest(SPACE, draw(SPACE, Random(1))[0]))
    network = supernet()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    settings = TrainSettings(batch=2, warmup=0, precision="float32", weight_decay=0.1, ema=0)
    fit(network, TASK, dataset, settings, alone(spec), 3, tmp_path, 0)
    used = {key.rpartition(".")[0] for key in network.weights(spec)}
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if name.rpartition(".")[0] in used}


def test_sandwich_holds_the_ends_and_is_a_function_of_seed_and_step() -> None:
    paths = sandwich(SPACE, 2)
    first = paths.at(0, 7)
    assert first == paths.at(0, 7)
    assert first != paths.at(0, 8)
    assert len(first) == 4
    base = draw(SPACE, Random("paths 0 7"))[0]
    assert first[0] == build(SPACE, largest(SPACE, base))
    assert first[1] == build(SPACE, smallest(SPACE, base))


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    settings = TrainSettings(learning_rate=1e-3, warmup=10)
    rates = [learning_rate(settings, step, 100) for step in range(101)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == rates[10] == pytest.approx(1e-3)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_loss_that_is_not_finite_stops_with_advice(dataset: Dataset, tmp_path: Path) -> None:
    network = Network(ecb_net())
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        fit(network, TASK, dataset, QUICK, alone(ecb_net()), 3, tmp_path, 0)


@pytest.mark.parametrize("how", [QUICK, SOAP, QUICK.model_copy(update={"optimizer": "sgd", "weight_decay": 0.1})])
def test_timing_a_step_changes_no_weight(dataset: Dataset, how: TrainSettings) -> None:
    network = Network(ecb_net())
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert seconds_per_step(network, TASK, dataset, how, alone(ecb_net()), seed=0, steps=2) > 0
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_checkpoints_keep_the_newest_and_ignore_halves(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"weights": {"a": torch.ones(2)}}, {"losses": []})
    checkpoint.save(tmp_path, 2, {"weights": {"a": torch.zeros(2)}}, {"losses": []})
    (tmp_path / ".writing-999").mkdir()
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000002"]
    assert checkpoint.read_state(found)["step"] == 2
    assert torch.equal(checkpoint.read_tensors(found, "weights")["a"], torch.zeros(2))


def test_a_broken_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, {"weights": {"a": torch.ones(2)}}, {"losses": []})
    found = checkpoint.newest(tmp_path)
    assert found is not None
    (found / "weights.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match="Remove"):
        checkpoint.read_tensors(found, "weights")


def test_path_settings_refuse_unknown_names() -> None:
    with pytest.raises(ValueError, match="uniform"):
        PathSettings.model_validate({"name": "zigzag"})


@pytest.mark.parametrize(
    ("slower", "chosen", "asked"), [(0.5, "bfloat16", 4), (0.9, "float32", 4), (20.0, "float32", 1)]
)
def test_bfloat16_is_taken_where_it_is_faster_and_given_up_where_it_is_imitated(
    slower: float, chosen: str, asked: int, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that a step moves by a second, in bfloat16 by `slower` seconds."""
    clock, calls = [0.0], list[str]()

    def gradients(trainer: object, step: int) -> float:
        precision: str = trainer.precision  # type: ignore[attr-defined]
        calls.append(precision)
        clock[0] += slower if precision == "bfloat16" else 1.0
        return 0.0

    monkeypatch.setattr("falconet.train.fit._Trainer.gradients", gradients)
    monkeypatch.setattr(time, "process_time", lambda: clock[0])
    monkeypatch.setattr("falconet.train.fit._Trainer.one_step", lambda trainer, step: 0.0)
    fitted = train(Network(ecb_net()), dataset, tmp_path, how=QUICK.model_copy(update={"precision": "auto"}))
    assert fitted.precision == chosen
    assert calls.count("bfloat16") == asked
