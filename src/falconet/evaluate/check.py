"""How well predicted latencies hold: rank, error, and the noise that no prediction can beat.

    scores = judge(check)
    scores.table.spearman, scores.table.mape           # predicted against measured
    scores.noise.mape                                  # a second round of measuring against the first
    scores.macs.spearman, scores.banded                # baselines; ranks among networks of nearly equal MACs

Spearman 1904; ties get their mean rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from falconet.evaluate.device import Check

Floats = NDArray[np.float64]

BAND = 0.10
FEWEST_IN_BAND = 5


@dataclass(frozen=True, slots=True)
class Score:
    """Rank correlation, mean and largest relative error of one prediction. nan where there is no order."""

    spearman: float
    mape: float
    worst: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The device's prediction, the noise floor, and what counting alone gives, on the same held-out networks.

    `banded` is the mean Spearman among networks whose MACs differ by at most 10 % from one of them, over `bands` such
    groups of five or more; nan when there is none. `linear` counts networks that held an unknown block.
    """

    table: Score
    noise: Score
    macs: Score
    params: Score
    banded: float
    banded_noise: float
    bands: int
    nets: int
    linear: int

    @property
    def holds(self) -> bool:
        """Spearman >= 0.98 and MAPE <= 5 %, or both within 1.5 times the noise floor."""
        good = self.table.spearman >= 0.98 and self.table.mape <= 0.05
        near_rank = 1 - self.table.spearman <= 1.5 * (1 - self.noise.spearman)
        return good or (near_rank and self.table.mape <= max(0.05, 1.5 * self.noise.mape))


def judge(check: Check) -> Scores:
    """The scores of a check. The second round, and the baselines, get one common factor (the median ratio)."""
    nets = check.nets
    measured = np.array([one.measured_ms for one in nets])
    predicted = np.array([one.predicted_ms for one in nets])
    again = np.array([one.again_ms for one in nets])
    macs, params = np.array([one.macs for one in nets]), np.array([one.params for one in nets])
    banded, bands = banded_spearman(predicted, measured, macs)
    return Scores(
        table=_score(predicted, measured),
        noise=_score(_scaled(again, measured), measured),
        macs=_score(_scaled(macs, measured), measured),
        params=_score(_scaled(params, measured), measured),
        banded=banded,
        banded_noise=banded_spearman(again, measured, macs)[0],
        bands=bands,
        nets=len(nets),
        linear=sum(one.how == "linear" for one in nets),
    )


def spearman(a: Sequence[float] | Floats, b: Sequence[float] | Floats) -> float:
    """Spearman's rank correlation; nan when one of them is constant.

    >>> spearman([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    ranks_a, ranks_b = ranks_a - ranks_a.mean(), ranks_b - ranks_b.mean()
    scale = float(np.sqrt((ranks_a**2).sum() * (ranks_b**2).sum()))
    return float((ranks_a * ranks_b).sum() / scale) if scale > 0 else float("nan")


def banded_spearman(a: Floats, b: Floats, macs: Floats) -> tuple[float, int]:
    """The mean of `spearman` over groups of five or more networks within +-10 % of one's MACs, and how many groups."""
    groups = {tuple(np.flatnonzero(np.abs(macs - one) <= BAND * one).tolist()) for one in macs}
    found = [spearman(a[list(group)], b[list(group)]) for group in groups if len(group) >= FEWEST_IN_BAND]
    found = [one for one in found if np.isfinite(one)]
    return (float(np.mean(found)), len(found)) if found else (float("nan"), 0)


def _ranks(values: Sequence[float] | Floats) -> Floats:
    """Ranks from 0, ties with their mean rank."""
    _, place, counts = np.unique(np.asarray(values, dtype=float), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean = last - (counts + 1) / 2
    return np.asarray(mean[place], dtype=float)


def _scaled(values: Floats, measured: Floats) -> Floats:
    return values * float(np.median(measured / values))


def _score(predicted: Floats, measured: Floats) -> Score:
    errors = np.abs(predicted / measured - 1)
    return Score(spearman(predicted, measured), float(errors.mean()), float(errors.max()))
