"""A model that learns a latency or a quality of networks from few samples, and says how sure it is: numpy only.

    model = fit(tabulate(known), values)                     # `known`: features of the networks that were measured
    mean, deviation = model.predict(tabulate_of_others)

A Gaussian process (Rasmussen and Williams 2006, algorithm 2.1). Its kernel is, over the three groups of
`evaluate/describe.py`, with every group scaled so that two networks are 1 apart in the mean of squares:

    k(a, b) = sum over groups of slope_g * <a_g, b_g>  +  height * exp(-sum over groups of bend_g * |a_g - b_g|^2)

The linear part is what tables of layers assume; the other part is how networks differ from the sum of their layers. The
weights of the parts are found by maximizing the likelihood of the samples with a prior that holds each near a start
value, which is what keeps ten samples from being overfitted. Samples that the others contradict (a measurement that
something disturbed) are given a wider noise, once, by their leave-one-out residual (eq. 5.12).

Left out: gradients of the likelihood (steps along one weight at a time do), and sparse approximations: time grows with
the cube of the samples, 900 take some seconds. Weights are found on at most 300 of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from falconet.errors import UserError
from falconet.evaluate.describe import Floats

START = (0.05, 0.05, 1.0, 0.4, 0.4, 0.6, 1.0, 0.02)
"""Where weights begin, and about which their logarithms are normal with deviation 1: three slopes and three bends (of
choices, graph, amounts), height, noise."""
OUTLIER = 3.0
"""How many robust deviations off a sample may be before it is given a wider noise."""
MOST_FOR_WEIGHTS = 300
JITTER = 1e-6
ROWS_AT_ONCE = 2_000

Groups = Sequence[Floats]


@dataclass(frozen=True)
class Model:
    """A fitted process. Scaled groups are `(values - centre) / scale`, one pair for each group."""

    centres: tuple[Floats, ...]
    scales: tuple[Floats, ...]
    weights: Floats  # logarithms
    known: tuple[Floats, ...]  # the scaled groups of the samples
    inverse_nn: Floats  # of the samples' covariance
    dual_n: Floats
    offset: float
    unit: float

    def predict(self, groups: Groups) -> tuple[Floats, Floats]:
        """Mean and standard deviation for networks given by their groups, in the unit of the samples."""
        across = self._across(groups)
        variance = self._variance(groups) - np.einsum("mn,nk,mk->m", across, self.inverse_nn, across, optimize=True)
        return self._told(across @ self.dual_n), self.unit * np.sqrt(np.maximum(variance, 1e-12))

    def mean(self, groups: Groups) -> Floats:
        """The mean alone, for any number of networks: a few thousand at a time, so that memory stays small."""
        starts = range(0, len(groups[0]), ROWS_AT_ONCE)
        some = [[group[start : start + ROWS_AT_ONCE] for group in groups] for start in starts]
        return self._told(np.concatenate([self._across(part) @ self.dual_n for part in some]))

    def draw(self, groups: Groups, rng: np.random.Generator, count: int, boldness: float = 1.0) -> Floats:
        """`count` functions that fit what is known, at these networks: count by m.

        `boldness` is how far they stray from the mean: 1 as far as the process says, 0 not at all.
        """
        across, scaled = self._across(groups), self._scaled(groups)
        covariance = _kernel(self.weights, _pairs(scaled, scaled)) - across @ self.inverse_nn @ across.T
        covariance[np.diag_indices_from(covariance)] += 100 * JITTER
        normal = rng.standard_normal((count, len(covariance)))
        strayed = normal @ np.linalg.cholesky(covariance).T
        return self._told(across @ self.dual_n + boldness * strayed)

    def _scaled(self, groups: Groups) -> tuple[Floats, ...]:
        return tuple(
            (group - centre) / scale for group, centre, scale in zip(groups, self.centres, self.scales, strict=True)
        )

    def _across(self, groups: Groups) -> Floats:
        return _kernel(self.weights, _pairs(self._scaled(groups), self.known))

    def _variance(self, groups: Groups) -> Floats:
        weights, scaled = np.exp(self.weights), self._scaled(groups)
        slopes = [weight * 2 * (x**2).sum(axis=1) for weight, x in zip(weights, scaled, strict=False)]
        found: Floats = np.sum(slopes, axis=0) + weights[2 * len(scaled)]
        return found

    def _told(self, values: Floats) -> Floats:
        return self.offset + self.unit * values


def fit(
    groups: Groups,
    values: Sequence[float] | Floats,
    *,
    start: Floats | None = None,
    steps: int = 60,
    robust: bool = True,
) -> Model:
    """The model of n networks, given by their groups, with their measured values.

    `steps` is how many settings of the weights are tried; `start` are the weights of an earlier model to go on from.
    `robust` gives samples that the others contradict a wider noise.

    >>> x = np.arange(12.0)[:, None]
    >>> model = fit((x, x, x), 3 * x[:, 0] + 1)
    >>> round(float(model.mean((x + 0.5, x + 0.5, x + 0.5))[5]), 1)
    17.5
    """
    y = np.asarray(values, dtype=float)
    if len(y) < 2 or not np.all(np.isfinite(y)):
        raise UserError(f"a predictor needs two or more finite samples, got {len(y)}")
    centres, scales = zip(*(_scale(group) for group in groups), strict=True)
    known = tuple((group - centre) / scale for group, centre, scale in zip(groups, centres, scales, strict=True))
    offset, unit = float(np.median(y)), float(y.std()) or 1.0
    target, parts = (y - offset) / unit, _pairs(known, known)
    some = np.linspace(0, len(y) - 1, min(len(y), MOST_FOR_WEIGHTS)).astype(int)
    few = [(dots[np.ix_(some, some)], apart[np.ix_(some, some)]) for dots, apart in parts]
    wider = np.ones(len(y))
    weights = _best_weights(np.log(START) if start is None else start, few, target[some], wider[some], steps)
    inverse = _inverse(weights, parts, wider)
    wider = _wider(inverse, inverse @ target) if robust else wider
    if np.any(wider > 1):
        weights = _best_weights(weights, few, target[some], wider[some], steps // 2)
        inverse = _inverse(weights, parts, wider)
    return Model(tuple(centres), tuple(scales), weights, known, inverse, inverse @ target, offset, unit)


def _scale(group: Floats) -> tuple[Floats, Floats]:
    """Centre and scale of each column: columns vary equally, and rows are 1 apart in the mean of squares."""
    deviation = group.std(axis=0)
    moving = deviation > 1e-9 * (1 + np.abs(group).max(axis=0, initial=0.0))
    return group.mean(axis=0), np.where(moving, deviation, 1.0) * np.sqrt(2 * max(1, moving.sum()))


def _pairs(a: Groups, b: Groups) -> list[tuple[Floats, Floats]]:
    """For each group twice the scalar products, and the squared distances, of the rows of a with those of b."""
    found = []
    for x, y in zip(a, b, strict=True):
        dots = 2 * (x @ y.T)
        found.append((dots, np.maximum((x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :] - dots, 0.0)))
    return found


def _kernel(weights: Floats, pairs: Sequence[tuple[Floats, Floats]]) -> Floats:
    strength, number = np.exp(weights), len(pairs)
    linear = sum(strength[i] * dots for i, (dots, _) in enumerate(pairs))
    bent = sum(strength[number + i] * apart for i, (_, apart) in enumerate(pairs))
    found: Floats = linear + strength[2 * number] * np.exp(-bent)
    return found


def _covariance(weights: Floats, pairs: Sequence[tuple[Floats, Floats]], wider: Floats) -> Floats:
    found = _kernel(weights, pairs)
    found[np.diag_indices_from(found)] += np.exp(weights[-1]) * wider + JITTER
    return found


def _inverse(weights: Floats, pairs: Sequence[tuple[Floats, Floats]], wider: Floats) -> Floats:
    return np.asarray(np.linalg.inv(_covariance(weights, pairs, wider)))


def _wider(inverse: Floats, dual: Floats) -> Floats:
    """How many times wider the noise of each sample is taken: 1, but more for those that the others contradict."""
    residual = np.abs(dual / np.diag(inverse))
    robust = 1.4826 * float(np.median(residual)) + 1e-12
    found: Floats = np.maximum(1.0, (residual / (OUTLIER * robust)) ** 2)
    return found


def _best_weights(
    start: Floats, pairs: Sequence[tuple[Floats, Floats]], target: Floats, wider: Floats, steps: int
) -> Floats:
    """The likeliest weights found by `steps` trials: along one logarithm at a time, steps grow when they help."""
    middle: Floats = np.log(np.array(START))

    def likelihood(weights: Floats) -> float:
        try:
            root = np.linalg.cholesky(_covariance(weights, pairs, wider))
        except np.linalg.LinAlgError:
            return -np.inf
        white = np.linalg.solve(root, target)
        prior = 0.5 * float(np.sum((weights - middle) ** 2))
        return float(-0.5 * white @ white - np.log(np.diag(root)).sum() - prior)

    best, highest, stride, trials = start.copy(), likelihood(start), np.full(len(start), 0.7), 0
    while trials < steps:
        for i in range(len(start)):
            for sign in (1.0, -1.0):
                tried = best.copy()
                tried[i] += sign * stride[i]
                value, trials = likelihood(tried), trials + 1
                if value > highest:
                    best, highest, stride[i] = tried, value, 1.3 * stride[i]
                    break
            else:
                stride[i] /= 2
    return best
