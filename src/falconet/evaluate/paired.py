"""Whether one model is better than another on the same pictures: the paired difference with its interval.

Scores vary far more between pictures than between models, so the difference is taken picture by picture. With several
training seeds the score of a picture is first averaged over the seeds (`mean_over_seeds`): the interval then speaks
about other pictures of the same kind, given these trained models. It does not contain the spread over further seeds.
Pictures of one group (frames of one sign) are hardly more than one picture: an interval is then over groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from falconet.errors import UserError


@dataclass(frozen=True, slots=True)
class Paired:
    """The mean of a - b over the pictures, its interval, and what that says about `a`; a higher score is better."""

    mean: float
    low: float
    high: float
    verdict: Literal["better", "worse", "tie"]


def paired(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    confidence: float = 0.95,
    groups: Mapping[str, str] | None = None,
) -> Paired:
    """How much better `a` scores than `b` on the same pictures (name -> score), with Student's t interval.

    The verdict is a tie when the interval holds 0. `groups` (name -> group; a picture not named is a group of its own)
    makes the error one of clusters: the sums of the groups' deviations vary (Liang and Zeger 1986), with one freedom
    less than there are groups.

    >>> paired({"baby": 38.0, "bird": 40.1, "head": 35.2}, {"baby": 37.9, "bird": 39.9, "head": 35.1}).verdict
    'tie'
    """
    if a.keys() != b.keys() or len(a) < 2:
        only = sorted(a.keys() ^ b.keys())
        raise UserError(
            "a paired comparison needs the same two or more pictures on both sides; "
            f"got {len(a)} and {len(b)}" + (f", and only one side has {', '.join(only[:5])}" if only else "")
        )
    differences = {name: a[name] - b[name] for name in a}
    mean = fmean(differences.values())
    sums = _sums_by_group({name: one - mean for name, one in differences.items()}, groups or {})
    if len(sums) < 2:
        raise UserError(f"a paired comparison needs two or more groups of pictures; all {len(a)} are of one")
    error = math.sqrt(len(sums) / (len(sums) - 1) * sum(one * one for one in sums)) / len(differences)
    half = t_quantile(confidence, len(sums) - 1) * error
    low, high = mean - half, mean + half
    return Paired(mean, low, high, "better" if low > 0 else "worse" if high < 0 else "tie")


def _sums_by_group(deviations: Mapping[str, float], groups: Mapping[str, str]) -> list[float]:
    """The sum of each group, and the deviation of each picture that has none."""
    sums: dict[tuple[str, str], float] = {}
    for name, one in deviations.items():
        key = ("group", groups[name]) if name in groups else ("alone", name)
        sums[key] = sums.get(key, 0.0) + one
    return list(sums.values())


def mean_over_seeds(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean score of each picture over several runs, one mapping a seed.

    >>> mean_over_seeds([{"baby": 37.0}, {"baby": 38.0}])
    {'baby': 37.5}
    """
    if not runs or any(run.keys() != runs[0].keys() for run in runs):
        raise UserError("the runs of all seeds must score the same pictures")
    return {name: fmean(run[name] for run in runs) for name in runs[0]}


def t_quantile(confidence: float, freedom: int) -> float:
    """The t that a Student variable stays within, in absolute value, with this probability.

    With t = sqrt(freedom) tan(angle) the density becomes cos(angle)^(freedom - 1), which a sum integrates well (error
    below 1e-6 relative). It saves a dependency on scipy.

    >>> round(t_quantile(0.95, 1), 3), round(t_quantile(0.95, 99), 3)
    (12.706, 1.984)
    """
    assert 0 < confidence < 1 and freedom >= 1
    edge = min(math.pi / 2, 40 / math.sqrt(freedom))  # beyond it a large `freedom` leaves no mass
    angles = np.linspace(0.0, edge, 200_001)
    density = np.cos(angles) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = float(np.interp(confidence, mass / mass[-1], angles))
    return math.sqrt(freedom) * math.tan(angle)
