from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def small_photos(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The middle of the six photos, 200 x 160 pixels: four in colour, two grey."""
    folder = tmp_path_factory.mktemp("small_photos")
    for path in photos.iterdir():
        with Image.open(path) as image:
            left, top = (image.width - 200) // 2, (image.height - 160) // 2
            image.crop((left, top, left + 200, top + 160)).save(folder / path.name)
    return folder
