"""Paired differences against scipy's t-test."""

import numpy as np
import pytest
from scipy import stats

from falconet.errors import UserError
from falconet.evaluate.paired import mean_over_seeds, paired, t_quantile


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 99, 1_000, 100_000])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_t_quantile(freedom, confidence):
    assert t_quantile(confidence, freedom) == pytest.approx(stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-5)


@pytest.mark.parametrize(("shift", "verdict"), [(0.2, "better"), (0.0, "tie"), (-0.2, "worse")])
def test_paired_is_scipys_paired_t_interval(shift, verdict):
    rng = np.random.default_rng(0)
    scores = {f"picture{i}": v for i, v in enumerate(rng.normal(31, 4, size=100))}
    other = {
        name: value + shift + noise
        for (name, value), noise in zip(scores.items(), rng.normal(0, 0.2, 100), strict=True)
    }
    found = paired(other, dict(reversed(scores.items())))  # matched by name, not by position
    test = stats.ttest_rel([other[n] for n in scores], list(scores.values()))
    interval = test.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-5)
    assert found.verdict == verdict and (found.verdict == "tie") == (test.pvalue > 0.05)
    wider = paired(other, scores, confidence=0.99)
    assert wider.low < found.low < found.mean < found.high < wider.high


def test_equal_scores_are_a_tie_and_a_constant_gain_is_none():
    same = {"a": 30.0, "b": 35.0}
    assert paired(same, same).verdict == "tie" and paired(same, same).mean == 0
    assert paired({"a": 30.5, "b": 35.5}, same).verdict == "better"


def test_frames_of_one_thing_count_as_one():
    rng = np.random.default_rng(1)
    signs = rng.normal(0.4, 1, 40)
    ours = {f"{sign}-{frame}": 30 + gain for sign, gain in enumerate(signs) for frame in range(30)}
    other = dict.fromkeys(ours, 30.0)
    groups = {name: name.partition("-")[0] for name in ours}
    found, blind = paired(ours, other, groups=groups), paired(ours, other)
    test = stats.ttest_1samp(signs, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((test.low, test.high), rel=1e-5)
    assert blind.high - blind.low < 0.25 * (found.high - found.low)
    alone = paired(ours, other, groups={name: name for name in ours})
    assert (alone.low, alone.high) == pytest.approx((blind.low, blind.high))
    with pytest.raises(UserError, match="two or more groups"):
        paired(ours, other, groups=dict.fromkeys(ours, "one"))


def test_seeds_are_averaged_per_picture():
    runs = [{"a": 30.0, "b": 35.0}, {"a": 31.0, "b": 37.0}]
    assert mean_over_seeds(runs) == {"a": 30.5, "b": 36.0}
    for wrong in ([], [{"a": 1.0}, {"b": 1.0}]):
        with pytest.raises(UserError, match="same pictures"):
            mean_over_seeds(wrong)


def test_other_pictures_are_refused_by_name():
    with pytest.raises(UserError, match=r"only one side has bird, head"):
        paired({"baby": 1.0, "bird": 2.0}, {"baby": 1.0, "head": 2.0})
    with pytest.raises(UserError, match="two or more"):
        paired({"baby": 1.0}, {"baby": 1.0})
