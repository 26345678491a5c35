"""Against figures and code that are not ours: published bicubic scores, scikit-image's metrics, Pillow's kernel."""

from pathlib import Path

import pytest

from falconet.tasks import SuperResolution


@pytest.mark.parametrize(
    ("name", "low", "high"), [("Set5", 33.64, 33.70), ("Set14", 30.22, 30.25), ("BSD100", 29.54, 29.58)]
)
def test_bicubic_scores_as_published(shared: Path, name: str, low: float, high: float) -> None:
    task = SuperResolution(scale=2)
    result = task.test(task.baseline("bicubic"), shared / "data" / "sr" / name)
    assert low <= result.metrics["psnr_y"] <= high
