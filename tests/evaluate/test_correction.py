"""What whole networks take beyond their blocks: factors for kinds of blocks, and a rate for convolutions."""

from dataclasses import replace
from random import Random
from statistics import mean

import pytest

from falconet.evaluate.blocks import block_of
from falconet.evaluate.correction import Correction, Told, correction_of, kind_of, scale_of
from falconet.graph import Concat, Conv, Draft, ReLU


def networks(count, factors=None, rate=0.0, scale=1.0, blur=0.0, seed=0, fetch=0.0, held=0.0):
    rng, truth = Random(seed), Correction(factors or {}, rate, fetch, held)
    for _ in range(count):
        own = {name: rng.uniform(0.5, 4) for name in ("conv3x3", "conv1x1", "concat")}
        told = Told(own, rng.uniform(0.01, 0.2), rng.uniform(0.1, 1.2), 1.0, call_ms=0.05)
        yield replace(told, took_ms=scale * truth.ms(told) * (1 + rng.gauss(0, blur)))


def error_on_others(found, told, **truth):
    others = list(networks(40, seed=99, **truth))
    scale = scale_of(told, found)
    return mean(abs(scale * found.ms(one) / one.took_ms - 1) for one in others)


def test_a_rate_is_found_with_its_scale():
    told = list(networks(10, rate=15.0, scale=1.3))
    found = correction_of(told)
    assert not found.factors and found.rate == pytest.approx(15) and scale_of(told, found) == pytest.approx(1.3)
    assert found.error == pytest.approx(0, abs=1e-9) and found.in_words == ("15 ms a GMAC added",)


@pytest.mark.parametrize("factors", [{"conv3x3": 1.5, "concat": 0.4}, {"conv1x1": 0.5}])
def test_kinds_that_cost_more_or_less_inside_a_network_are_found_under_noise(factors):
    for seed in range(5):
        told = list(networks(10, factors, blur=0.02, seed=seed))
        found = correction_of(told)
        without = error_on_others(Correction(), told, factors=factors)
        assert without > 0.05
        assert error_on_others(found, told, factors=factors) < 0.5 * without
        assert all(found.factors[name] > found.factors["concat"] for name in factors if factors[name] > 1)


def test_weights_that_outgrow_a_cache_are_found_under_noise():
    for seed in range(5):
        told = list(networks(10, blur=0.02, seed=seed, fetch=8.0, held=0.6))
        found = correction_of(told)
        without = error_on_others(Correction(), told, fetch=8.0, held=0.6)
        assert without > 0.1 and found.fetch > 0 and not found.rate
        assert error_on_others(found, told, fetch=8.0, held=0.6) < 0.5 * without


def of_one_kind(count, rate, scale, blur=0.0, seed=0):
    rng = Random(seed)
    for _ in range(count):
        own, gmacs = rng.uniform(0.5, 4), rng.uniform(0.01, 0.2)
        took = scale * (own + rate * gmacs) * (1 + rng.gauss(0, blur))
        yield Told({"conv3x3": own}, gmacs, 0.0, took)


def test_a_rate_of_one_kind_is_found_with_its_scale():
    told = list(of_one_kind(10, rate=15.0, scale=1.3))
    found = correction_of(told)
    assert found.rate == pytest.approx(15) and scale_of(told, found) == pytest.approx(1.3)


def test_a_rate_is_found_under_noise():
    found = [correction_of(list(of_one_kind(10, rate=15.0, scale=1.3, blur=0.03, seed=seed))) for seed in range(20)]
    assert all(8 < one.rate / one.factors.get("conv3x3", 1.0) < 25 for one in found)


def test_noise_alone_seldom_makes_a_rate_and_then_a_small_one():
    found = [correction_of(list(of_one_kind(10, rate=0.0, scale=1.0, blur=0.03, seed=s))).rate for s in range(20)]
    assert sum(rate > 0 for rate in found) <= 4 and max(found) < 5


def test_networks_that_are_faster_the_more_they_convolve_have_no_rate():
    assert correction_of(list(of_one_kind(10, rate=-3.0, scale=1.0))).rate == 0


def test_noise_alone_seldom_makes_a_correction_and_never_a_harmful_one():
    kept = 0
    for seed in range(10):
        told = list(networks(20, blur=0.03, seed=seed))
        found = correction_of(told)
        kept += bool(found.in_words)
        assert error_on_others(found, told) < 0.03
    assert kept <= 4


def test_factors_and_rates_are_never_negative():
    found = correction_of(list(networks(10, rate=-3.0)))
    assert found.rate >= 0 and found.fetch >= 0
    assert all(factor >= 0 for factor in found.factors.values())


def test_two_networks_are_too_few():
    assert not correction_of(list(networks(2, {"concat": 0.2}))).factors
    assert correction_of(list(of_one_kind(2, rate=15.0, scale=1.0))).rate == 0


def test_a_kind_is_its_heavy_operators_or_all_where_none_is():
    d = Draft(x0=4)
    y = d.layer("a", ReLU(), d.layer("c", Conv(8, 3, groups=2), "x0"))
    assert kind_of(block_of(d.build(y), [(4, 8, 8)])) == "conv3x3.grouped"
    d = Draft(x0=4, x1=4)
    light = d.layer("r", ReLU(), d.layer("c", Concat(("a", "b")), "x0", "x1"))
    assert kind_of(block_of(d.build(light), [(4, 8, 8)] * 2)) == "concat+relu"
