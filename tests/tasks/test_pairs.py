from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.tasks import DataSettings, SuperResolution
from falconet.tasks.degrade import crop_to_multiple, resize_bicubic, shrink
from falconet.tasks.metrics import luma
from falconet.tasks.pairs import split

RNG = np.random.default_rng(0)


def picture(path: Path, height: int = 80, width: int = 90, channels: int = 3) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels if channels > 1 else pixels[..., 0]).save(path)
    return pixels if channels > 1 else pixels[..., 0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c", "d"):
        picture(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


def read(folder: Path, seed: int = 0, **settings: object):
    data = DataSettings(train=(folder,), validation=settings.pop("validation", 1), lr=settings.pop("lr", None))
    return SuperResolution(**settings).read(data, seed)


def test_pairs_follow_the_protocol(tmp_path: Path) -> None:
    pixels = {name: picture(tmp_path / name, 81, 91) for name in ("a.png", "b.png")}
    dataset = read(tmp_path)
    (example,) = dataset.train
    high = pixels[example.name][:80, :90]
    np.testing.assert_allclose(example.target[0], luma(high) / 255, atol=1e-7)
    np.testing.assert_allclose(example.inputs[0][0], luma(shrink(high, 2)) / 255, atol=1e-7)


def test_a_grey_picture_is_its_own_luma_and_three_equal_colours(tmp_path: Path) -> None:
    pixels = {name: picture(tmp_path / name, channels=1) for name in ("a.png", "b.png")}
    (example,) = read(tmp_path).train
    np.testing.assert_allclose(example.target[0], pixels[example.name] / 255, atol=1e-7)
    (example,) = read(tmp_path, colour="rgb").train
    for channel in example.target:
        np.testing.assert_array_equal(channel, pixels[example.name])


def test_bad_pictures_are_skipped_by_name_with_a_reason(folder: Path) -> None:
    (folder / "text.png").write_text("not a picture")
    picture(folder / "dot.png", 1, 1)
    picture(folder / "cut.jpg", 200, 200)
    data = (folder / "cut.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(data[: len(data) // 2])
    dataset = read(folder)
    reasons = {item.path.name: item.reason for item in dataset.skipped}
    assert set(reasons) == {"text.png", "dot.png", "cut.jpg"}
    assert reasons["text.png"] == "not a picture, or of an unknown format"
    assert reasons["dot.png"] == "1x1 pixels are too few: a training patch takes 64x64"
    assert reasons["cut.jpg"].startswith("the file is damaged or cut short")
    assert len(dataset.train) == 3 and len(dataset.validation) == 1


def test_a_folder_of_bad_pictures_says_why(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.png").write_text("no")
    with pytest.raises(
        UserError, match=r"none of the 7 pictures in .* can be used:\n.*0\.png: not a picture(.|\n)*and 2 more"
    ):
        read(tmp_path)


def test_too_few_pictures(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"at least 5 usable pictures are needed, 4 of them for validation; there are 4"
    ):
        read(folder, validation=4)


@pytest.mark.parametrize(("validation", "count"), [(3, 3), (0.1, 1), (0.5, 50), (0.25, 25), (2.0, 2)])
def test_validation_is_a_count_or_a_share(validation: float, count: int) -> None:
    settings = DataSettings(train="x", validation=validation)
    paths = [Path(str(number)) for number in range(100 if count > 1 else 8)]
    train, checked = split([(path, path.name) for path in paths], settings.validation, seed=0)
    assert len(checked) == min(count, 20) and sorted(train + checked, key=str) == sorted(paths, key=str)


def test_validation_settings_that_mean_nothing() -> None:
    for value in (0, -1, 2.5):
        with pytest.raises(ValidationError):
            DataSettings(train="x", validation=value)


def test_train_is_one_folder_or_several(folder: Path) -> None:
    assert DataSettings(train="x").train == (Path("x"),)
    picture(folder.parent / "more" / "a.png")
    dataset = SuperResolution().read(DataSettings(train=[str(folder), str(folder.parent / "more")], validation=1), 0)
    names = {*dataset.train_names, *dataset.validation_names}
    assert names == {"photos/a.png", "photos/b.png", "photos/c.png", "photos/d.png", "more/a.png"}


def test_shrunken_copies_are_more_training_pictures(folder: Path) -> None:
    dataset = read(folder, shrinks=(1.0, 0.9, 0.5))  # at 0.5, 40 x 45 pixels hold no patch of 64
    assert len(dataset.train) == 2 * 3 and len(dataset.train_names) == 3 and len(dataset.validation) == 1
    whole, smaller = dataset.train[:2]
    high = crop_to_multiple(resize_bicubic(np.asarray(Image.open(whole.path)), 72, 81), 2)
    np.testing.assert_allclose(smaller.target[0], luma(high) / 255, atol=1e-7)


def test_only_shrunken_copies_need_larger_pictures(folder: Path) -> None:
    picture(folder / "large1.png", 128, 200)
    picture(folder / "large2.png", 128, 200)
    dataset = read(folder, shrinks=(0.5,))
    assert len(dataset.train) == 1 and {item.path.name for item in dataset.skipped} == {
        f"{name}.png" for name in "abcd"
    }


def test_shrinks_must_be_shares() -> None:
    for value in ((), (0.0,), (1.5,)):
        with pytest.raises(ValidationError):
            SuperResolution(shrinks=value)


@pytest.mark.parametrize("ending", [".png", "x2.png", "_x2.bmp", "_LR.png"])
def test_partners_are_found_by_name(folder: Path, ending: str) -> None:
    small = {path.stem: picture(folder.parent / "lr" / f"{path.stem}{ending}", 40, 45) for path in folder.iterdir()}
    for example in read(folder, lr=folder.parent / "lr").train:
        np.testing.assert_allclose(example.inputs[0][0], luma(small[example.path.stem]) / 255, atol=1e-7)


def test_partners_of_another_size_or_missing_are_named(folder: Path) -> None:
    lr = folder.parent / "lr"
    for name in "abc":
        picture(lr / f"{name}.png", 40, 45)
    with pytest.raises(UserError, match=r"d\.png has no low-resolution partner; looked for d, dx2"):
        read(folder, lr=lr)
    picture(lr / "d.png", 40, 44)
    with pytest.raises(
        UserError, match=r"d\.png: the partner of d\.png \(90x80 pixels\) at scale 2 must have 45x40, but"
    ):
        read(folder, lr=lr)
    with pytest.raises(UserError, match="Leave out one of the two"):
        read(folder, lr=lr, shrinks=(1.0, 0.9))


def test_a_partner_in_another_mode(folder: Path) -> None:
    lr = folder.parent / "lr"
    small = {name: picture(lr / f"{name}.png", 40, 45, channels=1) for name in "abcd"}
    for example in read(folder, lr=lr).train:
        rgb = np.repeat(small[example.path.stem][..., None], 3, axis=2)
        np.testing.assert_allclose(example.inputs[0][0], luma(rgb) / 255, atol=1e-7)


def test_memory_stays_bounded_by_windows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("large1", "large2"):
        picture(folder / f"{name}.png", 300, 400)
    whole = read(folder)
    limit = 200_000
    monkeypatch.setattr("falconet.tasks.pairs.MEMORY_BYTES", limit)
    cut = read(folder)
    used = sum(example.target.nbytes + example.inputs[0].nbytes for example in cut.train)
    assert used < limit * 1.3 < sum(example.target.nbytes for example in whole.train)
    assert cut.train_names == whole.train_names and "is kept, to stay within" in cut.notes[0] and not whole.notes
    for ours, theirs in zip(cut.train, read(folder).train, strict=True):
        np.testing.assert_array_equal(ours.target, theirs.target)
    inputs, target = SuperResolution().batch(cut, 0, 0, 16)
    assert inputs[0].shape == (16, 1, 32, 32) and target.shape == (16, 1, 64, 64)


def test_windows_of_partners_stay_aligned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lr = folder.parent / "lr"
    for path in list(folder.iterdir()):
        pixels = picture(path, 300, 400)
        (lr / path.name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels[::2, ::2]).save(lr / path.name)
    monkeypatch.setattr("falconet.tasks.pairs.MEMORY_BYTES", 300_000)
    for example in read(folder, lr=lr).train:
        assert example.target.shape[1] < 300
        np.testing.assert_array_equal(example.inputs[0][0], example.target[0, ::2, ::2])


def test_validation_crops_are_the_middle(tmp_path: Path) -> None:
    pixels = {name: picture(tmp_path / name, 400, 301) for name in ("a.png", "b.png")}
    (example,) = read(tmp_path).validation
    assert example.inputs[0].shape == (1, 128, 128) and example.target.shape == (1, 256, 256)
    # 200 x 150 small pixels: rows 36..164, columns 11..139.
    np.testing.assert_allclose(example.target[0], luma(pixels[example.name][72:328, 22:278]) / 255, atol=1e-7)
