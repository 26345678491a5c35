"""The settings of the stages that belong to the pipeline: how long to train, and what to keep.

Lengths are given in `steps` or in `minutes`. Minutes become steps once, when a run is planned on this machine, and are
written down: what a run computes never depends on how busy the machine was later.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator, model_validator

from falconet.errors import UserError
from falconet.evaluate import format_quantity, parse_quantity
from falconet.spaces import SPACES, Pick, Space, load_space
from falconet.train.settings import Fraction, PathSettings, TrainSettings
from falconet.zoo import ZOO, designed

if TYPE_CHECKING:
    from falconet.graph import NetSpec


def shown(value: float) -> str | float:
    """A quantity as people write it when that says exactly the same, else the number itself.

    >>> shown(6.1e9), shown(6123456789.0)
    ('6.1G', 6123456789.0)
    """
    short = format_quantity(value)
    return short if parse_quantity(short) == value else value


Quantity = Annotated[float, BeforeValidator(parse_quantity), PlainSerializer(shown)]


def named(value: object) -> object:
    """A group of settings that is given by its name alone, as a group.

    >>> named("sandwich"), named({"name": "sandwich", "random": 1})
    ({'name': 'sandwich'}, {'name': 'sandwich', 'random': 1})
    """
    return {"name": value} if isinstance(value, str) else value


def several(value: object) -> object:
    """One quantity as a list of one."""
    return (value,) if isinstance(value, str | int | float) else value


def each_seed(nets: object) -> object:
    """Settings of networks, those with `seeds: n` n times over.

    >>> each_seed([{"net": "espcn", "seeds": 2}])
    [{'net': 'espcn', 'seed': 0}, {'net': 'espcn', 'seed': 1}]
    """
    if not isinstance(nets, list | tuple):
        return nets
    found: list[object] = []
    for one in nets:
        count = one.get("seeds") if isinstance(one, dict) else None
        if isinstance(one, dict) and isinstance(count, int) and not isinstance(count, bool) and 0 < count <= 20:
            rest = {key: value for key, value in one.items() if key != "seeds"}
            found += [{**rest, "seed": seed} for seed in range(count)]
        else:
            found.append(one)
    return found


class Length(BaseModel):
    """How long a training is: `steps` or `minutes`, one of them. 0 steps: not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(None, ge=0)
    minutes: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_of_them(self) -> Length:
        if (self.steps is None) == (self.minutes is None):
            raise UserError("say how long to train: either steps or minutes")
        return self


class SupernetSettings(Length, TrainSettings):
    """Training of the supernet, whose weights every network of the space shares: for how long, by which paths, and how.

    `paths` is a name (`sandwich`, `uniform`) or a group of settings that has one. For the share `one_kind` of the steps
    blocks of one kind are trained alone; the other kinds begin with what these learned. Spaces of several kinds only.
    """

    paths: Annotated[PathSettings, BeforeValidator(named)] = PathSettings()
    one_kind: Fraction = 0.0

    @model_validator(mode="after")
    def _steps_of_parts(self) -> SupernetSettings:
        if self.optimizer == "soap" and self.paths.name == "uniform":
            raise ValueError(
                "optimizer soap moves weights whole, and with uniform paths a step uses parts of them: "
                "choose adamw or sgd, or paths: sandwich"
            )
        return self


class FinalSettings(Length, TrainSettings):
    """What becomes of the front: which members are kept, and how long each is trained, from which weights.

    `at` lists limits on the budget's first cost; the best network within each is kept. Empty: the budget itself.
    `start: inherited` trains on from the supernet's weights, and ships the better ones; `scratch` begins anew, as
    Single Path One-Shot does, and ships what that came to. With `steps: 0` the networks are kept with the supernet's
    weights as they are. `seeds` is how often each is trained: the first is shipped, comparisons take the mean of all.
    """

    at: Annotated[tuple[Quantity, ...], BeforeValidator(several)] = ()
    start: Literal["inherited", "scratch"] = "inherited"
    seeds: int = Field(1, ge=1, le=20)


class TrustSettings(TrainSettings):
    """How the supernet's ranking is checked: `networks` of the space are trained alone, `steps` each; 0: not at all.

    `near` of them cost at most a tenth less than the budget allows, where costs alone rank nothing; the others are
    spread over all costs. Networks whose final training is of the same kind (`start: scratch`, equal settings) count
    along.
    """

    networks: int = Field(0, ge=0)
    near: int = Field(0, ge=0)
    steps: int = Field(2000, ge=1)


class RivalSettings(Length, TrainSettings):
    """A hand-designed network trained beside the search: a name of the zoo, its options, and how it is trained.

    `net` may name a space too, if its options leave one network: shuffle with {kind: shuffle3, width: 1} is ShuffleNet
    v2 in that layout. `seed` is added to the run's; `seeds: 3` in a recipe stands for three, with the
    seeds 0, 1 and 2.
    """

    net: str
    options: dict[str, int | float | str] = {}
    seed: int = Field(0, ge=0)

    @field_validator("net")
    @classmethod
    def _known(cls, value: str) -> str:
        return value if value in SPACES else _zoo_name(value)

    @property
    def title(self) -> str:
        """The name with the values of its options: `plain_sr-4-16-leaky_relu`; `-seed1` is added to that of seed 1."""
        return "-".join([self.net, *map(str, self.options.values()), *([f"seed{self.seed}"] if self.seed else [])])


class Rivals(BaseModel):
    """What is trained beside the search, for the report to compare with.

    `nets` are hand-designed networks; `baselines` what the task knows beside its first baseline, such as `nlm`
    (non-local means) for denoising. With `random` the best network of the random search within each limit is trained
    as the searched ones are (settings of `final`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    nets: Annotated[tuple[RivalSettings, ...], BeforeValidator(each_seed)] = ()
    baselines: Annotated[tuple[str, ...], BeforeValidator(several)] = ()
    random: bool = False


class SpaceFile(BaseModel):
    """A space of the user's own: `file: my_space.py`, or `my_space.py:name` when it is not called `space`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str

    @field_validator("file")
    @classmethod
    def _loads(cls, value: str) -> str:
        _loaded(value)
        return value

    @property
    def parts(self) -> tuple[Path, str]:
        """The Python file, and the name of the space in it."""
        path, colon, name = self.file.rpartition(":")
        return (Path(path), name) if colon and path.endswith(".py") else (Path(self.file), "space")

    def __call__(self, pick: Pick) -> NetSpec:
        """The network that the user's function builds."""
        return _loaded(self.file)(pick)


class ZooSpace(BaseModel):
    """The space of one network, which leaves nothing to search: `zoo: resnet20`, with its options.

    `scale` and `classes` are taken over from the task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    zoo: str
    options: dict[str, int | float | str] = {}
    scale: int | None = None
    classes: int | None = None

    @field_validator("zoo")
    @classmethod
    def _known(cls, value: str) -> str:
        return _zoo_name(value)

    def __call__(self, pick: Pick) -> NetSpec:
        """The network; nothing is asked."""
        return _zoo_network(self.zoo, tuple(sorted(self.options.items())), self.scale, self.classes)


@lru_cache
def _zoo_network(
    name: str, options: tuple[tuple[str, int | float | str], ...], scale: int | None, classes: int | None
) -> NetSpec:
    """The network, built once: a space is asked for it hundreds of times."""
    return designed(name, dict(options), scale=scale, classes=classes)


def _zoo_name(value: str) -> str:
    if value not in ZOO:
        near = difflib.get_close_matches(value, ZOO, 1)
        raise ValueError(f"there is no zoo network {value!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return value


@lru_cache
def _loaded(file: str) -> Space:
    """The space in the file, which is run once."""
    return load_space(file)
