from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from falconet.errors import UserError
from falconet.tasks import Denoising, Picture, Pictures, read_picture
from falconet.tasks.metrics import grey
from falconet.tasks.noise import estimated_sigma, noisy
from falconet.tasks.task import DataSettings


def photo(folder: Path, name: str = "astronaut.png") -> np.ndarray:
    return np.asarray(Image.open(folder / name))


@pytest.fixture
def pairs(tmp_path: Path, small_photos: Path) -> Path:
    """Photos of two cameras, A1 and B2, each with a noisy partner."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted(small_photos.iterdir())):
        clean = photo(small_photos, path.name)
        spoiled = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8)
        camera = "A1" if number % 2 else "B2"
        Image.fromarray(clean).save(folder / f"{camera}_{path.stem}_mean.PNG")
        Image.fromarray(spoiled).save(folder / f"{camera}_{path.stem}_real.png")
    return folder


def test_noise_is_as_strong_as_stated_and_not_clipped(small_photos: Path) -> None:
    task = Denoising(sigma=25)
    dataset = task.read(DataSettings(train=(small_photos,), validation=2), 0)
    (given,), clean = task.batch(dataset, 0, 0, 32)
    assert float((given - clean).std()) * 255 == pytest.approx(25, rel=0.02)
    assert given.min() < 0 and given.max() > 1
    assert dataset.train[0].inputs[0] is dataset.train[0].target  # nothing is kept twice


def test_blind_noise_has_every_level_and_the_map_tells_it(small_photos: Path) -> None:
    task = Denoising(sigma=(0, 50), noise_map=True)
    dataset = task.read(DataSettings(train=(small_photos,), validation=2), 0)
    (given, told), clean = task.batch(dataset, 0, 3, 64)
    measured = (given - clean).flatten(1).std(1)
    assert torch.allclose(measured, told[:, 0, 0, 0], atol=0.01) and told.shape == (64, 1, 64, 64)
    assert told.min() * 255 < 5 and told.max() * 255 > 45
    assert (told.flatten(1).std(1) == 0).all()
    (alone,), _ = task.model_copy(update={"noise_map": False}).batch(dataset, 0, 3, 64)
    assert torch.equal(alone, given)


def test_figures_are_those_of_scikit_image(small_photos: Path) -> None:
    """The protocol by hand: grey as rgb2gray makes it, noise added, output rounded to 8 bits, no border left out."""
    seen: list[np.ndarray] = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        seen.append(inputs[0][0, 0].numpy())
        return torch.nn.functional.avg_pool2d(inputs[0], 3, 1, 1)

    result = Denoising().test(run, Pictures(folder=small_photos, only=("astronaut", "coins*")))
    assert set(result.per_image) == {"astronaut.png", "coins.png"}
    for name, given in zip(sorted(result.per_image), seen, strict=True):
        clean = photo(small_photos, name)
        clean = grey(clean) if clean.ndim == 3 else clean
        smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(given)[None], 3, 1, 1)[0].numpy()
        made = np.clip(np.round(smooth * 255), 0, 255).astype(np.uint8)
        assert result.per_image[name]["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, made), abs=1e-4)
        theirs = structural_similarity(clean, made, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        assert result.per_image[name]["ssim"] == pytest.approx(theirs, abs=1e-4)


def test_colour_figures_are_those_of_scikit_image(small_photos: Path) -> None:
    task = Denoising(colour="rgb", sigma=10)
    given: list[np.ndarray] = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        given.append(inputs[0][0].numpy())
        return inputs[0]

    result = task.test(run, Pictures(folder=small_photos, only=("rocket.png",)))
    clean = photo(small_photos, "rocket.png")
    made = np.clip(np.round(given[0] * 255), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    assert result.metrics["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, made), abs=1e-4)
    theirs = structural_similarity(
        clean, made, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2
    )
    assert result.metrics["ssim"] == pytest.approx(theirs, abs=1e-4)
    assert set(result.metrics) == {"psnr", "ssim", "psnr_y", "ssim_y"}


def test_a_range_is_judged_at_the_usual_levels(small_photos: Path) -> None:
    task = Denoising(sigma=(0, 30))
    figures = task.test(task.baseline("noisy"), small_photos).metrics
    assert set(figures) == {"psnr", "ssim", "psnr_15", "psnr_25"}
    assert figures["psnr"] == pytest.approx((figures["psnr_15"] + figures["psnr_25"]) / 2)
    alone = Denoising(sigma=25)
    assert alone.test(alone.baseline("noisy"), small_photos).metrics["psnr"] == pytest.approx(figures["psnr_25"])


def test_every_network_sees_the_same_noise(small_photos: Path) -> None:
    seen: list[Tensor] = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        seen.append(inputs[0])
        return inputs[0]

    for _ in range(2):
        Denoising().test(run, Pictures(folder=small_photos, only=("camera.png", "coins.png")))
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])
    noises = [
        one - torch.from_numpy(photo(small_photos, name) / 255)
        for one, name in zip(seen, ("camera.png", "coins.png"), strict=False)
    ]
    assert abs(float((noises[0] * noises[1]).mean())) * 255**2 < 30  # of two pictures they have nothing in common


@pytest.mark.parametrize("level", [5, 25, 60])
def test_the_noise_of_a_photo_is_estimated(photos: Path, level: int) -> None:
    clean = photo(photos, "coffee.png").transpose(2, 0, 1).astype(np.float32) / 255
    found = estimated_sigma(noisy(clean, level, np.random.default_rng(0)))
    assert found == pytest.approx(level, rel=0.15, abs=2)  # texture raises the least levels


def test_non_local_means_beats_the_noise(small_photos: Path) -> None:
    for task in (Denoising(), Denoising(sigma=(10, 40), colour="rgb")):
        only = Pictures(folder=small_photos, only=("coffee.png",))
        before, after = (task.test(task.baseline(name), only).metrics["psnr"] for name in ("noisy", "nlm"))
        assert after > before + 3


def test_pairs_by_the_ends_of_names(pairs: Path) -> None:
    task = Denoising(noise="pairs", ends=("_real", "_mean"), colour="rgb")
    dataset = task.read(DataSettings(train=(pairs,), validation="B2*", leave_out="*coffee*"), 0)
    assert {name.partition("_")[0] for name in dataset.train_names} == {"A1"}
    assert {name.partition("_")[0] for name in dataset.validation_names} == {"B2"}
    names = (*dataset.train_names, *dataset.validation_names)
    assert len(names) == 5 and all(name.endswith("_mean.PNG") for name in names)
    (given,), clean = task.batch(dataset, 0, 0, 8)
    assert float((given - clean).std()) * 255 == pytest.approx(12, rel=0.2)
    result = task.test(task.baseline("noisy"), Pictures(folder=pairs, only=("*coffee*",)))
    assert result.num_images == 1 and result.metrics["psnr"] == pytest.approx(26.6, abs=0.5)
    example = task.example(task.baseline("noisy"), pairs / next(iter(result.per_image)))
    assert example.before["psnr"] == pytest.approx(result.metrics["psnr"])


def test_gain_changes_the_brightness_of_both_pictures_of_a_pair_alike(pairs: Path) -> None:
    settings = {"noise": "pairs", "ends": ("_real", "_mean"), "colour": "rgb", "patch": 32}
    plain, other = Denoising(**settings), Denoising(**settings, gain=(0.5, 1.5))
    dataset = plain.read(DataSettings(train=(pairs,), validation="B2*"), 0)
    (seen,), clean = plain.batch(dataset, 0, 3, 6)
    (dark,), target = other.batch(dataset, 0, 3, 6)
    factors = target.mean((2, 3)) / clean.mean((2, 3))
    assert float(factors.min()) > 0.5 and float(factors.max()) < 1.5 and float(factors.std()) > 0.1
    assert torch.allclose(dark, seen * factors[..., None, None], atol=1e-5)
    assert torch.allclose(target, clean * factors[..., None, None], atol=1e-5)


def test_pairs_by_folder(pairs: Path, tmp_path: Path) -> None:
    for kind in ("real", "mean"):
        (tmp_path / kind).mkdir()
        for path in pairs.glob(f"*_{kind}.*"):
            path.rename(tmp_path / kind / path.name.lower().replace(f"_{kind}", ""))
    task = Denoising(noise="pairs", colour="rgb")
    dataset = task.read(DataSettings(train=(tmp_path / "mean",), noisy=tmp_path / "real", validation=1), 0)
    assert len(dataset.train) == 5
    checked = dataset.validation[0]
    assert checked.partner == tmp_path / "real" / checked.partner.name
    shown = task.example(task.baseline("noisy"), checked.path, given=checked.partner)
    assert 20 < shown.before["psnr"] < 30
    tested = task.test(task.baseline("noisy"), Pictures(folder=tmp_path / "mean", noisy=tmp_path / "real"))
    assert tested.num_images == 6 and 20 < tested.metrics["psnr"] < 30


def test_mistakes_with_pairs(pairs: Path, small_photos: Path) -> None:
    task = Denoising(noise="pairs", ends=("_real", "_mean"))
    with pytest.raises(UserError, match=r"has a name as task\.ends says"):
        task.read(DataSettings(train=(small_photos,)), 0)
    with pytest.raises(UserError, match="named \\*_mean, the clean one of a pair"):
        task.test(task.baseline("noisy"), small_photos)
    with pytest.raises(UserError, match=r"data\.validation is the pattern 'C3\*', which fits 0 of 6"):
        task.read(DataSettings(train=(pairs,), validation="C3*"), 0)
    with pytest.raises(UserError, match=r"data\.leave_out: no picture is named 'C3'"):
        task.read(DataSettings(train=(pairs,), leave_out="C3"), 0)
    with pytest.raises(UserError, match=r"no picture in .* is named 'C3'"):
        task.test(task.baseline("noisy"), Pictures(folder=pairs, only=("C3",)))
    next(pairs.glob("*coins_real*")).unlink()
    with pytest.raises(UserError, match=r"has no partner; looked for .*coins_real with any ending"):
        task.read(DataSettings(train=(pairs,)), 0)
    with pytest.raises(UserError, match=r"set task\.noise=pairs"):
        Denoising().read(DataSettings(train=(pairs,), noisy=pairs), 0)


def test_lists_of_names(small_photos: Path, tmp_path: Path) -> None:
    listed = tmp_path / "some.txt"
    listed.write_text("camera.png\nchelsea.png\n\n")
    found = Pictures(folder=small_photos, only=str(listed)).paths()
    assert [path.name for path in found] == ["camera.png", "chelsea.png"]
    listed.write_text("camera.png\nmissing.png\n")
    with pytest.raises(UserError, match=r"is named 'missing\.png'"):
        Pictures(folder=small_photos, only=str(listed)).paths()
    with pytest.raises(UserError, match="one picture's name a line"):
        Pictures(folder=small_photos, only=str(tmp_path / "none.txt")).paths()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma": 0}, "above 0 and up to 255"),
        ({"sigma": (50, 0)}, "the smaller first"),
        ({"colour": "luma"}, "'grey' or 'rgb'"),
        ({"scale": 2}, "should be 1"),
        ({"quality": "psnr_y"}, "quality must be one of psnr, ssim; got 'psnr_y'"),
        ({"noise": "pairs", "noise_map": True}, "noise_map needs a noise level"),
        ({"noise": "pairs", "gain": (1.2, 0.6)}, "gain must be two factors"),
        ({"gain": (0.6, 1.2)}, "gain is for pairs"),
        ({"ends": ("_a", "_a")}, "two different ends"),
        ({"shrinks": ()}, "one or several"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Denoising.model_validate(settings)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colour", ["grey", "rgb"])
@pytest.mark.parametrize("name", ["coins.png", "coffee.png"])
def test_enhancing_keeps_depth_and_takes_each_channel(small_photos: Path, bits: int, colour: str, name: str) -> None:
    picture = read_picture(small_photos / name)
    if bits == 16:
        picture = Picture(picture.pixels.astype(np.uint16) * 257)
    shapes = set()

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        shapes.add(tuple(inputs[0].shape[:2]))
        assert float(inputs[1].min()) == pytest.approx(30 / 255)
        return inputs[0] * 0.5

    better = Denoising(colour=colour, sigma=30, noise_map=True).enhance(run, picture, tile=70)
    assert better.pixels.dtype == picture.pixels.dtype and better.kind == picture.kind
    assert np.abs(better.pixels.astype(float) * 2 - picture.pixels).max() <= 1
    assert shapes == {(picture.pixels.shape[2], 1) if colour == "grey" else (1, 3)}


def test_a_range_is_told_what_the_photo_seems_to_have(small_photos: Path) -> None:
    clean = photo(small_photos, "coffee.png").transpose(2, 0, 1).astype(np.float32) / 255
    spoiled = np.clip(noisy(clean, 20, np.random.default_rng(0)) * 255, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    told = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        told.append(float(inputs[1].mean()) * 255)
        return inputs[0]

    for top, expected in ((50, 20), (12, 12)):
        Denoising(sigma=(0, top), noise_map=True).enhance(run, Picture(np.ascontiguousarray(spoiled)))
        assert told[-1] == pytest.approx(expected, rel=0.15)
