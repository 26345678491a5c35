"""Classification: three kinds of sources, stratified splits that tear no group apart, batches, figures."""

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from falconet.errors import UserError
from falconet.graph import Normalize, flatten
from falconet.graph.network import Network, deployed
from falconet.tasks import Classification, Classifier, Dataset, DataSettings, Pictures
from falconet.tasks.augment import OPERATIONS, Augmentation, affine, augment
from falconet.tasks.labelled import find_classes, listing, read_labelled
from falconet.tasks.stratify import quotas, stratified
from falconet.zoo.classify import classify

NAMES = ("ant", "bee", "cat")


def picture(label: int, rng: np.random.Generator, height: int = 20, width: int = 24) -> np.ndarray:
    """Noise in which one of three channels is bright."""
    values = rng.integers(0, 90, size=(height, width, 3), dtype=np.uint8)
    values[..., label] += 150
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of three classes: 12, 9 and 6 pictures of several formats, sizes and modes."""
    root, rng = tmp_path_factory.mktemp("labelled") / "pictures", np.random.default_rng(0)
    for label, (name, count) in enumerate(zip(NAMES, (12, 9, 6), strict=True)):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = Image.fromarray(picture(label, rng, 20 + index, 24))
            modes = {0: ("RGB", "png"), 1: ("RGB", "jpg"), 2: ("RGBA", "png"), 3: ("P", "gif"), 4: ("CMYK", "jpg")}
            mode, ending = modes[index % 5]
            image.convert(mode).save(root / name / f"{index}.{ending}")
    return root


@pytest.fixture(scope="module")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 encoded pictures with class names."""
    path, rng, files = tmp_path_factory.mktemp("npz") / "encoded.npz", np.random.default_rng(1), []
    labels = np.arange(60) % 3
    for label in labels:
        buffer = io.BytesIO()
        Image.fromarray(picture(int(label), rng, 16, 16)).save(buffer, "PNG")
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in files])])
    np.savez(path, data=np.concatenate(files), offsets=offsets, labels=labels.astype(np.uint8), classes=NAMES)
    return path


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 raw pictures, labels 8, 9 and 10, in tracks of five frames numbered anew in each class."""
    path, rng = tmp_path_factory.mktemp("npz") / "tracks.npz", np.random.default_rng(2)
    labels = np.repeat([10, 8, 9], 40)
    images = np.stack([picture(label - 8, rng, 16, 16) for label in labels])
    np.savez(path, images=images, labels=labels, track=np.tile(np.repeat(np.arange(8), 5), 3))
    return path


@pytest.fixture(scope="module")
def task() -> Classification:
    return Classification(size=16, classes=NAMES, pad=2)


@pytest.fixture(scope="module")
def dataset(task: Classification, npz: Path) -> Dataset:
    return task.read(DataSettings(train=(npz,), validation=9, holdout=0.2), seed=3)


def perfect(inputs: tuple[Tensor, ...]) -> Tensor:
    """The channel that is brightest."""
    return inputs[0].mean((2, 3))


def test_settings_are_frozen_round_trip_and_are_checked(task: Classification) -> None:
    assert isinstance(task, Classifier)
    assert Classification.model_validate_json(task.model_dump_json()) == task
    assert Classification.model_validate({"classes": [0, 1]}).classes == ("0", "1")
    for wrong in ({"classes": ("a", "a")}, {"mean": (0.5,)}, {"std": (0, 1, 1)}, {"size": 4}, {"policy": "auto"}):
        with pytest.raises(ValidationError):
            Classification.model_validate(wrong)


def test_a_folder_of_any_modes_becomes_pictures_of_one_size(folder: Path) -> None:
    found = read_labelled((folder,), 16, "rgb")
    assert found.classes == NAMES and found.images.shape == (27, 16, 16, 3) and not found.skipped
    assert np.bincount(found.labels).tolist() == [12, 9, 6]
    assert (found.images.mean((1, 2)).argmax(1) == found.labels).all()
    grey = read_labelled((folder,), 16, "grey")
    assert grey.images.shape == (27, 16, 16, 1)


def test_a_table_says_where_pictures_lie(folder: Path, tmp_path: Path) -> None:
    table = folder.parent / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group"))
        for path in sorted(folder.rglob("*.*")):
            writer.writerow((path.relative_to(folder.parent), path.parent.name, path.stem))
    ours, theirs = read_labelled((table,), 16, "rgb"), read_labelled((folder,), 16, "rgb")
    assert ours.is_grouped and sorted(ours.labels) == sorted(theirs.labels)
    assert sorted(map(bytes, ours.images)) == sorted(map(bytes, theirs.images))


def test_numbers_as_labels_are_sorted_as_numbers(tracks: Path) -> None:
    found = read_labelled((tracks,), 16, "rgb")
    assert found.classes == find_classes((tracks,)) == ("8", "9", "10")
    assert (found.images.mean((1, 2)).argmax(1) == found.labels).all()
    assert len(set(found.groups)) == 24


def test_a_picture_that_cannot_be_read_is_left_out_by_name(npz: Path, tmp_path: Path) -> None:
    with np.load(npz) as file:
        arrays = dict(file)
    arrays["data"] = arrays["data"].copy()
    arrays["data"][arrays["offsets"][7] : arrays["offsets"][8]] = 0
    broken = tmp_path / "broken.npz"
    np.savez(broken, **arrays)
    found = read_labelled((broken,), 16, "rgb")
    assert len(found.names) == 59 and [item.path.name for item in found.skipped] == ["7"]


WRONG: dict[str, tuple[str, Callable[[dict], object]]] = {
    "no labels": ("must hold labels", lambda a: a.pop("labels")),
    "labels of another length": ("labels must be 60", lambda a: a.update(labels=a["labels"][:5])),
    "labels beyond the classes": ("labels must lie from 0 to 2", lambda a: a.update(labels=a["labels"] + 1)),
    "offsets that fall": ("offsets must ascend", lambda a: a.update(offsets=a["offsets"][::-1])),
    "pickles": ("not plain numbers", lambda a: a.update(labels=np.array([{}] * 60, object))),
}


@pytest.mark.parametrize("name", WRONG)
def test_damaged_files_are_refused_in_words(name: str, npz: Path, tmp_path: Path) -> None:
    with np.load(npz) as file:
        arrays = dict(file)
    message, spoil = WRONG[name]
    spoil(arrays)
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(UserError, match=message.replace("not plain", "what is not plain")):
        listing(tmp_path / "wrong.npz")


def test_other_mistakes_are_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file,class\nx,y\n")
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 not a zip")
    for path, words in (
        (tmp_path / "none", "does not exist"),
        (folder / "ant", "holds no folders"),
        (tmp_path / "a.csv", "columns path and label; it has file, class"),
        (tmp_path / "torn.npz", "damaged"),
        (Path(__file__), "an .npz or .csv"),
    ):
        with pytest.raises(UserError, match=words):
            listing(path)
    with pytest.raises(UserError, match=r"holds the class 'ant', which is not one of the 2"):
        read_labelled((folder,), 16, "rgb", ("bee", "cat"))


def test_a_split_gives_each_class_its_share_and_loses_nothing(task: Classification, npz: Path) -> None:
    data = DataSettings(train=(npz,), validation=9, holdout=0.2)
    dataset = task.read(data, seed=3)
    parts = [dataset.train, dataset.validation, dataset.holdout]
    assert [len(part) for part in parts] == [39, 9, 12]
    assert [np.bincount([int(e.target) for e in part]).tolist() for part in parts[1:]] == [[3, 3, 3], [4, 4, 4]]
    assert sorted(int(e.name) for part in parts for e in part) == list(range(60))
    again, other = task.read(data, seed=3), task.read(data, seed=4)
    assert again.validation_names == dataset.validation_names != other.validation_names
    more = task.read(data.model_copy(update={"validation": 15}), seed=3)
    assert [e.name for e in more.holdout] == [e.name for e in dataset.holdout]


def test_frames_of_one_track_stay_together(tracks: Path) -> None:
    task = Classification(size=16, classes=("8", "9", "10"))
    dataset = task.read(DataSettings(train=(tracks,), validation=0.25, holdout=0.25), seed=0)
    sides = [{int(e.name) // 5 for e in part} for part in (dataset.train, dataset.validation, dataset.holdout)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert [len(side) for side in sides] == [12, 6, 6]
    assert "split by group" in dataset.notes[0]
    judged = task.held_out(lambda xs: torch.ones(len(xs[0]), 3), dataset)
    assert judged is not None and len(judged.groups) == judged.num_images > len(set(judged.groups.values())) > 1


def test_shares_are_exact_and_a_class_is_never_emptied() -> None:
    assert quotas(np.array([5000] * 10), 4000).tolist() == [400] * 10
    labels, groups = np.array([0, 0, 0, 0, 1]), np.array([0, 0, 1, 1, 2])
    for seed in range(20):
        aside = stratified(labels, groups, 0.9, np.random.default_rng(seed))
        assert aside.sum() == 2 and not aside[4] and aside[0] == aside[1]


def test_batches_are_a_function_of_seed_and_step(task: Classification, dataset: Dataset) -> None:
    (x,), target = task.batch(dataset, 0, 7, 8)
    task.batch(dataset, 0, 8, 8)
    (again,), same = task.batch(dataset, 0, 7, 8)
    assert torch.equal(x, again) and torch.equal(target, same)
    assert x.shape == (8, 3, 16, 16) and x.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= x.min() < x.max() <= 1 and x.dtype == target.dtype == torch.float32
    assert not torch.equal(task.batch(dataset, 0, 8, 8)[0][0], x)
    assert not torch.equal(task.batch(dataset, 1, 7, 8)[0][0], x)
    torch.testing.assert_close(target.sum(1), torch.ones(8))
    assert target.max() == pytest.approx(0.9 + 0.1 / 3)


def test_a_batch_does_not_change_the_pictures(task: Classification, dataset: Dataset) -> None:
    before = dataset.arrays["images"].copy()
    (x,), _ = task.batch(dataset, 0, 0, 39)
    x.zero_()
    np.testing.assert_array_equal(before, dataset.arrays["images"])


def test_every_picture_comes_once_an_epoch(dataset: Dataset) -> None:
    task = Classification(size=16, classes=NAMES, pad=0, flip=False, policy="none")
    count = len(dataset.train)
    seen = [task.batch(dataset, 5, step, 3)[0][0] for step in range(count // 3)]
    rows = {row.numpy().tobytes() for batch in seen for row in (batch * 255).round().byte()}
    assert len(rows) == count == 39


def test_plain_batches_are_training_pictures(task: Classification, dataset: Dataset) -> None:
    (x,) = task.plain_batch(dataset, 1, 4)
    known = {image.tobytes() for image in dataset.arrays["images"]}
    assert {row.tobytes() for row in (x * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()} <= known
    assert torch.equal(x, task.plain_batch(dataset, 1, 4)[0])


def test_the_loss_is_pytorchs(task: Classification, dataset: Dataset) -> None:
    _, target = task.batch(dataset, 0, 0, 9)
    output = torch.randn(9, 3)
    torch.testing.assert_close(task.loss(output, target), torch.nn.functional.cross_entropy(output, target))
    torch.testing.assert_close(task.as_target(output).sum(1), torch.ones(9))


def test_figures_of_a_network_that_is_right_and_of_one_that_is_not(task: Classification, dataset: Dataset) -> None:
    assert task.validate(perfect, dataset) == {"top1": 100.0, "top5": 100.0}
    assert task.validate(lambda x: -perfect(x), dataset)["top1"] == 0.0
    assert task.validate(lambda x: torch.zeros(len(x[0]), 3), dataset)["top1"] == 0.0  # a tie is no answer
    with pytest.raises(UserError, match="3 values a picture"):
        task.validate(lambda x: perfect(x)[:, :2], dataset)


def test_held_out_and_test_pictures_have_a_confusion_matrix(
    task: Classification, dataset: Dataset, folder: Path
) -> None:
    held = task.held_out(perfect, dataset)
    assert held is not None and held.confusion == ((4, 0, 0), (0, 4, 0), (0, 0, 4)) and held.num_images == 12
    always_bee = task.test(lambda x: torch.tensor([[0.0, 1.0, 0.0]]).expand(len(x[0]), 3), Pictures(folder=folder))
    assert always_bee.confusion == ((0, 12, 0), (0, 9, 0), (0, 6, 0))
    assert always_bee.metrics["top1"] == pytest.approx(100 * 9 / 27)
    assert np.mean([row["top1"] for row in always_bee.per_image.values()]) == pytest.approx(always_bee.metrics["top1"])
    with pytest.raises(UserError, match="classes are not known"):
        Classification().test(perfect, folder)


def test_the_network_normalizes_and_so_does_what_ships(task: Classification) -> None:
    from falconet.graph import Conv, Draft

    d = Draft(x=3)
    y = d.layer("first", Conv(4), "x")
    spec = task.prepare(d.build(classify(d, d.layer("more", Conv(4), y), 3)))
    assert isinstance(spec.layers[0].op, Normalize) and task.prepare(spec) is spec
    network, x = Network(spec).eval(), torch.rand(2, 3, 16, 16)
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.layers[0].op.mean, spec.layers[0].op.std))
    bare = Network(d.build("classes")).eval()
    bare.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(x), bare((x - mean) / std))
    small = deployed(network)
    assert not any(isinstance(layer.op, Normalize) for layer in flatten(small.spec).layers)
    torch.testing.assert_close(small(x), network(x), atol=1e-5, rtol=1e-5)


def test_what_a_classifier_does_not_do_is_told(task: Classification) -> None:
    assert task.input_sizes() == ((16, 16),) and task.input_sizes(at_input=(20, 10)) == ((10, 20),)
    with pytest.raises(UserError, match="at_input: 16x16"):
        task.input_sizes(at_output=(8, 8))
    with pytest.raises(UserError, match="no baseline"):
        task.baseline("bicubic")
    with pytest.raises(UserError, match="makes none"):
        task.example(perfect, Path("x.png"))
    with pytest.raises(UserError, match="numbers or shares"):
        task.read(DataSettings(train=(Path("x"),), validation="a*"), 0)


IMAGES = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_of_no_strength_changes_nothing_and_of_full_strength_something(name: str) -> None:
    operation = OPERATIONS[name]
    none = operation.run(IMAGES.copy(), np.zeros(6, np.float32))
    full = operation.run(IMAGES.copy(), np.full(6, operation.most_wide, np.float32))
    assert none.shape == full.shape == IMAGES.shape and none.dtype == full.dtype == np.uint8
    if operation.most_wide:
        np.testing.assert_array_equal(none, IMAGES)
        assert (full != IMAGES).any()


@pytest.mark.parametrize(
    ("name", "strength", "pillow"),
    [
        ("auto_contrast", 0, lambda i: __import__("PIL.ImageOps").ImageOps.autocontrast(i)),
        ("equalize", 0, lambda i: __import__("PIL.ImageOps").ImageOps.equalize(i)),
        ("posterize", 3, lambda i: __import__("PIL.ImageOps").ImageOps.posterize(i, 5)),
        ("solarize", 100, lambda i: __import__("PIL.ImageOps").ImageOps.solarize(i, 156)),
        ("brightness", 0.6, lambda i: __import__("PIL.ImageEnhance").ImageEnhance.Brightness(i).enhance(1.6)),
        ("contrast", -0.6, lambda i: __import__("PIL.ImageEnhance").ImageEnhance.Contrast(i).enhance(0.4)),
        ("colour", 0.6, lambda i: __import__("PIL.ImageEnhance").ImageEnhance.Color(i).enhance(1.6)),
        ("sharpness", 0.6, lambda i: __import__("PIL.ImageEnhance").ImageEnhance.Sharpness(i).enhance(1.6)),
    ],
)
def test_operations_agree_with_pillows(name: str, strength: float, pillow: Callable) -> None:
    rng = np.random.default_rng(4)
    images = rng.integers(40, 200, (5, 16, 16, 3), dtype=np.uint8)
    ours = OPERATIONS[name].run(images.copy(), np.full(5, strength, np.float32)).astype(int)
    theirs = np.stack([np.asarray(pillow(Image.fromarray(image))) for image in images])
    assert np.abs(ours - theirs).max() <= (2 if name in ("sharpness", "colour", "contrast") else 1)


def test_turning_by_a_right_angle_is_exact() -> None:
    turned = OPERATIONS["rotate"].run(IMAGES.copy(), np.full(6, 90, np.float32))
    assert any(np.array_equal(turned, np.rot90(IMAGES, k, axes=(1, 2))) for k in (1, 3))
    moved = affine(IMAGES, np.tile(np.array([[1, 0, 2], [0, 1, 0]], np.float32), (6, 1, 1)))
    np.testing.assert_array_equal(moved[:, :, :-2], IMAGES[:, :, 2:])
    assert (moved[:, :, -2:] == 128).all()


def test_augmenting_is_a_function_of_the_generator() -> None:
    settings = Augmentation(policy="trivial_wide")
    first, again = (augment(IMAGES, settings, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != augment(IMAGES, settings, np.random.default_rng(4))).any()
    np.testing.assert_array_equal(augment(IMAGES, Augmentation(0, False, "none"), np.random.default_rng(0)), IMAGES)


def test_real_pictures_are_split_as_asked(shared: Path) -> None:
    signs = shared / "data/cls/gtsrb32_train.npz"
    task = Classification(size=32, flip=False).knowing(DataSettings(train=(signs,)))
    assert task.classes == tuple(map(str, range(43)))
    dataset = task.read(DataSettings(train=(signs,), validation=0.15, holdout=0.2), seed=0)
    with np.load(signs) as file:
        track = file["labels"].astype(int) * 1000 + file["track"]
    sides = [set(track[[int(e.name) for e in part]]) for part in (dataset.train, dataset.validation, dataset.holdout)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


def test_importing_the_task_leaves_torch_alone() -> None:
    code = "import sys, falconet.tasks.classification; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})
