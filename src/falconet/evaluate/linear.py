"""A block's time from what can be counted: a linear model on its operators, with no negative weight.

    features_of(block)       # {"ops": 2, "conv3x3.gmacs": 0.13, "conv3x3.mvalues": 1.8, "relu.mvalues": 1.8}
    model = fit_linear(blocks, times_ms)
    model.weights["conv3x3.gmacs"]           # milliseconds for a GMAC

It prices blocks that a table of latencies does not hold: less well than the table does, and its answers are marked.
Every operator has its own weights, so a PReLU costs what PReLU costs on that runtime. No weight is negative, so more
never costs less. What is made small are errors relative to the block's time and the mean of all together: with plain
errors large blocks alone would be fitted; with relative ones the blocks that take next to nothing, whose times are
small differences of large ones, and a convolution would be priced at nothing for their sake.

Non-negative least squares: Lawson and Hanson 1974, "Solving Least Squares Problems", ch. 23. Left out: products of
features, trees and networks, which need more measurements than a new device has (a forest fitted to 29 networks did
worse than multiply-accumulates alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from falconet.evaluate.blocks import Block
from falconet.evaluate.device import Linear
from falconet.graph import Conv, DepthwiseConv, Op, TransposedConv, infer_shapes
from falconet.graph.shape import Shape, plain

Floats = NDArray[np.float64]

FOLDS = 5


def features_of(block: Block) -> dict[str, float]:
    """What a block does, by operator: thousand millions of multiply-accumulates, millions of values read and written.

    `ops` counts operators, of which each has a price of its own however little it does.
    """
    shapes = infer_shapes(block.spec, tuple(Shape(plain(c), h, w) for c, h, w in block.inputs))
    found = {"ops": float(len(block.spec.layers))}
    for layer in block.spec.layers:
        op = layer.op
        assert isinstance(op, Op)
        xs, out, name = tuple(shapes[one] for one in layer.inputs), shapes[layer.name], kind(op)
        macs = op.macs(xs, out)
        if macs:
            found[f"{name}.gmacs"] = found.get(f"{name}.gmacs", 0.0) + macs / 1e9
        values = sum(x.values for x in xs) + out.values
        found[f"{name}.mvalues"] = found.get(f"{name}.mvalues", 0.0) + values / 1e6
    return found


def kind(op: Op) -> str:
    """The name of an operator as prices tell it apart: "conv3x3", "conv3x3.grouped", "depthwiseconv5x5", "prelu"."""
    name = type(op).__name__.lower()
    if isinstance(op, Conv | DepthwiseConv | TransposedConv):
        name += f"{op.kernel}x{op.kernel}"
    return f"{name}.grouped" if getattr(op, "groups", 1) > 1 and isinstance(op, Conv) else name


def fit_linear(blocks: Sequence[Block], times_ms: Sequence[float]) -> Linear:
    """The model fitted to blocks that were timed, with the middle of its errors on blocks left out of the fit.

    Blocks that take no time are left out. Left-out errors come from five parts, every fifth block each.
    """
    timed = [(features_of(block), ms) for block, ms in zip(blocks, times_ms, strict=True) if ms > 0]
    assert timed, "a model needs a block that takes time"
    names = sorted({name for row, _ in timed for name in row})
    rows = np.array([[row.get(name, 0.0) for name in names] for row, _ in timed])
    ms = np.array([one for _, one in timed])
    place = np.arange(len(ms)) % FOLDS
    errors: list[float] = []
    usual = ms + ms.mean()
    for fold in range(FOLDS) if len(ms) >= 2 * FOLDS else ():
        weights = _fit(rows[place != fold], ms[place != fold], usual[place != fold])
        errors += np.abs(rows[place == fold] @ weights / ms[place == fold] - 1).tolist()
    fitted = dict(zip(names, _fit(rows, ms, usual).tolist(), strict=True))
    return Linear(weights=fitted, median_error=float(np.median(errors)) if errors else None)


def predict_linear(weights: Mapping[str, float], block: Block) -> float:
    """A block's milliseconds by the model; operators that it never met cost what the dearest of their kind does.

    An operator without a weight is priced by the largest weight of the same unit (a GMAC, a million values), so that
    the unknown is never for nothing.
    """
    dearest = {unit: max((w for name, w in weights.items() if name.endswith(unit)), default=0.0) for unit in UNITS}
    total = 0.0
    for name, amount in features_of(block).items():
        unit = next((one for one in UNITS if name.endswith(one)), "")
        total += amount * weights.get(name, dearest.get(unit, 0.0))
    return total


UNITS = (".gmacs", ".mvalues")


def _fit(rows_nf: Floats, ms_n: Floats, relative_to_n: Floats) -> Floats:
    """Weights that make the errors smallest, each divided by what it is relative to."""
    return nnls(rows_nf / relative_to_n[:, None], ms_n / relative_to_n)


def nnls(a_nf: Floats, b_n: Floats) -> Floats:
    """The f values x >= 0 that make |a x - b| smallest.

    >>> nnls(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([2.0, 1.0])).tolist()     # free, the second would be -1
    [1.5, 0.0]
    """
    scale = np.sqrt((a_nf**2).sum(axis=0))
    a = a_nf / np.where(scale > 0, scale, 1.0)  # features differ by orders of magnitude
    x, free = np.zeros(a.shape[1]), np.zeros(a.shape[1], dtype=bool)
    tolerance = 1e-10 * max(1.0, float(np.abs(a.T @ b_n).max(initial=0.0)))
    for _ in range(10 * a.shape[1]):
        slope = a.T @ (b_n - a @ x)
        slope[free] = -np.inf
        if free.all() or slope.max() <= tolerance:
            break
        free[int(slope.argmax())] = True
        x = _with_free(a, b_n, x, free)
    return x / np.where(scale > 0, scale, 1.0)


def _with_free(a_nf: Floats, b_n: Floats, x: Floats, free: NDArray[np.bool_]) -> Floats:
    """The least squares solution over the free values; those that would fall below 0 are taken out of `free`."""
    while True:
        solved = np.zeros_like(x)
        solved[free] = np.linalg.lstsq(a_nf[:, free], b_n, rcond=None)[0]
        if (solved[free] > 0).all():
            return solved
        below = free & (solved <= 0)
        step = float((x[below] / np.maximum(x[below] - solved[below], 1e-300)).min())
        x = x + step * (solved - x)
        free &= x > 1e-12
