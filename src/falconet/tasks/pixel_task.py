"""What the tasks that work on pixels share: what training makes small, sizes to learn from, figures of one's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from falconet.tasks.enhance import MARGIN, TILE, Make, strips
from falconet.tasks.images import Picture, joined
from falconet.tasks.losses import OWN, Criterion, check_criterion, measured
from falconet.tasks.metrics import Metric
from falconet.tasks.task import Run

if TYPE_CHECKING:
    from torch import Tensor


class PixelTask(BaseModel):
    """The settings and methods that super-resolution and denoising have in common.

    `patch`: side of a training patch, in pixels of the input. `criterion`: what training makes small, such as "l1" or
    "l1+0.1*fft" (`losses.py`). `shrinks`: sizes of the training pictures to learn from, such as (1.0, 0.8, 0.6) for two
    smaller copies of each. `stretched`: share of the training patches whose contrast is stretched as far as that of
    drawings and print, which photographs do not prepare for. `metrics`: figures of your own by name. `quality`: the
    figure that a search maximizes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    scale: int = 1
    colour: str = ""
    patch: int = Field(32, ge=8)
    criterion: str | Criterion = "l1"
    shrinks: tuple[float, ...] = (1.0,)
    stretched: float = Field(0.0, ge=0, le=1)
    metrics: dict[str, Metric | None] = {}
    quality: str = "psnr"

    @field_validator("criterion")
    @classmethod
    def _criterion_is_known(cls, value: str | Criterion) -> str | Criterion:
        return check_criterion(value)

    @field_serializer("criterion")
    def _criterion_name(self, value: str | Criterion) -> str:
        return value if isinstance(value, str) else OWN

    @field_serializer("metrics")
    def _metric_names(self, value: dict[str, Metric | None]) -> dict[str, None]:
        return dict.fromkeys(value)

    @field_validator("shrinks")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 < factor <= 1 for factor in value):
            raise ValueError(f"must be one or several numbers above 0 and up to 1; got {value}")
        return value

    @model_validator(mode="after")
    def _quality_is_known(self) -> Self:
        if self.quality not in self._figures:
            raise ValueError(f"quality must be one of {', '.join(self._figures)}; got {self.quality!r}")
        return self

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The criterion, a mean over all values of two tensors of one shape."""
        return measured(self.criterion, output, target)

    def enhance(
        self,
        run: Run,
        picture: Picture,
        margin: int = MARGIN,
        tile: int = TILE,
        progress: Callable[[int, int], None] | None = None,
    ) -> Picture:
        """The picture through the network, `scale` times larger, in the mode it came in; `enhance.py` says how."""
        return joined(self.strips(run, picture, margin, tile, progress), picture.height * self.scale)

    def strips(
        self,
        run: Run,
        picture: Picture,
        margin: int = MARGIN,
        tile: int = TILE,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Picture]:
        """The same from top to bottom, in strips."""
        return strips(self._by_tile(run, picture), picture, self.scale, margin, tile, progress)

    @abstractmethod
    def _by_tile(self, run: Run, picture: Picture) -> Make:
        """What turns a tile of the picture into its result."""

    @property
    @abstractmethod
    def _figures(self) -> tuple[str, ...]:
        """The names of all figures."""
