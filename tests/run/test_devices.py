"""Budgets for devices: forms, shares, limits that hold, copies in the run folder, networks measured in the end."""

import json
from pathlib import Path

import pytest

from falconet.errors import UserError
from falconet.evaluate import Budget
from falconet.evaluate.device import BlockTime, Device, load_device, write_device
from falconet.evaluate.estimate import Estimator
from falconet.evaluate.survey import blocks_of_space
from falconet.graph import costs
from falconet.run import Recipe, pipeline
from falconet.run.plan import check_feasible, describe, make_plan
from falconet.run.progress import Silent
from falconet.run.recipe import dump, parse
from falconet.run.searches import read_recipe
from falconet.run.wanted import counter, main_cost, references, resolved, sizes, wanted
from falconet.search import read_trials
from falconet.spaces import build
from falconet.zoo import ZOO

SIZE = {"at_output": "256x128"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FALCONET_DEVICES", str(tmp_path / "devices"))
    return tmp_path / "devices"


def make_device(tiny: Recipe, name: str, per_gmac: float, processor: str = "a phone") -> Device:
    """A device on which all blocks of the tiny space take so many milliseconds a GMAC, and 0.01 besides."""
    from random import Random

    from falconet.evaluate.linear import fit_linear

    found = blocks_of_space(tiny.space, sizes(tiny), Random(0), 400)
    ms = [0.01 + per_gmac * costs(block.spec, *block.sizes).macs / 1e9 for block in found]
    times = tuple(BlockTime.of(block, one) for block, one in zip(found, ms, strict=True))
    device = Device(name=name, runtime="onnxruntime", processor=processor, blocks=times, linear=fit_linear(found, ms))
    write_device(device)
    return device


def with_budget(tiny: Recipe, **budget: object) -> Recipe:
    final = tiny.final.model_copy(update={"at": ()})
    return tiny.model_copy(update={"budget": Budget.model_validate({**SIZE, **budget}), "final": final})


def test_every_form_of_a_budget_says_its_limits():
    assert Budget.model_validate({**SIZE, "latency_ms": 8}).limits() == {"latency_ms": 8.0}
    several = Budget.model_validate({**SIZE, "latency_ms": {"phone": 8, "a/laptop.json": 12}, "macs": "2G"})
    assert several.limits() == {"macs": 2e9, "latency_ms.phone": 8, "latency_ms.laptop": 12}
    assert several.devices() == {"latency_ms.phone": "phone", "latency_ms.laptop": "a/laptop.json"}
    assert several.with_limit("latency_ms.phone", 3).limits()["latency_ms.phone"] == 3
    for budget in (several, Budget.model_validate({**SIZE, "latency_ms": "60% of espcn", "on": "x"})):
        assert Budget.model_validate(budget.model_dump(mode="json", exclude_none=True)) == budget


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"on": "phone"}, "give both"),
        ({"latency_ms": {"a": 1}, "on": "a"}, "give both"),
        ({"latency_ms": {"a": 1, "b/a.json": 2}}, "named twice"),
        ({"latency_ms": "60% espcn"}, "60% of fsrcnn"),
        ({"latency_ms": {"a": 0}}, "more than 0"),
        ({"latency_ms": {"a": 1}, "at_output": None}, "depends on the size"),
    ],
)
def test_mistakes_in_budgets_are_told(budget, words):
    with pytest.raises(ValueError, match=words):
        Budget.model_validate({**SIZE, **budget})


def test_a_word_of_yaml_is_a_setting(tiny_text, tiny, folder):
    make_device(tiny, "phone", 100.0)
    text = tiny_text.replace("macs: 8M", "latency_ms: 8, on: phone").replace("at: [3M, 8M], ", "")
    recipe = parse(text, overrides=["budget.latency_ms=6"])
    assert recipe.budget.on == "phone" and recipe.budget.limits() == {"latency_ms": 6.0}
    assert parse(dump(recipe)) == recipe


def test_a_share_becomes_the_number_that_the_device_tells(tiny):
    device = make_device(tiny, "phone", 100.0)
    recipe = resolved(with_budget(tiny, latency_ms={"phone": "50% of plain_4x16"}, params="10% of espcn"))
    told = Estimator(device)(ZOO["plain_4x16"](), sizes(tiny)).ms
    limits = recipe.budget.limits()
    told_by = references(with_budget(tiny, latency_ms={"phone": "50% of plain_4x16"}, params="10% of plain_4x16"))
    assert told_by == [ZOO["plain_4x16"]()] and references(recipe) == []
    assert limits["latency_ms.phone"] == pytest.approx(0.5 * told)
    assert limits["params"] == pytest.approx(0.1 * costs(ZOO["espcn"](), (64, 128)).params)
    assert resolved(recipe) is recipe
    with pytest.raises(UserError, match="add on: NAME"):
        resolved(with_budget(tiny, latency_ms="50% of espcn"))
    with pytest.raises(UserError, match="no model 'nonet'"):
        resolved(with_budget(tiny, macs="50% of nonet"))
    with pytest.raises(UserError, match="there is no device 'watch'"):
        counter(with_budget(tiny, latency_ms=8, on="watch"))


def test_names_and_limits_of_kept_networks_follow_the_device(tiny):
    make_device(tiny, "phone", 100.0)
    recipe = with_budget(tiny, latency_ms={"phone": 2.5})
    assert main_cost(recipe) == "latency_ms.phone"
    assert {name: one.limits() for name, one in wanted(recipe).items()} == {
        "latency_ms.phone-2.5": {"latency_ms.phone": 2.5}
    }


def test_a_plan_says_which_devices_and_which_blocks_they_do_not_know(tiny):
    make_device(tiny, "phone", 100.0)
    recipe = with_budget(tiny, latency_ms="90% of plain_4x16", on="phone", at_output="128x128")
    plan = make_plan(resolved(recipe), Silent())
    lines = "\n".join(describe(recipe, plan))
    assert "latency predicted for phone (onnxruntime" in lines and "90% of plain_4x16 is" in lines
    assert "does not know at this size" in lines and "roughly: the device's table lacks blocks of it" in lines
    with pytest.raises(UserError, match="smallest cost there is: latency_ms"):
        check_feasible(with_budget(tiny, latency_ms=1e-6, on="phone"))


def test_a_run_under_two_devices_keeps_their_limits_and_their_files(tiny, tmp_path, monkeypatch):
    from falconet.deploy.runner import processor

    monkeypatch.setattr("falconet.run.shipping.LATENCY_SECONDS", 0.5)

    here, phone = make_device(tiny, "here", 300.0, processor()), make_device(tiny, "phone", 1000.0)
    recipe = with_budget(tiny, latency_ms={"phone": 6, "here": 2})
    run = tmp_path / "run"
    pipeline.run(recipe, run)
    trials = read_trials(run / "trials.jsonl")
    assert trials and {name for trial in trials for name in trial.costs} >= {"latency_ms.phone", "latency_ms.here"}
    for trial in trials:
        spec = build(tiny.space, trial.arch)
        assert trial.costs["latency_ms.here"].value == pytest.approx(Estimator(here)(spec, sizes(tiny)).ms)
        assert trial.costs["latency_ms.here"].value <= 2
        assert trial.costs["latency_ms.phone"].value <= 6 and trial.costs["latency_ms.phone"].how == "predicted"
    assert load_device(run / "devices" / "phone.json") == phone
    kept = read_recipe(run).budget
    assert kept.limits() == recipe.budget.limits() and kept.devices()["latency_ms.here"].startswith(str(run))
    assert (run / "stages" / "search-1.latency_ms.here.json").is_file()
    assert not (run / "stages" / "search-1.latency_ms.phone.json").exists()
    notes = "\n".join(json.loads((run / "results.json").read_text())["notes"])
    assert "on here: predicted" in notes and "on phone: predicted" in notes and "not measured: falconet bench" in notes
    assert "Front for phone and here" in notes or "Front for here and phone" in notes
