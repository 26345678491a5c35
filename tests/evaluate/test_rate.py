"""The rate of a device: what convolutions take beyond their blocks."""

from random import Random

import pytest

from falconet.evaluate.rate import Told, rate_of, scale_of


def networks(count, rate, scale, blur=0.0, seed=0):
    rng = Random(seed)
    for _ in range(count):
        own, gmacs = rng.uniform(0.5, 4), rng.uniform(0.01, 0.2)
        yield Told(own, gmacs, scale * (own + rate * gmacs) * (1 + rng.gauss(0, blur)))


def test_a_rate_is_found_with_its_scale():
    told = list(networks(10, rate=15.0, scale=1.3))
    assert rate_of(told) == pytest.approx(15) and scale_of(told, 15.0) == pytest.approx(1.3)


def test_a_rate_is_found_under_noise():
    found = [rate_of(list(networks(10, rate=15.0, scale=1.3, blur=0.03, seed=seed))) for seed in range(20)]
    assert all(8 < rate < 25 for rate in found)


def test_noise_alone_seldom_makes_a_rate_and_then_a_small_one():
    found = [rate_of(list(networks(10, rate=0.0, scale=1.0, blur=0.03, seed=seed))) for seed in range(20)]
    assert sum(rate > 0 for rate in found) <= 4 and max(found) < 5


def test_networks_that_are_faster_the_more_they_convolve_have_no_rate():
    assert rate_of(list(networks(10, rate=-3.0, scale=1.0))) == 0


def test_two_networks_are_too_few():
    assert rate_of(list(networks(2, rate=15.0, scale=1.0))) == 0
