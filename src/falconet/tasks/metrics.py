"""How near two pictures are: PSNR and SSIM, of the luma or of all channels, as the literature reports them.

Shapes: h, w = height, width; c = channels. Left out: learned metrics such as LPIPS, which need weights of their own.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[Any]

# A figure of a picture against the truth, both h x w (or h x w x 3) of a 0..255 scale, higher is better.
Metric = Callable[[Pixels, Pixels], float]

# ITU-R BT.601: R, G, B of 0..255 to a luma of 16..235.
LUMA_WEIGHTS = (65.481 / 255, 128.553 / 255, 24.966 / 255)
LUMA_OFFSET = 16.0


def luma(rgb: Pixels, peak: float = 255.0) -> npt.NDArray[np.float64]:
    """The BT.601 luma of hwc pixels of 0..peak, unrounded: hw of 16..235 (of a 255 scale, whatever the peak).

    >>> [round(float(y), 2) for y in luma(np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]]))[0]]
    [16.0, 235.0, 81.48]
    """
    assert rgb.ndim == 3 and rgb.shape[2] == 3
    r, g, b = (weight * 255.0 / peak for weight in LUMA_WEIGHTS)
    return rgb[..., 0] * r + rgb[..., 1] * g + rgb[..., 2] * b + LUMA_OFFSET


# The weights by which the grey versions of BSD68 were made of the colour pictures.
GREY_WEIGHTS = (0.298936, 0.587043, 0.114021)


def grey(rgb: Pixels) -> npt.NDArray[np.uint8]:
    """uint8 hwc as the grey picture, uint8 hw, that MATLAB's `rgb2gray` makes: 0..255, rounded.

    >>> grey(np.array([[[255, 255, 255], [255, 0, 0]]], dtype=np.uint8)).tolist()
    [[255, 76]]
    """
    r, g, b = GREY_WEIGHTS
    return np.floor(rgb[..., 0] * r + rgb[..., 1] * g + rgb[..., 2] * b + 0.5).astype(np.uint8)


def shave(pixels: Pixels, border: int) -> Pixels:
    """The picture without `border` pixels on every side: near edges, networks guess what lies outside."""
    return pixels[border : pixels.shape[0] - border, border : pixels.shape[1] - border]


def psnr(a: Pixels, b: Pixels, data_range: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB; higher is nearer, infinite when equal.

    A difference of 1 everywhere, on a scale of 255, is 20 * log10(255) dB:

    >>> round(psnr(np.zeros((2, 2)), np.ones((2, 2))), 2)
    48.13
    """
    assert a.shape == b.shape and a.size
    error = float(np.mean(np.square(np.subtract(a, b, dtype=np.float64))))
    return math.inf if error == 0 else 10.0 * math.log10(data_range**2 / error)


def ssim(a: Pixels, b: Pixels, data_range: float = 255.0) -> float:
    """Mean structural similarity of two pictures, at most 1; Gaussian window 11x11, sigma 1.5, no padding.

    Of hwc pixels each channel is compared by itself, and the mean taken. Only windows that lie wholly inside are
    counted, so both sides must be at least 11.
    Paper: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004, eq. 13.
    """
    assert a.shape == b.shape and min(a.shape[:2]) >= SSIM_WINDOW
    if a.ndim == 3:
        return float(np.mean([ssim(a[..., i], b[..., i], data_range) for i in range(a.shape[2])]))
    x, y = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = _blur(x), _blur(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = _blur(x * y) - product
    variances = _blur(x * x + y * y) - squares  # of x plus of y: eq. 13 needs only their sum
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return float(similarity.mean())


SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def _blur(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The Gaussian mean of every 11x11 window: h x w -> h-10 x w-10; rows first, then columns."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    window /= window.sum()
    return _slide(_slide(x, window).T, window).T


def _slide(x: npt.NDArray[np.float64], window: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums of rows weighted by a symmetric window: pairs of rows share a weight, which halves the products."""
    half, count = len(window) // 2, len(x) - len(window) + 1
    total: npt.NDArray[np.float64] = x[half : half + count] * window[half]
    for step in range(1, half + 1):
        pair = x[half - step : half - step + count] + x[half + step : half + step + count]
        pair *= window[half + step]
        total += pair
    return total
