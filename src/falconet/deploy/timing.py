"""Times of callables that can be compared although the machine is busy with other things.

All candidates are timed together: in every round each runs once untimed, then `burst` times timed, in an order drawn
anew (`runner.interleave`). What slows the machine slows all of them, so ratios hold where milliseconds do not: of two
networks timed on a busy machine the ratio of the minima varied by 2.7 % between repeats, that of medians taken one
after the other by 13 %. Differences under 5 % are ties.

Left out: pinning to a core (worse on a busy machine: a pinned process cannot leave a busy core) and processor time
(varied as much as the clock on the wall). Nothing here knows what the callables do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from falconet.deploy.runner import interleave, load_average

ROUNDS = 40
BURST = 3
TIE = 0.05


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one callable in milliseconds: least, 10th percentile, median, interquartile range.

    `load` is the machine's load average (the larger of before and after), `relative` the least time over the
    reference's of the same rounds.
    """

    min_ms: float
    p10_ms: float
    median_ms: float
    spread_ms: float
    load: float
    relative: float | None
    num_samples: int


def time_callables(
    calls: Mapping[str, Callable[[], object]],
    reference: str | None = None,
    rounds: int = ROUNDS,
    burst: int = BURST,
    seed: int = 0,
    max_seconds: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Name -> its times, measured in interleaved rounds; `reference` names the callable that others are compared with.

    After `max_seconds` no further round begins, but at least five are made. `clock` gives seconds.
    """
    assert calls and rounds >= 1 and burst >= 1
    load = load_average()
    seconds = interleave(calls, rounds, burst, seed, max_seconds, clock)
    return timings(seconds, max(load, load_average()), reference)


def timings(seconds: Mapping[str, Sequence[float]], load: float, reference: str | None = None) -> dict[str, Timing]:
    """Name -> what its seconds come to; all were measured in the same rounds."""
    assert reference is None or reference in seconds
    least = min(seconds[reference]) if reference is not None else None
    return {name: _timing(found, load, least) for name, found in seconds.items()}


def tie(a: Timing, b: Timing, share: float = TIE) -> bool:
    """Whether two timings of the same rounds are too close to call: their least times differ by less than 5 %."""
    return abs(a.min_ms - b.min_ms) < share * min(a.min_ms, b.min_ms)


def _timing(seconds: Sequence[float], load: float, least: float | None) -> Timing:
    p10, p25, median, p75 = (float(x) * 1e3 for x in np.percentile(seconds, (10, 25, 50, 75)))
    relative = None if least is None else min(seconds) / least
    return Timing(min(seconds) * 1e3, p10, median, p75 - p25, load, relative, len(seconds))
