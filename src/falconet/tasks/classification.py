"""Classification: the name of what is in a picture, from a fixed list of classes.

What goes in is the picture's middle square at `size` x `size` pixels, values 0..1; what comes out is one value for each
class, before the softmax. The network begins with a fixed normalization, so that what ships takes plain pixels.

    data: {train: pictures, validation: 0.1}                           # a folder for each class
    data: {train: signs.npz, validation: 4000, holdout: 5000}          # of one file: the rest trains

`validation` and `holdout` (numbers, or shares of all pictures) are kept aside by the seed, as many of each class as its
share, whole groups together (see `labelled` for where pictures may lie and what a group is). The search sees
`validation`; `holdout` and the sets under `test` are read for the final table only. Figures are of plain pictures: no
flips, no crops.

Shapes: b = batch, c = 1 (grey) or 3 (RGB), h = w = size, k = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from falconet.errors import UserError
from falconet.graph import Layer, NetSpec, Op
from falconet.graph.spec import remembered
from falconet.tasks.augment import Augmentation, Policy, augment
from falconet.tasks.images import Picture
from falconet.tasks.labelled import Colour, Labelled, find_classes, read_labelled
from falconet.tasks.stratify import stratified
from falconet.tasks.task import Comparison, Dataset, DataSettings, Example, Pictures, Run, TestResult

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph import Input

Pixels = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

JUDGED_AT_ONCE = 64
NORMALIZE = "normalize"
COLOUR_MEAN, COLOUR_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos
GREY_MEAN, GREY_STD = (0.459,), (0.226,)


class Classification(BaseModel):
    """Naming what is in a picture.

    `size`: side of the pictures that the network sees. `classes`: their names, in the order of the outputs; found from
    the training pictures when left out. `pad`, `flip` and `policy` change training pictures: a crop shifted by up to
    `pad` pixels, a mirror image for half of them (`flip: false` for signs and letters), and one operation of
    TrivialAugment ("trivial_wide", "trivial" or "none"). `label_smoothing`: the share of certainty that is spread over
    all classes. `mean` and `std` normalize each channel, inside the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["classification"] = "classification"
    size: int = Field(32, ge=8, le=1024)
    colour: Colour = "rgb"
    classes: tuple[str, ...] = ()
    pad: int = Field(4, ge=0)
    flip: bool = True
    policy: Policy = "trivial_wide"
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    quality: Literal["top1"] = "top1"

    @field_validator("classes", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return tuple(map(str, value)) if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _fitting(self) -> Classification:
        channels = 3 if self.colour == "rgb" else 1
        if len(self.classes) == 1 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must be two or more different names; got {', '.join(self.classes)}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, channels):
                raise ValueError(f"{name} must be {channels} numbers, one a channel, or left out; got {len(values)}")
        if any(value <= 0 for value in self.std):
            raise ValueError(f"std must be above 0; got {self.std}")
        return self

    @property
    def protocol(self) -> str:
        """How the figures are measured, in words."""
        return (
            f"Top-1 and top-5: the share of pictures, in per cent, whose class has the largest, or one of the five "
            f"largest, of {len(self.classes) or 'all'} values. Pictures are cropped to their middle square and resized "
            f"to {self.size}x{self.size} by antialiased bicubic; one view of each, not flipped."
        )

    @property
    def use(self) -> str:
        """What its networks are for, and what they are not, in words."""
        names = f"one of {len(self.classes)}: {', '.join(self.classes[:50])}" if self.classes else "one of its classes"
        return (
            f"For telling which class a picture shows, {names}. It always names one of these, whatever the picture "
            f"shows, and its values are no probabilities that anyone has checked. Pictures unlike those it was trained "
            f"on were not measured."
        )

    @property
    def suffix(self) -> str:
        """Nothing: a classifier makes no picture."""
        return ""

    @property
    def baselines(self) -> tuple[str, ...]:
        """None: nothing names pictures without being trained."""
        return ()

    def inputs(self) -> tuple[Input, ...]:
        """One input, `x`: 3 channels, or 1 when grey."""
        from falconet.graph import Input

        return (Input("x", len(self._normalization()[0])),)

    def input_sizes(
        self, at_output: tuple[int, int] | None = None, at_input: tuple[int, int] | None = None
    ) -> tuple[tuple[int, int], ...]:
        """((height, width),) of the input: as given, or `size` when nothing is. There is no picture at the output."""
        if at_output is not None:
            raise UserError(f"a classifier makes no picture: count costs with at_input: {self.size}x{self.size}")
        width, height = at_input or (self.size, self.size)
        return ((height, width),)

    def knowing(self, data: DataSettings) -> Classification:
        """The task with the classes that the training pictures have, unless they are named already."""
        return self if self.classes else self.model_copy(update={"classes": find_classes(data.train)})

    def prepare(self, spec: NetSpec) -> NetSpec:
        """The network behind the normalization, which is its first layer from then on."""
        from falconet.graph import Normalize

        (given,) = spec.inputs
        if any(layer.name == NORMALIZE for layer in spec.layers):
            return spec
        mean, std = self._normalization()
        if given.channels != len(mean):
            return spec  # refused when the run is planned, with both numbers
        return _behind(spec, Normalize(mean, std))

    def _normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        is_grey = self.colour == "grey"
        return self.mean or (GREY_MEAN if is_grey else COLOUR_MEAN), self.std or (GREY_STD if is_grey else COLOUR_STD)

    def read(self, data: DataSettings, seed: int) -> Dataset:
        """The decoded pictures, split by the seed into training, validation and held-out ones."""
        if isinstance(data.validation, str) or data.lr or data.noisy or data.leave_out:
            raise UserError(
                "to classify, data takes train, test, validation and holdout, these two as numbers or shares"
            )
        found = read_labelled(data.train, self.size, self.colour, self.classes)
        if len(found.classes) < 2:
            raise UserError(f"two or more classes are needed; there is {found.classes[0]!r} alone in {data.train[0]}")
        held = stratified(found.labels, found.groups, data.holdout, np.random.default_rng((seed, 1)))
        rest = np.flatnonzero(~held)
        count = data.validation if isinstance(data.validation, int) else round(data.validation * len(found.names))
        checked = stratified(found.labels[rest], found.groups[rest], count, np.random.default_rng((seed, 2)))
        parts = [rest[~checked], rest[checked], np.flatnonzero(held)]
        if not len(parts[0]) or not len(parts[1]):
            raise UserError(
                f"too few pictures: {len(parts[0])} to train with and {len(parts[1])} for validation, of "
                f"{len(found.names)} with {len(found.classes)} classes. Add pictures, or raise data.validation"
            )
        images, labels = found.images[parts[0]], found.labels[parts[0]]
        return Dataset(
            train=_examples(found, parts[0], images),
            validation=_examples(found, parts[1], found.images[parts[1]]),
            skipped=found.skipped,
            notes=tuple(_notes(found, parts)),
            holdout=_examples(found, parts[2], found.images[parts[2]]),
            arrays={"images": images, "labels": labels},
        )

    def batch(self, dataset: Dataset, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Changed pictures bchw and smoothed targets bk of a step; every picture comes once before any comes again."""
        images, labels = dataset.arrays["images"], dataset.arrays["labels"]
        chosen = _in_turn(len(images), seed, step, size)
        rng = np.random.default_rng((seed, step))
        changed = augment(images[chosen], Augmentation(self.pad, self.flip, self.policy), rng)
        return (_tensor(changed),), self._targets(labels[chosen])

    def plain_batch(self, dataset: Dataset, index: int, size: int) -> tuple[Tensor, ...]:
        """Unchanged training pictures, the `index`-th lot of `size`, always the same: for batch-norm statistics."""
        images = dataset.arrays["images"]
        return (_tensor(images[_in_turn(len(images), 0, index, size)]),)

    def _targets(self, labels: Integers) -> Tensor:
        import torch

        count = len(self.classes)
        target = torch.full((len(labels), count), self.label_smoothing / count)
        target[torch.arange(len(labels)), torch.from_numpy(labels)] += 1 - self.label_smoothing
        return target

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of bk values against bk shares."""
        return -(target * output.log_softmax(1)).sum(1).mean()

    def as_target(self, output: Tensor) -> Tensor:
        """A teacher's output as a target: its softmax."""
        return output.softmax(1)

    # pydantic 1 had a class method of this name, which pydantic 2 keeps as deprecated; ours takes its place.
    def validate(self, run: Run, dataset: Dataset) -> dict[str, float]:  # type: ignore[override]
        """{"top1": per cent, "top5": per cent} of the validation pictures."""
        return dict(self._judge(run, dataset.validation).metrics)

    def test(self, run: Run, pictures: Pictures | Path) -> TestResult:
        """Top-1 and top-5 of all pictures of a folder, .npz or .csv, and what was taken for what."""
        path = pictures.folder if isinstance(pictures, Pictures) else Path(pictures)
        if not self.classes:
            raise UserError("the classes are not known: a trained model knows its own; evaluate one of these")
        found = read_labelled((path,), self.size, self.colour, self.classes)
        examples = _examples(found, np.arange(len(found.names)), found.images)
        result = self._judge(run, examples)
        return replace(result, skipped=found.skipped)

    def held_out(self, run: Run, dataset: Dataset) -> TestResult | None:
        """The same of the held-out pictures; None when there are none."""
        return self._judge(run, dataset.holdout) if dataset.holdout else None

    def _judge(self, run: Run, examples: tuple[Example, ...]) -> TestResult:
        """Top-1 and top-5 of every picture (0 or 100), their means, and what each class was called how often."""
        import torch

        labels = np.array([int(example.target) for example in examples])
        confusion = np.zeros((len(self.classes),) * 2, np.int64)
        rows: list[tuple[float, float]] = []
        for start in range(0, len(examples), JUDGED_AT_ONCE):
            part = labels[start : start + JUDGED_AT_ONCE]
            images = np.stack([example.inputs[0] for example in examples[start : start + JUDGED_AT_ONCE]])
            with torch.no_grad():
                values = run((torch.from_numpy(images).float().div_(255),)).float().numpy()
            if values.shape != (len(part), len(self.classes)):
                raise UserError(
                    f"the network must make {len(self.classes)} values a picture, but made {values.shape[1:]}"
                )
            own = values[np.arange(len(part)), part][:, None]
            ahead = (values > own).sum(1) + ((values == own).sum(1) - 1)  # a tie counts against the network
            rows += [(100.0 * (rank < 1), 100.0 * (rank < 5)) for rank in ahead.tolist()]
            np.add.at(confusion, (part, values.argmax(1)), 1)
        top1, top5 = (float(np.mean(column)) for column in zip(*rows, strict=True))
        per_image = {one.name: {"top1": a, "top5": b} for one, (a, b) in zip(examples, rows, strict=True)}
        table = tuple(map(tuple, confusion.tolist()))
        groups = {one.name: one.group for one in examples if one.group}
        return TestResult({"top1": top1, "top5": top5}, len(rows), per_image, (), table, groups)

    def baseline(self, name: str) -> Run:
        """There is none."""
        raise UserError(f"classification has no baseline that needs no training; got {name!r}")

    def enhance(
        self,
        run: Run,
        picture: Picture,
        margin: int = 32,
        tile: int = 240,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """Not for a classifier."""
        _no_pictures()

    def strips(
        self,
        run: Run,
        picture: Picture,
        margin: int = 32,
        tile: int = 240,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Picture]:
        """Not for a classifier."""
        _no_pictures()

    def example(
        self,
        run: Run,
        path: Path,
        width: int = 480,
        height: int = 360,
        margin: int = 32,
        given: Path | None = None,
    ) -> Comparison:
        """Not for a classifier."""
        _no_pictures()


def _no_pictures() -> NoReturn:
    raise UserError("a classifier names what is in a picture and makes none: run.py in its model folder does that")


def _examples(found: Labelled, places: Integers, images: Pixels) -> tuple[Example, ...]:
    """Pictures as chw views of `images`, which holds those at `places`, with their labels."""
    rows = images.transpose(0, 3, 1, 2)
    labels = found.labels[places]
    groups = [str(one) if found.is_grouped else "" for one in found.groups.tolist()]
    return tuple(
        Example(name := found.names[place], Path(name), (rows[index],), labels[index], group=groups[place])
        for index, place in enumerate(places.tolist())
    )


def _notes(found: Labelled, parts: list[Integers]) -> list[str]:
    """What is worth saying about the split."""
    counts = [len(part) for part in parts]
    words = (
        f"{counts[0]:,} pictures train, {counts[1]:,} judge the search, {counts[2]:,} are held out for the last table"
    )
    notes = [f"{words}; {len(found.classes)} classes, {'split by group' if found.is_grouped else 'split by picture'}."]
    if missing := [name for index, name in enumerate(found.classes) if not (found.labels[parts[1]] == index).any()]:
        notes.append(f"No validation picture shows {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}.")
    return notes


def _in_turn(count: int, seed: int, step: int, size: int) -> Integers:
    """Places of the pictures of a step: all `count` in random order, then all again in another.

    >>> sorted(np.concatenate([_in_turn(5, 0, step, 2) for step in range(5)]).tolist())
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    """
    places = np.arange(step * size, (step + 1) * size)
    found = np.empty(size, np.int64)
    for epoch in range(int(places[0]) // count, int(places[-1]) // count + 1):
        here = places // count == epoch
        found[here] = _order(count, seed, epoch)[places[here] % count]
    return found


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> Integers:
    order = np.random.default_rng((seed, epoch, 7)).permutation(count)
    order.flags.writeable = False
    return order


def _tensor(images: Pixels) -> Tensor:
    """bchw float32 of 0..1 (in memory as the pictures are: channels last) of nhwc uint8."""
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


@remembered
def _behind(spec: NetSpec, op: Op) -> NetSpec:
    """The network with `op` as its first layer, which all read that read the input."""
    (given,) = spec.inputs
    rest = (
        replace(layer, inputs=tuple(NORMALIZE if name == given.name else name for name in layer.inputs))
        if given.name in layer.inputs
        else layer
        for layer in spec.layers
    )
    return NetSpec.unchecked(spec.inputs, (Layer(NORMALIZE, op, (given.name,)), *rest), spec.outputs)
