"""Super-resolution: from a small picture, the large one it was made from; 2 to 4 times larger.

The protocol, which decides what a figure means (fractions of a dB are lost or won by each of these):

    1. The large picture is cropped to a multiple of the scale (right and bottom edges).
    2. The small one is made by antialiased bicubic (a = -0.5, as MATLAB's imresize) from the 8-bit RGB picture, and
       rounded to 8 bits.
    3. Figures are of the BT.601 luma (16..235), which is not rounded; a grey picture is its own luma.
    4. A luma network sees luma / 255; its output is clipped to 0..1 and not rounded. An RGB network's output is rounded
       to 8 bits, as a picture would be, before its luma is taken.
    5. A border of `scale` pixels is left out. PSNR and SSIM are means over the pictures of a folder.

By it, bicubic has 33.69, 30.23 and 29.56 dB at scale 2 on Set5, Set14 and BSD100 (published: 33.66, 30.24, 29.56).

Shapes: b = batch, c = 1 (luma) or 3 (RGB), h, w of the small picture, H = h * scale, W = w * scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from falconet.errors import UserError
from falconet.tasks import show
from falconet.tasks.degrade import crop_to_multiple, enlarge, shrink
from falconet.tasks.enhance import MARGIN, TILE, enlarge_picture, run_network
from falconet.tasks.images import Picture, Skipped, list_pictures
from falconet.tasks.metrics import SSIM_WINDOW, Metric, luma, psnr, shave, ssim
from falconet.tasks.pairs import (
    PairSettings,
    by_stem,
    none_usable,
    read_8_bit,
    read_pairs,
    read_partner,
    reason_of,
    same_mode,
    to_channels,
)
from falconet.tasks.task import Comparison, Dataset, DataSettings, Example, Run, TestResult

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph import Input

Pixels = npt.NDArray[Any]

# (output, target) tensors to a scalar tensor. Any: torch is not imported here.
Criterion = Callable[[Any, Any], Any]

VALIDATION_BATCH = 10
SMALLEST_SIDE = 8  # of the small picture; below, borders are all there is


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error."""
    return (output - target).abs().mean()


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(error^2 + 1e-6): the absolute error, smooth at 0 (Lai et al., LapSRN, 2017, eq. 4)."""
    difference = output - target
    return (difference * difference + 1e-6).sqrt().mean()


LOSSES: Mapping[str, Criterion] = {"l1": l1, "charbonnier": charbonnier}
OWN = "own"  # what a model folder says of a loss that was passed as a function
METRICS: Mapping[str, Metric] = {"psnr_y": psnr, "ssim_y": ssim}


class SuperResolution(BaseModel):
    """Enlarging pictures.

    `colour`: "luma" networks enlarge the brightness, and the colours, which the eye sees less sharply, are left to
    bicubic; "rgb" networks do it all. `patch`: side of a training patch, in pixels of the small picture. `criterion`:
    what training makes small, "l1" or "charbonnier". `shrinks`: sizes of the training pictures to learn from, such as
    (1.0, 0.8, 0.6) for two smaller copies of each. `quality`: the figure that a search maximizes.

    In Python, a loss and figures of your own are functions, see `LOSSES` and `METRICS` for what they take:

    >>> task = SuperResolution(criterion=torch.nn.functional.mse_loss, metrics={"mine": f}, quality="mine")

    A model folder keeps their names only; a task read from it can enhance, but asks for them to train or to judge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["super_resolution"] = "super_resolution"
    scale: int = Field(2, ge=2, le=4)
    colour: Literal["luma", "rgb"] = "luma"
    patch: int = Field(32, ge=8)
    criterion: str | Criterion = "l1"
    shrinks: tuple[float, ...] = (1.0,)
    metrics: dict[str, Metric | None] = {}
    quality: str = "psnr_y"

    @field_validator("criterion")
    @classmethod
    def _criterion_is_known(cls, value: str | Criterion) -> str | Criterion:
        if isinstance(value, str) and value not in (*LOSSES, OWN):
            raise ValueError(f"must be one of {', '.join(LOSSES)}; got {value!r}")
        return value

    @field_serializer("criterion")
    def _criterion_name(self, value: str | Criterion) -> str:
        return value if isinstance(value, str) else OWN

    @field_serializer("metrics")
    def _metric_names(self, value: dict[str, Metric | None]) -> dict[str, None]:
        return dict.fromkeys(value)

    @model_validator(mode="after")
    def _quality_is_known(self) -> SuperResolution:
        known = (*METRICS, *self.metrics)
        if self.quality not in known:
            raise ValueError(f"quality must be one of {', '.join(known)}; got {self.quality!r}")
        return self

    @field_validator("shrinks")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < factor <= 1 for factor in value):
            raise ValueError(f"must be one or several numbers above 0 and up to 1; got {value}")
        return value

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
        criterion = LOSSES.get(self.criterion) if isinstance(self.criterion, str) else self.criterion
        if criterion is None:
            raise UserError("this task was made with a loss of your own; pass it again: SuperResolution(criterion=...)")
        value: Tensor = criterion(output, target)
        return value

    # pydantic 1 had a class method of this name, which pydantic 2 keeps as deprecated; ours takes its place.
    def validate(self, run: Run, dataset: Dataset) -> dict[str, float]:  # type: ignore[override]
        """{"psnr_y": mean over the validation crops}, and `quality`; crops of one size go through together."""
        groups: dict[tuple[int, ...], list[Example]] = {}
        for example in dataset.validation:
            groups.setdefault(example.target.shape, []).append(example)
        wanted = tuple(dict.fromkeys(("psnr_y", self.quality)))
        rows: list[dict[str, float]] = []
        for group in groups.values():
            for start in range(0, len(group), VALIDATION_BATCH):
                part = group[start : start + VALIDATION_BATCH]
                inputs = _unit(np.stack([example.inputs[0] for example in part]))
                outputs = run_network(run, inputs, self.scale)
                truths = [self._judged(_unit(example.target)) for example in part]
                rows += [self._scores(self._judged(o), truth, wanted) for o, truth in zip(outputs, truths, strict=True)]
        return {name: float(np.mean([row[name] for row in rows])) for name in wanted}

    def test(self, run: Run, folder: Path, lr: Path | None = None) -> TestResult:
        """PSNR and SSIM of every picture under the folder, by the protocol above, and the metrics of your own.

        The small pictures are made here, or are those of the folder `lr`. Unusable pictures are named in `skipped`.
        """
        per_image: dict[str, dict[str, float]] = {}
        skipped: list[Skipped] = []
        paths = list_pictures(folder)
        partners = None if lr is None else by_stem(lr)
        for path in paths:
            name = path.relative_to(folder).as_posix()
            try:
                high = read_8_bit(path)
            except UserError as error:
                skipped.append(Skipped(path, reason_of(error, path)))
                continue
            if min(high.shape[:2]) < self._least_side():
                skipped.append(Skipped(path, self._too_small(high)))
                continue
            low = None if partners is None else read_partner(name, high, partners, self.scale)
            per_image[name] = self._test_one(run, crop_to_multiple(high, self.scale), low)
        if not per_image:
            raise UserError(none_usable(f"the {len(paths)} pictures in {folder}", skipped))
        names = (*METRICS, *self.metrics)
        means = {name: float(np.mean([row[name] for row in per_image.values()])) for name in names}
        return TestResult(means, len(per_image), per_image, tuple(skipped))

    def baseline(self, name: str) -> Run:
        """`bicubic`: enlarges each channel; what every network has to beat."""
        if name != "bicubic":
            raise UserError(f"the one baseline of super-resolution is bicubic; got {name!r}")
        return partial(_bicubic, self.scale)

    def enhance(
        self,
        run: Run,
        picture: Picture,
        margin: int = MARGIN,
        tile: int = TILE,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """The picture `scale` times larger, in the mode it came in; `enhance.py` says how."""
        return enlarge_picture(run, picture, self.scale, self.colour, margin, tile, progress)

    def example(self, run: Run, path: Path, width: int = 480, height: int = 360, margin: int = MARGIN) -> Comparison:
        """The part of the picture where bicubic errs most, by bicubic, by the network, and as it is.

        Of a picture larger than 2048 pixels a side only the middle is looked at. UserError when it cannot be read or is
        too small for the protocol.
        """
        whole = read_8_bit(path)
        if min(whole.shape[:2]) < self._least_side():
            raise UserError(f"{path}: {self._too_small(whole)}")
        middle = show.middle(whole, most=2048, multiple=self.scale)
        truth = middle.cut(whole)
        low = shrink(truth, self.scale)
        before = enlarge(low, self.scale)
        after = self.enhance(run, Picture(low if low.ndim == 3 else low[..., None]), margin).pixels
        part = show.hardest_part(before, truth, height, width)
        return Comparison(
            name=path.name,
            before_png=show.png(part.cut(before)),
            after_png=show.png(part.cut(after)),
            truth_png=show.png(part.cut(truth)),
            before=self._test_one(self.baseline("bicubic"), truth),
            after=self._test_one(run, truth),
            crop=(middle.left + part.left, middle.top + part.top, part.right - part.left, part.bottom - part.top),
        )

    def _least_side(self) -> int:
        """The least side of a large picture that figures can be measured on."""
        return max(SMALLEST_SIDE * self.scale, SSIM_WINDOW + 2 * self.scale)

    def _too_small(self, high: Pixels) -> str:
        least = self._least_side()
        return f"{high.shape[1]}x{high.shape[0]} pixels are too few: {least}x{least} are needed"

    def _test_one(self, run: Run, high: Pixels, low: Pixels | None = None) -> dict[str, float]:
        """The figures of one uint8 picture, hw or hwc, its sides multiples of the scale."""
        low, high = same_mode(shrink(high, self.scale) if low is None else low, high)
        output = run_network(run, _unit(to_channels(low, self.colour))[None], self.scale)[0]
        if high.ndim == 3:
            result, truth = self._judged(output), luma(high)
        else:  # an RGB network's grey is the mean of its channels
            result, truth = _to_255(output, rounded=self.colour == "rgb").mean(axis=0), high.astype(np.float64)
        return self._scores(result, truth, (*METRICS, *self.metrics))

    def _scores(self, result: Pixels, truth: Pixels, names: tuple[str, ...]) -> dict[str, float]:
        """The named figures of two lumas, hw of a 0..255 scale, without their borders."""
        shaved = shave(result, self.scale), shave(truth, self.scale)
        metrics = {**METRICS, **self.metrics}
        scores: dict[str, float] = {}
        for name in names:
            metric = metrics[name]
            if metric is None:
                raise UserError(
                    f"the metric {name!r} is a function of your own; pass it again, metrics={{{name!r}: f}}"
                )
            scores[name] = float(metric(*shaved))
        return scores

    def _judged(self, values: Pixels) -> Pixels:
        """The luma (of a 0..255 scale, float64, hw) of a network's output chw, by step 4 of the protocol."""
        values = _to_255(values, rounded=self.colour == "rgb")
        return values[0] if self.colour == "luma" else luma(values.transpose(1, 2, 0))


def _to_255(values: Pixels, rounded: bool) -> npt.NDArray[np.float64]:
    """Values of 0..1, clipped, as 0..255."""
    clipped = np.clip(values, 0.0, 1.0).astype(np.float64) * 255.0
    return np.round(clipped) if rounded else clipped


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


def _bicubic(scale: int, inputs: tuple[Tensor, ...]) -> Tensor:
    """bchw enlarged by bicubic, clipped to 0..1."""
    import torch

    (low,) = inputs
    high = [np.stack([enlarge(channel, scale) for channel in picture]) for picture in low.numpy()]
    return torch.from_numpy(np.clip(np.stack(high), 0.0, 1.0))
