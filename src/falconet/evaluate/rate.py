"""What a network's convolutions take beyond their blocks: one rate for a device, from a few whole networks.

Networks of many small convolutions (cells on 32x32 pictures) take a third longer than the sum of their blocks, others
of the same space do not: most likely because a block timed over and over finds its weights in the processor's cache.

    rate = rate_of([Told(own_ms=2.1, gmacs=0.08, took_ms=2.9), ...])        # milliseconds a GMAC, before the scale

A rate must earn its place: each network in turn is predicted from the others, with and without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

EARNS = 0.9
"""A rate is kept when it brings the error on networks left out below this share of the error without it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A whole network that was measured: the sum of its blocks, its MACs (in 10^9), what it took."""

    own_ms: float
    gmacs: float
    took_ms: float


def rate_of(told: Sequence[Told]) -> float:
    """Milliseconds for each GMAC that are to be added to the blocks; 0 where that predicts no better.

    >>> nets = [Told(own, gmacs, 2 * (own + 3 * gmacs)) for own, gmacs in ((1, 1), (2, 0.1), (3, 2), (1, 0.5))]
    >>> round(rate_of(nets), 6), rate_of([Told(own, 1 / own, own) for own in (1, 2, 3, 4)])
    (3.0, 0.0)
    """
    rate = _least_squares(told)
    if not rate or len(told) < 3:
        return 0.0
    apart = [[*told[:n], *told[n + 1 :]] for n in range(len(told))]
    without = mean(abs(_error(one, others, 0.0)) for one, others in zip(told, apart, strict=True))
    with_it = mean(abs(_error(one, others, _least_squares(others))) for one, others in zip(told, apart, strict=True))
    return rate if with_it < EARNS * without else 0.0


def scale_of(told: Sequence[Told], rate: float) -> float:
    """The factor from blocks with a rate to whole networks: a median, so that one disturbed network spoils nothing."""
    return median(one.took_ms / (one.own_ms + rate * one.gmacs) for one in told)


def _error(one: Told, others: Sequence[Told], rate: float) -> float:
    """How far `one` is from what the others predict, as a share of what it took."""
    return scale_of(others, rate) * (one.own_ms + rate * one.gmacs) / one.took_ms - 1


def _least_squares(told: Sequence[Told]) -> float:
    """The rate of scale * (own + rate * gmacs) with the least squared relative error; 0 when none is positive."""
    own = [one.own_ms / one.took_ms for one in told]
    macs = [one.gmacs / one.took_ms for one in told]
    aa, ab, bb = (sum(x * y for x, y in zip(*pair, strict=True)) for pair in ((own, own), (own, macs), (macs, macs)))
    scale, times_rate = sum(own) * bb - sum(macs) * ab, sum(macs) * aa - sum(own) * ab
    return times_rate / scale if scale > 0 and times_rate > 0 else 0.0
