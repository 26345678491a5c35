"""A whole tiny run: what it leaves, that it can be stopped anywhere, and that its supernet serves other searches."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from falconet.cli import main
from falconet.deploy import load_model
from falconet.errors import UserError
from falconet.evaluate.quality import quality, runner
from falconet.report import read_results
from falconet.run import Recipe, pipeline
from falconet.run.recipe import parse
from falconet.run.record import Record
from falconet.run.searches import read_recipe, searches
from falconet.run.side_by_side import start
from falconet.run.supernet import train_supernet
from falconet.run.training import stage_of, trained
from falconet.search import read_trials
from falconet.tasks import SuperResolution

Copy = Callable[[Path], Path]
MEASURED = {  # what no two runs agree on
    "seconds", "core_minutes", "wall_minutes", "starts", "date", "spread_ms", "min_ms", "p10_ms", "median_ms", "load",
    "relative", "num_samples", "core_seconds", "wall_seconds", "note",
}  # fmt: skip
DERIVED = {"report.html", "log.txt", "lock", "environment.json", "card.md", "clock.json"}  # made of the rest, dated


def without_times(value: Any) -> Any:
    """The value without measured times, at any depth."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in MEASURED}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def contents(folder: Path) -> dict[str, object]:
    """Path -> what the file holds: JSON without measured times, a hash of all else."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name.startswith("events/") or name.rpartition("/")[2] in DERIVED:
            continue
        if path.suffix == ".json":
            found[name] = without_times(json.loads(path.read_text()))
        elif path.suffix == ".jsonl":
            found[name] = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    results = found.get("results.json")
    if isinstance(results, dict):
        results["run"], results["notes"] = "", ""
        results["cost_prediction"] = ""  # holds measured latencies
        results["stages"] = sorted((stage for stage in results["stages"]), key=lambda stage: str(stage["name"]))
    return found


def test_a_run_leaves_models_that_can_be_trusted(finished: Path) -> None:
    results = read_results(finished)
    assert {model.name for model in results.models} == {"macs-3M", "macs-8M"}
    for model in results.models:
        assert model.costs["macs"] <= model.budget["macs"]
        assert model.weights in ("inherited", "final")
        assert model.latency is not None and model.latency.median_ms > 0
        assert model.parity[0].max_error <= 1e-4
        assert len(model.examples) == 2
        for file in ("model.onnx", "model.json", "weights.safetensors", "run.py", "card.md"):
            assert (finished / "models" / model.name / file).is_file()
    assert (finished / "report.html").stat().st_size > 10_000
    assert results.baselines[0].name == "bicubic"


def test_every_trial_says_where_its_score_comes_from(finished: Path) -> None:
    trials = read_trials(finished / "trials.jsonl")
    version = Record(finished).facts("supernet")["version"]
    assert {trial.weights for trial in trials} == {version}
    assert {trial.fidelity for trial in trials} == {"inherited"}
    assert {trial.proposer for trial in trials} == {"nsga2", "random"}
    assert {name: cost.how for name, cost in trials[0].costs.items()} == {
        "macs": "counted", "params": "counted", "peak_activation_bytes": "counted", "latency_ms": "predicted",
    }  # fmt: skip
    assert all(trial.costs["macs"].value <= 8e6 for trial in trials)


def test_what_was_evaluated_is_what_was_exported(finished: Path, tiny: Recipe) -> None:
    dataset = tiny.task.read(tiny.data, tiny.seed)
    for model in read_results(finished).models:
        shipped = load_model(finished / "models" / model.name)
        expected = model.final if model.weights == "final" else model.inherited
        assert tiny.task.validate(runner(shipped.network), dataset) == pytest.approx(expected, abs=1e-3)


def test_a_trials_score_is_that_of_its_extract(finished: Path, tiny: Recipe) -> None:
    from falconet.spaces import build

    dataset = tiny.task.read(tiny.data, tiny.seed)
    supernet = train_supernet(Record(finished), tiny, dataset, 6, pipeline.Silent())
    trial = read_trials(finished / "trials.jsonl")[-1]
    network = supernet.network.extract(build(tiny.space, trial.arch))
    assert quality(network, tiny.task, dataset) == trial.quality


def test_resuming_a_finished_run_changes_nothing(finished: Path, a_copy: Copy) -> None:
    folder = a_copy(finished)
    pipeline.resume(folder)
    assert contents(folder) == contents(finished)
    assert Record(folder).state("supernet")["starts"] == 1


@pytest.mark.timeout(400)
def test_a_killed_run_ends_with_the_same_bits(begun: Path, finished: Path, a_copy: Copy) -> None:
    folder = a_copy(begun)
    script = Path(__file__).with_name("kill_and_resume.py")
    command = [sys.executable, str(script), str(folder), "1", "50"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout) >= 5
    assert_same(folder, finished)


def assert_same(folder: Path, finished: Path) -> None:
    ours, theirs = contents(folder), contents(finished)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_run_killed_often_ends_with_the_same_bits(begun: Path, finished: Path, a_copy: Copy, seed: int) -> None:
    folder = a_copy(begun)
    script = Path(__file__).with_name("kill_and_resume.py")
    command = [sys.executable, str(script), str(folder), str(seed), "40"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same(folder, finished)


def side_by_side(folder: Path) -> Path:
    """The run with two workers."""
    text = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(text.replace("workers: 1", "workers: 2"))
    return folder


@pytest.mark.timeout(400)
def test_side_by_side_it_ends_with_the_same_trials_and_weights(begun: Path, finished: Path, a_copy: Copy) -> None:
    folder = side_by_side(a_copy(begun))
    pipeline.resume(folder)
    ours, theirs = read_trials(folder / "trials.jsonl"), read_trials(finished / "trials.jsonl")
    assert {trial.executor for trial in ours} == {"worker 0", "worker 1"}
    in_order = sorted(ours, key=lambda trial: (trial.search, trial.proposer, trial.index))
    assert [replace(trial, executor="this process", seconds=0.0) for trial in in_order] == [
        replace(trial, seconds=0.0) for trial in theirs
    ]
    for name in ("macs-3M", "macs-8M"):
        kept = f"checkpoints/{name}/kept.safetensors"
        assert (folder / kept).read_bytes() == (finished / kept).read_bytes()


def test_a_failing_judge_is_told(begun: Path, a_copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = side_by_side(a_copy(begun))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="judges networks ended with code 1"):
        pipeline.resume(folder)


def test_a_failing_training_is_told(finished: Path, a_copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = side_by_side(a_copy(finished))
    for name in ("macs-3M", "macs-8M"):
        (folder / "stages" / f"final.{name}.json").unlink()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match=r"the training of macs-[38]M ended with code 1"):
        pipeline.resume(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_diverges_is_told_in_a_line(
    finished: Path, a_copy: Copy, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_copy(finished) if workers == 1 else side_by_side(a_copy(finished))
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("learning_rate: 0.004", "learning_rate: 1.0e+30"))
    for name in ("macs-3M", "macs-8M"):
        (folder / "stages" / f"final.{name}.json").unlink()
        shutil.rmtree(folder / "checkpoints" / name)
    with pytest.raises(SystemExit) as end:
        main(["resume", str(folder)])
    said = capsys.readouterr().err
    assert end.value.code == 2 and "lower learning_rate" in said and "Traceback" not in said


def test_a_judge_ends_with_the_process_that_asks(finished: Path) -> None:
    """It reads architectures from stdin, and answers until that ends."""
    (one,) = searches(finished, read_recipe(finished))
    trial = read_trials(finished / "trials.jsonl")[0]
    with start(Record(finished, keeps_log=False), ("judge", one.id), subprocess.PIPE, subprocess.PIPE) as judge:
        assert judge.stdin is not None and judge.stdout is not None
        judge.stdin.write(json.dumps(trial.arch.to_json()) + "\n")
        judge.stdin.flush()
        assert json.loads(judge.stdout.readline())["quality"] == trial.quality
        judge.stdin.close()
        assert judge.wait(timeout=60) == 0


def test_the_supernet_serves_another_budget(finished: Path, a_copy: Copy) -> None:
    folder = a_copy(finished)
    before = (folder / "checkpoints/supernet/kept.safetensors").read_bytes()
    pipeline.search(folder, ["budget.macs=4M", "final.at=[]", "final.steps=0"])
    record = Record(folder)
    assert record.state("supernet")["starts"] == 1
    assert (folder / "checkpoints/supernet/kept.safetensors").read_bytes() == before
    results = read_results(folder)
    assert {row.id for row in results.searches} == {"search-1", "search-2"}
    added = next(model for model in results.models if model.name == "macs-4M")
    assert added.costs["macs"] <= 4e6
    assert added.weights == "inherited"
    assert all(model.latency is not None for model in results.models)
    with pytest.raises(UserError, match="has this search already"):
        pipeline.search(folder, ["budget.macs=4M", "final.at=[]", "final.steps=0"])
    with pytest.raises(UserError, match="space cannot change any more"):
        pipeline.search(folder, ["space.width=[4]"])


def test_a_network_that_two_searches_keep_is_trained_once(finished: Path, a_copy: Copy) -> None:
    folder = a_copy(finished)
    pipeline.search(folder, ["final.at=[8M]"])
    record = Record(folder)
    facts = record.facts("final.macs-8M-search-2")
    assert facts == {**record.facts("final.macs-8M"), "same_as": "macs-8M"} and facts["steps"] > 0
    one, two = (folder / "checkpoints" / f"macs-8M{end}" / "kept.safetensors" for end in ("", "-search-2"))
    assert one.read_bytes() == two.read_bytes() and not list(two.parent.glob("step-*"))
    assert {row.name for row in read_results(folder).models} >= {"macs-8M", "macs-8M-search-2"}
    pipeline.search(folder, ["final.at=[8M]", "final.learning_rate=1e-4"])
    assert "same_as" not in record.facts("final.macs-8M-search-3")


def test_a_search_needs_a_trained_supernet(begun: Path, a_copy: Copy) -> None:
    with pytest.raises(UserError, match="not trained yet"):
        pipeline.search(a_copy(begun), ["budget.macs=4M"])


def test_changed_pictures_are_noticed(small_photos: Path, begun: Path, a_copy: Copy, tmp_path: Path) -> None:
    folder = a_copy(begun)
    mine = tmp_path / "mine"
    mine.mkdir()
    for path in sorted(small_photos.iterdir())[1:]:
        (mine / path.name).write_bytes(path.read_bytes())
    text = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(text.replace(str(small_photos), str(mine)))
    with pytest.raises(UserError, match=r"pictures have changed since .* 1 missing \(astronaut"):
        pipeline.resume(folder)


def test_the_better_weights_are_kept(finished: Path, a_copy: Copy, tiny: Recipe) -> None:
    """A final training that made a network worse is not what ships."""
    folder = a_copy(finished)
    path = folder / "stages" / "final.macs-3M.json"
    state = json.loads(path.read_text())
    state["facts"]["weights"] = "inherited"
    path.write_text(json.dumps(state))
    record = Record(folder)
    dataset = tiny.task.read(tiny.data, tiny.seed)
    supernet = train_supernet(record, tiny, dataset, 6, pipeline.Silent())
    one = searches(folder, tiny)[0]
    chosen = next(one_kept for one_kept in pipeline.choose(record, one, [one]) if one_kept.name == "macs-3M")
    assert stage_of(chosen) == "final.macs-3M"
    network = trained(record, one, chosen, supernet, dataset)
    assert quality(network, tiny.task, dataset) == chosen.trial.quality


def test_a_report_of_a_run_that_has_just_begun(begun: Path, a_copy: Copy) -> None:
    folder = a_copy(begun)
    assert pipeline.report(folder).is_file()
    assert read_results(folder).models == ()


def test_a_space_of_the_users_own_moves_into_the_run(tiny_text: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from falconet.graph import Conv, Draft, PixelShuffle, ReLU\n"
        "def space(pick):\n"
        "    d = Draft(x=1)\n"
        "    y = d.layer('act', ReLU(), d.layer('head', Conv(pick('width', (2, 4, 6))), 'x'))\n"
        "    return d.build(d.layer('up', PixelShuffle(2), d.layer('tail', Conv(4), y)))\n"
    )
    recipe = parse(tiny_text, overrides=[f"space={mine}", "search.evaluations=3", "final.steps=0", "final.at=[]"])
    folder = tmp_path / "run"
    pipeline.begin(recipe, folder)
    mine.unlink()
    moved = folder.rename(tmp_path / "moved")
    pipeline.resume(moved)
    assert len(read_trials(moved / "trials.jsonl")) == 6
    assert [model.weights for model in read_results(moved).models] == ["inherited"]
    assert read_recipe(moved).space(lambda name, options: options[-1]).inputs[0].channels == 1


def test_all_time_is_accounted_for(finished: Path) -> None:
    whole = json.loads((finished / "clock.json").read_text())
    stages = [json.loads(path.read_text()) for path in (finished / "stages").iterdir()]
    assert "plan" in {path.stem for path in (finished / "stages").iterdir()}
    assert 0 < sum(stage["core_minutes"] for stage in stages) <= whole["core_minutes"] + 0.001
    assert "core-minutes" in read_results(finished).notes[-1]


def test_a_loss_and_a_figure_of_the_users_own(tiny: Recipe, tmp_path: Path) -> None:
    """Functions in place of names: used in training and search, and asked for again when the run goes on elsewhere."""
    calls = {"loss": 0}

    def loss(output: Any, target: Any) -> Any:
        calls["loss"] += 1
        return ((output - target) ** 2).mean()

    def closeness(result: Any, truth: Any) -> float:
        return -float(abs(result - truth).mean())

    task = SuperResolution(scale=2, patch=16, criterion=loss, metrics={"closeness": closeness}, quality="closeness")
    recipe = tiny.model_copy(update={"task": task})
    folder = tmp_path / "run"
    pipeline.begin(recipe, folder)
    timed = calls["loss"]
    pipeline.resume(folder, recipe=recipe)
    assert calls["loss"] > timed + 6
    trials = read_trials(folder / "trials.jsonl")
    assert all(-255 <= trial.quality["closeness"] < 0 for trial in trials)
    assert read_results(folder).quality == "closeness"


def test_objects_of_a_program(tiny: Recipe, tmp_path: Path) -> None:
    """A space that is a Python object: the run goes on only from the program that has it."""
    from falconet.graph import Conv, Draft, NetSpec, PixelShuffle
    from falconet.spaces import Pick

    def own(pick: Pick) -> NetSpec:
        d = Draft(x=1)
        y = d.layer("head", Conv(pick("width", (2, 4))), "x")
        return d.build(d.layer("up", PixelShuffle(2), d.layer("tail", Conv(4), y)))

    recipe = tiny.model_copy(update={"space": own, "workers": 2})
    folder = tmp_path / "run"
    pipeline.begin(recipe, folder)
    with pytest.raises(UserError, match=r"the space of .* is .*own"):
        pipeline.resume(folder)
    pipeline.resume(folder, recipe=recipe)
    assert read_results(folder).models


def test_a_limit_without_a_network_of_its_own_is_noted(tiny_text: str, tmp_path: Path) -> None:
    recipe = parse(tiny_text, overrides=["final={at: [7M, 8M], steps: 0}", "space.width=[4]", "space.kind=plain"])
    pipeline.run(recipe, tmp_path / "run")
    results = read_results(tmp_path / "run")
    assert [model.name for model in results.models] == ["macs-7M"]
    assert "The best network found for macs-8M is macs-7M, which is kept once." in results.notes
