"""A whole tiny run of the classification task: pictures with labels in, a verified classifier and its report out."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from falconet.deploy import load_model
from falconet.errors import UserError
from falconet.evaluate.quality import quality, runner
from falconet.graph import spec_from_json
from falconet.report import read_results
from falconet.run import Recipe, pipeline
from falconet.run.plan import describe, make_plan
from falconet.run.progress import Progress, Silent, Update
from falconet.run.recipe import dump, parse
from falconet.run.record import Record
from falconet.run.supernet import train_supernet
from falconet.search import read_trials
from falconet.spaces import build

NAMES = ("red", "green", "blue")
TINY = """
task: {name: classification, size: 16, pad: 1, policy: none}
data: {train: PICTURES, validation: 30, holdout: 24, terms: made up}
space: {file: SPACE}
budget: {macs: 18K, at_input: 16x16}
supernet: {steps: 20, batch: 12, learning_rate: 0.02, optimizer: sgd, schedule: linear, ema: 0, paths: uniform,
           precision: float32, recalibrate: 2, checkpoint_minutes: 0.0001}
search: {strategy: evolution, evaluations: 6, population: 3, parents: 2}
final: {start: scratch, seeds: 2, steps: 8, batch: 12, learning_rate: 0.01, ema: 0.5, precision: float32,
        recalibrate: 2, checkpoint_minutes: 0.0001}
trust: {networks: 3, near: 1, steps: 8, batch: 12, learning_rate: 0.01, ema: 0.5, precision: float32, recalibrate: 2}
rivals: {random: true}
seed: 1
"""
SPACE = """
from falconet.graph import BatchNorm, Conv, Draft, Flatten, GlobalAvgPool, Linear, ReLU

def space(pick):
    d, y = Draft(x=3), "x"
    for i in range(2):
        width = pick(f"b{i}.width", (4, 6, 8))
        y = d.layer(f"b{i}.conv", Conv(width, 3, 2, bias=False), y)
        y = d.layer(f"b{i}.act", ReLU(), d.layer(f"b{i}.norm", BatchNorm(), y))
    return d.build(d.layer("classes", Linear(3), d.layer("flat", Flatten(), d.layer("mean", GlobalAvgPool(), y))))
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """A recipe for three classes told apart by their colour."""
    folder, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.integers(0, 130, (120, 16, 16, 3), dtype=np.uint8)
    images[np.arange(120), :, :, labels] += 40
    np.savez(folder / "pictures.npz", images=images, labels=labels, classes=NAMES)
    (folder / "space.py").write_text(SPACE)
    places = {"PICTURES": folder / "pictures.npz", "SPACE": folder / "space.py"}
    text = TINY
    for word, place in places.items():
        text = text.replace(word, str(place))
    return parse(text)


@pytest.fixture(scope="module")
def begun(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "begun"
    pipeline.begin(tiny, folder)
    return folder


@pytest.fixture(scope="module")
def finished(begun: Path) -> Path:
    folder = begun.with_name("finished")
    shutil.copytree(begun, folder)
    pipeline.resume(folder)
    return folder


def test_classes_are_found_and_kept_in_the_recipe(tiny: Recipe, begun: Path) -> None:
    assert tiny.task.classes == NAMES
    assert parse(dump(tiny)) == tiny
    assert "classes: [red, green, blue]" in (begun / "recipe.yaml").read_text()
    facts = json.loads((begun / "data.json").read_text())
    assert (len(facts["train"]), len(facts["validation"])) == (66, 30)


def test_the_file_that_ships_normalizes_and_names_classes(finished: Path, tiny: Recipe, tmp_path: Path) -> None:
    (name,) = [model.name for model in read_results(finished).models]
    folder = finished / "models" / name
    model, data = load_model(folder), tiny.task.read(tiny.data, tiny.seed)
    assert model.task.classes == NAMES
    file = onnx.load(folder / "model.onnx")
    assert file.graph.node[0].name == "normalize" and file.graph.node[0].op_type == "Conv"
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    pictures = np.stack([one.inputs[0] for one in data.validation]).astype(np.float32) / 255
    values = session.run(None, {"x": pictures})[0]
    np.testing.assert_allclose(values, model.run((torch.from_numpy(pictures),)).numpy(), atol=1e-4)
    for index in range(3):
        Image.fromarray(data.validation[index].inputs[0].transpose(1, 2, 0)).save(tmp_path / "picture.png")
        done = subprocess.run(
            [sys.executable, folder / "run.py", tmp_path / "picture.png"], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[0].split()[1] == NAMES[int(values[index].argmax())]


def test_figures_of_held_out_pictures_have_a_confusion_matrix(finished: Path) -> None:
    results = read_results(finished)
    (model,) = results.models
    held = model.test["held out"]
    assert results.classes == NAMES and results.quality_unit == "%" and held.num_images == 24
    assert np.sum(held.confusion, 1).tolist() == [8, 8, 8]
    assert held.metrics["top1"] == pytest.approx(100 * np.trace(held.confusion) / 24)
    assert model.costs["macs"] <= 18e3
    page = (finished / "report.html").read_text()
    for words in ("What it takes for what", "held out", "Top-1", "green"):
        assert words in page, words


def test_trials_are_judged_with_statistics_of_their_own(finished: Path, tiny: Recipe) -> None:
    dataset = tiny.task.read(tiny.data, tiny.seed)
    supernet = train_supernet(Record(finished), tiny, dataset, 20, pipeline.Silent()).network
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    trial = read_trials(finished / "trials.jsonl")[-1]
    assert quality(supernet, tiny.task, dataset, build(tiny.space, trial.arch), 2) == trial.quality
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


class StopsAt(pipeline.Silent):
    """Interrupts a task before the figures of its step `last` are told."""

    def __init__(self, last: int) -> None:
        self.last = last

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Update]:
        def update(done: int, **figures: float) -> None:
            if done == self.last:
                raise KeyboardInterrupt

        yield update


def test_a_supernet_that_begins_with_one_kind_is_resumed_to_the_same_bits(tiny: Recipe, tmp_path: Path) -> None:
    change = ["space={name: shuffle, layout: cifar, width: 1.0}", "task.size=32", "supernet.one_kind=0.4", "budget={}"]
    recipe = parse(dump(tiny), overrides=[*change, "supernet.steps=5"])
    dataset = recipe.task.read(recipe.data, recipe.seed)

    def weights(folder: Path, progress: Progress) -> dict[str, torch.Tensor]:
        return dict(train_supernet(Record(folder), recipe, dataset, 5, progress).network.state_dict())

    whole = weights(tmp_path / "whole", pipeline.Silent())
    for last in (1, 2, 3, 5):  # in the first part, at its end, at the second part's first step and in it
        with pytest.raises(KeyboardInterrupt):
            weights(tmp_path / "stopped", StopsAt(last))
    resumed = weights(tmp_path / "stopped", pipeline.Silent())
    assert all(torch.equal(whole[name], value) for name, value in resumed.items())
    assert set(resumed) == set(whole)


def test_what_was_evaluated_is_what_was_exported(finished: Path, tiny: Recipe) -> None:
    dataset = tiny.task.read(tiny.data, tiny.seed)
    (model,) = read_results(finished).models
    shipped = load_model(finished / "models" / model.name)
    expected = model.final
    assert model.weights == "final"  # from scratch: what that came to ships, whatever was inherited
    assert tiny.task.validate(runner(shipped.network), dataset) == pytest.approx(expected, abs=1e-3)
    assert spec_from_json(shipped.facts.trained_spec).layers[0].name == "normalize"


def test_the_trust_report_says_what_recalibration_gains(finished: Path) -> None:
    found = read_results(finished).rank_correlation
    assert found is not None
    assert sum(point.shared_statistics is not None for point in found.points) == 3
    assert any(0.9 * 18e3 <= point.macs <= 18e3 for point in found.points[:3])
    kept = read_results(finished).models[0]
    assert any((p.network, p.trained) == (kept.network, kept.final["top1"]) for p in found.points[3:])
    page = (finished / "report.html").read_text()
    assert "Statistics of its own" in page and ("Train what you keep" in page or "inherited weights" in page)


def test_comparisons_take_the_mean_of_all_seeds(finished: Path) -> None:
    results, record = read_results(finished), Record(finished)
    (model,) = results.models
    facts = [record.facts(f"test.{model.name}{ending}")["test"]["held out"] for ending in ("", "-seed1")]
    first, second = (one["per_image"] for one in facts)
    assert record.facts(f"final.{model.name}-seed1")["final"] != record.facts(f"final.{model.name}")["final"]
    for compared in results.comparisons:
        (other,) = [one for one in results.baselines if one.name == compared.right]
        theirs = other.test["held out"].per_image
        means = [(first[name]["top1"] + second[name]["top1"]) / 2 - theirs[name]["top1"] for name in theirs]
        assert compared.difference == pytest.approx(np.mean(means)) and compared.num_seeds == 1
    assert any(note.startswith(f"{model.name} on held out with 2 seeds") for note in results.notes)


class Stopping(Silent):
    """Interrupts the work at the `number`-th update, as a person pressing Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.left = number

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Callable[..., None]]:
        def update(done: int, **figures: float) -> None:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

        yield update


def test_a_run_stopped_anywhere_ends_with_the_same_bits(begun: Path, finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "stopped"))
    for number in (7, 17, 9, 12, 11):
        with pytest.raises(KeyboardInterrupt):
            pipeline.resume(folder, Stopping(number))
    pipeline.resume(folder)
    assert_same(folder, finished)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_ends_with_the_same_bits(begun: Path, finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "killed"))
    script = Path(__file__).with_name("kill_and_resume.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), "3", "120"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert_same(folder, finished)


def assert_same(folder: Path, finished: Path) -> None:
    for path in sorted((finished / "checkpoints").rglob("kept.safetensors")):
        assert digest(folder / path.relative_to(finished)) == digest(path), path.parent.name
    logs = [(one / "trials.jsonl").read_text().splitlines() for one in (folder, finished)]
    ours, theirs = ([json.loads(row) | {"seconds": 0} for row in rows] for rows in logs)
    assert ours == theirs


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def with_text(tiny: Recipe, *overrides: str) -> Callable[[], Recipe]:
    return lambda: parse(dump(tiny), overrides=list(overrides))


def test_mistakes_are_told_before_anything_is_trained(tiny: Recipe, tmp_path: Path) -> None:
    wrong = {
        "space of another number of classes": (("task.classes=[red, green, blue, grey]",), "wants 4x1x1"),
        "a missing test set": ((f"data.test.more={tmp_path / 'none'}",), "does not exist"),
        "a missing file": ((f"data.train={tmp_path / 'none.npz'}",), "does not exist"),
        "fair paths": (("supernet.paths=fair", "task.classes=[red, green, blue, grey]"), "wants 4x1x1"),
        "one kind": (("supernet.one_kind=0.5",), "does not say how one kind of block begins as another"),
        "a pattern": (("data.validation='a*'",), "numbers or shares"),
        "an output size": (("budget={macs: 18K, at_output: 16x16}",), "at_input: 16x16"),
    }
    for overrides, words in wrong.values():
        with pytest.raises(UserError, match=words):
            make_plan(with_text(tiny, *overrides)(), Silent())


def test_a_plan_counts_costs_at_the_tasks_size(tiny: Recipe) -> None:
    recipe = parse(dump(tiny), overrides=["budget={}", "trust.networks=0"])
    planned = make_plan(recipe, Silent())
    assert 18e3 < planned.costs["macs"].max < 30e3
    assert describe(recipe, planned)
