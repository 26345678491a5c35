"""Latency predicted from what can be counted, by a line fitted to networks that were timed here.

    latency_ms = start + per_gmac * GMACs + per_mvalue * millions of values that layers write

A dozen networks of the space are exported and timed together on ONNX Runtime when a run is planned; the fit and the
times are written to plan.json and read back ever after, so that a search on a busy machine decides as on a quiet one.
The networks that are kept are measured in the end, and the report shows predicted against measured.

Left out: tables of layers and other devices. The line suits spaces whose networks are alike; its error, found by
leaving out one network at a time, is part of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
from pydantic import BaseModel, ConfigDict

from falconet.graph import NetSpec, costs, layer_costs, merged

# What ONNX Runtime computes within the convolution before it, without writing in between.
FREE = frozenset({"ReLU", "LeakyReLU", "Sigmoid", "HardSigmoid", "Clip", "Identity", "Dropout"})
ROUNDS = 12
FEATURES = ("start", "per_gmac", "per_mvalue")


class TimedNetwork(BaseModel):
    """A network that was timed: what was measured, and what a line fitted to the others says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    measured_ms: float
    predicted_ms: float


class LatencyLine(BaseModel):
    """The fitted line: milliseconds a call, a GMAC, and a million values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: float
    per_gmac: float
    per_mvalue: float
    sizes: tuple[tuple[int, int], ...]
    runtime: str = ""
    device: str = ""
    timed: tuple[TimedNetwork, ...] = ()

    def predict(self, spec: NetSpec) -> float:
        """Milliseconds of one call, one thread."""
        return float(np.dot([self.start, self.per_gmac, self.per_mvalue], features(spec, self.sizes)))

    @property
    def median_error(self) -> float:
        """The middle of the relative errors on networks that were left out of the fit."""
        return median(abs(one.predicted_ms / one.measured_ms - 1) for one in self.timed)


def features(spec: NetSpec, sizes: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """1, GMACs, and millions of values written, of the fused network."""
    rows = layer_costs(merged(spec), *sizes)
    values = sum(math.prod(row.output) for row in rows if row.op not in FREE)
    return 1.0, costs(spec, *sizes).macs / 1e9, values / 1e6


def measure_line(specs: Mapping[str, NetSpec], sizes: tuple[tuple[int, int], ...], max_seconds: float) -> LatencyLine:
    """Time the networks together and fit the line to their least times."""
    from falconet.evaluate.latency import measure_latency

    found = measure_latency(specs, sizes, rounds=ROUNDS, burst=1, max_seconds=max_seconds)
    rows = np.array([features(spec, sizes) for spec in specs.values()])
    measured = np.array([found[name].min_ms for name in specs])
    keep = np.arange(len(measured))
    without = [float(rows[i] @ fit_line(rows[keep != i], measured[keep != i])) for i in keep] if len(keep) > 3 else None
    weights = fit_line(rows, measured)
    predicted = without or (rows @ weights).tolist()
    timed = tuple(
        TimedNetwork(network=spec.digest, measured_ms=ms, predicted_ms=guess)
        for spec, ms, guess in zip(specs.values(), measured.tolist(), predicted, strict=True)
    )
    first = next(iter(found.values()))
    line = dict(zip(FEATURES, weights.tolist(), strict=True))
    return LatencyLine(**line, sizes=sizes, runtime=first.runtime, device=first.device, timed=timed)


def fit_line(rows_nf: np.ndarray, measured_n: np.ndarray) -> np.ndarray:
    """f weights, none negative, that make relative errors small: least squares of predicted / measured against 1.

    >>> fit_line(np.array([[1, 1, 0], [1, 2, 1], [1, 4, 1]]), np.array([3.0, 5.0, 9.0])).round(6).tolist()
    [1.0, 2.0, 0.0]
    """
    scaled = rows_nf / measured_n[:, None]
    used = list(range(rows_nf.shape[1]))
    while True:
        solved = np.linalg.lstsq(scaled[:, used], np.ones(len(measured_n)), rcond=None)[0]
        if (solved >= -1e-12).all() or len(used) == 1:
            weights = np.zeros(rows_nf.shape[1])
            weights[used] = np.maximum(solved, 0)
            return weights
        used.pop(int(np.argmin(solved)))
