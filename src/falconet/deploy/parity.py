"""Proof that an exported file computes what the network does, or no file.

Every export runs through `check_parity` on real pictures of several odd sizes: borders, odd sides and large values are
where exporters go wrong, and random numbers of one size show none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from falconet.deploy.runtime import OnnxRun
from falconet.deploy.target import Array, ArrayRun, Sample

if TYPE_CHECKING:
    from falconet.graph.network import Network


class ExportRefused(RuntimeError):
    """The exported network is not the one that was trained. A fault of Falconet or of the runtime, not the user's."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How nearly an exported file agreed: the largest difference over all values of `samples` inputs.

    Of outputs that exceed 1, such as a classifier's, it is a share of the largest value: rounding grows with numbers.
    """

    largest: float
    samples: int
    sizes: tuple[tuple[int, int], ...]  # height, width of each sample's first input
    tolerance: float
    target: str


def check_parity(
    model: bytes | Path | ArrayRun,
    network: Network,
    samples: Sequence[Sample],
    tolerance: float = 1e-4,
    target: str = "onnxruntime",
) -> Parity:
    """The largest difference between a file (or a runtime that has loaded one) and the network, on the same inputs.

    A sample is one array for each input, chw or bchw, float32 of 0..1: pictures, of several sizes. Raises ExportRefused
    when a difference exceeds `tolerance`, a value is not finite, or a shape differs.
    """
    assert samples, "parity needs at least one sample"
    run = OnnxRun(model).arrays if isinstance(model, (bytes, Path)) else model
    largest = 0.0
    sizes = []
    for sample in samples:
        xs = tuple(np.asarray(x if x.ndim == 4 else x[None], dtype=np.float32) for x in sample)
        height, width = xs[0].shape[2:]
        sizes.append((height, width))
        wanted, got = _expected(network, xs), run(xs)
        if [y.shape for y in wanted] != [y.shape for y in got]:
            shapes = f"{[y.shape for y in got]} instead of {[y.shape for y in wanted]}"
            raise ExportRefused(f"export refused: {target} returns shapes {shapes} for a {width}x{height} picture")
        for mine, other in zip(wanted, got, strict=True):
            largest = max(largest, _difference(mine, other, target, (height, width), tolerance))
    return Parity(largest, len(samples), tuple(sizes), tolerance, target)


def _expected(network: Network, xs: tuple[Array, ...]) -> tuple[Array, ...]:
    """What PyTorch computes, in evaluation mode; the network is left as it was."""
    import torch

    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            out = network(tuple(torch.from_numpy(x) for x in xs))
    finally:
        network.train(was_training)
    return tuple(y.numpy() for y in (out if isinstance(out, tuple) else (out,)))


def _difference(mine: Array, other: Array, target: str, size: tuple[int, int], tolerance: float) -> float:
    place = f"on a {size[1]}x{size[0]} picture"
    if not np.isfinite(mine).all():
        raise ExportRefused(f"export refused: the network itself gives values that are no numbers {place}")
    if not np.isfinite(other).all():
        raise ExportRefused(f"export refused: {target} gives values that are no numbers {place}")
    difference = float(np.abs(mine - other).max(initial=0.0)) / max(1.0, float(np.abs(mine).max(initial=0.0)))
    if difference > tolerance:
        raise ExportRefused(
            f"export refused: {target} and PyTorch differ by {difference:.2g} {place}; "
            f"at most {tolerance:.2g} is allowed"
        )
    return difference
