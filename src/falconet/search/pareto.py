"""Which of several points are best when there are several objectives.

Shapes: n points, d objectives; `points_nd` is n by d. The direction of each objective is always said: `maximize`
holds d bools. The hypervolume itself comes from moocore, which is exact and fast.

Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from falconet.evaluate.score import Objective, Trial

Floats = NDArray[np.float64]


def non_dominated_sort(points_nd: ArrayLike, maximize: Sequence[bool]) -> NDArray[np.int64]:
    """The rank of each point, n integers: 0 for those that no point dominates, 1 for the next once these are gone, ...

    A point dominates another if it is at least as good in every objective and better in one; equal points do not
    dominate each other. O(n^2 d) time, n^2 bytes.

    >>> non_dominated_sort([[3, 5], [2, 4], [2, 6], [1, 1]], maximize=(True, False)).tolist()
    [0, 0, 1, 0]
    """
    points = _minimized(points_nd, maximize)
    no_worse = np.ones((len(points), len(points)), dtype=bool)
    better = np.zeros_like(no_worse)
    for column in points.T:  # one objective at a time: n^2 memory, not n^2 d
        no_worse &= column[:, None] <= column[None, :]
        better |= column[:, None] < column[None, :]
    dominates = no_worse & better
    num_above = dominates.sum(axis=0)
    ranks = np.full(len(points), -1)
    rank, left = 0, np.arange(len(points))
    while len(left):
        first = left[num_above[left] == 0]
        assert len(first), "dominance has no cycles"
        ranks[first] = rank
        num_above = num_above - dominates[first].sum(axis=0)
        rank, left = rank + 1, left[ranks[left] < 0]
    return ranks


def front(points_nd: ArrayLike, maximize: Sequence[bool]) -> list[int]:
    """The indices of the points that no other point dominates, ascending. Equal points stand side by side.

    >>> front([[30.0, 5], [31.0, 9], [29.0, 7]], maximize=(True, False))
    [0, 1]
    """
    points = _minimized(points_nd, maximize)
    order = np.lexsort(points.T[::-1])  # a point is dominated only by points before it in this order
    kept: list[int] = []
    for i in order:
        rivals = points[kept]
        if not np.any(np.all(rivals <= points[i], axis=1) & np.any(rivals < points[i], axis=1)):
            kept.append(int(i))
    return sorted(kept)


def front_of(trials: Sequence[Trial], objectives: Sequence[Objective]) -> list[Trial]:
    """The trials on the front, by their first objective ascending. Trials without every score (failed) are left out."""
    scored = [trial for trial in trials if trial.scores(objectives) is not None]
    points = [trial.scores(objectives) for trial in scored]
    if not scored:
        return []
    best = front(np.array(points), [objective.maximize for objective in objectives])
    return sorted((scored[i] for i in best), key=lambda trial: (trial.value(objectives[0].name), trial.index))


def crowding_distance(points_nd: ArrayLike) -> Floats:
    """How much room each point of one front has around it, n numbers; infinite for the ends of each objective.

    The sum over objectives of the gap between its two neighbours, relative to the whole range (Deb 2002, section
    III-B).

    >>> crowding_distance([[0, 4], [1, 2], [4, 0]]).tolist()
    [inf, 2.0, inf]
    """
    points = np.asarray(points_nd, dtype=float)
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def hypervolume(points_nd: ArrayLike, reference_d: Sequence[float], maximize: Sequence[bool]) -> float:
    """The volume of objective space that the points dominate, down to a reference point worse than all that count.

    Points that are not better than the reference in every objective add nothing. No points dominate no volume.

    >>> hypervolume([[2, 1], [3, 4]], reference_d=(0, 5), maximize=(True, False))
    9.0
    """
    points = _minimized(points_nd, maximize)
    reference = _minimized([reference_d], maximize)[0]
    inside = points[np.all(points < reference, axis=1)]
    if not len(inside):
        return 0.0
    from moocore import hypervolume as exact_hypervolume  # a fifth of a second to import

    return float(exact_hypervolume(inside, ref=reference))


def _minimized(points_nd: ArrayLike, maximize: Sequence[bool]) -> Floats:
    """The points with every objective to be minimized."""
    points = np.asarray(points_nd, dtype=float).reshape(-1, len(maximize))
    assert np.all(np.isfinite(points)), "scores must be finite"
    return points * np.where(np.asarray(maximize, dtype=bool), -1.0, 1.0)
