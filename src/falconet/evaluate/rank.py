"""How well one way of scoring networks orders them as another does: Kendall's tau with an interval.

Used for the supernet: do networks with inherited weights rank as they do when trained alone? MACs alone rank networks
well too, so a tau is shown beside that of MACs, and within bands of nearly equal MACs, where MACs know nothing.

Kendall 1945, "The treatment of ties in ranking problems" (tau-b); Efron 1979 for the bootstrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from falconet.errors import UserError

Floats = NDArray[np.float64]


class Tau(NamedTuple):
    """Kendall's tau-b and the ends of its bootstrap interval; nan where all values tie and there is no order."""

    tau: float
    low: float
    high: float


def tau(a: Sequence[float], b: Sequence[float], *, draws: int = 2_000, seed: int = 0, confidence: float = 0.95) -> Tau:
    """Kendall's tau-b of two scores of the same networks: 1 the same order, -1 the reverse, 0 unrelated.

    The interval is the percentile bootstrap: networks are drawn with replacement `draws` times, from a seeded
    generator. A network drawn twice ties with itself, which tau-b leaves out.

    >>> round(tau([1, 2, 3, 4], [1, 2, 4, 3]).tau, 3)       # 5 pairs agree, 1 does not: 4 / 6
    0.667
    """
    return _tau(a, b, np.ones((len(a), len(a))), draws, seed, confidence)


def banded_tau(
    a: Sequence[float],
    b: Sequence[float],
    macs: Sequence[float],
    *,
    band: float = 0.1,
    draws: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Tau:
    """The same over pairs of nearly equal MACs only: those that differ by at most `band` of the larger.

    Comparing pairs needs no borders between bands, so none can cut through a cluster of networks.

    >>> banded_tau([1, 2, 30, 40], [2, 1, 40, 30], macs=[100, 101, 900, 905]).tau    # two pairs, both disagree
    -1.0
    """
    values = _vector(macs)
    if len(values) != len(a):
        raise UserError(f"scores and MACs must belong to the same networks; got {len(a)} and {len(values)}")
    near = np.abs(values[:, None] - values[None, :]) <= band * np.maximum(values[:, None], values[None, :])
    return _tau(a, b, near.astype(float), draws, seed, confidence)


def _tau(a: Sequence[float], b: Sequence[float], pairs_nn: Floats, draws: int, seed: int, confidence: float) -> Tau:
    """Weights w say how often each network was drawn; agreement, and untied pairs of a and of b, are forms w S w."""
    if len(a) != len(b) or len(a) < 2:
        raise UserError(
            f"a rank correlation needs two scores of the same two or more networks; got {len(a)} and {len(b)}"
        )
    signs_a, signs_b = (np.sign(v[:, None] - v[None, :]) * pairs_nn for v in (_vector(a), _vector(b)))
    forms = signs_a * signs_b, np.abs(signs_a), np.abs(signs_b)
    rng = np.random.default_rng(seed)
    weights = np.vstack([np.ones(len(a)), rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size=draws)])
    agree, untied_a, untied_b = (((weights @ form) * weights).sum(axis=1) for form in forms)
    scale = np.sqrt(untied_a * untied_b)
    taus = np.divide(agree, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    known = taus[1:][np.isfinite(taus[1:])]
    if not len(known) or np.isnan(taus[0]):
        return Tau(float(taus[0]), float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Tau(float(taus[0]), float(low), float(high))


def _vector(values: Sequence[float]) -> Floats:
    vector = np.asarray(values, dtype=float)
    assert vector.ndim == 1 and np.all(np.isfinite(vector)), "scores must be finite numbers in one row"
    return vector
