"""Super-resolution: from a small picture, the large one it was made from; 2 to 4 times larger.

The protocol, which decides what a figure means (fractions of a dB are lost or won by each of these):

    1. The large picture is cropped to a multiple of the scale (right and bottom edges).
    2. The small one is made by antialiased bicubic (a = -0.5, as MATLAB's imresize) from the 8-bit RGB picture, and
       rounded to 8 bits.
    3. Figures are of the BT.601 luma (16..235), which is not rounded; a grey picture is its own luma.
    4. A luma network sees luma / 255; its output is clipped to 0..1 and not rounded. An RGB network's output is rounded
       to 8 bits, as a picture would be, before its luma is taken.
    5. A border of `scale` pixels is left out. PSNR and SSIM are means over the pictures of a folder.

By it, bicubic has 33.69, 30.23 and 29.57 dB at scale 2 on Set5, Set14 and BSD100 (published: 33.66, 30.24, 29.56).

Shapes: b = batch, c = 1 (luma) or 3 (RGB), h, w of the small picture, H = h * scale, W = w * scale.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from falconet.errors import UserError
from falconet.tasks.degrade import crop_to_multiple, enlarge, shrink
from falconet.tasks.images import Picture, Skipped, list_pictures
from falconet.tasks.metrics import SSIM_WINDOW, luma, psnr, shave, ssim
from falconet.tasks.pairs import PairSettings, read_8_bit, read_pairs, to_channels
from falconet.tasks.task import DataSettings, Dataset, Example, Run, TestResult

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph import Input

Pixels = npt.NDArray[Any]

VALIDATION_BATCH = 10
SMALLEST_SIDE = 8  # of the small picture; below, borders are all there is


class SuperResolution(BaseModel):
    """Enlarging pictures.

    `colour`: "luma" networks enlarge the brightness, and the colours, which the eye sees less sharply, are left to
    bicubic; "rgb" networks do it all. `patch`: side of a training patch, in pixels of the small picture. `criterion`:
    what training makes small, "l1" (mean absolute error) or "charbonnier" (a smooth one: sqrt(error^2 + 1e-6)).
    `shrinks`: sizes of the training pictures to learn from besides their own, such as (1.0, 0.8, 0.6).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["super_resolution"] = "super_resolution"
    scale: int = Field(2, ge=2, le=4)
    colour: Literal["luma", "rgb"] = "luma"
    patch: int = Field(32, ge=8)
    criterion: Literal["l1", "charbonnier"] = "l1"
    shrinks: tuple[float, ...] = (1.0,)

    @field_validator("shrinks")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < factor <= 1 for factor in value):
            raise ValueError(f"must be one or several numbers above 0 and up to 1; got {value}")
        return value

    @property
    def quality(self) -> str:
        """PSNR of the luma, in dB: higher is better."""
        return "psnr_y"

    @property
    def protocol(self) -> str:
        """How the figures are measured, in words."""
        output = "clipped, not rounded" if self.colour == "luma" else "rounded to 8 bits"
        return (
            f"Pictures cropped to a multiple of {self.scale}; made {self.scale} times smaller by antialiased bicubic "
            f"(a = -0.5) in RGB and rounded to 8 bits; PSNR and SSIM (Gaussian 11x11, sigma 1.5) of the BT.601 luma "
            f"(16..235, not rounded; a grey picture is its own luma), the network's output {output}; a border of "
            f"{self.scale} pixels left out; means over pictures."
        )

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
        settings = PairSettings(self.scale, self.colour, self.patch, self.shrinks)
        return read_pairs(settings, data, seed)

    def batch(self, dataset: Dataset, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """((bchw,), bcHW) random patches, each flipped and turned at random; a function of the arguments alone.

        Every place in every picture is equally likely.
        """
        import torch

        rng = np.random.default_rng((seed, step))
        patch, scale = self.patch, self.scale
        places = rng.integers(dataset.ends[-1], size=size)
        which = np.searchsorted(dataset.ends, places, side="right")
        turns = rng.integers(8, size=size)
        first = dataset.train[0].target
        low = np.empty((size, len(first), patch, patch), dtype=first.dtype)
        high = np.empty((size, len(first), patch * scale, patch * scale), dtype=first.dtype)
        for number, (place, turn) in enumerate(zip(places.tolist(), turns.tolist(), strict=True)):
            example = dataset.train[which[number]]
            (small,) = example.inputs
            top, left = divmod(int(dataset.ends[which[number]]) - 1 - place, small.shape[2] - patch + 1)
            low[number] = _turned(small[:, top : top + patch, left : left + patch], turn)
            top, left, side = top * scale, left * scale, patch * scale
            high[number] = _turned(example.target[:, top : top + side, left : left + side], turn)
        return (torch.from_numpy(_unit(low)),), torch.from_numpy(_unit(high))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The criterion, a mean over all values of bcHW."""
        difference = output - target
        if self.criterion == "l1":
            return difference.abs().mean()
        return (difference * difference + 1e-6).sqrt().mean()

    def validate(self, run: Run, dataset: Dataset) -> dict[str, float]:
        """{"psnr_y": mean over the validation crops}; crops of one size go through the network together."""
        import torch

        groups: dict[tuple[int, ...], list[Example]] = {}
        for example in dataset.validation:
            groups.setdefault(example.target.shape, []).append(example)
        scores: list[float] = []
        for group in groups.values():
            for start in range(0, len(group), VALIDATION_BATCH):
                part = group[start : start + VALIDATION_BATCH]
                with torch.no_grad():
                    output = run((torch.from_numpy(_unit(np.stack([example.inputs[0] for example in part]))),))
                for example, values in zip(part, output.numpy(), strict=True):
                    pair = (self._judged(values), self._judged(_unit(example.target)))
                    scores.append(psnr(*(shave(image, self.scale) for image in pair)))
        return {"psnr_y": float(np.mean(scores))}

    def test(self, run: Run, folder: Path) -> TestResult:
        """PSNR and SSIM of every picture under the folder, by the protocol above; unusable ones are named in `skipped`."""
        per_image: dict[str, dict[str, float]] = {}
        skipped: list[Skipped] = []
        paths = list_pictures(folder)
        for path in paths:
            try:
                high = read_8_bit(path)
            except UserError as error:
                skipped.append(Skipped(path, str(error).removeprefix(f"{path}: ")))
                continue
            least = max(SMALLEST_SIDE * self.scale, SSIM_WINDOW + 2 * self.scale)
            if min(high.shape[:2]) < least:
                skipped.append(Skipped(path, f"{high.shape[1]}x{high.shape[0]} pixels; at least {least}x{least} are needed"))
                continue
            per_image[path.relative_to(folder).as_posix()] = self._test_one(run, crop_to_multiple(high, self.scale))
        if not per_image:
            reasons = "\n".join(f"  {item.path}: {item.reason}" for item in skipped[:5])
            raise UserError(f"none of the {len(paths)} pictures in {folder} can be used:\n{reasons}")
        means = {key: float(np.mean([row[key] for row in per_image.values()])) for key in ("psnr_y", "ssim_y")}
        return TestResult(means, len(per_image), per_image, tuple(skipped))

    def baseline(self, name: str) -> Run:
        """`bicubic`: enlarges each channel, clipped to 0..1."""
        if name != "bicubic":
            raise UserError(f"the one baseline of super-resolution is bicubic; got {name!r}")
        return _bicubic(self.scale)

    def _test_one(self, run: Run, high: Pixels) -> dict[str, float]:
        """The figures of one uint8 picture, hw or hwc, its sides multiples of the scale."""
        import torch

        low = to_channels(shrink(high, self.scale), self.colour)
        with torch.no_grad():
            output = run((torch.from_numpy(_unit(low[None])),))[0].numpy()
        if self.colour == "luma":
            result, truth = self._judged(output), _luma_of(high)
        elif high.ndim == 2:  # an RGB network on a grey picture: the mean of its channels is the grey
            result, truth = np.round(np.clip(output, 0, 1) * 255).mean(axis=0), _luma_of(high)
        else:
            result, truth = self._judged(output), _luma_of(high)
        result, truth = shave(result, self.scale), shave(truth, self.scale)
        return {"psnr_y": psnr(result, truth), "ssim_y": ssim(result, truth)}

    def _judged(self, values: Pixels) -> Pixels:
        """The luma (of a 0..255 scale, float64, hw) of a network's output chw, by step 4 of the protocol."""
        clipped = np.clip(values, 0.0, 1.0).astype(np.float64) * 255.0
        return clipped[0] if self.colour == "luma" else luma(np.round(clipped).transpose(1, 2, 0))


def _luma_of(pixels: Pixels) -> Pixels:
    """The luma of uint8 pixels: BT.601 of hwc, and hw itself."""
    return luma(pixels) if pixels.ndim == 3 else pixels.astype(np.float64)


def _unit(values: Pixels) -> npt.NDArray[np.float32]:
    """Values of 0..1 as float32; uint8 is divided by 255, floats are of 0..1 already."""
    return values * np.float32(1 / 255) if values.dtype == np.uint8 else values


def _turned(patch_chw: Pixels, turn: int) -> Pixels:
    """One of the 8 ways to lay a square patch down: transposed for turn & 4, flipped for turn & 1 and turn & 2."""
    if turn & 1:
        patch_chw = patch_chw[:, ::-1]
    if turn & 2:
        patch_chw = patch_chw[:, :, ::-1]
    return patch_chw.transpose(0, 2, 1) if turn & 4 else patch_chw


def _bicubic(scale: int) -> Callable[[tuple[Tensor, ...]], Tensor]:
    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        import torch

        (low,) = inputs
        high = [np.stack([enlarge(channel, scale) for channel in picture]) for picture in low.numpy()]
        return torch.from_numpy(np.clip(np.stack(high), 0.0, 1.0))

    return run
