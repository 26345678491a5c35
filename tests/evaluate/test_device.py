"""Devices as files, and what they predict: tables, parts, the linear model, and mistakes in every input."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import nnls as reference_nnls
from scipy.stats import spearmanr

from falconet.errors import UserError
from falconet.evaluate.blocks import Block, blocks_of
from falconet.evaluate.check import banded_spearman, judge, spearman
from falconet.evaluate.compare import compare_operators
from falconet.evaluate.device import (
    BlockTime,
    Check,
    CheckedNet,
    Device,
    device_path,
    list_devices,
    load_device,
    write_device,
)
from falconet.evaluate.estimate import Estimator, estimator
from falconet.evaluate.linear import features_of, fit_linear, nnls, predict_linear
from falconet.graph import Conv, Draft, NetSpec, ReLU, costs, flatten
from falconet.zoo import ZOO, residual_block

SIZE = (12, 20)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FALCONET_DEVICES", str(tmp_path / "devices"))
    return tmp_path / "devices"


def blocks(*specs: NetSpec, size: tuple[int, int] = SIZE) -> list[Block]:
    return list({block.key: block for spec in specs for block in blocks_of(spec, size)}.values())


def device(known: list[Block], **settings: object) -> Device:
    times = tuple(BlockTime.of(block, ms=1.0 + n) for n, block in enumerate(known))
    return Device.model_validate({"name": "mine", "runtime": "onnxruntime", "blocks": times, **settings})


def test_a_device_comes_back_from_its_file_as_it_was(folder):
    mine = device(blocks(ZOO["espcn"]()), linear=fit_linear(blocks(ZOO["espcn"]()), [1.0, 2.0, 3.0]), scale=1.1)
    assert write_device(mine) == folder / "mine.json" == device_path("mine")
    assert load_device("mine") == load_device(folder / "mine.json") == mine
    assert list_devices() == ["mine"]


def test_a_network_takes_the_sum_of_its_blocks_once_scaled():
    spec = ZOO["plain_sr"](3, 8)  # head, the same block three times, tail
    predict = Estimator(device(blocks(spec), empty_ms=0.5, scale=2.0))
    assert predict(spec, (SIZE,)).ms == pytest.approx(2 * (0.5 + 1 + 3 * 2 + 3))
    assert predict(spec, (SIZE,)).how == "table"


def test_an_unknown_block_is_priced_by_the_model_and_marked_and_never_free():
    known = blocks(ZOO["plain_sr"](3, 8), ZOO["plain_sr"](3, 16))
    model = fit_linear(known, [1.0 + n for n in range(len(known))])
    found = Estimator(device(known, linear=model))(ZOO["plain_sr"](3, 12), (SIZE,))
    assert found.how == "linear" and "conv 3x3 12>12, relu" in found.unknown and found.ms > 0
    prelu = Estimator(device(known, linear=model))(ZOO["plain_sr"](3, 16, activation="prelu"), (SIZE,))
    assert prelu.ms > 0 and prelu.how == "linear"
    with pytest.raises(UserError, match="does not know the block 'conv 3x3 1>12, relu'"):
        Estimator(device(known))(ZOO["plain_sr"](3, 12), (SIZE,))


def test_a_block_is_known_by_its_parts_when_they_are():
    d = Draft(x=1)
    y = d.layer("act", ReLU(), d.layer("head", Conv(8), "x"))
    nested = d.build(d.layer("end", Conv(4), d.layer("b", residual_block(8), y)))
    found = Estimator(device(blocks(flatten(nested))))(nested, (SIZE,))
    assert found.how == "table"
    assert Estimator(device(blocks(flatten(nested)), taken_apart=True))(nested, (SIZE,)) == found


def test_a_device_that_took_networks_apart_still_knows_the_blocks_it_has():
    d = Draft(x=1)
    y = d.layer("act", ReLU(), d.layer("head", Conv(8), "x"))
    nested = d.build(d.layer("end", Conv(4), d.layer("b", residual_block(8), y)))
    whole = Estimator(device(blocks(nested)))(nested, (SIZE,))
    assert whole.how == "table"
    assert Estimator(device(blocks(nested), taken_apart=True))(nested, (SIZE,)) == whole


def test_the_linear_model_finds_the_prices_that_made_the_times():
    plain = [ZOO["plain_sr"](3, width) for width in (8, 16, 24)]
    known = blocks(*plain, ZOO["vdsr"](), ZOO["fsrcnn"](), ZOO["plain_sr"](3, 16, activation="prelu"))
    prices = {"conv3x3.gmacs": 20.0, "conv3x3.mvalues": 0.5, "prelu.mvalues": 2.0, "ops": 0.01}
    times = [sum(prices.get(name, 0.0) * one for name, one in features_of(block).items()) + 1e-9 for block in known]
    model = fit_linear(known, times)
    for block, ms in zip(known, times, strict=True):
        assert predict_linear(model.weights, block) == pytest.approx(ms, rel=0.02)
    assert all(weight >= 0 for weight in model.weights.values())


def test_blocks_whose_times_are_noise_do_not_make_the_others_free():
    known = blocks(*[ZOO["plain_sr"](3, width) for width in range(4, 36, 2)])
    known.sort(key=lambda block: costs(block.spec, SIZE).macs)
    times = [20 * costs(block.spec, SIZE).macs / 1e9 for block in known]
    small = len(known) // 4
    times[:small] = [1e-6] * small  # small differences of large times
    model = fit_linear(known, times)
    guessed = sum(predict_linear(model.weights, block) for block in known[small:])
    assert guessed == pytest.approx(sum(times[small:]), rel=0.1)


def test_nnls_is_as_good_as_scipys():
    rng = np.random.default_rng(0)
    for _ in range(60):
        n, f = int(rng.integers(3, 40)), int(rng.integers(1, 20))
        a = rng.random((n, f)) * 10.0 ** rng.integers(-4, 3, f)
        b = rng.normal(size=n) + 1
        found, (_, best) = nnls(a, b), reference_nnls(a, b)
        assert (found >= 0).all() and np.linalg.norm(a @ found - b) <= best + 1e-9


def net(measured: float, again: float, predicted: float, macs: float) -> CheckedNet:
    return CheckedNet(network="n", measured_ms=measured, again_ms=again, predicted_ms=predicted, how="table",
                      macs=macs, params=macs)  # fmt: skip


def test_scores_of_a_check():
    nets = tuple(net(ms, 2 * ms, ms * 1.04, macs) for ms, macs in ((1, 10), (2, 10), (3, 10.5), (4, 10.2), (5, 9.9)))
    found = judge(Check(space="s", sizes=(SIZE,), seed=0, nets=nets))
    assert found.table.spearman == 1 and found.table.mape == pytest.approx(0.04) and found.holds
    assert found.noise.mape == pytest.approx(0) and found.banded == 1 and found.bands == 1
    assert found.macs.spearman < 0.5 and found.nets == 5 and found.linear == 0


def test_spearman_is_scipys():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 8, 15).astype(float), rng.random(15)
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(spearman([1, 1], [1, 2])) and banded_spearman(a, b, np.arange(1, 16) * 100.0)[1] == 0


def test_operators_are_compared_where_all_else_is_equal():
    specs = [ZOO["plain_sr"](2, 8, activation=name) for name in ("relu", "prelu", "none")]
    times = {"relu": 2.0, "prelu": 3.0}
    known = blocks(*specs)
    timed = [BlockTime.of(b, next((ms for word, ms in times.items() if f" {word}" in b.title), 1.0)) for b in known]
    found = {(one.operator, one.instead_of): one.ratio for one in compare_operators(device([], blocks=tuple(timed)))}
    assert found == {("prelu", "relu"): 1.5, ("none", "relu"): 0.5}


def test_mistakes_in_files_are_told(folder, tmp_path):
    with pytest.raises(UserError, match="there is no device 'pixel'"):
        load_device("pixel")
    with pytest.raises(UserError, match="letters, digits"):
        load_device("../../etc/passwd")
    path = write_device(device(blocks(ZOO["espcn"]())))
    good = json.loads(path.read_text())
    cases = [
        ("{", "not JSON"),
        (json.dumps([1]), "is not a device"),
        (json.dumps({**good, "schema_version": 2}), "newer Falconet"),
        (json.dumps({**good, "scale": 0}), "scale"),
        (json.dumps({**good, "blocks": [{**good["blocks"][0], "ms": -1}]}), "blocks.0.ms"),
        (json.dumps({**good, "surprise": 1}), "surprise"),
    ]
    for text, words in cases:
        path.write_text(text)
        with pytest.raises(UserError, match=words):
            load_device("mine")


def test_an_estimator_follows_its_file(folder):
    path = write_device(device(blocks(ZOO["espcn"]())))
    before = estimator("mine")
    assert estimator("mine") is before
    write_device(device(blocks(ZOO["espcn"]()), scale=3.0))
    os.utime(path, ns=(1, 1))
    assert estimator("mine").device.scale == 3.0
