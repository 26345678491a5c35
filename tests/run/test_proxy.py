"""Searches that judge networks by short trainings: ESR-EA's space and strategy, end to end in seconds."""

import shutil
from pathlib import Path

import pytest

from falconet.deploy import load_model
from falconet.errors import UserError
from falconet.evaluate.quality import quality, runner
from falconet.graph.network import Network
from falconet.report import read_results
from falconet.run import Recipe, pipeline
from falconet.run.proxy import judged_with, version
from falconet.run.recipe import dump, parse
from falconet.run.record import Record
from falconet.run.supernet import train_supernet
from falconet.search import read_trials
from falconet.spaces import build

TINY = """
task: {name: super_resolution, scale: 2, patch: 16, colour: rgb}
data: {train: PHOTOS, validation: 2}
space: {name: dense, genes: 3, least_active: 2, convs: [3, 4], growth: [8], width: 8}
budget: {params: 13K..20K, at_output: 128x96}
supernet: {steps: 0}
search: {strategy: credit, evaluations: 6, population: 3, segment: [1, 2],
         proxy: {steps: 2, batch: 2, precision: float32}}
seed: 1
final: {steps: 2, batch: 2, precision: float32}
"""


@pytest.fixture(scope="module")
def recipe(small_photos: Path) -> Recipe:
    return parse(TINY.replace("PHOTOS", str(small_photos)))


@pytest.fixture(scope="module")
def esr_ea(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "esr_ea"
    pipeline.run(recipe, folder)
    return folder


def test_it_ends_with_a_network_within_the_window(esr_ea: Path, recipe: Recipe) -> None:
    assert read_results(esr_ea).judged_with == "proxy"
    (model,) = read_results(esr_ea).models
    assert 13e3 <= model.costs["params"] <= 20e3
    dataset = recipe.task.read(recipe.data, recipe.seed)
    expected = model.final if model.weights == "final" else model.inherited
    assert quality(load_model(esr_ea / "models" / model.name).network, recipe.task, dataset) == pytest.approx(expected)
    assert not (esr_ea / "checkpoints" / "supernet").exists()


def test_every_trial_says_that_a_proxy_judged_it_and_can_be_judged_again(esr_ea: Path, recipe: Recipe) -> None:
    assert recipe.search.proxy is not None
    trials = read_trials(esr_ea / "trials.jsonl")
    assert {trial.proposer for trial in trials} == {"credit", "random"}
    assert {trial.fidelity for trial in trials} == {"proxy of 2 steps"}
    assert {trial.weights for trial in trials} == {version(recipe, recipe.search.proxy)}
    assert all(13e3 <= trial.costs["params"].value <= 20e3 for trial in trials)
    dataset, record = recipe.task.read(recipe.data, recipe.seed), Record(esr_ea)
    supernet = train_supernet(record, recipe, dataset, 0, pipeline.Silent())
    for trial in trials[:2]:
        network = judged_with(record, recipe, supernet, dataset, build(recipe.space, trial.arch))
        assert isinstance(network, Network)
        assert quality(network, recipe.task, dataset) == trial.quality
        assert recipe.task.validate(runner(network), dataset)[recipe.task.quality] == pytest.approx(
            trial.quality[recipe.task.quality], abs=1e-3
        )


def test_a_run_that_lost_its_last_trials_finds_them_again(esr_ea: Path, tmp_path: Path) -> None:
    """Trials and proxies cut off: what is computed anew is what was there."""
    folder = tmp_path / "cut"
    shutil.copytree(esr_ea, folder)
    lines = (folder / "trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "trials.jsonl").write_text("".join(lines[:4]))
    shutil.rmtree(next((folder / "checkpoints").glob("proxy-*")))
    for stage in ("search-1.credit.json", "search-1.random.json"):
        (folder / "stages" / stage).unlink()
    pipeline.resume(folder)
    again, whole = (read_trials(path / "trials.jsonl") for path in (folder, esr_ea))
    assert [(t.arch, t.quality) for t in again] == [(t.arch, t.quality) for t in whole]


def test_the_recipe_survives_its_file(recipe: Recipe) -> None:
    assert parse(dump(recipe)) == recipe
    assert recipe.budget.at_least == {"params": 13e3} and "at_least" in dump(recipe)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("search.proxy.step=3", "did you mean search.proxy.steps"),
        ("budget.params=20K..13K", "lower end below its upper one"),
        ("budget.params=10..20", "no network of this space meets the budget"),
        ("trust.networks=3", "there is no supernet"),
    ],
)
def test_mistakes_are_named(recipe: Recipe, change: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pipeline.plan(parse(dump(recipe), overrides=[change]))
