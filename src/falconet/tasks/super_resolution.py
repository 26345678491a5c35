"""Super-resolution: from a small picture, the large one it was made from; 2 to 4 times larger.

The protocol, which decides what a figure means (fractions of a dB are lost or won by each of these):

    1. The large picture is cropped to a multiple of the scale (right and bottom edges).
    2. The small one is made by antialiased bicubic (a = -0.5, as MATLAB's imresize) from the 8-bit RGB picture, and
       rounded to 8 bits.
    3. Figures are of the BT.601 luma (16..235), which is not rounded; a grey picture is its own luma.
    4. A luma network sees luma / 255; its output is clipped to 0..1 and not rounded. An RGB network's output is rounded
       to 8 bits, as a picture would be, before its luma is taken.
    5. A border of `scale` pixels is left out. PSNR and SSIM are means over the pictures of a folder. RGB networks have
       figures of all three channels as well, which are means over channels.

By it, bicubic has 33.69, 30.23 and 29.56 dB at scale 2 on Set5, Set14 and BSD100 (published: 33.66, 30.24, 29.56).

With `degradation: camera` step 2 is another: `camera.py` says how small pictures are spoiled. For training they are
drawn anew in each step, from (seed, step); for judging once for each picture, from its name.

Shapes: b = batch, c = 1 (luma) or 3 (RGB), h, w of the small picture, H = h * scale, W = w * scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from falconet.errors import UserError
from falconet.tasks import show
from falconet.tasks.batches import cut, places, turned, unit
from falconet.tasks.camera import Camera, seeded, small_patch, taken_small
from falconet.tasks.degrade import crop_to_multiple, enlarge, shrink
from falconet.tasks.enhance import MARGIN, Make, enlarged_tile, run_network
from falconet.tasks.images import Picture
from falconet.tasks.judging import figure, tested, to_255, too_small, validated
from falconet.tasks.losses import LOSSES
from falconet.tasks.metrics import SSIM_WINDOW, Metric, luma, psnr, shave, ssim
from falconet.tasks.pairs import (
    PairSettings,
    as_rgb,
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

__all__ = ["LOSSES", "METRICS", "SuperResolution"]

Pixels = npt.NDArray[Any]

SMALLEST_SIDE = 8  # of the small picture; below, borders are all there is
METRICS: Mapping[str, Metric] = {"psnr_y": psnr, "ssim_y": ssim}
RGB_METRICS: Mapping[str, Metric] = {"psnr_rgb": psnr, "ssim_rgb": ssim}


class SuperResolution(PixelTask):
    """Enlarging pictures.

    `colour`: "luma" networks enlarge the brightness, and the colours, which the eye sees less sharply, are left to
    bicubic; "rgb" networks do it all. `degradation`: how small pictures are made: "bicubic", or "camera" for photos
    that are blurred, noisy and compressed, as strongly as `camera` says. The other settings are those of `PixelTask`.

    In Python, a loss and figures of your own are functions, see `LOSSES` and `METRICS` for what they take:

    >>> task = SuperResolution(criterion=torch.nn.functional.mse_loss, metrics={"mine": f}, quality="mine")

    A model folder keeps their names only; a task read from it can enhance, but asks for them to train or to judge.
    """

    name: Literal["super_resolution"] = "super_resolution"
    scale: int = Field(2, ge=2, le=4)
    colour: Literal["luma", "rgb"] = "luma"
    degradation: Literal["bicubic", "camera"] = "bicubic"
    camera: Camera = Camera()
    quality: str = "psnr_y"

    @property
    def protocol(self) -> str:
        """How the figures are measured, in words."""
        output = "clipped, not rounded" if self.colour == "luma" else "rounded to 8 bits"
        made = f"made {self.scale} times smaller by antialiased bicubic (a = -0.5) in RGB and rounded to 8 bits"
        if self.degradation == "camera":
            made += f"; before and after that {self.camera.words}, drawn once for each picture by its name"
        return (
            f"Pictures cropped to a multiple of {self.scale}; {made}; PSNR and SSIM (Gaussian 11x11, sigma 1.5) of the "
            f"BT.601 luma (16..235, not rounded; a grey picture is its own luma), the network's output {output}; a "
            f"border of {self.scale} pixels left out; means over pictures."
        )

    @property
    def use(self) -> str:
        """What its networks are for, and what they are not."""
        if self.degradation == "camera":
            learned = (
                "For enlarging photographs as cameras and messengers leave them. It was trained on pictures that were "
                f"{self.camera.words}; of clean pictures it loses fine texture, and stronger damage it enlarges."
            )
        else:
            learned = (
                "For enlarging photographs that were made smaller, or taken small: cleanly, without much compression "
                "or noise. It was trained on pictures shrunk by antialiased bicubic; on noisy, blurred or strongly "
                "compressed ones it enlarges the damage too."
            )
        if self.stretched:
            share = f"{100 * self.stretched:g} %"
            others = f"{share} of its lessons had the contrast of print and drawings; other kinds were not tried."
        else:
            others = "Text, drawings and other kinds of pictures were not measured."
        return (
            f"{learned} It makes plausible detail, not evidence: do not read licence plates, faces or medical findings "
            f"from its output. {others}"
        )

    @property
    def suffix(self) -> str:
        """ "-x2": enlarged twice."""
        return f"-x{self.scale}"

    @property
    def baselines(self) -> tuple[str, ...]:
        """Bicubic enlargement."""
        return ("bicubic",)

    def inputs(self) -> tuple[Input, ...]:
        """One input, `x`: 1 channel (luma) or 3 (RGB)."""
        from falconet.graph import Input

        return (Input("x", 1 if self.colour == "luma" else 3),)

    def input_sizes(
        self, at_output: tuple[int, int] | None = None, at_input: tuple[int, int] | None = None
    ) -> tuple[tuple[int, int], ...]:
        """((height, width),) of the input, from the (width, height) of the output or of the input itself.

        >>> SuperResolution(scale=2).input_sizes(at_output=(1280, 720))
        ((360, 640),)

        An output size that does not divide by the scale counts the smallest input that covers it.
        """
        if (at_output is None) == (at_input is None):
            raise UserError("give the picture size of the output or of the input, one of the two")
        if at_input is not None:
            return ((at_input[1], at_input[0]),)
        assert at_output is not None
        return ((-(-at_output[1] // self.scale), -(-at_output[0] // self.scale)),)

    def read(self, data: DataSettings, seed: int) -> Dataset:
        """Every picture of the folders, decoded once, with its small partner; see `pairs` for what is kept."""
        if data.noisy:
            raise UserError("data.noisy is for denoising; the small partners of super-resolution are data.lr")
        if data.lr and self.degradation == "camera":
            raise UserError("task.degradation camera makes the small pictures; leave out data.lr, or take bicubic")
        if data.lr and self.stretched:
            raise UserError("task.stretched makes the small patches; leave out data.lr, or set task.stretched=0")
        settings = PairSettings(
            self.scale,
            self.colour,
            self.patch,
            train=lambda name, high: (to_channels(shrink(high, self.scale), self.colour),),
            fixed=lambda name, high: (to_channels(self._small(name, high, seed), self.colour),),
            shrinks=self.shrinks,
        )
        return read_pairs(settings, data, seed, in_folder(data.lr, self.scale) if data.lr else None)

    def batch(self, dataset: Dataset, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """((bchw,), bcHW) random patches, each flipped and turned at random; a function of the arguments alone.

        Every place in every picture is equally likely. The share `stretched` of the patches has its contrast stretched.
        """
        import torch

        rng = np.random.default_rng((seed, step))
        patch, scale, from_camera = self.patch, self.scale, self.degradation == "camera"
        first = dataset.train[0].target
        low = np.empty((size, len(first), patch, patch), dtype=np.float32 if from_camera else first.dtype)
        high = np.empty((size, len(first), patch * scale, patch * scale), dtype=first.dtype)
        chosen = places(dataset, rng, size, patch, scale, self.stretched)
        for number, (example, row, column, turn) in enumerate(chosen):
            if from_camera:
                made = small_patch(example.target, (row, column), patch, scale, self.camera, rng)
                low[number] = turned(made, turn)
            else:
                low[number] = cut(example.inputs[0], row, column, patch, turn)
            high[number] = cut(example.target, row * scale, column * scale, patch * scale, turn)
        return (torch.from_numpy(unit(low)),), torch.from_numpy(unit(high))

    # pydantic 1 had a class method of this name, which pydantic 2 keeps as deprecated; ours takes its place.
    def validate(self, run: Run, dataset: Dataset) -> dict[str, float]:  # type: ignore[override]
        """{"psnr_y": mean over the validation crops}, and `quality`."""
        wanted = tuple(dict.fromkeys(("psnr_y", self.quality)))
        return validated(run, dataset, self.scale, lambda output, truth: self._score_crop(output, truth, wanted))

    def test(self, run: Run, pictures: Pictures | Path) -> TestResult:
        """PSNR and SSIM of every picture in the folder, by the protocol above, and the metrics of your own.

        The small pictures are made here, or are those of the folder `lr`. Unusable pictures are named in `skipped`.
        """
        chosen = pictures if isinstance(pictures, Pictures) else Pictures(folder=pictures)
        partner = in_folder(chosen.lr, self.scale) if chosen.lr else None

        def score(name: str, path: Path, high: Pixels) -> dict[str, float]:
            low = None if partner is None else read_partner(name, high, partner(name, path), self.scale)
            return self._test_one(run, name, crop_to_multiple(high, self.scale), low)

        return tested(chosen.paths(), chosen.folder, self._least_side(), score)

    def baseline(self, name: str) -> Run:
        """`bicubic`: enlarges each channel; what every network has to beat."""
        if name != "bicubic":
            raise UserError(f"the one baseline of super-resolution is bicubic; got {name!r}")
        return partial(_bicubic, self.scale)

    def _by_tile(self, run: Run, picture: Picture) -> Make:
        return partial(enlarged_tile, run, self.scale, self.colour)

    def example(
        self,
        run: Run,
        path: Path,
        width: int = 480,
        height: int = 360,
        margin: int = MARGIN,
        given: Path | None = None,
    ) -> Comparison:
        """The part of the picture where bicubic errs most, by bicubic, by the network, and as it is.

        Of a picture larger than 2048 pixels a side only the middle is looked at. UserError when it cannot be read or is
        too small for the protocol.
        """
        whole = read_8_bit(path)
        if min(whole.shape[:2]) < self._least_side():
            raise UserError(f"{path}: {too_small(whole, self._least_side())}")
        middle = show.middle(whole, most=2048, multiple=self.scale)
        truth = middle.cut(whole)
        low = self._small(path.name, truth)
        if given is not None:
            part = middle.shrunk(self.scale)
            low, truth = same_mode(part.cut(read_partner(path.name, whole, given, self.scale)), truth)
        before = enlarge(low, self.scale)
        after = self.enhance(run, Picture(low if low.ndim == 3 else low[..., None]), margin).pixels
        part = show.hardest_part(before, truth, height, width)
        return Comparison(
            name=path.name,
            before_png=show.png(part.cut(before)),
            after_png=show.png(part.cut(after)),
            truth_png=show.png(part.cut(truth)),
            before=self._test_one(self.baseline("bicubic"), path.name, truth, low),
            after=self._test_one(run, path.name, truth, low),
            crop=(middle.left + part.left, middle.top + part.top, part.right - part.left, part.bottom - part.top),
            before_label="bicubic",
        )

    def _small(self, name: str, high: Pixels, seed: int = 0) -> Pixels:
        """The small picture that judges a network, uint8 hw or hwc; the same for the same name and seed."""
        if self.degradation == "bicubic":
            return shrink(high, self.scale)
        return taken_small(crop_to_multiple(high, self.scale), self.scale, self.camera, seeded("camera", seed, name))

    def _least_side(self) -> int:
        """The least side of a large picture that figures can be measured on."""
        return max(SMALLEST_SIDE * self.scale, SSIM_WINDOW + 2 * self.scale)

    @property
    def _figures(self) -> tuple[str, ...]:
        """The names of all figures."""
        return (*METRICS, *(RGB_METRICS if self.colour == "rgb" else ()), *self.metrics)

    def _test_one(self, run: Run, name: str, high: Pixels, low: Pixels | None = None) -> dict[str, float]:
        """The figures of one uint8 picture, hw or hwc, its sides multiples of the scale."""
        low, high = same_mode(self._small(name, high) if low is None else low, high)
        output = run_network(run, (unit(to_channels(low, self.colour))[None],), self.scale)[0]
        if high.ndim == 3:
            lumas = self._luma(output), luma(high)
        else:  # a grey picture is its own luma; an RGB network's grey is the mean of its channels
            lumas = to_255(output, rounded=self.colour == "rgb").mean(axis=0), high.astype(np.float64)
        return self._scores(lumas, (_rounded(output), as_rgb(high)), self._figures)

    def _score_crop(self, output: Pixels, truth: Pixels, names: tuple[str, ...]) -> dict[str, float]:
        """The named figures of a validation crop, both cHW of 0..1."""
        return self._scores((self._luma(output), self._luma(truth)), (_rounded(output), _rounded(truth)), names)

    def _scores(
        self, lumas: tuple[Pixels, Pixels], channels: tuple[Pixels, Pixels], names: tuple[str, ...]
    ) -> dict[str, float]:
        """The named figures of (result, truth), of a 0..255 scale, without their borders."""
        metrics: dict[str, Metric | None] = {**METRICS, **RGB_METRICS, **self.metrics}
        of_rgb = RGB_METRICS.keys() - self.metrics.keys()
        return {
            name: figure(metrics, name, *(shave(x, self.scale) for x in (channels if name in of_rgb else lumas)))
            for name in names
        }

    def _luma(self, values: Pixels) -> Pixels:
        """The luma (of a 0..255 scale, float64, hw) of cHW of 0..1, by step 4 of the protocol."""
        values = to_255(values, rounded=self.colour == "rgb")
        return values[0] if self.colour == "luma" else luma(values.transpose(1, 2, 0))


def _rounded(values: Pixels) -> Pixels:
    """cHW of 0..1 as HWc of 0..255, as a file of 8 bits would hold it."""
    return to_255(values, rounded=True).transpose(1, 2, 0)


def _bicubic(scale: int, inputs: tuple[Tensor, ...]) -> Tensor:
    """bchw enlarged by bicubic, clipped to 0..1."""
    import torch

    (low,) = inputs
    high = [np.stack([enlarge(channel, scale) for channel in picture]) for picture in low.numpy()]
    return torch.from_numpy(np.clip(np.stack(high), 0.0, 1.0))
