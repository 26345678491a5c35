"""Gaussian noise that is the same on every run, how strong the noise of a picture is, and the classic denoisers.

Shapes: c = channels, h, w = height, width. Values 0..1; levels (`sigma`) are standard deviations of a 0..255 scale, as
papers state them. Left out: noise that depends on brightness, and BM3D, for which there is no free, kept library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.tasks.task import Run

if TYPE_CHECKING:
    from torch import Tensor

Pixels = npt.NDArray[Any]

USUAL = (15.0, 25.0, 50.0)  # levels at which papers judge

MAD = 0.6745  # the median of the absolute values of a normal variable of standard deviation 1
NLM_PATCH, NLM_DISTANCE, NLM_STRENGTH = 5, 9, 0.8


@dataclass(frozen=True, slots=True)
class Levels:
    """The noise levels of a task: one, or all from `least` to `most`."""

    least: float
    most: float

    @property
    def words(self) -> str:
        """Such as "standard deviation 0 to 50"."""
        span = f"{self.least:g}" if self.least == self.most else f"{self.least:g} to {self.most:g}"
        return f"standard deviation {span}"

    @property
    def judged(self) -> tuple[float, ...]:
        """The levels that tests are made at: of a range the usual ones within it, or else its middle.

        >>> Levels(0, 50).judged, Levels(10, 10).judged, Levels(1, 5).judged
        ((15.0, 25.0, 50.0), (10,), (3.0,))
        """
        if self.least == self.most:
            return (self.least,)
        inside = tuple(level for level in USUAL if self.least <= level <= self.most)
        return inside or ((self.least + self.most) / 2,)

    def draw(self, rng: np.random.Generator, size: int) -> Pixels:
        """`size` levels, float32, each as likely as any other."""
        return rng.uniform(self.least, self.most, size=size).astype(np.float32)

    def nearest(self, sigma: float) -> float:
        """The level of these that is nearest to `sigma`."""
        return float(np.clip(sigma, self.least, self.most))


def noisy(clean: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """float32 pixels of 0..1 with noise of `sigma` / 255, not clipped: what lies outside 0..1 is noise as well."""
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    result: Pixels = clean + noise * np.float32(sigma / 255)
    return result


def estimated_sigma(chw: Pixels) -> float:
    """How strong white noise is in a picture of 0..1, on a scale of 255; the mean over its channels.

    The mask of Immerkaer ("Fast noise variance estimation", 1996), which a plane or an edge leaves at 0; but with the
    median of its answers in place of their mean, which texture would raise. Noise that a camera has smoothed over, or
    JPEG taken away, is underestimated.

    >>> grey = np.full((1, 200, 200), 0.5, dtype=np.float32)
    >>> round(estimated_sigma(noisy(grey, 25, np.random.default_rng(0))))
    25
    """
    if min(chw.shape[1:]) < 3:
        return 0.0
    across = chw[:, :, :-2] - 2 * chw[:, :, 1:-1] + chw[:, :, 2:]
    mask = across[:, :-2] - 2 * across[:, 1:-1] + across[:, 2:]
    return float(np.mean([np.median(np.abs(plane)) for plane in mask]) / (6 * MAD) * 255)


def non_local_means(chw: Pixels, sigma: float) -> Pixels:
    """The picture denoised by scikit-image's fast non-local means, told the noise level; float32 chw.

    Patches of 5x5, looked for within 9 pixels, h = 0.8 sigma (Buades et al. 2005; settings as its documentation
    suggests for a known level). UserError when scikit-image is not installed.
    """
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError:
        raise UserError("non-local means needs scikit-image: pip install 'falconet[demo]'") from None
    level = sigma / 255
    found: Pixels = denoise_nl_means(
        chw[0] if len(chw) == 1 else chw.transpose(1, 2, 0),
        patch_size=NLM_PATCH,
        patch_distance=NLM_DISTANCE,
        h=NLM_STRENGTH * level,
        sigma=level,
        fast_mode=True,
        channel_axis=None if len(chw) == 1 else 2,
    )
    return np.ascontiguousarray(found[None] if len(chw) == 1 else found.transpose(2, 0, 1), dtype=np.float32)


def unchanged(chw: Pixels, sigma: float) -> Pixels:
    """The noisy picture itself: the least that a denoiser has to beat."""
    return chw


# Name -> (noisy picture chw of 0..1, its noise level) to the denoised picture.
CLASSIC: dict[str, Callable[[Pixels, float], Pixels]] = {"noisy": unchanged, "nlm": non_local_means}


def classic(name: str, sigma: float | None) -> Run:
    """A classic denoiser of bchw, as if it were a network.

    `sigma` is the noise level, or None: then a noise map tells it, or else it is estimated. UserError for an unknown
    name.
    """
    if name not in CLASSIC:
        raise UserError(f"the baselines of denoising are {', '.join(CLASSIC)}; got {name!r}")
    return partial(_run_classic, name, sigma)


def _run_classic(name: str, sigma: float | None, inputs: tuple[Tensor, ...]) -> Tensor:
    import torch

    x, *maps = (one.numpy() for one in inputs)
    made = []
    for number, picture in enumerate(x):
        level = sigma
        if level is None:
            level = float(maps[0][number].mean()) * 255 if maps else estimated_sigma(picture)
        made.append(CLASSIC[name](picture, level))
    return torch.from_numpy(np.stack(made))
