from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from falconet.errors import UserError
from falconet.tasks import Dataset, DataSettings, Example, Pictures, SuperResolution
from falconet.tasks.degrade import shrink
from falconet.tasks.metrics import luma, psnr, shave


@pytest.fixture(scope="module")
def dataset(small_photos: Path) -> Dataset:
    return SuperResolution().read(DataSettings(train=(small_photos,), validation=2), seed=0)


def test_patches_are_aligned_come_from_everywhere_and_are_turned_eight_ways(tmp_path: Path) -> None:
    # A picture whose values tell their place, its partner made by leaving out: every patch must fit pixel by pixel.
    places = np.arange(24 * 26, dtype=np.float32).reshape(1, 24, 26) / 1000
    for name in ("a", "b"):
        Image.new("L", (26, 24)).save(tmp_path / f"{name}.png")
    task = SuperResolution(patch=8)
    read = task.read(DataSettings(train=(tmp_path,), validation=1), 0)
    example = Example("a", tmp_path, (places[:, ::2, ::2].copy(),), places)
    dataset = Dataset((example,), read.validation, ends=read.ends)
    turns, corners = set(), set()
    for step in range(40):
        (low,), high = task.batch(dataset, 0, step, 8)
        for small, large in zip(low[:, 0], high[:, 0], strict=True):
            # Whatever the turn, the small patch is one of the four interleaved quarters of the large one.
            quarters = [large[y::2, x::2] for y in (0, 1) for x in (0, 1)]
            assert sum(torch.equal(small, quarter) for quarter in quarters) == 1
            down, right = float(small[1, 0] - small[0, 0]), float(small[0, 1] - small[0, 0])
            turns.add((down > 0, right > 0, abs(down) > abs(right)))
            corners.add(round(float(small.min()) * 1000))
    assert len(turns) == 8
    assert corners == {2 * top * 26 + 2 * left for top in range(5) for left in range(6)}


def test_every_place_is_equally_likely(tmp_path: Path) -> None:
    for name, size in (("a", (16, 16)), ("b", (18, 32)), ("c", (16, 16))):
        Image.new("L", size, {"a": 10, "b": 20, "c": 30}[name]).save(tmp_path / f"{name}.png")
    task = SuperResolution(patch=8)
    data = DataSettings(train=(tmp_path,), validation=1)
    dataset = next(read for read in (task.read(data, seed) for seed in range(20)) if "b.png" in read.train_names)
    # One place in the small picture, 9 x 2 in the large one.
    assert sorted(np.diff(dataset.ends, prepend=0).tolist()) == [1, 18]
    (low,), _ = task.batch(dataset, 0, 0, 4000)
    share = float((low[:, 0, 0, 0] * 255).round().eq(20).float().mean())
    assert share == pytest.approx(18 / 19, abs=0.02)


def test_validate_is_the_mean_of_the_pictures(dataset: Dataset) -> None:
    task = SuperResolution()
    scores = []
    run = task.baseline("bicubic")
    for example in dataset.validation:
        output = run((torch.from_numpy(example.inputs[0])[None],))[0, 0].numpy().astype(float) * 255
        scores.append(psnr(shave(output, 2), shave(example.target[0].astype(float) * 255, 2)))
    assert task.validate(run, dataset) == {"psnr_y": pytest.approx(np.mean(scores), abs=1e-9)}


def test_validate_runs_pictures_of_a_size_together(dataset: Dataset) -> None:
    sizes = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        sizes.append(tuple(inputs[0].shape))
        assert not torch.is_grad_enabled()
        return SuperResolution().baseline("bicubic")(inputs)

    SuperResolution().validate(run, dataset)
    assert sizes == [(2, 1, 80, 100)]


@pytest.mark.parametrize("colour", ["luma", "rgb"])
def test_the_figures_are_those_of_the_stated_protocol(tmp_path: Path, small_photos: Path, colour: str) -> None:
    high = np.asarray(Image.open(small_photos / "coffee.png"))[:101, :150]
    Image.fromarray(high).save(tmp_path / "a.png")
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(0, 0.4, (1, 1 if colour == "luma" else 3, 100, 150)).astype(np.float32))
    task = SuperResolution(colour=colour)
    seen = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        seen.append(inputs[0])
        return noise

    result = task.test(run, tmp_path)
    high = high[:100]
    low = shrink(high, 2)
    expected = luma(low)[None, None] / 255 if colour == "luma" else low.transpose(2, 0, 1)[None] / 255
    np.testing.assert_allclose(seen[0].numpy(), expected, atol=1e-7)
    values = np.clip(noise[0].numpy().astype(np.float64), 0, 1) * 255
    output = values[0] if colour == "luma" else luma(np.round(values).transpose(1, 2, 0))
    assert result.per_image["a.png"]["psnr_y"] == pytest.approx(psnr(output[2:-2, 2:-2], luma(high)[2:-2, 2:-2]))


def test_unusable_test_pictures_are_named(tmp_path: Path, small_photos: Path) -> None:
    (tmp_path / "rocket.png").write_bytes((small_photos / "rocket.png").read_bytes())
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    (tmp_path / "text.png").write_text("no")
    Image.new("RGB", (15, 40)).save(tmp_path / "thin.png")
    result = SuperResolution().test(SuperResolution().baseline("bicubic"), tmp_path)
    assert result.num_images == 1
    assert {item.path.name: item.reason for item in result.skipped} == {
        "dot.png": "1x1 pixels are too few: 16x16 are needed",
        "text.png": "not a picture, or of an unknown format",
        "thin.png": "15x40 pixels are too few: 16x16 are needed",
    }
    (tmp_path / "rocket.png").unlink()
    with pytest.raises(UserError, match="none of the 3 pictures in"):
        SuperResolution().test(SuperResolution().baseline("bicubic"), tmp_path)


def test_small_partners_may_be_given_for_testing(tmp_path: Path, small_photos: Path) -> None:
    high = np.asarray(Image.open(small_photos / "coffee.png"))
    for folder in ("hr", "lr"):
        (tmp_path / folder).mkdir()
    Image.fromarray(high).save(tmp_path / "hr" / "a.png")
    Image.fromarray(shrink(high, 2)).save(tmp_path / "lr" / "a_x2.png")
    task = SuperResolution()
    run = task.baseline("bicubic")
    made = task.test(run, tmp_path / "hr")
    pairs = Pictures(folder=tmp_path / "hr", lr=tmp_path / "lr")
    assert task.test(run, pairs).metrics == made.metrics
    shown = task.example(run, tmp_path / "hr" / "a.png", given=tmp_path / "lr" / "a_x2.png")
    assert shown.before == made.per_image["a.png"]
    Image.fromarray(high[::2, ::2]).save(tmp_path / "lr" / "a_x2.png")
    assert task.example(run, tmp_path / "hr" / "a.png", given=tmp_path / "lr" / "a_x2.png").before != shown.before
    assert task.test(run, pairs).metrics["psnr_y"] < made.metrics["psnr_y"]


def test_losses() -> None:
    output, target = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 0.0])
    assert float(SuperResolution().loss(output, target)) == 2
    assert float(SuperResolution(criterion="charbonnier").loss(output, target)) == pytest.approx(2, abs=1e-5)
    assert float(SuperResolution(criterion="charbonnier").loss(target, target)) == pytest.approx(1e-3)


def test_a_loss_and_a_metric_of_ones_own(dataset: Dataset, small_photos: Path) -> None:
    def furthest(result: np.ndarray, truth: np.ndarray) -> float:
        return -float(np.abs(result - truth).max())

    task = SuperResolution(criterion=torch.nn.functional.mse_loss, metrics={"furthest": furthest}, quality="furthest")
    assert float(task.loss(torch.tensor([3.0]), torch.tensor([1.0]))) == 4
    run = task.baseline("bicubic")
    assert set(task.validate(run, dataset)) == {"psnr_y", "furthest"}
    result = task.test(run, small_photos)
    assert set(result.metrics) == {"psnr_y", "ssim_y", "furthest"} and result.metrics["furthest"] < 0

    loaded = SuperResolution.model_validate_json(task.model_dump_json())
    assert loaded.quality == "furthest"
    with pytest.raises(UserError, match="pass it again"):
        loaded.loss(torch.zeros(1), torch.zeros(1))
    with pytest.raises(UserError, match="'furthest' is a function of your own"):
        loaded.validate(run, dataset)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": 5}, "less than or equal to 4"),
        (
            {"criterion": "l3"},
            r"must be one of l1, l2, psnr, charbonnier, fft, ssim, or a sum of them .*; got 'l3'",
        ),
        ({"quality": "psnr"}, "must be one of psnr_y, ssim_y; got 'psnr'"),
        ({"colour": "red"}, "'luma' or 'rgb'"),
        ({"sclae": 2}, "sclae"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SuperResolution(**settings)


def test_input_sizes() -> None:
    assert SuperResolution(scale=2).input_sizes(at_output=(1280, 720)) == ((360, 640),)
    assert SuperResolution(scale=3).input_sizes(at_output=(1280, 720)) == ((240, 427),)  # covers it


def test_input_is_one_plane_or_three() -> None:
    (x,) = SuperResolution().inputs()
    assert (x.name, x.channels) == ("x", 1)
    assert SuperResolution(colour="rgb").inputs()[0].channels == 3


def test_an_example_needs_a_picture_that_can_be_judged(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png: 9x9 pixels are too few"):
        SuperResolution().example(SuperResolution().baseline("bicubic"), tmp_path / "a.png")
