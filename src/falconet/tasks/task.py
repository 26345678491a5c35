"""The contract of a task: which pictures go in, which should come out, how near the result is.

A task is a frozen pydantic model: its fields are its settings in a recipe, its methods are below. To write your own,
satisfy `Task` (no base class is needed) and pass the object; to make it choosable by name, add it to `TASKS`.

Everything random is a function of seeds given: two calls with the same arguments give the same answer, so an
interrupted training goes on exactly.

Shapes: b = batch, c = channels, h, w = height, width. Tensors are float32, values 0..1.
Left out: torch is not imported here, nor by `import falconet.tasks`; methods that need it import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from falconet.tasks.images import Picture, Skipped

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph import Input

    # A network to be judged: its inputs (bchw each) to its output (bchw). No gradients are asked for.
    Run = Callable[[tuple[Tensor, ...]], Tensor]
else:
    Run = Callable

__all__ = ["Comparison", "DataSettings", "Dataset", "Example", "Run", "Skipped", "Task", "TestResult"]


class DataSettings(BaseModel):
    """Where the pictures are, and which of them are kept for validation.

    `train` is one folder or several; `lr` a folder with the low-resolution partners of the same names, when they exist;
    `test` names folders that are read for the final table only; `validation` a number of training pictures (20) or a
    share of them (0.1: at least 1, at most 20); `terms` the licence or terms of the pictures, for the model card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[Path, ...]
    lr: Path | None = None
    test: dict[str, Path] = {}
    validation: int | float = Field(0.1, gt=0)
    terms: str = ""

    @field_validator("train", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, (str, Path)) else value

    @field_validator("validation")
    @classmethod
    def _count_or_share(cls, value: int | float) -> int | float:
        if isinstance(value, float) and value >= 1 and value != int(value):
            raise ValueError(f"must be a whole number of pictures, or a share of them below 1; got {value}")
        return int(value) if value >= 1 else value


@dataclass(frozen=True, eq=False)
class Example:
    """One picture, decoded: the network's inputs and the output wanted, each c x h x w, float32 0..1 or uint8."""

    name: str
    path: Path
    inputs: tuple[npt.NDArray[Any], ...]
    target: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """All pictures of a run, decoded once: `train` whole ones, `validation` fixed crops, `skipped` what was left out.

    `ends` is the running sum of the number of places at which a patch can be cut from each training picture, so that a
    random place is one random number.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    skipped: tuple[Skipped, ...] = ()
    ends: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    notes: tuple[str, ...] = ()

    @property
    def train_names(self) -> tuple[str, ...]:
        """Names of the training pictures, each once, in reading order."""
        return tuple(dict.fromkeys(example.name for example in self.train))

    @property
    def validation_names(self) -> tuple[str, ...]:
        """Names of the validation pictures, in reading order."""
        return tuple(example.name for example in self.validation)


@dataclass(frozen=True, slots=True)
class TestResult:
    """The figures of a test folder: means over its pictures, and each picture's own."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    metrics: Mapping[str, float]
    num_images: int
    per_image: Mapping[str, Mapping[str, float]]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picture to show: bicubic (or what else came before), the network's, and the truth, as PNG files of one size.

    `crop` is the part shown, (left, top, width, height) of the whole picture; `before` and `after` are figures of the
    whole picture by the task's protocol.
    """

    name: str
    before_png: bytes
    after_png: bytes
    truth_png: bytes
    before: Mapping[str, float]
    after: Mapping[str, float]
    crop: tuple[int, int, int, int]
    before_label: str = "bicubic"


class Task(Protocol):
    """What the rest of Falconet asks of a task."""

    @property
    def name(self) -> str:
        """The task's name in recipes, as in TASKS."""

    @property
    def quality(self) -> str:
        """The metric of `validate` that a search maximizes."""

    @property
    def protocol(self) -> str:
        """How the figures are measured, in words, for reports and model cards."""

    def inputs(self) -> tuple[Input, ...]:
        """Names and channels of the network's inputs."""

    def input_sizes(
        self, at_output: tuple[int, int] | None = None, at_input: tuple[int, int] | None = None
    ) -> tuple[tuple[int, int], ...]:
        """(height, width) of each input, from the (width, height) of the output or of the input; give one of them."""

    def read(self, data: DataSettings, seed: int) -> Dataset:
        """The decoded pictures, split into training and validation by the seed. UserError when there are none."""

    def batch(self, dataset: Dataset, seed: int, step: int, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs and target of a training step, bchw; a function of its arguments alone."""

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """What training makes small; a scalar."""

    def validate(self, run: Run, dataset: Dataset) -> dict[str, float]:
        """Mean figures on the fixed validation crops; holds the key `quality`."""

    def test(self, run: Run, folder: Path, lr: Path | None = None) -> TestResult:
        """Figures on a folder of whole pictures, by the published protocol; `lr`: their small partners, when given."""

    def baseline(self, name: str) -> Run:
        """What has to be beaten, as if it were a network. UserError for an unknown name."""

    def enhance(
        self,
        run: Run,
        picture: Picture,
        margin: int = 32,
        tile: int = 256,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """A whole picture of any mode, made better; in the mode it came in. `margin`: the network's reach in pixels."""

    def example(self, run: Run, path: Path, width: int = 480, height: int = 360, margin: int = 32) -> Comparison:
        """The picture before and after, and the truth: the part of it that is hardest, for reports."""
