"""Whole tiny runs of every task: train, search, train on, export, report; and the models do what they were made for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falconet.cli import main
from falconet.deploy import load_model
from falconet.report import read_results
from falconet.run import pipeline
from falconet.run.recipe import parse
from falconet.run.record import Record

TASKS = {
    "blind": "{name: denoising, sigma: [0, 50], noise_map: true, patch: 16}",
    "pairs": "{name: denoising, noise: pairs, ends: [_real, _mean], colour: rgb, patch: 16}",
    "camera": "{name: super_resolution, scale: 3, degradation: camera, criterion: l1+0.1*fft, patch: 16}",
}
RECIPE = """
task: TASK
data: {train: PHOTOS, validation: 2, test: {all: PHOTOS}}
space: {name: restoration, width: [4, 6], depth: [1, 2], kind: [residual], activation: [relu], UNSHUFFLE}
budget: {macs_per_pixel: 1K, at_output: 192x96}
supernet: {steps: 4, batch: 2, precision: float32}
search: {strategy: nsga2, evaluations: 4, population: 2}
final: {steps: 3, batch: 2, precision: float32, at: [500, 1K]}
"""


@pytest.fixture(scope="session")
def pairs(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The six small photos, each with a noisy partner."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for path in small_photos.iterdir():
        clean = np.asarray(Image.open(path))
        Image.fromarray(clean).save(folder / f"{path.stem}_mean.png")
        noisy = np.clip(clean + rng.normal(0, 15, clean.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{path.stem}_real.png")
    return folder


@pytest.fixture(scope="session")
def done(small_photos: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A finished run of the task of that name; each is done once."""
    known: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in known:
            known[name] = tmp_path_factory.mktemp("runs") / name
            text = RECIPE.replace("TASK", TASKS[name]).replace(
                "PHOTOS", str(pairs if name == "pairs" else small_photos)
            )
            text = text.replace("UNSHUFFLE", "" if name == "camera" else "unshuffle: [1, 2]")
            pipeline.run(parse(text), known[name])
        return known[name]

    return run


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", TASKS)
def test_a_run_leaves_models_that_can_be_trusted(done: Callable[[str], Path], name: str) -> None:
    folder = done(name)
    results = read_results(folder)
    assert results.models
    for model in results.models:
        assert model.parity[0].max_error <= 1e-4 and model.test["all"].num_images == 6 and len(model.examples) == 2
        assert model.examples[0].before_label == ("bicubic" if name == "camera" else "noisy")
        limit = model.budget["macs_per_pixel"]
        assert model.costs["macs_per_pixel"] <= limit and model.name.startswith("macs_per_pixel-")
        card = (folder / "models" / model.name / "card.md").read_text()
        assert {"blind": "Gaussian noise", "pairs": "of the pairs", "camera": "stored as JPEG"}[name] in card
    base = results.baselines[0]
    assert base.name == ("bicubic" if name == "camera" else "noisy")
    page = (folder / "report.html").read_text()
    assert ("bicubic enlargement" in page) == (name == "camera")
    assert ("noisy pictures" in page) == (name != "camera")


@pytest.mark.parametrize("name", TASKS)
def test_judging_again_gives_the_figures_of_the_run(done: Callable[[str], Path], name: str, pairs: Path) -> None:
    folder = done(name)
    model = load_model(folder / "models" / read_results(folder).models[0].name)
    data = parse((folder / "recipe.yaml").read_text()).data
    again = model.task.test(model.run, data.test["all"])
    expected = dict(model.facts.metrics["all"])
    assert expected.pop("num_images") == again.num_images
    assert again.metrics == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("picture", ["coins", "coffee"])
def test_enhance_names_and_sizes(
    done: Callable[[str], Path], name: str, picture: str, small_photos: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = done(name)
    model = folder / "models" / read_results(folder).models[0].name
    photo = tmp_path / f"{picture}.png"
    photo.write_bytes((small_photos / photo.name).read_bytes())
    with pytest.raises(SystemExit) as ended:
        main(["enhance", str(photo), "--model", str(model)])
    assert ended.value.code == 0
    suffix, scale = ("-x3", 3) if name == "camera" else ("-denoised", 1)
    written = tmp_path / f"{picture}{suffix}.png"
    assert capsys.readouterr().out.strip() == str(written)
    with Image.open(photo) as before, Image.open(written) as after:
        assert after.size == (before.width * scale, before.height * scale) and after.mode == before.mode


def test_the_noise_level_can_be_told(done: Callable[[str], Path], small_photos: Path, tmp_path: Path) -> None:
    folder = done("blind")
    model = folder / "models" / read_results(folder).models[0].name
    photo = tmp_path / "camera.png"
    photo.write_bytes((small_photos / photo.name).read_bytes())
    for arguments, code in ((["--sigma", "40"], 0), (["--sigma", "strong"], 2), (["--sigma", "400"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(["enhance", str(photo), "--model", str(model), *arguments])
        assert ended.value.code == code
    assert load_model(model).judged_as(sigma=40.0).task.sigma == 40


def test_the_levels_of_a_run_are_counted_a_pixel(done: Callable[[str], Path]) -> None:
    trial = next(iter(Record(done("blind")).path("trials.jsonl").read_text().splitlines()))
    assert '"macs_per_pixel"' in trial
