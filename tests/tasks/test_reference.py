"""Against figures that are not ours: published scores of bicubic and of noisy pictures; DnCNN's are in tests/zoo."""

from pathlib import Path

import pytest

from falconet.tasks import Denoising, SuperResolution

# PSNR in dB, as in the tables of VDSR, LapSRN and their followers.
BICUBIC = {
    (2, "Set5"): 33.66, (2, "Set14"): 30.24, (2, "BSD100"): 29.56,
    (3, "Set5"): 30.39, (3, "Set14"): 27.55, (3, "BSD100"): 27.21,
    (4, "Set5"): 28.42, (4, "Set14"): 26.00, (4, "BSD100"): 25.96,
}  # fmt: skip


@pytest.mark.parametrize(("scale", "name"), [key for key in BICUBIC if key[1] != "BSD100"])
def test_bicubic_scores_as_published(shared: Path, scale: int, name: str) -> None:
    task = SuperResolution(scale=scale)
    result = task.test(task.baseline("bicubic"), shared / "data" / "sr" / name)
    assert result.metrics["psnr_y"] == pytest.approx(BICUBIC[scale, name], abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_scores_as_published_on_bsd100(shared: Path, scale: int) -> None:
    test_bicubic_scores_as_published(shared, scale, "BSD100")


def test_noisy_pictures_score_as_their_noise_says(shared: Path) -> None:
    """20.17 dB is noise of 25 before clipping to 8 bits, which helps a little."""
    task, set12 = Denoising(sigma=25), shared / "data" / "denoise" / "Set12"
    assert task.test(task.baseline("noisy"), set12).metrics["psnr"] == pytest.approx(20.34, abs=0.02)
