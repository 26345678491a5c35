from pathlib import Path

import numpy as np
import pytest
import skimage.data
from pydantic import ValidationError
from skimage.filters import gaussian

from falconet.errors import UserError
from falconet.tasks import Camera, DataSettings, SuperResolution
from falconet.tasks.camera import as_jpeg, blurred, seeded, small_patch, taken_small
from falconet.tasks.degrade import shrink

NOTHING = Camera(blur=0, noise=0, jpeg=100)


def photo() -> np.ndarray:
    return skimage.data.astronaut()[:192, 160:352]


def test_without_damage_it_is_bicubic() -> None:
    small = taken_small(photo(), 2, NOTHING, np.random.default_rng(0))
    assert small.dtype == np.uint8
    # JPEG at its best, with its colours at half size, is what is left.
    assert np.abs(small.mean(axis=2) - shrink(photo(), 2).mean(axis=2)).mean() < 1


def test_the_blur_is_a_gaussian() -> None:
    ours = blurred(photo().astype(np.float32), 1.5)
    theirs = gaussian(photo().astype(np.float32), 1.5, mode="reflect", truncate=10 / 3, channel_axis=2)
    assert np.abs(ours - theirs)[12:-12, 12:-12].max() < 0.5


def test_noise_is_as_strong_as_stated() -> None:
    flat = np.full((256, 256, 3), 128, dtype=np.uint8)
    noisy = taken_small(flat, 2, Camera(blur=0, noise=8, jpeg=100), np.random.default_rng(0)).astype(float)
    luma = noisy @ [0.299, 0.587, 0.114]
    assert luma.std() == pytest.approx(8 * np.linalg.norm([0.299, 0.587, 0.114]), rel=0.15)
    grey = taken_small(flat[..., 0], 2, Camera(blur=0, noise=8, jpeg=100), np.random.default_rng(0), luma=True)
    assert grey.std() == pytest.approx(8 * 0.574, rel=0.1)


def test_jpeg_gets_worse_with_less_quality() -> None:
    errors = [np.abs(as_jpeg(photo(), quality).astype(int) - photo()).mean() for quality in (95, 70, 30)]
    assert errors == sorted(errors) and errors[0] > 0


@pytest.mark.parametrize("place", [(0, 0), (40, 64), (21, 33)])
def test_patches_are_where_they_should_be(place: tuple[int, int]) -> None:
    high = photo().transpose(2, 0, 1)
    patch = small_patch(high, place, 32, 2, NOTHING, np.random.default_rng(1))
    whole = shrink(photo(), 2).transpose(2, 0, 1) / 255
    top, left = place
    assert patch.shape == (3, 32, 32)
    assert np.abs(patch - whole[:, top : top + 32, left : left + 32]).mean() < 0.02
    assert np.abs(patch - np.roll(whole, 2, axis=2)[:, top : top + 32, left : left + 32]).mean() > 0.02


def test_blocks_begin_anywhere() -> None:
    strong = Camera(blur=0, noise=0, jpeg=5)
    rng, high = np.random.default_rng(0), photo().transpose(2, 0, 1)
    columns = set()
    for _ in range(40):
        patch = small_patch(high, (30, 30), 32, 2, strong, rng)[0]
        steps = np.abs(np.diff(patch, axis=1)).mean(axis=0)
        columns.add(int(np.argmax([steps[offset::8].mean() for offset in range(8)])))
    assert len(columns) >= 6


def test_judging_follows_from_seed_and_name(small_photos: Path) -> None:
    task = SuperResolution(degradation="camera")
    data = DataSettings(train=(small_photos,), validation=2)
    one, again, other = (task.read(data, seed).validation for seed in (0, 0, 5))
    for ours, theirs in zip(one, again, strict=True):
        np.testing.assert_array_equal(ours.inputs[0], theirs.inputs[0])
    by_name = {example.name: example.inputs[0] for example in other}
    assert all((by_name[x.name] != x.inputs[0]).any() for x in one if x.name in by_name)
    run = task.baseline("bicubic")
    assert task.test(run, small_photos).metrics == task.test(run, small_photos).metrics
    clean = SuperResolution().test(run, small_photos).metrics["psnr_y"]
    assert task.test(run, small_photos).metrics["psnr_y"] < clean - 1
    assert seeded("a", 0).integers(2**40) != seeded("a", 1).integers(2**40)


@pytest.mark.parametrize("settings", [{"blur": (2, 1)}, {"noise": -1}, {"jpeg": (50, 101)}, {"haze": 1}])
def test_wrong_ranges(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Camera.model_validate(settings)


def test_partners_have_been_taken_small_already(small_photos: Path) -> None:
    with pytest.raises(UserError, match=r"leave out data\.lr"):
        SuperResolution(degradation="camera").read(DataSettings(train=(small_photos,), lr=small_photos), 0)
