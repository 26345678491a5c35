"""A recipe so small that a whole run takes seconds, and such a run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from falconet.run import Recipe, pipeline
from falconet.run.recipe import parse

TINY = """
task: {name: super_resolution, scale: 2, patch: 16}
data: {train: PHOTOS, validation: 2}
space: {name: restoration, width: [4, 6], depth: [1, 2], kind: [plain, ecb], activation: [relu]}
budget: {macs: 8M, at_output: 256x128}
supernet: {steps: 6, batch: 2, precision: float32, checkpoint_minutes: 0.0001}
search: {strategy: nsga2, evaluations: 6, population: 3}
seed: 2
final: {steps: 5, batch: 2, at: [3M, 8M], precision: float32, checkpoint_minutes: 0.0001}
"""


@pytest.fixture(scope="session")
def small_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The middles of six real photos, 96 x 80 pixels each."""
    folder = tmp_path_factory.mktemp("small")
    for path in photos.iterdir():
        with Image.open(path) as photo:
            left, top = (photo.width - 96) // 2, (photo.height - 80) // 2
            photo.crop((left, top, left + 96, top + 80)).save(folder / path.name)
    return folder


@pytest.fixture(scope="session")
def tiny_text(small_photos: Path) -> str:
    """The text of a recipe for a run of seconds on six small photos."""
    return TINY.replace("PHOTOS", str(small_photos))


@pytest.fixture(scope="session")
def tiny(tiny_text: str) -> Recipe:
    """That recipe, read."""
    return parse(tiny_text)


@pytest.fixture(scope="session")
def begun(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that is planned, and in which nothing has been trained yet."""
    folder = tmp_path_factory.mktemp("runs") / "begun"
    pipeline.begin(tiny, folder)
    return folder


@pytest.fixture(scope="session")
def finished(begun: Path) -> Path:
    """The same run, done from beginning to end without a stop. Not to be changed: see `a_copy`."""
    folder = begun.with_name("finished")
    shutil.copytree(begun, folder)
    pipeline.resume(folder)
    return folder


@pytest.fixture
def a_copy(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a run folder to a place of the test's own."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / folder.name))

    return copy
