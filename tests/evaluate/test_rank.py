"""Kendall's tau against scipy, and its bands against a plain loop over pairs."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from falconet.errors import UserError
from falconet.evaluate.rank import banded_tau, tau

rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=25)


@settings(deadline=None)
@given(rows)
def test_tau_is_scipys_tau_b_with_ties(pairs):
    a, b = zip(*pairs, strict=True)
    theirs = stats.kendalltau(a, b).statistic
    assert tau(a, b, draws=5).tau == pytest.approx(theirs, abs=1e-12, nan_ok=True)


def test_the_bootstrap_resamples_networks():
    """Against the plain way: draw indices, ask scipy. Two samplings of one distribution agree to their noise."""
    rng = np.random.default_rng(1)
    a = rng.normal(size=40)
    b = a + rng.normal(size=40)
    picks = rng.integers(0, 40, size=(1500, 40))
    low, high = np.quantile([stats.kendalltau(a[i], b[i]).statistic for i in picks], [0.025, 0.975])
    ours = tau(a, b)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.03)
    assert ours.low < ours.tau < ours.high
    assert tau(a, b) == ours and tau(a, b, seed=1) != ours  # seeded
    assert tau(a, b, confidence=0.5).low > ours.low


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """For normal scores tau = 2/pi asin(correlation). 120 repeats: a 95 % interval that covers in 85 to 100 %."""
    rng, r = np.random.default_rng(0), 0.6
    truth, covered = 2 / math.pi * math.asin(r), 0
    for _ in range(120):
        a = rng.normal(size=50)
        b = r * a + math.sqrt(1 - r * r) * rng.normal(size=50)
        found = tau(a, b, draws=200)
        covered += found.low <= truth <= found.high
    assert 0.85 <= covered / 120 <= 1


def test_extremes_and_constants():
    assert tau([1, 2, 3], [4, 5, 6])[0] == 1 and tau([1, 2, 3], [6, 5, 4])[0] == -1
    assert math.isnan(tau([1, 1, 1], [1, 2, 3]).tau) and math.isnan(tau([1, 1, 1], [1, 2, 3]).low)
    for a, b in (([1], [1]), ([1, 2], [1, 2, 3])):
        with pytest.raises(UserError, match="two scores of the same"):
            tau(a, b)
    with pytest.raises(UserError, match="same networks"):
        banded_tau([1, 2], [1, 2], [1])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(80, 130)), min_size=2, max_size=20))
def test_banded_tau_against_a_loop_over_pairs(rows):
    agree = untied_a = untied_b = 0
    for (a1, b1, m1), (a2, b2, m2) in combinations(rows, 2):
        if abs(m1 - m2) <= 0.1 * max(m1, m2):
            agree += np.sign(a1 - a2) * np.sign(b1 - b2)
            untied_a += a1 != a2
            untied_b += b1 != b2
    expected = agree / math.sqrt(untied_a * untied_b) if untied_a and untied_b else math.nan
    assert banded_tau(*zip(*rows, strict=True), draws=5).tau == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_inside_one_band_both_taus_are_the_same():
    a, b = [1, 5, 2, 4], [2, 5, 3, 1]
    assert banded_tau(a, b, macs=[100, 101, 102, 103]) == tau(a, b)


def test_macs_that_explain_everything_explain_nothing_within_bands():
    """Quality falls with noise inside a band and rises with MACs across bands: tau is high, banded tau is not."""
    rng = np.random.default_rng(0)
    macs = np.repeat([1e9, 2e9, 4e9, 8e9], 15)
    a, b = (np.log(macs) + 0.05 * rng.normal(size=60) for _ in range(2))
    assert tau(a, b).tau > 0.7 and abs(banded_tau(a, b, macs).tau) < 0.3
