"""Denoising: Gaussian noise of one level or of any level in a range, and real camera noise learned from pairs.

The protocol, for Gaussian noise, as published since DnCNN (Zhang et al. 2017):

    1. The clean picture is the 8-bit file; for grey networks a colour picture is made grey as MATLAB's rgb2gray does.
    2. Noise of standard deviation sigma, of a 0..255 scale, is added; the noisy picture is neither clipped nor rounded.
       It follows from the picture's name alone, so every network sees the same.
    3. The output is clipped and rounded to 8 bits. PSNR and SSIM are of all values, no border is left out; means over
       pictures. Networks for a range of levels are judged at those of 15, 25 and 50 that lie within it.

Of pairs, the noisy picture is the file as it is; the rest is the same.

Shapes: b = batch, c = 1 (grey) or 3 (RGB), h, w.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from falconet.errors import UserError
from falconet.tasks import show
from falconet.tasks.batches import cut, places, unit
from falconet.tasks.camera import seeded
from falconet.tasks.enhance import MARGIN, Make, cleaned_tile, run_network
from falconet.tasks.images import Picture
from falconet.tasks.judging import figure, tested, to_255, too_small, validated
from falconet.tasks.metrics import SSIM_WINDOW, Metric, luma, psnr, ssim
from falconet.tasks.noise import CLASSIC, Levels, classic, estimated_sigma, noisy
from falconet.tasks.pairs import (
    PairSettings,
    Partner,
    beside,
    ends_with,
    in_folder,
    read_8_bit,
    read_pairs,
    read_partner,
    same_mode,
    to_channels,
)
from falconet.tasks.pixel_task import PixelTask
from falconet.tasks.task import Comparison, Dataset, DataSettings, Pictures, Run, TestResult

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph import Input

Pixels = npt.NDArray[Any]

VALIDATION_SIDE = 256
METRICS: Mapping[str, Metric] = {"psnr": psnr, "ssim": ssim}
LUMA_METRICS: Mapping[str, Metric] = {"psnr_y": psnr, "ssim_y": ssim}  # of RGB networks


class Denoising(PixelTask):
    """Taking noise out of pictures, which keep their size.

    `noise`: "gaussian" noise is made here, as strong as `sigma` says, of a 0..255 scale: 25, or (0, 50) for any level
    between; or it comes with "pairs" of a noisy and a clean picture (other damage than noise is learned as well), found
    by the folder data.noisy or by the `ends` of their names. `noise_map`: the network has a second input, `sigma`, that
    tells the noise level of each pixel. `gain`: training patches of pairs become darker or brighter, each channel by a
    factor drawn between these two: cameras differ in exposure and white balance, and pairs are few. `colour`: "grey"
    networks see one channel (of colour photos each of the three by itself), "rgb" networks three. The other settings
    are those of `PixelTask`; metrics of your own are given hw or hwc pixels of a 0..255 scale.
    """

    name: Literal["denoising"] = "denoising"
    noise: Literal["gaussian", "pairs"] = "gaussian"
    sigma: float | tuple[float, float] = 25.0
    noise_map: bool = False
    ends: tuple[str, str] = ("_noisy", "_clean")
    gain: tuple[float, float] = (1.0, 1.0)
    colour: Literal["grey", "rgb"] = "grey"
    scale: Literal[1] = 1
    patch: int = Field(64, ge=8)

    @field_validator("sigma")
    @classmethod
    def _levels_are_known(cls, value: float | tuple[float, float]) -> float | tuple[float, float]:
        if isinstance(value, tuple):
            if not 0 <= value[0] < value[1] <= 255:
                raise ValueError(f"must be a level, or two from 0 to 255, the smaller first; got {list(value)}")
        elif not 0 < value <= 255:
            raise ValueError(f"must be above 0 and up to 255: pictures are counted 0..255; got {value:g}")
        return value

    @model_validator(mode="after")
    def _settings_agree(self) -> Denoising:
        if self.ends[0] == self.ends[1]:
            raise ValueError(f"ends must be two different ends of names, as in [_noisy, _clean]; got {self.ends[0]!r}")
        if not 0 < self.gain[0] <= self.gain[1] <= 4:
            raise ValueError(f"gain must be two factors up to 4, the smaller first, as in [0.6, 1.2]; got {self.gain}")
        if self.noise == "gaussian" and self.gain != (1.0, 1.0):
            raise ValueError("gain is for pairs; noise that is made here is the same at any brightness. Leave it out")
        if self.noise == "pairs" and self.stretched:
            raise ValueError(
                "stretched is for noise that is made here; it would stretch the noise of pairs. Set it to 0"
            )
        if self.noise == "pairs" and self.noise_map:
            raise ValueError("noise_map needs a noise level, which pairs do not tell; leave it out")
        return self

    @property
    def levels(self) -> Levels:
        """The noise levels that networks learn from, and are judged at."""
        return Levels(*self.sigma) if isinstance(self.sigma, tuple) else Levels(self.sigma, self.sigma)

    @property
    def protocol(self) -> str:
        """How the figures are measured, in words."""
        seen = "grey pictures (colour made grey as by rgb2gray)" if self.colour == "grey" else "RGB pictures"
        if self.noise == "pairs":
            given = f"Pairs of a noisy and a clean picture of 8 bits, {seen}"
        else:
            at = " and ".join(f"{level:g}" for level in self.levels.judged)
            given = (
                f"Gaussian noise of standard deviation {at} (of 255) added to 8-bit {seen}, by a fixed seed for each "
                "picture, neither clipped nor rounded"
            )
        return (
            f"{given}; the network's output clipped and rounded to 8 bits; PSNR and SSIM (Gaussian 11x11, sigma 1.5) "
            "of all values, no border left out; means over pictures."
        )

    @property
    def use(self) -> str:
        """What its networks are for, and what they are not."""
        if self.noise == "pairs":
            learned = "For photographs with noise like that of the pairs it was trained on: the same kind of cameras"
        else:
            learned = (
                f"For pictures with white Gaussian noise ({self.levels.words} of 255). The noise of a photograph is "
                "not of that kind once a camera has smoothed and compressed it"
            )
        return (
            f"{learned}; on other noise it blurs, or leaves blotches. It makes plausible detail, not evidence: do not "
            "read licence plates, faces or medical findings from its output."
        )

    @property
    def suffix(self) -> str:
        """What is added to the names of enhanced pictures."""
        return "-denoised"

    @property
    def baselines(self) -> tuple[str, ...]:
        """The noisy picture itself, and non-local means (which needs scikit-image)."""
        return tuple(CLASSIC)

    def inputs(self) -> tuple[Input, ...]:
        """`x`: 1 channel (grey) or 3 (RGB); and `sigma`, the noise map, when there is one."""
        from falconet.graph import Input

        x = Input("x", 1 if self.colour == "grey" else 3)
        return (x, Input("sigma", 1)) if self.noise_map else (x,)

    def input_sizes(
        self, at_output: tuple[int, int] | None = None, at_input: tuple[int, int] | None = None
    ) -> tuple[tuple[int, int], ...]:
        """(height, width) of each input, from the (width, height) of the output or the input, which are equal."""
        if (at_output is None) == (at_input is None):
            raise UserError("give the picture size of the output or of the input, one of the two")
        width, height = at_output or at_input  # type: ignore[misc]  # one of them is there
        return ((height, width),) * len(self.inputs())

    def read(self, data: DataSettings, seed: int) -> Dataset:
        """Every picture of the folders, decoded once; noise of validation crops is made once, by the seed and name."""
        if data.lr:
            raise UserError("data.lr is for super-resolution; the noisy partners of denoising are data.noisy")
        if data.noisy and self.noise == "gaussian":
            raise UserError("data.noisy holds noisy partners, but task.noise is gaussian; set task.noise=pairs")
        settings = PairSettings(
            1,
            self.colour,
            self.patch,
            train=lambda name, high: (),
            fixed=lambda name, high: self._spoiled(name, high, None, seed),
            shrinks=self.shrinks,
            side=VALIDATION_SIDE,
            is_target=self._is_target(data.noisy),
        )
        return read_pairs(settings, data, seed, self._partner(data.noisy))

    def batch(self, dataset: Dataset, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """((bchw,) or (bchw, b1hw), bchw): patches, turned at random, with noise that is drawn anew for each.

        A function of the arguments alone; every place in every picture is equally likely.
        """
        import torch

        rng = np.random.default_rng((seed, step))
        first = dataset.train[0].target
        given, clean = (np.empty((size, len(first), self.patch, self.patch), dtype=first.dtype) for _ in range(2))
        chosen = places(dataset, rng, size, self.patch, share=self.stretched)
        for number, (example, row, column, turn) in enumerate(chosen):
            given[number] = cut(example.inputs[0], row, column, self.patch, turn)
            clean[number] = cut(example.target, row, column, self.patch, turn)
        seen, wanted = unit(given), unit(clean)
        if self.gain != (1.0, 1.0):
            factors = rng.uniform(*self.gain, (size, len(first), 1, 1)).astype(np.float32)
            seen, wanted = seen * factors, wanted * factors
        inputs: tuple[Pixels, ...] = (seen,)
        if self.noise == "gaussian":
            levels = self.levels.draw(rng, size)
            noise = rng.standard_normal(given.shape, dtype=np.float32)
            inputs = self._with_map(seen + levels.reshape(-1, 1, 1, 1) / np.float32(255) * noise, levels)
        return tuple(torch.from_numpy(x) for x in inputs), torch.from_numpy(wanted)

    # pydantic 1 had a class method of this name, which pydantic 2 keeps as deprecated; ours takes its place.
    def validate(self, run: Run, dataset: Dataset) -> dict[str, float]:  # type: ignore[override]
        """{"psnr": mean over the validation crops}, and `quality`."""
        wanted = tuple(dict.fromkeys(("psnr", self.quality)))
        return validated(run, dataset, 1, lambda output, truth: self._scores(output, truth, wanted))

    def test(self, run: Run, pictures: Pictures | Path) -> TestResult:
        """PSNR and SSIM of every picture in the folder, by the protocol above; of a range of levels also at each."""
        chosen = pictures if isinstance(pictures, Pictures) else Pictures(folder=pictures)
        partner, is_target = self._partner(chosen.noisy), self._is_target(chosen.noisy)
        paths = [path for path in chosen.paths() if is_target(path.name)]
        if not paths:
            raise UserError(
                f"no picture in {chosen.folder} is named *{self.ends[1]}, the clean one of a pair; its noisy partner "
                f"is *{self.ends[0]}. If they are named otherwise: ends=[NOISY,CLEAN]"
            )

        def score(name: str, path: Path, clean: Pixels) -> dict[str, float]:
            if partner is None:
                return self._test_one(run, name, clean)
            return self._test_pair(run, read_partner(name, clean, partner(name, path), 1), clean)

        return tested(paths, chosen.folder, SSIM_WINDOW, score)

    def baseline(self, name: str) -> Run:
        """`noisy`: the picture as it came; `nlm`: non-local means, told the noise level, or estimating it."""
        known = None if self.noise == "pairs" or isinstance(self.sigma, tuple) else self.sigma
        return classic(name, known)

    def _by_tile(self, run: Run, picture: Picture) -> Make:
        """A noise map holds `sigma`, or what the picture's noise is taken for when that is a range."""
        level = None
        if self.noise_map:
            level = self.sigma if not isinstance(self.sigma, tuple) else self._estimated(picture)
            level /= 255
        return partial(cleaned_tile, run, self.colour, level)

    def example(
        self,
        run: Run,
        path: Path,
        width: int = 480,
        height: int = 360,
        margin: int = MARGIN,
        given: Path | None = None,
    ) -> Comparison:
        """The part of the picture with the most noise: noisy, by the network, and as it is.

        Of a picture larger than 2048 pixels a side only the middle is looked at. UserError when it cannot be read, is
        too small, or has no partner.
        """
        whole = read_8_bit(path)
        if min(whole.shape[:2]) < SSIM_WINDOW:
            raise UserError(f"{path}: {too_small(whole, SSIM_WINDOW)}")
        middle = show.middle(whole, most=2048, multiple=1)
        partner = self._partner(None)
        if partner is None:
            inputs = self._spoiled(path.name, middle.cut(whole), self.levels.judged[0])
        else:
            found, whole = same_mode(read_partner(path.name, whole, given or partner(path.name, path), 1), whole)
            inputs = (unit(to_channels(middle.cut(found), self.colour)),)
        truth = to_channels(middle.cut(whole), self.colour)
        output = run_network(run, tuple(x[None] for x in inputs), 1)[0]
        before, after, clean = (_rounded(x) for x in (inputs[0], output, unit(truth)))
        part = show.hardest_part(before, clean, height, width)
        names = self._figures
        return Comparison(
            name=path.name,
            before_png=show.png(part.cut(before.astype(np.uint8))),
            after_png=show.png(part.cut(after.astype(np.uint8))),
            truth_png=show.png(part.cut(clean.astype(np.uint8))),
            before=self._scores(inputs[0], unit(truth), names),
            after=self._scores(output, unit(truth), names),
            crop=(middle.left + part.left, middle.top + part.top, part.right - part.left, part.bottom - part.top),
            before_label="noisy",
        )

    @property
    def _figures(self) -> tuple[str, ...]:
        """The names of the figures of one picture."""
        return (*METRICS, *(LUMA_METRICS if self.colour == "rgb" else ()), *self.metrics)

    def _spoiled(self, name: str, clean: Pixels, sigma: float | None, seed: int = 0) -> tuple[Pixels, ...]:
        """The inputs of a uint8 picture, chw: noisy by its name and the seed, and the noise map when there is one.

        Without a `sigma` the level, too, is drawn by name and seed.
        """
        rng = seeded("noise", seed, name)
        levels = self.levels.draw(rng, 1) if sigma is None else np.array([sigma], dtype=np.float32)
        spoiled = noisy(unit(to_channels(clean, self.colour)), float(levels[0]), rng)
        return tuple(x[0] for x in self._with_map(spoiled[None], levels))

    def _with_map(self, spoiled: Pixels, levels: Pixels) -> tuple[Pixels, ...]:
        """bchw, and the map b1hw of the b levels, of 0..255, when the network wants one."""
        if not self.noise_map:
            return (spoiled,)
        shape = (len(spoiled), 1, *spoiled.shape[2:])
        level = levels.reshape(-1, 1, 1, 1) / np.float32(255)
        return spoiled, np.ascontiguousarray(np.broadcast_to(level, shape))

    def _estimated(self, picture: Picture) -> float:
        """The noise level of a photo, by its middle, within the range."""
        middle = show.middle(picture.pixels, most=1024, multiple=1).cut(picture.pixels)
        values = middle.transpose(2, 0, 1).astype(np.float32) / np.float32(np.iinfo(middle.dtype).max)
        return self.levels.nearest(estimated_sigma(values))

    def _partner(self, folder: Path | None) -> Partner | None:
        """Where the noisy picture of a clean one is; None when noise is made."""
        if self.noise == "gaussian":
            return None
        return in_folder(folder, 1) if folder else beside(self.ends[1], self.ends[0])

    def _is_target(self, folder: Path | None) -> Callable[[str], bool]:
        """Tells the clean pictures of a folder by their names."""
        return (lambda name: True) if self.noise == "gaussian" or folder else partial(ends_with, *self.ends[::-1])

    def _test_one(self, run: Run, name: str, clean: Pixels) -> dict[str, float]:
        """The figures of one uint8 picture; of several levels their means, and each level's PSNR as `psnr_25`."""
        truth, rows = unit(to_channels(clean, self.colour)), {}
        for sigma in self.levels.judged:
            inputs = self._spoiled(name, clean, sigma)
            output = run_network(run, tuple(x[None] for x in inputs), 1)[0]
            rows[sigma] = self._scores(output, truth, self._figures)
        means = {key: float(np.mean([row[key] for row in rows.values()])) for key in self._figures}
        return means | {f"psnr_{sigma:g}": row["psnr"] for sigma, row in rows.items() if len(rows) > 1}

    def _test_pair(self, run: Run, given: Pixels, clean: Pixels) -> dict[str, float]:
        """The figures of one uint8 pair."""
        given, clean = same_mode(given, clean)
        output = run_network(run, (unit(to_channels(given, self.colour))[None],), 1)[0]
        return self._scores(output, unit(to_channels(clean, self.colour)), self._figures)

    def _scores(self, output: Pixels, truth: Pixels, names: tuple[str, ...]) -> dict[str, float]:
        """The named figures of two pictures, chw of 0..1, both as files of 8 bits would hold them."""
        metrics: dict[str, Metric | None] = {**METRICS, **LUMA_METRICS, **self.metrics}
        made, wanted = _rounded(output), _rounded(truth)
        of_luma = LUMA_METRICS.keys() - self.metrics.keys()
        return {
            name: figure(metrics, name, *((luma(made), luma(wanted)) if name in of_luma else (made, wanted)))
            for name in names
        }


def _rounded(values: Pixels) -> Pixels:
    """chw of 0..1 as hw or hwc of 0..255, as a file of 8 bits would hold it."""
    pixels = to_255(values, rounded=True)
    return pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
