"""Checking pictures: duplicates are found whatever happened to them, others are not, and problems are told apart."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falconet.errors import UserError
from falconet.tasks.check import check, near_pairs, picture_hash


@pytest.fixture
def labelled(photos: Path, tmp_path: Path) -> Path:
    """Tiles of real photos in two classes."""
    root = tmp_path / "labelled"
    for label, name in (("cats", "chelsea"), ("space", "rocket")):
        (root / label).mkdir(parents=True)
        with Image.open(photos / f"{name}.png") as photo:
            for index in range(6):
                left, top = 60 * (index % 3), 100 * (index // 3)
                photo.crop((left, top, left + 90, top + 90)).save(root / label / f"{index}.png")
    return root


def test_sound_pictures_have_no_problems(labelled: Path) -> None:
    found = check(labelled)
    assert found.problems == () and found.unreadable == () and found.pictures == 12
    assert found.classes == {"cats": 6, "space": 6} and found.sizes == {"90x90": 12}


def test_copies_are_found_resized_and_compressed(labelled: Path) -> None:
    with Image.open(labelled / "cats/0.png") as image:
        image.resize((70, 70)).save(labelled / "cats/copy.jpg", quality=70)
    with Image.open(labelled / "cats/3.png") as image:
        image.save(labelled / "space/wrong.png")
    found = check(labelled)
    pairs = {frozenset(pair) for pair in found.duplicates}
    assert frozenset(("cats/0.png", "cats/copy.jpg")) in pairs
    assert frozenset(("cats/3.png", "space/wrong.png")) in pairs
    assert any("different labels" in problem and "wrong.png" in problem for problem in found.problems)


def test_sets_that_share_pictures(labelled: Path, tmp_path: Path) -> None:
    test = tmp_path / "test"
    for label in ("cats", "space"):
        (test / label).mkdir(parents=True)
    with Image.open(labelled / "cats/2.png") as image:
        image.save(test / "cats/again.png")
        image.transpose(Image.Transpose.ROTATE_180).save(test / "space/other.png")
    found = check(labelled, test)
    assert found.across == (("cats/2.png", "cats/again.png"),)
    assert "in both sets" in found.problems[0]


def test_pixel_folders_small_pictures_and_what_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    with Image.open(photos / "coffee.png") as image:
        image.crop((0, 0, 40, 90)).save(tmp_path / "small.png")
        image.save(tmp_path / "coffee.png")
    (tmp_path / "broken.png").write_bytes((photos / "coffee.png").read_bytes()[:5000])
    with Image.open(photos / "coins.png") as image:
        image.save(tmp_path / "coins.png")
    found = check(tmp_path)
    assert found.classes == {} and [name for name, _ in found.unreadable] == ["broken.png"]
    assert found.problems == ("1 of 4 pictures cannot be read",)
    assert any("smaller than 48 pixels" in one for one in found.remarks)
    assert any("mixed: 2 colour, 1 grey" in one for one in found.remarks)


def test_arrays_are_checked_too_and_imbalance_is_told(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (44, 12, 12), dtype=np.uint8)
    images[7] = images[3]
    np.savez(tmp_path / "a.npz", images=images, labels=np.array([0] * 40 + [1] * 4))
    found = check(tmp_path / "a.npz")
    assert found.duplicates == (("3", "7"),)
    assert any("0 has 40 pictures, 1 has 4" in one for one in found.remarks)


def test_near_pairs_are_all_pairs_within_a_few_bits() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(1, 2**63, (200, 2), dtype=np.uint64)
    for copy in range(100, 140):
        hashes[copy] = hashes[copy - 100]
        for bit in rng.choice(128, rng.integers(0, 7), replace=False).tolist():
            hashes[copy, bit // 64] ^= np.uint64(1 << (bit % 64))
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(2)
    wanted = {(i, j) for i in range(200) for j in range(i + 1, 200) if apart[i, j] <= 4}
    assert set(near_pairs(hashes)) == wanted and len(wanted) > 15
    assert set(near_pairs(hashes, split=100)) == {(i, j) for i, j in wanted if i < 100 <= j}


def test_a_flat_picture_has_no_hash() -> None:
    assert picture_hash(np.full((20, 20), 77, np.uint8)) == (0, 0)
    assert picture_hash(np.tile(np.arange(200, dtype=np.uint8), (200, 1))) != (0, 0)


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no pictures"):
        check(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        check(tmp_path / "none.npz")
