"""Gradient-based search: it finds what the data want within the budget, in both forms, and resumes to the bit."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from random import Random
from zlib import crc32

import pytest
import torch
from torch import Tensor

from falconet.errors import UserError
from falconet.graph import Conv, Draft, NetSpec
from falconet.graph.network import Network
from falconet.spaces import Arch, Pick, build, union
from falconet.spaces.places import Branch, Place, places
from falconet.train.gradient import Found, GradientSettings, _two, descend, mixture, most_probable
from falconet.train.settings import TrainSettings

STEPS = 40
WEIGHTS = TrainSettings(batch=8, learning_rate=0.02, warmup=0, ema=0, checkpoint_minutes=2e-3)


class Blur:
    """Pictures and their means over 3x3 pixels: one 3x3 convolution can learn it, 1x1 cannot."""

    def batch(self, dataset: str, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        chance = torch.Generator().manual_seed(crc32(f"{dataset} {seed} {step}".encode()))
        x = torch.randn(size, 2, 12, 12, generator=chance)
        return (x,), torch.nn.functional.avg_pool2d(x, 3, 1, 1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return (output - target).square().mean()


def space(pick: Pick) -> NetSpec:
    """Two places; a 3x3 convolution at either will do."""
    d, y = Draft(x=2), "x"
    for name in ("a", "b"):
        kind = pick(name, ("none", "k1", "k3"))
        if kind != "none":
            y = d.layer(f"{name}.{kind}", Conv(2, int(kind[1])), y)
        y = d.layer(f"{name}.end", Conv(2, 1), y)
    return d.build(y)


def search(folder: Path, how: str, limit: float = math.inf, steps: int = STEPS, stop: int = -1) -> Found:
    def at(step: int, loss: float) -> None:
        if step == stop:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    network = Network(store=union(space, Random(0), quiet=20))
    chain, found = places(space, (12, 12)), GradientSettings(branches=how, learning_rate=0.1)  # type: ignore[arg-type]
    data = ("train", "held")
    return descend(network, chain, limit, Blur(), data, (WEIGHTS, found), steps, folder, 1, at)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["all", "two"])
def test_it_finds_what_the_data_want(tmp_path: Path, how: str) -> None:
    found = search(tmp_path, how, limit=1e9, steps=120)
    assert "k3" in found.arch.values()
    best = max(place[2] for place in found.probabilities[::2])
    assert best > 0.4
    assert found.core_seconds > 0


def test_a_budget_is_kept_and_presses_on_the_way(tmp_path: Path) -> None:
    chain = places(space, (12, 12))
    one_k1 = chain[0].branches[1].macs
    found = search(tmp_path / "tight", "all", limit=one_k1)
    assert sorted(found.arch.values()) != ["k3", "k3"]
    assert list(found.arch.values()).count("none") >= 1
    assert found.expected_macs < search(tmp_path / "loose", "all", limit=1e9).expected_macs


def test_a_budget_that_nothing_meets_is_said_before_any_training(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the smallest of this space has 1,152"):
        search(tmp_path, "two", limit=500)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["all", "two"])
def test_resumed_equals_uninterrupted(tmp_path: Path, how: str) -> None:
    whole = search(tmp_path / "whole", how)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", how, stop=25)
    parts = search(tmp_path / "parts", how)
    assert parts.probabilities == whole.probabilities
    assert parts.arch == whole.arch


def test_a_mixture_with_certain_shares_is_the_network_itself() -> None:
    torch.manual_seed(0)
    network, chain = Network(store=union(space, Random(0), quiet=20)), places(space, (12, 12))
    x = torch.rand(2, 2, 12, 12)
    arch = Arch({"a": "k3", "b": "k1"})
    every = [torch.zeros(len(place.branches)) for place in chain]
    every[0][2] = every[1][0] = every[2][1] = every[3][0] = 1.0
    shares = [(list(range(len(share))), share.requires_grad_()) for share in every]
    torch.testing.assert_close(mixture(network, chain, shares, x), network(x, build(space, arch)))


def test_two_gates_have_the_slope_of_their_probabilities(tmp_path: Path) -> None:
    """ProxylessNAS equation 4, by hand: dL/da_i = sum_j dL/dg_j p_j (d_ij - p_i), with L linear in the gates."""
    torch.manual_seed(3)
    logit = torch.tensor([0.3, -0.2, 0.9], requires_grad=True)
    (i, j), gates = _two(logit)
    values = torch.tensor([2.0, 5.0])
    (gates * values).sum().backward()
    p = torch.softmax(logit.detach()[[i, j]], 0)
    assert sorted(gates.detach().round().tolist()) == [0.0, 1.0]
    assert logit.grad is not None
    assert logit.grad[i].item() == pytest.approx(float(p[0] * (2 - (p * values).sum())), rel=1e-5)
    assert logit.grad[j].item() == pytest.approx(float(p[1] * (5 - (p * values).sum())), rel=1e-5)
    assert logit.grad[3 - i - j] == 0


def test_probabilities_of_branches_not_drawn_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconet.train.gradient._two", lambda logit: _drawn(logit, [0, 2]))
    found = search(tmp_path, "two", limit=1e9)
    assert found.probabilities[0][1] == pytest.approx(1 / 3, abs=1e-5)
    assert abs(found.probabilities[0][2] - 1 / 3) > 0.05


def _drawn(logit: Tensor, which: list[int]) -> tuple[list[int], Tensor]:
    if len(logit) == 1:
        return [0], torch.ones(1)
    p = logit[which].softmax(0)
    return which, torch.tensor([0.0, 1.0]) + p - p.detach()


def test_the_most_probable_network_within_a_budget_is_that_of_trying_all() -> None:
    rng = Random(7)
    for _ in range(20):
        chain = [
            Place(tuple(Branch({f"d{p}": i}, None, (), rng.choice((100, 130, 170, 260))) for i in range(3)))
            for p in range(5)
        ]
        chain = [Place((Branch({f"d{p}": 0}, None, (), 100), *place.branches[1:])) for p, place in enumerate(chain)]
        logs = [[math.log(rng.random()) for _ in place.branches] for place in chain]
        limit = rng.uniform(150, 700)
        within = [
            (sum(logs[p][i] for p, i in enumerate(taken)), taken)
            for taken in product(range(3), repeat=5)
            if 100 + sum(chain[p].branches[i].macs - 100 for p, i in enumerate(taken)) <= limit
        ]
        wanted = dict(zip((f"d{p}" for p in range(5)), max(within)[1], strict=True))
        found = most_probable(chain, logs, limit)
        total = sum(logs[p][int(str(found[f"d{p}"]))] for p in range(5))
        assert total >= max(within)[0] - 1e-9 or dict(found) == wanted
