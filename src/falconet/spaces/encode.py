"""Architectures as vectors of fixed length, for models that predict a cost or a quality from them.

Left out: decoding. A model scores candidates that a strategy proposes; it does not invent vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from falconet.errors import UserError
from falconet.spaces.space import Option, Space, decisions, is_ordered, largest, neighbours, sample, smallest


@dataclass(frozen=True, slots=True)
class Column:
    """How one decision is written: every option ever met, whether they are ordered, whether some archs lack it."""

    name: str
    options: tuple[Option, ...]
    ordered: bool
    optional: bool

    def encode(self, arch: Mapping[str, Option]) -> tuple[float, ...]:
        """The numbers of this decision: scaled to 0..1 if ordered, else one-hot; see `Encoder`."""
        answer = arch.get(self.name)
        if answer is None and not self.optional:
            raise UserError(f"the architecture does not answer {self.name!r}, which every other one did")
        if answer is not None and answer not in self.options:
            raise UserError(f"the architecture answers {answer!r} to {self.name!r}; met so far: {self.options!r}")
        if not self.ordered:
            return tuple(float(answer == option) for option in self.options)
        low, high = float(self.options[0]), float(self.options[-1])  # type: ignore[arg-type]  # ordered: numbers
        scaled = 0.0 if answer is None or high == low else (float(answer) - low) / (high - low)  # type: ignore[arg-type]
        return (float(answer is not None), scaled) if self.optional else (scaled,)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns the architectures of one space into vectors of one length; different architectures get different vectors.

    An ordered decision (ascending numbers) becomes one number from 0 to 1, any other a one-hot group. A decision that
    some architectures lack is all zeros there, and if it is ordered a leading 1 tells "present" from "lowest option".

        >>> encoder = encoder_of(lambda pick: (pick("width", (8, 16, 32)), pick("act", ("relu", "prelu"))))
        >>> encoder.encode({"width": 16, "act": "prelu"})
        (0.3333333333333333, 0.0, 1.0)
    """

    columns: tuple[Column, ...]

    def encode(self, arch: Mapping[str, Option]) -> tuple[float, ...]:
        """The vector of an architecture. UserError for decisions and options not met when the encoder was made."""
        unknown = set(arch) - {column.name for column in self.columns}
        if unknown:
            raise UserError(f"decisions not met when the encoder was made: {sorted(unknown)}; make it with more draws")
        return tuple(number for column in self.columns for number in column.encode(arch))


def encoder_of(space: Space, *, quiet: int = 300, limit: int = 10_000, seed: int = 0) -> Encoder:
    """The encoder of a space, over all decisions met in: the extremes, their neighbours, and random draws.

    Draws stop when `quiet` of them in a row showed nothing new, at the latest after `limit`. In a conditional space a
    rare decision can still be missed; `encode` then says so.
    """
    rng = Random(seed)
    met: dict[tuple[str, tuple[Option, ...]], None] = {}  # an ordered set
    always = set(decisions(space, smallest(space)))

    def shows_news(asked: dict[str, tuple[Option, ...]]) -> bool:
        before = len(met), len(always)
        met.update(dict.fromkeys(asked.items()))
        always.intersection_update(asked)
        return (len(met), len(always)) != before

    for extreme in (smallest(space), largest(space)):
        for arch in (extreme, *neighbours(space, extreme)):
            shows_news(decisions(space, arch))
    still = 0
    for _ in range(limit):
        still = 0 if shows_news(decisions(space, sample(space, rng))) else still + 1
        if still == quiet:
            break
    names = dict.fromkeys(name for name, _ in met)
    return Encoder(tuple(_column(n, [o for name, o in met if name == n], n not in always) for n in names))


def _column(name: str, lists: list[tuple[Option, ...]], optional: bool) -> Column:
    ordered = all(is_ordered(options) for options in lists)
    options = list(dict.fromkeys(option for options in lists for option in options))
    if ordered:
        options.sort(key=lambda option: float(option))  # type: ignore[arg-type]  # ordered: numbers
    return Column(name, tuple(options), ordered, optional)
