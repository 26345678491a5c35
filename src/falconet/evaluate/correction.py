"""What whole networks take beyond the sum of their blocks, learned from a few that were measured.

Blocks timed one by one are wrong in a common way on some devices: a kind of block that changes the layout of values
when it stands alone does not inside a network, and weights that are used over and over stay in the processor's cache,
which those of a whole network may outgrow. So each kind of block may get a factor, drawn to 1, all convolutions a rate
for each multiply-accumulate, or all weights one beyond those that the cache holds:

    whole = scale * (call + sum over kinds of factor * own + rate * gmacs + fetch * max(0, mparams - held))

    told = [Told({"conv3x3": 2.1, "concat": 0.4}, gmacs=0.08, mparams=0.6, took_ms=2.9), ...]      # before the scale
    found = correction_of(told)
    found.factors, found.rate, found.fetch, found.error         # error: on networks left out, each in turn

A correction must earn its place: each network in turn is predicted from the others, with and without it. Ridge
regression (Hoerl and Kennard 1970) towards 1 in place of 0, on relative errors, without negative weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, median

import numpy as np

from falconet.evaluate.blocks import HEAVY, Block
from falconet.evaluate.linear import kind, nnls
from falconet.graph import Op

EARNS = 0.9
"""A correction is kept when it brings the error on networks left out below this share of the error without it."""

TIES = (0.3, 0.1, 0.03, 0.01)
"""How strongly factors are drawn to 1: what being wrong by all costs, in squared relative errors of a network."""

HELD = (0.25, 0.5, 0.75)
"""Where the cache may end, in shares of the weights of the largest network told."""

FEWEST = 3


@dataclass(frozen=True, slots=True)
class Told:
    """A whole network that was measured: the sum of its blocks of each kind, its MACs (in 10^9), its weights (in 10^6),
    what it took.
    """

    own_ms: Mapping[str, float]
    gmacs: float
    mparams: float
    took_ms: float
    call_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Correction:
    """A factor for kinds of blocks (1 where there is none); a rate, milliseconds for each GMAC; `fetch`, milliseconds
    for each million weights beyond the `held` million.

    `error` is the mean relative error on networks left out, in turn, of what the factors are learned from.
    """

    factors: Mapping[str, float] = field(default_factory=dict)
    rate: float = 0.0
    fetch: float = 0.0
    held: float = 0.0
    error: float = float("nan")

    def ms(self, told: Told) -> float:
        """A network corrected, before the scale."""
        own = sum(ms * self.factors.get(name, 1.0) for name, ms in told.own_ms.items())
        return told.call_ms + own + self.rate * told.gmacs + self.fetch * max(0.0, told.mparams - self.held)

    @property
    def in_words(self) -> tuple[str, ...]:
        """What a person is told: nothing when nothing is corrected."""
        factors = ", ".join(f"{name} {factor:.2f}" for name, factor in self.factors.items())
        fetch = f"{self.fetch:.3g} ms a million weights beyond {self.held:.3g} million added"
        return (
            *[f"factors for kinds of blocks: {factors}"] * bool(self.factors),
            *[f"{self.rate:.3g} ms a GMAC added"] * bool(self.rate),
            *[fetch] * bool(self.fetch),
        )


@dataclass(frozen=True, slots=True)
class _Way:
    """One form of a correction: factors drawn to 1 by `tie` or none; a rate, or weights beyond `held` million."""

    tie: float | None = None
    rated: bool = False
    held: float | None = None


def kind_of(block: Block) -> str:
    """What a block is told apart by: its heavy operators, all of them where none is heavy; "conv3x3.grouped"."""
    ops = [layer.op for layer in block.spec.layers if isinstance(layer.op, Op)]
    return "+".join(dict.fromkeys(kind(op) for op in [op for op in ops if isinstance(op, HEAVY)] or ops))


def correction_of(told: Sequence[Told]) -> Correction:
    """The correction that predicts best what it was not told; none where that is hardly better than none.

    >>> pairs = ((1, 1), (2, 0.1), (3, 2), (1, 0.5))
    >>> nets = [Told({"conv3x3": a, "concat": b}, 0.0, 0.0, took_ms=2 * a + b) for a, b in pairs]
    >>> {name: round(factor, 1) for name, factor in correction_of(nets).factors.items()}
    {'concat': 0.6, 'conv3x3': 1.2}
    """
    plain = Correction(error=_error_left_out(told, _Way()) if len(told) > 1 else float("nan"))
    if len(told) < FEWEST:
        return plain
    most = max(one.mparams for one in told)
    errors = {way: _error_left_out(told, way) for way in _ways(most) if way != _Way()}
    best = min(errors, key=lambda way: errors[way])
    return replace(_fitted(told, best), error=errors[best]) if errors[best] < EARNS * plain.error else plain


def _ways(most_mparams: float) -> list[_Way]:
    """All forms, the simpler first: of equals the first is kept."""
    ends = [(False, None), (True, None), *[(False, share * most_mparams) for share in HELD]]
    return [_Way(tie, rated, held) for tie in (None, *TIES) for rated, held in ends]


def scale_of(told: Sequence[Told], correction: Correction) -> float:
    """The factor from corrected blocks to whole networks: a median, so that one disturbed network spoils nothing."""
    return median(one.took_ms / correction.ms(one) for one in told)


def _error_left_out(told: Sequence[Told], way: _Way) -> float:
    """The mean of how far each network is from what the others predict, as a share of what it took."""
    errors = []
    for n, one in enumerate(told):
        others = [*told[:n], *told[n + 1 :]]
        found = _fitted(others, way)
        errors.append(abs(scale_of(others, found) * found.ms(one) / one.took_ms - 1))
    return mean(errors)


def _fitted(told: Sequence[Told], way: _Way) -> Correction:
    """The correction of that form with the least squared relative errors."""
    names = sorted({name for one in told for name in one.own_ms})
    shares = scale_of(told, Correction()) / np.array([one.took_ms for one in told])
    call = np.array([one.call_ms for one in told])
    own = np.array([[one.own_ms.get(name, 0.0) for name in names] for one in told])
    more = np.array([_beyond(one, way) for one in told])[:, None]
    if way.tie is None:
        found = nnls(np.hstack([call[:, None] + own.sum(axis=1, keepdims=True), more]) * shares[:, None], 1 + 0 * call)
        return _correction(way, {}, found[1] / found[0] if found[0] > 0 else 0.0)
    rows = np.hstack([own, more]) * shares[:, None]
    drawn = way.tie**0.5 * np.eye(len(names), rows.shape[1])
    found = nnls(np.vstack([rows, drawn]), np.append(1 - shares * call, drawn.sum(axis=1)))
    return _correction(way, dict(zip(names, found.tolist(), strict=False)), found[-1])


def _beyond(told: Told, way: _Way) -> float:
    """What is paid for beyond the blocks."""
    return max(0.0, told.mparams - way.held) if way.held is not None else told.gmacs * way.rated


def _correction(way: _Way, factors: Mapping[str, float], price: float) -> Correction:
    if way.held is None:
        return Correction(factors, rate=float(price) * way.rated)
    return Correction(factors, fetch=float(price), held=way.held if price else 0.0)
