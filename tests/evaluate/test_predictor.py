"""The predictor against laws, worked values and NAS-Bench-201's phones."""

from random import Random

import numpy as np
import pytest

from falconet.errors import UserError
from falconet.evaluate.describe import features, tabulate
from falconet.evaluate.predictor import fit
from falconet.evaluate.tables import read_table
from falconet.graph import Add, Conv, Draft, ReLU
from falconet.spaces import Arch, build, sample
from falconet.spaces.nb201 import from_digits, one_cell


def cells(count, seed=0):
    rng = Random(seed)
    return [sample(one_cell, rng) for _ in range(count)]


def groups_of(archs):
    return tabulate([features(arch, build(one_cell, arch), {}) for arch in archs])


def cost(arch):
    """Milliseconds of a made-up phone: operators add up, and a chain of convolutions costs extra."""
    prices = {"conv3": 3.0, "conv1": 1.0, "pool": 0.5, "skip": 0.1, "none": 0.0}
    chain = all(arch[name].startswith("conv") for name in ("e10", "e21", "e32"))
    return 2 + sum(prices[op] for op in arch.values()) + 2.5 * chain


def test_features_of_nested_blocks_are_counted_as_often_as_they_stand():
    block = Draft(x=4)
    inner = block.build(block.layer("act", ReLU(), block.layer("conv", Conv(4, 1), "x")))
    d = Draft(x=3)
    y = d.layer("b1", inner, d.layer("b0", inner, d.layer("stem", Conv(4), "x")))
    spec = d.build(d.layer("sum", Add(), y, "stem"))
    found = features(Arch({"kind": "a", "other": "a", "width": 4}), spec, {"macs": 10.0})
    assert found.graph["conv>act"] == 2 and found.graph["b0>b1"] == 1 and found.graph["sum>"] == 1
    assert found.amounts["op Conv1"] == 2 and found.amounts["op Conv3"] == 1 and found.amounts["depth"] == 3
    assert found.amounts["all a"] == 2 and found.amounts["width"] == 4 and found.amounts["macs"] == 10
    assert set(found.choices) == {"kind=a", "other=a", "width=4"}


def test_it_learns_from_60_cells_what_a_linear_model_cannot():
    archs = cells(500)
    values, groups = np.array([cost(arch) for arch in archs]), groups_of(archs)
    model = fit([g[:60] for g in groups], values[:60])
    mean, deviation = model.predict([g[60:] for g in groups])
    assert np.corrcoef(mean, values[60:])[0, 1] > 0.97
    assert 0.5 < np.mean(np.abs(mean - values[60:]) < 2 * deviation) <= 1
    assert model.mean([g[60:] for g in groups]) == pytest.approx(mean)


def test_one_sample_that_the_others_contradict_does_little_harm():
    archs = cells(300)
    values, groups = np.array([cost(arch) for arch in archs]), groups_of(archs)
    wrong = values[:80].copy()
    wrong[7] = 200.0
    errors = []
    for robust in (True, False):
        model = fit([g[:80] for g in groups], wrong, robust=robust)
        errors.append(np.abs(model.mean([g[80:] for g in groups]) - values[80:]).mean())
    assert errors[0] < 0.5 * errors[1]


def test_draws_vary_as_the_process_says():
    archs = cells(40)
    values, groups = np.array([cost(arch) for arch in archs]), groups_of(archs)
    model = fit([g[:30] for g in groups], values[:30])
    some = [g[30:] for g in groups]
    mean, deviation = model.predict(some)
    draws = model.draw(some, np.random.default_rng(0), 4000)
    assert draws.mean(axis=0) == pytest.approx(mean, abs=0.1 * deviation.max())
    assert draws.std(axis=0) == pytest.approx(deviation, rel=0.1, abs=0.02)
    assert model.draw(some, np.random.default_rng(0), 3, boldness=0.0) == pytest.approx(np.tile(mean, (3, 1)))


def test_the_same_samples_give_the_same_model():
    groups = groups_of(cells(30))
    values = np.arange(30.0)
    first, second = (fit(groups, values) for _ in range(2))
    assert np.array_equal(first.weights, second.weights) and np.array_equal(first.dual_n, second.dual_n)
    assert np.array_equal(fit(groups, values, start=first.weights, steps=0, robust=False).weights, first.weights)


def test_samples_that_tell_nothing():
    groups = groups_of(cells(5))
    assert fit(groups, [3.0] * 5).mean(groups) == pytest.approx([3.0] * 5)
    for values in ([1.0], [1.0, float("nan")]):
        with pytest.raises(UserError, match="two or more finite samples"):
            fit([g[: len(values)] for g in groups], values)


@pytest.mark.parametrize(("phone", "target"), [("pixel3", 0.866), ("samsung_a50", 0.947), ("raspi4", 0.872)])
def test_fifty_networks_of_a_phone_are_enough_to_rank_the_others(shared, phone, target):
    """Two draws, on every seventh network; benchmarks/nb201_latency.py has the whole of it."""
    table = read_table(shared / "data" / "nas" / "nb201.csv.gz")
    rows = list(range(0, len(table.digits), 7))
    groups, measured = groups_of([from_digits(table.digits[row]) for row in rows]), table.column(f"{phone}_ms")[rows]
    found = []
    for draw in range(2):
        order = np.random.default_rng(draw).permutation(len(rows))
        known, rest = order[:50], order[50:]
        predicted = fit([g[known] for g in groups], measured[known]).mean([g[rest] for g in groups])
        place = [np.unique(v, return_inverse=True)[1] for v in (predicted, measured[rest])]
        found.append(np.corrcoef(np.argsort(np.argsort(place[0])), np.argsort(np.argsort(place[1])))[0, 1])
    assert np.mean(found) > target
