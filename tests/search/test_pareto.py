"""Dominance, crowding and hypervolume against pymoo, moocore and values worked by hand."""

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconet.evaluate.score import Cost, Objective, Trial
from falconet.search.nsga2 import best_first
from falconet.search.pareto import crowding_distance, front, front_of, hypervolume, non_dominated_sort
from falconet.spaces import Arch


@st.composite
def clouds(draw, least=1):
    """(points, maximize): up to 30 points, on a coarse grid so that ties and duplicates are common."""
    d = draw(st.integers(least, 4))
    points = draw(st.lists(st.lists(st.integers(0, 6), min_size=d, max_size=d), min_size=1, max_size=30))
    return np.array(points, dtype=float), tuple(draw(st.lists(st.booleans(), min_size=d, max_size=d)))


def dominates(p, q, maximize):
    pairs = [(a, b) if up else (-a, -b) for a, b, up in zip(p, q, maximize, strict=True)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@settings(deadline=None)
@given(clouds())
def test_ranks_are_fronts_peeled_off_one_by_one(cloud):
    points, maximize = cloud
    ranks = non_dominated_sort(points, maximize)
    left, rank = list(range(len(points))), 0
    while left:
        best = [i for i in left if not any(dominates(points[j], points[i], maximize) for j in left)]
        assert [i for i in left if ranks[i] == rank] == best
        left, rank = [i for i in left if i not in best], rank + 1
    assert front(points, maximize) == np.flatnonzero(ranks == 0).tolist()


@settings(deadline=None)
@given(clouds(least=2))  # moocore 0.3.2 ranks a single minimized objective backwards
def test_ranks_and_hypervolume_are_moocores(cloud):
    points, maximize = cloud
    assert (
        non_dominated_sort(points, maximize).tolist() == moocore.pareto_rank(points, maximise=list(maximize)).tolist()
    )
    reference = [-1.0 if up else 7.0 for up in maximize]
    ours = hypervolume(points, reference, maximize)
    assert ours == pytest.approx(moocore.hypervolume(points, ref=reference, maximise=list(maximize)))
    # adding points never loses volume, and points off the front add none
    assert hypervolume(points[:-1], reference, maximize) <= ours + 1e-9
    assert hypervolume(points[front(points, maximize)], reference, maximize) == pytest.approx(ours)


@pytest.mark.parametrize("d", [2, 3])
def test_sorting_crowding_and_survivors_are_pymoos(d):
    sorting = pytest.importorskip("pymoo.util.nds.non_dominated_sorting")
    crowding = pytest.importorskip("pymoo.operators.survival.rank_and_crowding.metrics")
    points = np.random.default_rng(d).normal(size=(60, d))
    fronts = sorting.NonDominatedSorting().do(points)
    ranks = non_dominated_sort(points, maximize=(False,) * d)
    assert [sorted(f.tolist()) for f in fronts] == [np.flatnonzero(ranks == r).tolist() for r in range(len(fronts))]
    order = []
    for members in fronts:
        theirs = np.full(len(members), np.inf)  # one or two points are all ends; pymoo gives some of them 0
        if len(members) > 2:
            theirs = crowding.calc_crowding_distance(points[members])
        assert crowding_distance(points[members]) / d == pytest.approx(theirs)  # pymoo divides by d
        order += [members[i] for i in np.lexsort((members, -theirs))]
    assert best_first(points.tolist(), (False,) * d) == order


def test_worked_values():
    """Quality up, cost down: (3, 5), (2, 4) and (1, 1) are a front; (2, 6) is dominated by the first two."""
    points, directions = [(3, 5), (2, 4), (2, 6), (1, 1)], (True, False)
    assert non_dominated_sort(points, directions).tolist() == [0, 0, 1, 0]
    assert front(points, directions) == [0, 1, 3]
    # reference quality 0, cost 7: strips of height 1, 1, 1 and widths 7 - 5, 7 - 4, 7 - 1
    assert hypervolume(points, (0, 7), directions) == 2 + 3 + 6
    assert hypervolume([(3, 8), (-1, 2)], (0, 7), directions) == 0 == hypervolume([], (0, 7), directions)
    assert crowding_distance([(3, 5), (2, 4), (1, 1)]).tolist() == [np.inf, 2.0, np.inf]
    assert crowding_distance([(1, 1)]).tolist() == [np.inf]
    assert crowding_distance([(1, 1)] * 4)[1:3].tolist() == [0, 0]  # equal points, no range to divide by


def test_equal_points_share_the_front():
    assert front([(1, 1), (1, 1), (0, 0)], (True, True)) == [0, 1]


def test_scores_that_are_not_finite_are_our_own_mistake():
    with pytest.raises(AssertionError, match="finite"):
        non_dominated_sort([(1.0, np.nan)], (True, True))


def test_front_of_trials_leaves_failures_out_and_sorts_by_the_first_objective():
    def trial(index, psnr, macs, status="ok"):
        return Trial(
            index, Arch({}), str(index), status, quality={"psnr_y": psnr}, costs={"macs": Cost(macs, "counted")}
        )

    objectives = (Objective("psnr_y", True), Objective("macs", False))
    trials = [
        trial(0, 37, 5e9),
        trial(1, 36, 2e9),
        trial(2, 36, 3e9),
        trial(3, 99, 1, "failed"),
        Trial(4, Arch({}), "4"),
    ]
    assert [t.index for t in front_of(trials, objectives)] == [1, 0]
    assert front_of(trials[3:], objectives) == []
