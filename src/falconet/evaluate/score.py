"""What one evaluation records, and the budgets it is held against.

Values only: no module here builds a network, runs one or imports torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator

from falconet.errors import UserError
from falconet.spaces import Arch

How: TypeAlias = Literal["counted", "predicted", "measured"]
Status: TypeAlias = Literal["ok", "infeasible", "failed"]

SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True, slots=True)
class Cost:
    """One cost of a network, and how it came to be known."""

    value: float
    how: How


@dataclass(frozen=True, slots=True)
class Objective:
    """A score to improve, by its name in `Trial.quality` or `Trial.costs`, and the direction."""

    name: str
    maximize: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluated architecture: one line of trials.jsonl.

    An evaluator fills in what it measured (network, status, error, quality, costs, weights, fidelity, executor,
    seconds); the search loop fills in the place of the trial in the search (search, round, proposer, seed).
    """

    index: int
    arch: Arch
    network: str  # digest of the NetSpec: the identity of the network
    status: Status = "ok"
    error: str = ""
    quality: dict[str, float] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    weights: str = ""  # which weights the quality comes from, such as "supernet@1a2b3c4d"
    fidelity: str = ""  # how the quality was obtained, such as "inherited"
    executor: str = ""
    seconds: float = 0.0
    search: str = ""
    round: int = 0
    proposer: str = ""
    seed: int = 0

    def value(self, name: str) -> float:
        """The score of that name, from the qualities or the costs. KeyError when the trial has none."""
        return self.quality[name] if name in self.quality else self.costs[name].value

    def scores(self, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
        """The values of the objectives; None when the trial is not ok or lacks one of them."""
        if self.status != "ok" or any(o.name not in self.quality and o.name not in self.costs for o in objectives):
            return None
        return tuple(self.value(objective.name) for objective in objectives)

    def to_json(self) -> dict[str, object]:
        """A dict for one line of JSON; `from_json` reads it back as an equal Trial."""
        costs = {name: asdict(cost) for name, cost in self.costs.items()}
        values = {name: getattr(self, name) for name in _TrialModel.model_fields}
        return {**values, "quality": dict(self.quality), "costs": costs, "arch": self.arch.to_json()}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Trial:
        """The Trial that `to_json` wrote."""
        return _TrialModel.model_validate(data).trial()


class _TrialModel(BaseModel):
    """Checks the types of one line read from disk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: str
    proposer: str
    round: int
    index: int
    status: Status
    error: str
    network: str
    quality: dict[str, float]
    costs: dict[str, Cost]
    arch: dict[str, object]
    weights: str
    fidelity: str
    seed: int
    executor: str
    seconds: float

    def trial(self) -> Trial:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return Trial(**{**fields, "arch": Arch.from_json(self.arch)})


def parse_quantity(value: str | int | float) -> float:
    """The number a person means by "6.1G", "750K", "12M", "6_100_000" or 6100000. K is 1,000.

    >>> parse_quantity("6.1G"), parse_quantity("750K"), parse_quantity(12)
    (6100000000.0, 750000.0, 12.0)
    """
    match = re.fullmatch(r"\s*([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([kKmMgGtT]?)\s*", str(value))
    if isinstance(value, bool) or match is None:
        raise UserError(f"a quantity must be a number, with K, M, G or T if you like (such as 6.1G), not {value!r}")
    number = float(match[1]) * SUFFIXES[match[2].lower()]
    return float(f"{number:.15g}")  # 6.1 * 1e9 is 6099999999.999999


def format_quantity(value: float) -> str:
    """A quantity with three significant digits and its suffix, as `parse_quantity` reads it.

    >>> format_quantity(6_123_456_789), format_quantity(750_000), format_quantity(12), format_quantity(999_999)
    ('6.12G', '750K', '12', '1M')
    """
    rounded = float(f"{value:.3g}")
    suffix = max((s for s in SUFFIXES if SUFFIXES[s] <= max(1.0, abs(rounded))), key=SUFFIXES.__getitem__)
    return f"{rounded / SUFFIXES[suffix]:.4g}{suffix.upper()}"


def parse_size(value: object) -> tuple[int, int]:
    """(width, height) of a picture size such as "1280x720", in pixels."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]+)\s*[x×]\s*([0-9]+)\s*", value)):
        value = (int(match[1]), int(match[2]))
    if not (
        isinstance(value, (tuple, list)) and len(value) == 2 and all(type(side) is int and side > 0 for side in value)
    ):
        raise UserError(f"a picture size must be WIDTHxHEIGHT in pixels, such as 1280x720, not {value!r}")
    return value[0], value[1]


SHARE = re.compile(r"\s*([0-9]+\.?[0-9]*)\s*%\s*of\s+(\S+)\s*")
DEVICE_COST = "latency_ms."
"""The latency on a named device is the cost "latency_ms.NAME" where a budget names several."""


def device_name(where: str) -> str:
    """What a device is called in costs: its name, or that of its file.

    >>> device_name("pixel3"), device_name("runs/a/devices/pixel3.json")
    ('pixel3', 'pixel3')
    """
    return PurePath(where).stem if where.endswith(".json") else where


def parse_share(value: object) -> tuple[float, str]:
    """(share, network) of a limit that is told by another network: "60% of fsrcnn" is (0.6, "fsrcnn")."""
    match = SHARE.fullmatch(str(value))
    if match is None or not 0 < float(match[1]) < 1e6:
        raise UserError(f'a limit by another network must be like "60% of fsrcnn", not {value!r}')
    return float(match[1]) / 100, match[2]


def _parse_limit(value: str | int | float) -> float:
    limit = parse_quantity(value)
    if not (math.isfinite(limit) and limit > 0):
        raise UserError(f"a budget must be more than 0, not {value!r}")
    return limit


Limit = Annotated[float, BeforeValidator(_parse_limit)]
PictureSize = Annotated[
    tuple[int, int], BeforeValidator(parse_size), PlainSerializer(lambda size: f"{size[0]}x{size[1]}", return_type=str)
]
LIMITS = ("macs", "macs_per_pixel", "params", "peak_activation_bytes", "latency_ms")


RANGE = ".."
PENDING = 1.0  # milliseconds that stand for a share until it is resolved


def _is_share(value: object) -> bool:
    return isinstance(value, str) and "%" in value


class Budget(BaseModel):
    """What a network may cost at most; a limit left out is no limit.

    All but `params` and `macs_per_pixel` (of the picture that comes out) depend on the size of the picture, so it must
    be named: by the output (`at_output`, the convention of super-resolution) or by the input (`at_input`), width first;
    1280x720 comes out where it is not. A window has a lower end as well:
    "315K..325K" is the limit 325K and 315K in `at_least`.

    >>> Budget(macs="6.1G", at_output="1280x720").limits(), Budget(params="315K..325K").at_least
    ({'macs': 6100000000.0}, {'params': 315000.0})

    A latency is that of a device, `on`, or of several: `latency_ms: {pixel3: 8, laptop: 12}` puts them into
    `on_devices`; without a device it is that of ONNX Runtime here. A limit may be a share of a named network's cost,
    "60% of fsrcnn": such are in `shares` until `resolved` makes numbers of them, and nothing is judged before.

    >>> Budget(latency_ms={"pixel3": 8}, at_output="1280x720").limits()
    {'latency_ms.pixel3': 8.0}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _devices_and_shares(cls, values: object) -> object:
        """A latency by device as `on_devices`, and each limit that is told by another network as one of `shares`."""
        if not isinstance(values, Mapping):
            return values
        found, shares = dict(values), dict(values.get("shares") or {})
        if isinstance(found.get("latency_ms"), Mapping):
            new = found.pop("latency_ms")
            taken = {device_name(str(one)) for one in new}
            old = {d: one for d, one in (found.get("on_devices") or {}).items() if device_name(d) not in taken}
            found["on_devices"] = {**old, **new}
        devices = found.get("on_devices")
        for name in [name for name in LIMITS if _is_share(found.get(name))]:
            shares[name] = found.pop(name)
        if isinstance(devices, Mapping):
            shares |= {DEVICE_COST + device_name(str(d)): one for d, one in devices.items() if _is_share(one)}
            found["on_devices"] = {d: PENDING if _is_share(one) else one for d, one in devices.items()}
        return {**found, "shares": shares} if shares else found

    @model_validator(mode="before")
    @classmethod
    def _windows(cls, values: object) -> object:
        """Each "LOW..HIGH" as its two ends."""
        if not isinstance(values, Mapping):
            return values
        found, least = dict(values), dict(values.get("at_least") or {})
        for name in LIMITS:
            given = found.get(name)
            if isinstance(given, str) and RANGE in given:
                least[name], _, found[name] = given.partition(RANGE)
        return {**found, "at_least": least} if least else found

    macs: Limit | None = None
    macs_per_pixel: Limit | None = None
    params: Limit | None = None
    peak_activation_bytes: Limit | None = None
    latency_ms: Limit | None = None
    on: str | None = None
    on_devices: dict[str, Limit] = {}
    shares: dict[str, str] = {}
    at_output: PictureSize | None = None
    at_input: PictureSize | None = None
    at_least: dict[Literal["macs", "macs_per_pixel", "params", "peak_activation_bytes", "latency_ms"], Limit] = {}

    @model_validator(mode="after")
    def _windows_are_open(self) -> Budget:
        limits = self._set()
        for name, low in self.at_least.items():
            if low >= limits.get(name, 0):
                high = format_quantity(limits[name]) if name in limits else "no limit"
                raise UserError(
                    f"a window of {name} needs a lower end below its upper one, such as 315K..325K; "
                    f"got {format_quantity(low)} and {high}"
                )
        return self

    @model_validator(mode="after")
    def _names_its_picture(self) -> Budget:
        if self.at_output is not None and self.at_input is not None:
            raise UserError("name the picture size once: at_output or at_input, not both")
        sized = [name for name in {**self._set(), **self.shares} if name not in ("params", "macs_per_pixel")]
        if sized and self.at_output is None and self.at_input is None:
            raise UserError(
                f"a budget of {', '.join(sized)} depends on the size of the picture; "
                "add at_output: 1280x720 or at_input: 640x360"
            )
        return self

    @model_validator(mode="after")
    def _devices_differ(self) -> Budget:
        names = [device_name(where) for where in self.on_devices]
        if self.on is not None and (self.on_devices or (self.latency_ms is None and "latency_ms" not in self.shares)):
            raise UserError(
                "`on` names the device of latency_ms: give both (latency_ms: 8, on: pixel3), "
                "or several devices as latency_ms: {pixel3: 8, laptop: 12}"
            )
        if len(set(names)) != len(names):
            raise UserError(f"a device is named twice in latency_ms: {', '.join(names)}")
        for share in self.shares.values():
            parse_share(share)
        return self

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name of the cost. Shares of other networks must be resolved first."""
        assert not self.shares, "shares are resolved before a budget is used"
        return self._set()

    def _set(self) -> dict[str, float]:
        values = {name: getattr(self, name) for name in LIMITS}
        devices = {DEVICE_COST + device_name(where): limit for where, limit in self.on_devices.items()}
        return {name: value for name, value in values.items() if value is not None} | devices

    def with_limit(self, name: str, limit: float) -> Budget:
        """The same budget with another limit of one cost."""
        if not name.startswith(DEVICE_COST):
            return self.model_copy(update={name: limit})
        devices = {d: limit if DEVICE_COST + device_name(d) == name else one for d, one in self.on_devices.items()}
        return self.model_copy(update={"on_devices": devices})

    def resolved(self, cost: Callable[[str, str], float]) -> Budget:
        """The budget with every share as a number: `cost(name, network)` tells a named network's cost.

        >>> Budget(params="60% of fsrcnn").resolved(lambda name, network: 10_000).limits()
        {'params': 6000.0}
        """
        found = self.model_copy(update={"shares": {}})
        for name, text in self.shares.items():
            share, network = parse_share(text)
            found = found.with_limit(name, share * cost(name, network))
        return found

    def devices(self) -> dict[str, str]:
        """Cost -> the device whose latency it is; empty when none is named."""
        one = {} if self.on is None else {"latency_ms": self.on}
        return one | {DEVICE_COST + device_name(where): where for where in self.on_devices}

    def exceeded(self, costs: Mapping[str, float | Cost]) -> list[str]:
        """One sentence for each limit that a network's costs exceed or fall short of; empty when it fits.

        Only costs that are given are judged: a latency is not known before it is measured, and is judged when it is.

        >>> Budget(params="10K").exceeded({"params": 12_500})
        ['params 12.5K is over the budget of 10K']
        """
        values = {name: cost.value if isinstance(cost, Cost) else cost for name, cost in costs.items()}
        over = [
            f"{name} {format_quantity(values[name])} is over the budget of {format_quantity(limit)}"
            for name, limit in self.limits().items()
            if name in values and values[name] > limit
        ]
        return over + [
            f"{name} {format_quantity(values[name])} is under the budget's {format_quantity(low)}"
            for name, low in self.at_least.items()
            if name in values and values[name] < low
        ]

    def distance(self, costs: Mapping[str, float]) -> float:
        """How far counted costs are outside the budget, in shares of its ends, added up; 0 when they fit.

        >>> Budget(params="300..400").distance({"params": 500}), Budget(params="300..400").distance({"params": 150})
        (0.25, 0.5)
        """
        over = sum(max(0.0, costs[name] / limit - 1) for name, limit in self.limits().items() if name in costs)
        under = sum(max(0.0, 1 - costs[name] / low) for name, low in self.at_least.items() if name in costs)
        return over + under


class InfeasibleBudget(UserError):
    """No network of the space was found within the budget. The message gives the smallest costs that were."""


def check_budget(budget: Budget, smallest: Mapping[str, float]) -> None:
    """Raises InfeasibleBudget when even the smallest known costs exceed the budget.

    `smallest` is the least of each cost on its own, so passing proves nothing when there are several limits.
    """
    exceeded = budget.model_copy(update={"at_least": {}}).exceeded(smallest)
    if exceeded:
        found = ", ".join(f"{name} {format_quantity(smallest[name])}" for name in budget.limits() if name in smallest)
        raise InfeasibleBudget(
            f"no network of this space meets the budget: {'; '.join(exceeded)}. "
            f"The smallest cost there is: {found}. Raise the budget, or let the space go narrower or shallower."
        )
