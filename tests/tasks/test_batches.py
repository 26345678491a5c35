from pathlib import Path

import numpy as np
import pytest
import torch

from falconet.errors import UserError
from falconet.tasks import Denoising, SuperResolution
from falconet.tasks.batches import AROUND, STRETCH, Pixels, stretched
from falconet.tasks.degrade import shrink
from falconet.tasks.task import Dataset, DataSettings


def read(task: SuperResolution | Denoising, folder: Path) -> Dataset:
    return task.read(DataSettings(train=(folder,), validation=2), 0)


def ramp(dtype: type) -> Pixels:
    """A picture whose values tell their place, of little contrast."""
    y, x = np.mgrid[:96, :120]
    pixels = (100 + (2 * y + x) // 8).astype(np.uint8)[None]
    return pixels if dtype is np.uint8 else pixels / np.float32(255)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("place", [(0, 0), (10, 12), (32, 44)])  # in a corner, inside, and at the other end
def test_a_stretched_patch_has_more_contrast_and_its_place(dtype: type, place: tuple[int, int]) -> None:
    target, patch, scale = ramp(dtype), 16, 2
    part, row, column = stretched(target, *place, patch, scale, np.random.default_rng(0))
    top, left = place[0] - row, place[1] - column
    assert 0 <= row <= AROUND and 0 <= column <= AROUND and part.dtype == np.uint8
    around = np.asarray(ramp(np.uint8), dtype=float)[:, 2 * top :, 2 * left :][:, : part.shape[1], : part.shape[2]]
    slope = np.polyfit(around.ravel(), part.astype(float).ravel(), 1)[0]
    assert STRETCH[0] <= slope <= STRETCH[1]
    inside = (part > 0) & (part < 255)
    expected = (around - around.mean()) * slope + 127.5
    assert abs(part[inside] - expected[inside]).max() < 4
    small = shrink(part.transpose(1, 2, 0), scale)
    assert small[row : row + patch, column : column + patch].shape[:2] == (patch, patch)


@pytest.mark.parametrize(
    "task", [SuperResolution(), SuperResolution(colour="rgb"), Denoising(), Denoising(colour="rgb")]
)
def test_as_many_patches_are_stretched_as_asked_for(task: SuperResolution | Denoising, small_photos: Path) -> None:
    dataset = read(task, small_photos)
    _, plain = task.batch(dataset, 0, 0, 200)
    _, some = task.model_copy(update={"stretched": 0.3}).batch(dataset, 0, 0, 200)
    _, every = task.model_copy(update={"stretched": 1.0}).batch(dataset, 0, 0, 200)
    moved = (some != plain).flatten(1).any(1)
    assert 0.2 < float(moved.float().mean()) < 0.4
    assert (every != plain).flatten(1).any(1).all()
    assert float(every.flatten(1).std(1).mean()) > 1.5 * float(plain.flatten(1).std(1).mean())
    assert float(every.min()) >= 0 and float(every.max()) <= 1


def test_the_small_patch_is_made_of_the_stretched_one(small_photos: Path) -> None:
    """What comes in is near the means over 2x2 pixels of what should come out."""
    task = SuperResolution(stretched=1.0)
    (low,), high = task.batch(read(task, small_photos), 0, 0, 32)
    means = torch.nn.functional.avg_pool2d(high, 2)
    plain, _ = SuperResolution().batch(read(task, small_photos), 0, 0, 32)
    assert float((low - means).abs().mean()) < 0.03 < float((plain[0] - means).abs().mean())
    assert torch.allclose((low * 255).round() / 255, low, atol=1e-6)  # a picture of 8 bits


def test_noise_of_a_stretched_patch_is_as_strong_as_of_any(small_photos: Path) -> None:
    task = Denoising(sigma=25, stretched=1.0)
    (given,), clean = task.batch(read(task, small_photos), 0, 0, 32)
    assert float((given - clean).std()) * 255 == pytest.approx(25, rel=0.02)


def test_photos_of_the_camera_may_be_stretched(small_photos: Path) -> None:
    clean = {"blur": 0, "noise": 0, "jpeg": 100}
    task = SuperResolution.model_validate({"degradation": "camera", "camera": clean, "stretched": 1.0})
    (low,), high = task.batch(read(task, small_photos), 0, 0, 32)
    assert float((low - torch.nn.functional.avg_pool2d(high, 2)).abs().mean()) < 0.03


def test_the_card_tells_of_stretched_patches() -> None:
    assert "Text, drawings and other kinds of pictures were not measured." in SuperResolution().use
    assert "5 % of its lessons had the contrast of print and drawings" in SuperResolution(stretched=0.05).use


def test_given_partners_are_not_stretched(small_photos: Path) -> None:
    data = DataSettings(train=(small_photos,), validation=2, lr=small_photos)
    with pytest.raises(UserError, match=r"leave out data\.lr, or set task\.stretched=0"):
        SuperResolution(stretched=0.1).read(data, 0)
    with pytest.raises(ValueError, match="it would stretch the noise of pairs"):
        Denoising(noise="pairs", stretched=0.1)
    with pytest.raises(ValueError, match="less than or equal to 1"):
        SuperResolution(stretched=15)
