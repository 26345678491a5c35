import math

import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from falconet.tasks.degrade import enlarge, shrink
from falconet.tasks.metrics import luma, psnr, shave, ssim


@pytest.mark.parametrize("name", ["astronaut", "coffee", "camera"])
def test_metrics_equal_scikit_image(name: str) -> None:
    photo = getattr(skimage.data, name)()[:240, :321]
    truth = luma(photo) if photo.ndim == 3 else photo.astype(float)
    blurred = enlarge(shrink(truth, 3), 3)
    truth = truth[: blurred.shape[0], : blurred.shape[1]]
    theirs = structural_similarity(
        truth, blurred, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(truth, blurred) == pytest.approx(theirs, abs=1e-9)
    assert psnr(truth, blurred) == pytest.approx(peak_signal_noise_ratio(truth, blurred, data_range=255), abs=1e-9)


def test_luma_is_that_of_bt601() -> None:
    # By hand: black 16, white 235, red 16 + 65.481, green 16 + 128.553, blue 16 + 24.966; grey 128 in between.
    colours = np.array(
        [[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]]], dtype=np.uint8
    )
    expected = [16, 235, 81.481, 144.553, 40.966, 16 + 219 * 128 / 255]
    np.testing.assert_allclose(luma(colours)[0], expected, atol=1e-9)
    np.testing.assert_allclose(luma(colours / 255, peak=1.0)[0], expected, atol=1e-9)
    np.testing.assert_allclose(luma(colours.astype(np.uint16) * 257, peak=65535)[0], expected, atol=1e-9)


def test_psnr_by_hand() -> None:
    a = np.zeros((4, 4), dtype=np.uint8)
    b = a.copy()
    b[0, 0] = 4  # mean squared error 1; unsigned numbers must not wrap around
    assert psnr(a, b) == psnr(b, a) == pytest.approx(20 * math.log10(255))
    assert psnr(a, a) == math.inf


def test_ssim_of_equal_pictures_is_one_and_of_noise_less() -> None:
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 255, (30, 30))
    assert ssim(picture, picture) == pytest.approx(1)
    assert ssim(picture, rng.uniform(0, 255, (30, 30))) < 0.2


def test_shave() -> None:
    assert shave(np.arange(25).reshape(5, 5), 2).tolist() == [[12]]
    assert shave(np.zeros((4, 4, 3)), 0).shape == (4, 4, 3)
