"""What every test may use: one thread, real photos, and the reference data when it is at hand."""

import os

# Before anything imports torch, numpy or onnxruntime: two test processes share two cores.
os.environ["OMP_NUM_THREADS"] = "1"

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")  # these lie inside the installed package


LONG = ("tests/test_readme.py", "tests/test_examples.py", "tests/run/", "tests/search/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process is left alone with one at the end (see TESTS in the Makefile)."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Torch computes with one thread, whatever a test before this one chose; torch is not imported for it."""
    _set_one_thread()
    yield
    _set_one_thread()


def _set_one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test sets and reference data beside the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the reference data in ../shared")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six real photos as PNG, 300 to 640 pixels a side: four in colour, two grey (camera, coins)."""
    import skimage.data
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    for name in PHOTOS:
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png", compress_level=1)
    return folder
