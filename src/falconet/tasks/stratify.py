"""Which labelled pictures are kept aside: as many of each class as its share, by a seed, whole groups together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def stratified(
    labels_n: Integers, groups_n: Integers, wanted: int | float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Which of n pictures are kept aside, about `wanted` of them (a number, or a share below 1): true for those.

    Each class gives its share, to the picture when no groups forbid it. A group goes whole; groups are taken in random
    order while they bring the class nearer to its share, one at least. A class always keeps one group on this side.

    >>> labels, alone = np.array([0, 0, 0, 0, 1, 1]), np.arange(6)
    >>> aside = stratified(labels, alone, 3, np.random.default_rng(0))
    >>> np.bincount(labels[aside]).tolist()
    [2, 1]
    """
    total = len(labels_n)
    count = wanted if isinstance(wanted, int) else round(wanted * total)
    aside = np.zeros(total, bool)
    classes, sizes = np.unique(labels_n, return_counts=True)
    for label, quota in zip(classes.tolist(), quotas(sizes, count).tolist(), strict=True):
        places = np.flatnonzero(labels_n == label)
        units, owner, counts = np.unique(groups_n[places], return_inverse=True, return_counts=True)
        chosen, taken = np.zeros(len(units), bool), 0
        for unit in rng.permutation(len(units))[:-1].tolist():  # one group stays
            nearer = abs(taken + int(counts[unit]) - quota) < abs(taken - quota)
            if quota and (nearer or not taken):
                chosen[unit], taken = True, taken + int(counts[unit])
        aside[places[chosen[owner]]] = True
    return aside


def quotas(sizes_k: npt.NDArray[np.integer], count: int) -> Integers:
    """How many of `count` each of k classes gives, in proportion to its size: largest remainders.

    >>> quotas(np.array([50, 30, 20]), 5).tolist()
    [3, 1, 1]
    """
    exact = count * sizes_k / max(1, int(sizes_k.sum()))
    found = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - found), kind="stable")
    found[order[: count - int(found.sum())]] += 1
    return found
