"""The contract of a task: which pictures go in, which should come out, how near the result is.

A task is a frozen pydantic model: its fields are its settings in a recipe, its methods are below. To write your own,
satisfy `Task` (no base class is needed) and pass the object; to make it choosable by name, add it to `TASKS`.

Everything random is a function of seeds given: two calls with the same arguments give the same answer, so an
interrupted training goes on exactly.

Shapes: b = batch, c = channels, h, w = height, width. Tensors are float32, values 0..1.
Left out: torch is not imported here, nor by `import falconet.tasks`; methods that need it import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from falconet.errors import UserError
from falconet.tasks.images import Picture, Skipped, list_pictures

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph import Input, NetSpec

    # A network to be judged: its inputs (bchw each) to its output (bchw). No gradients are asked for.
    Run = Callable[[tuple[Tensor, ...]], Tensor]
else:
    Run = Callable

__all__ = [
    "Classifier",
    "Comparison",
    "DataSettings",
    "Dataset",
    "Example",
    "Pictures",
    "Run",
    "Skipped",
    "Task",
    "TestResult",
]


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a picture's name fits one of the patterns, as a whole, without its folders, or without its ending.

    >>> matches("PolyU/Canon5D2_11_mean.JPG", ("Canon5D2*",)), matches("101085.jpg", ("101085",))
    (True, True)
    """
    last = name.rpartition("/")[2]
    tried = (name, last, last.rpartition(".")[0])
    return any(fnmatchcase(one, pattern) for one in tried for pattern in patterns)


class Pictures(BaseModel):
    """A folder of test pictures, or some of it; a path alone stands for all of it.

    `only` is a pattern of names, or several ("Canon5D2*"), or a .txt file with one name a line; `lr` and `noisy` are
    folders with the small and the noisy partners, where they are not made here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    only: tuple[str, ...] = ()
    lr: Path | None = None
    noisy: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: object) -> object:
        return {"folder": value} if isinstance(value, (str, Path)) else value

    @field_validator("only", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def paths(self) -> tuple[Path, ...]:
        """The files, sorted. UserError when there are none, or a name of a .txt file or a pattern fits none."""
        found = list_pictures(self.folder)
        if not self.only:
            return found
        wanted = [pattern for one in self.only for pattern in _patterns(one)]
        names = [path.relative_to(self.folder).as_posix() for path in found]
        for pattern in wanted:
            if not any(matches(name, (pattern,)) for name in names):
                raise UserError(
                    f"no picture in {self.folder} is named {pattern!r}; the first there is {names[0]}. "
                    "Patterns may hold *, as in Canon*"
                )
        return tuple(path for path, name in zip(found, names, strict=True) if matches(name, tuple(wanted)))


def _patterns(one: str) -> list[str]:
    """The names in a .txt file, or the pattern itself."""
    if not one.endswith(".txt"):
        return [one]
    try:
        names = Path(one).read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError):
        raise UserError(f"a text file with one picture's name a line is needed; {one} is none") from None
    found = [escape(name.strip()) for name in names if name.strip()]
    if not found:
        raise UserError(f"{one} holds no names; a text file with one picture's name a line is needed")
    return found


class DataSettings(BaseModel):
    """Where the pictures are, and which of them are kept for validation.

    `train` is one folder or several; `lr` and `noisy` are folders with the small or noisy partners of the same names,
    when they exist; `leave_out` a pattern, or several, of pictures that are not trained with ("Canon5D2*"); `test`
    names folders that are read for the final table only; `validation` is a number of training pictures (20), a share of
    them (0.1: at least 1, at most 20), or a pattern of their names; `holdout`, for classifiers, as many more that are
    judged for the final table only (and shares of any size); `terms` the licence or terms of the pictures, for
    the model card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[Path, ...]
    lr: Path | None = None
    noisy: Path | None = None
    leave_out: tuple[str, ...] = ()
    test: dict[str, Pictures] = {}
    validation: int | float | str = 0.1
    holdout: int | float = Field(0, ge=0)
    terms: str = ""

    @field_validator("train", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, (str, Path)) else value

    @field_validator("leave_out", mode="before")
    @classmethod
    def _one_or_several_patterns(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("validation")
    @classmethod
    def _count_or_share(cls, value: int | float | str) -> int | float | str:
        if isinstance(value, str):
            return value
        if value <= 0:
            raise ValueError(f"must be above 0: a number of pictures, or a share of them; got {value}")
        if isinstance(value, float) and value >= 1 and value != int(value):
            raise ValueError(f"must be a whole number of pictures, or a share of them below 1; got {value}")
        return int(value) if value >= 1 else value


@dataclass(frozen=True, eq=False)
class Example:
    """One picture, decoded: the network's inputs and the output wanted, each c x h x w, float32 0..1 or uint8.

    A training picture may hold its target in place of an input that is made anew for every step. `partner` is the file
    that goes in, where inputs are not made here. Pictures of one `group` are of one thing (frames of a video).
    """

    name: str
    path: Path
    inputs: tuple[npt.NDArray[Any], ...]
    target: npt.NDArray[Any]
    partner: Path | None = None
    group: str = ""


@dataclass(frozen=True, eq=False)
class Dataset:
    """All pictures of a run, decoded once: `train` whole ones, `validation` fixed crops, `skipped` what was left out.

    `ends` is the running sum of the number of places at which a patch can be cut from each training picture, so that a
    random place is one random number. `holdout` are pictures that are judged once, when everything has been chosen;
    `arrays` is what a task keeps beside, such as all training pictures as one array.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    skipped: tuple[Skipped, ...] = ()
    ends: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    notes: tuple[str, ...] = ()
    holdout: tuple[Example, ...] = ()
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

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
    """The figures of a test folder: means over its pictures, and each picture's own.

    `confusion[i][j]` counts the pictures of class i that were called j; only classifiers have it. `groups` says which
    pictures are of one thing, where some are.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    metrics: Mapping[str, float]
    num_images: int
    per_image: Mapping[str, Mapping[str, float]]
    skipped: tuple[Skipped, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One picture to show: what came before (bicubic, noisy), the network's, and the truth, as PNG files of one size.

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

    @property
    def use(self) -> str:
        """What its networks are for, and what they are not, in words, for model cards."""

    @property
    def suffix(self) -> str:
        """What is added to the name of an enhanced picture, such as "-x2"."""

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names that `baseline` knows; the first is what comes before a network: every run is compared with it."""

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

    def test(self, run: Run, pictures: Pictures | Path) -> TestResult:
        """Figures on a folder of whole pictures, by the published protocol."""

    def baseline(self, name: str) -> Run:
        """What has to be beaten, as if it were a network. UserError for an unknown name."""

    def enhance(
        self,
        run: Run,
        picture: Picture,
        margin: int = 32,
        tile: int = 240,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """A whole picture of any mode, made better; in the mode it came in. `margin`: the network's reach in pixels."""

    def strips(
        self,
        run: Run,
        picture: Picture,
        margin: int = 32,
        tile: int = 240,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Picture]:
        """The same from top to bottom in strips, so that a result too large for memory can be written as it comes."""

    def example(
        self,
        run: Run,
        path: Path,
        width: int = 480,
        height: int = 360,
        margin: int = 32,
        given: Path | None = None,
    ) -> Comparison:
        """The picture before and after, and the truth: the part of it that is hardest, for reports.

        `given` is the file of the picture before, where it is not made here.
        """


@runtime_checkable
class Classifier(Protocol):
    """What a task has besides when its networks give values for classes, and no picture.

    Its pictures are all of one `size`; `classes` are the names of the outputs, found from the data by `knowing`.
    """

    @property
    def size(self) -> int:
        """Height and width of what goes in."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the outputs; empty when they are not known yet."""

    def knowing(self, data: DataSettings) -> Self:
        """The task with the classes that the training pictures have. UserError when the pictures cannot be listed."""

    def prepare(self, spec: NetSpec) -> NetSpec:
        """A network of a space or of the zoo behind what the task does to its input; itself when that is there."""

    def plain_batch(self, dataset: Dataset, index: int, size: int) -> tuple[Tensor, ...]:
        """Unchanged training pictures, the `index`-th lot of `size`, always the same."""

    def as_target(self, output: Tensor) -> Tensor:
        """A network's output as a target for another."""

    def held_out(self, run: Run, dataset: Dataset) -> TestResult | None:
        """Figures of the held-out pictures; None when there are none."""
