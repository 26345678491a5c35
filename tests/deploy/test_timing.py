"""Timing, with a clock that the callables themselves move on."""

import dataclasses

import pytest

from falconet.deploy.timing import tie, time_callables


class Machine:
    """A clock, and work that takes a stated time; now and then a neighbour makes everything slower."""

    def __init__(self, slow_every: int = 0) -> None:
        self.now, self.count, self.slow_every = 0.0, 0, slow_every
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now

    def work(self, name: str, seconds: float):
        def run() -> None:
            self.count += 1
            self.ran.append(name)
            is_slow = self.slow_every and self.count % self.slow_every == 0
            self.now += seconds * (2 if is_slow else 1)

        return run


def test_times_are_milliseconds_and_ratios_are_to_the_reference():
    machine = Machine()
    calls = {"a": machine.work("a", 0.002), "ref": machine.work("ref", 0.004)}
    found = time_callables(calls, "ref", rounds=10, burst=2, clock=machine.clock)
    a = found["a"]
    assert (a.min_ms, a.p10_ms, a.median_ms, a.spread_ms) == pytest.approx((2, 2, 2, 0))
    assert a.relative == pytest.approx(0.5) and found["ref"].relative == 1
    assert a.num_samples == 20


def test_a_busy_machine_moves_the_median_more_than_the_minimum():
    machine = Machine(slow_every=2)
    found = time_callables({"a": machine.work("a", 0.002)}, rounds=20, burst=3, clock=machine.clock)
    assert found["a"].min_ms == pytest.approx(2) and found["a"].median_ms > 2.5
    assert found["a"].relative is None


def test_every_round_runs_each_once_untimed_then_its_burst_in_an_order_drawn_by_the_seed():
    def order(seed: int) -> list[str]:
        machine = Machine()
        calls = {name: machine.work(name, 0.001) for name in "abc"}
        time_callables(calls, rounds=8, burst=2, seed=seed, clock=machine.clock)
        return machine.ran

    ran = order(0)
    rounds = [ran[i : i + 9] for i in range(0, len(ran), 9)]
    assert len(rounds) == 8
    for one in rounds:
        assert [one[i : i + 3] == [one[i]] * 3 for i in (0, 3, 6)] == [True] * 3
        assert {one[0], one[3], one[6]} == set("abc")
    assert len({tuple(one) for one in rounds}) > 1
    assert order(0) == ran != order(1)


def test_time_cap_still_leaves_five_rounds():
    machine = Machine()
    found = time_callables({"a": machine.work("a", 1.0)}, rounds=40, burst=1, max_seconds=3, clock=machine.clock)
    assert found["a"].num_samples == 5
    found = time_callables({"a": machine.work("a", 1.0)}, rounds=40, burst=1, max_seconds=20, clock=machine.clock)
    assert found["a"].num_samples == 10


def test_under_five_percent_is_a_tie():
    machine = Machine()
    a = time_callables({"a": machine.work("a", 1.0)}, rounds=1, clock=machine.clock)["a"]
    assert tie(a, dataclasses.replace(a, min_ms=a.min_ms * 1.049)) and tie(dataclasses.replace(a, min_ms=953), a)
    assert not tie(a, dataclasses.replace(a, min_ms=a.min_ms * 1.06))
