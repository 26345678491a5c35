"""Latency of networks, measured on ONNX Runtime: all of them in one process, one thread, interleaved.

    found = measure_latency({"small": spec, "large": network}, sizes=[(360, 640)])
    found["small"].median_ms, found["small"].relative          # relative: to a reference network of the same rounds

What is timed is the exported file of the fused network, never PyTorch, which orders networks differently. Milliseconds
hold for this machine and this hour; `relative` is what may be compared with other days (see `deploy/timing.py`).

Left out: prediction from tables of layers, phones, several threads by default.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from falconet.deploy.runtime import OnnxRun
from falconet.deploy.timing import BURST, ROUNDS, Timing, time_callables
from falconet.errors import UserError
from falconet.evaluate.score import Cost
from falconet.graph import Conv, Draft, NetSpec, PixelShuffle, ReLU

if TYPE_CHECKING:
    from falconet.graph.network import Network

    Net: TypeAlias = bytes | Path | NetSpec | Network

REFERENCE = "reference"
REFERENCE_SIZE = (128, 128)  # height, width; about 0.12 G multiply-accumulates


@dataclass(frozen=True, slots=True)
class Latency:
    """One network's times in milliseconds at batch 1, and what they were measured with.

    `spread_ms` is the interquartile range, `relative` the least time over the reference network's, `input_size` the
    (channels, height, width) of the first input.
    """

    name: str
    min_ms: float
    p10_ms: float
    median_ms: float
    spread_ms: float
    load: float
    relative: float | None
    num_samples: int
    runtime: str
    device: str
    threads: int
    input_size: tuple[int, ...]

    @property
    def cost(self) -> Cost:
        """The median, as trials record it."""
        return Cost(self.median_ms, "measured")


def measure_latency(
    nets: Mapping[str, Net],
    sizes: Sequence[tuple[int, int]],
    *,
    rounds: int = ROUNDS,
    burst: int = BURST,
    threads: int = 1,
    seed: int = 0,
    max_seconds: float | None = None,
) -> dict[str, Latency]:
    """Name -> its latency for inputs of (height, width) `sizes`: one for each input, or one for all.

    A network is an ONNX file or its bytes, a Network (fused first), or a NetSpec (fused; its weights are drawn, which
    does not change the time). The reference network runs along in every round. After `max_seconds` no further round
    begins, though at least five are made. Raises UserError when an ONNX file cannot be run at that size.
    """
    if REFERENCE in nets:
        raise UserError(f"no network may be called {REFERENCE!r} here: that is the one all others are compared with")
    runs = {name: OnnxRun(_file(net), threads) for name, net in nets.items()}
    calls = {name: _call(name, run, sizes, seed) for name, run in runs.items()}
    calls[REFERENCE] = _call(REFERENCE, OnnxRun(_file(reference()), threads), [REFERENCE_SIZE], seed)
    timings = time_callables(calls, REFERENCE, rounds, burst, seed, max_seconds)
    runtime, device = runtime_version(), processor()

    def row(name: str, timing: Timing) -> Latency:
        channels = runs[name].inputs[0].channels
        return Latency(name, **asdict(timing), runtime=runtime, device=device, threads=threads,
                       input_size=(channels, *sizes[0]))  # fmt: skip

    return {name: row(name, timings[name]) for name in nets}


def reference() -> NetSpec:
    """The network all others are compared with; it never changes, or old ratios lose their meaning."""
    d = Draft(x=1)
    y = "x"
    for n in range(4):
        y = d.layer(f"act{n}", ReLU(), d.layer(f"conv{n}", Conv(16), y))
    return d.build(d.layer("up", PixelShuffle(2), d.layer("tail", Conv(4), y)))


def runtime_version() -> str:
    """Such as "onnxruntime 1.31.1"."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _file(net: Net) -> bytes | Path:
    """The ONNX file of `net`."""
    if isinstance(net, (bytes, Path)):
        return net
    import torch

    from falconet.deploy.onnx import to_onnx
    from falconet.graph.network import Network, deployed

    with torch.random.fork_rng(devices=[]):  # drawing weights must not disturb a training in this process
        small = deployed(Network(net) if isinstance(net, NetSpec) else net)
    assert small.spec is not None
    return to_onnx(small.spec, small.weights())


def _call(name: str, run: OnnxRun, sizes: Sequence[tuple[int, int]], seed: int) -> Callable[[], object]:
    """Runs the network once on a picture of noise; tried once, so that a size that does not fit is told at once."""
    given = list(sizes) * len(run.inputs) if len(sizes) == 1 else list(sizes)
    if len(given) != len(run.inputs):
        raise UserError(f"{name} has {len(run.inputs)} inputs: give one (height, width), or one for each")
    rng = np.random.default_rng(seed)
    xs = [rng.random((1, i.channels, *size), dtype=np.float32) for i, size in zip(run.inputs, given, strict=True)]
    run.arrays(xs)
    return lambda: run.arrays(xs)
