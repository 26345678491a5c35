"""What every task must hold, whatever it is about; loops over TASKS."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from falconet.errors import UserError
from falconet.tasks import TASKS, Dataset, DataSettings, Task, read_picture
from falconet.tasks.images import joined
from falconet.tasks.metrics import grey

SETTINGS = [
    *(TASKS["super_resolution"](scale=scale, colour=colour) for scale in (2, 3) for colour in ("luma", "rgb")),
    *(TASKS["super_resolution"](colour=colour, degradation="camera") for colour in ("luma", "rgb")),
    TASKS["denoising"](),
    TASKS["denoising"](colour="rgb", sigma=(0, 50), noise_map=True),
]
BASELINES = {"super_resolution": "bicubic", "denoising": "noisy"}


def test_every_task_is_tested() -> None:
    assert {task.name for task in SETTINGS} | {"classification"} == set(TASKS)  # that one has a file of its own


def named(task: Task) -> str:
    return "-".join(str(getattr(task, key, "")) for key in ("name", "scale", "colour", "degradation", "noise_map"))


@pytest.fixture(scope="module", params=SETTINGS, ids=named)
def task(request: pytest.FixtureRequest) -> Task:
    chosen: Task = request.param
    return chosen


@pytest.fixture(scope="module")
def dataset(task: Task, small_photos: Path) -> Dataset:
    return task.read(DataSettings(train=(small_photos,), validation=2), seed=3)


def test_settings_are_frozen_and_round_trip_as_json(task: Task) -> None:
    assert type(task).model_validate_json(task.model_dump_json()) == task
    assert json.loads(task.model_dump_json())["name"] == task.name
    with pytest.raises(ValidationError):
        task.name = "another"
    with pytest.raises(ValidationError):
        type(task).model_validate({"nmae": "a typo"})


def test_reading_splits_without_loss_or_overlap(task: Task, dataset: Dataset, small_photos: Path) -> None:
    names = {path.name for path in small_photos.iterdir()}
    assert len(dataset.validation_names) == 2
    assert set(dataset.train_names) | set(dataset.validation_names) == names
    assert not set(dataset.train_names) & set(dataset.validation_names)
    assert dataset.skipped == ()


def test_reading_is_a_function_of_the_seed(task: Task, dataset: Dataset, small_photos: Path) -> None:
    again = task.read(DataSettings(train=(small_photos,), validation=2), seed=3)
    assert again.validation_names == dataset.validation_names
    for ours, theirs in zip(dataset.train + dataset.validation, again.train + again.validation, strict=True):
        np.testing.assert_array_equal(ours.target, theirs.target)
        for one, same in zip(ours.inputs, theirs.inputs, strict=True):
            np.testing.assert_array_equal(one, same)
    other = task.read(DataSettings(train=(small_photos,), validation=2), seed=4)
    assert other.validation_names != dataset.validation_names


def test_batches_have_the_stated_shape_and_range(task: Task, dataset: Dataset) -> None:
    inputs, target = task.batch(dataset, seed=0, step=0, size=5)
    assert len(inputs) == len(task.inputs())
    for tensor, described in zip(inputs, task.inputs(), strict=True):
        assert tensor.shape[:2] == (5, described.channels)
    for tensor in (*inputs, target):
        assert tensor.dtype == torch.float32 and tensor.ndim == 4 and len(tensor) == 5
        assert tensor.min() >= -1 and tensor.max() <= 2 and tensor.std() > 0.01  # noise is not clipped
    assert target.min() >= 0 and target.max() <= 1


def test_batches_are_a_function_of_seed_and_step(task: Task, dataset: Dataset) -> None:
    def flat(seed: int, step: int) -> Tensor:
        inputs, target = task.batch(dataset, seed, step, 4)
        return torch.cat([tensor.flatten() for tensor in (*inputs, target)])

    late = flat(0, 7)
    flat(0, 8)
    assert torch.equal(flat(0, 7), late)
    assert not torch.equal(flat(0, 8), late)
    assert not torch.equal(flat(1, 7), late)


def test_batches_do_not_share_memory_with_the_dataset(task: Task, dataset: Dataset) -> None:
    inputs, target = task.batch(dataset, 0, 0, 2)
    kept = target.clone()
    target.zero_()
    inputs[0].zero_()
    assert torch.equal(task.batch(dataset, 0, 0, 2)[1], kept)


def test_the_loss_is_a_scalar_that_is_least_at_the_truth(task: Task, dataset: Dataset) -> None:
    _, target = task.batch(dataset, 0, 0, 2)
    output = (target + 0.1).requires_grad_()
    loss = task.loss(output, target)
    assert loss.ndim == 0 and loss > task.loss(target, target) >= 0
    loss.backward()
    assert output.grad is not None and output.grad.abs().sum() > 0


def test_the_baseline_is_judged_alike_twice_and_beats_nothing(task: Task, dataset: Dataset) -> None:
    baseline = task.baseline(BASELINES[task.name])
    scores = task.validate(baseline, dataset)
    assert task.quality in scores and scores == task.validate(baseline, dataset)
    worse = task.validate(lambda inputs: baseline(inputs) * 0.5, dataset)
    assert worse[task.quality] < scores[task.quality]
    with pytest.raises(UserError, match=BASELINES[task.name]):
        task.baseline("nothing")


def test_a_folder_is_tested_whole(task: Task, small_photos: Path) -> None:
    result = task.test(task.baseline(BASELINES[task.name]), small_photos)
    assert result.num_images == len(result.per_image) == len(list(small_photos.iterdir()))
    for key, mean in result.metrics.items():
        assert mean == pytest.approx(np.mean([row[key] for row in result.per_image.values()]))
    assert task.quality in result.metrics


def test_enhancing_keeps_the_mode(task: Task, small_photos: Path) -> None:
    run = task.baseline(BASELINES[task.name])
    for name in ("rocket.png", "coins.png"):
        picture = read_picture(small_photos / name)
        better = task.enhance(run, picture)
        strips = list(task.strips(run, picture, tile=50))
        assert len(strips) == 4 and sum(strip.height for strip in strips) == better.height
        assert np.abs(joined(strips, better.height).pixels.astype(int) - better.pixels).max() <= 1
        assert (better.kind, better.bits, better.alpha is None) == (picture.kind, picture.bits, picture.alpha is None)


def test_examples_show_one_place_three_times(task: Task, small_photos: Path, tmp_path: Path) -> None:
    example = task.example(task.baseline(BASELINES[task.name]), small_photos / "chelsea.png", width=100, height=60)
    assert example.before == example.after and task.quality in example.after
    assert example.before_label == task.baselines[0]
    left, top, width, height = example.crop
    assert (width, height) == (100, 60)
    shown = []
    for number, data in enumerate((example.before_png, example.after_png, example.truth_png)):
        (tmp_path / f"{number}.png").write_bytes(data)
        shown.append(read_picture(tmp_path / f"{number}.png").pixels)
    truth = read_picture(small_photos / "chelsea.png").pixels[top : top + height, left : left + width]
    truth = grey(truth)[..., None] if task.colour == "grey" else truth
    np.testing.assert_array_equal(shown[2], truth)
    assert np.abs(shown[0].astype(int) - shown[1]).max() <= 2  # the baseline after itself, but for one rounding
    assert (shown[0] != shown[2]).any()


def test_input_sizes_are_height_and_width(task: Task) -> None:
    assert task.input_sizes(at_input=(640, 360)) == ((360, 640),) * len(task.inputs())
    for height, width in task.input_sizes(at_output=(1280, 720)):
        assert height < width <= 1280
    with pytest.raises(UserError):
        task.input_sizes()
    with pytest.raises(UserError):
        task.input_sizes((8, 8), (4, 4))


def test_the_protocol_and_the_use_are_stated(task: Task) -> None:
    assert len(task.protocol) > 50 and len(task.use) > 50 and task.suffix.startswith("-")


def test_the_first_baseline_comes_before_every_network(task: Task) -> None:
    assert task.baselines[0] == BASELINES[task.name]


def test_no_pictures_no_reading(task: Task, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no pictures"):
        task.read(DataSettings(train=(tmp_path,)), 0)
    with pytest.raises(UserError, match="holds no pictures"):
        task.test(task.baseline(BASELINES[task.name]), tmp_path)


def test_importing_tasks_leaves_torch_alone() -> None:
    code = "import sys, falconet.tasks; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
