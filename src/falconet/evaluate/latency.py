"""Latency of networks, measured on a runtime: all of them in one process, one thread, interleaved.

    found = measure_latency({"small": spec, "large": network}, sizes=[(360, 640)])
    found["small"].median_ms, found["small"].relative          # relative: to a reference network of the same rounds

What is timed is the exported file of the fused network, never PyTorch, which orders networks differently. Milliseconds
hold for this machine and this hour; `relative` is what may be compared with other days (see `deploy/timing.py`).

Left out: prediction (`estimate.py`), several threads by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from falconet.deploy.timing import BURST, ROUNDS, timings
from falconet.errors import UserError
from falconet.evaluate.meter import Here, Item, Meter, Rounds, item_of, item_of_file
from falconet.evaluate.score import Cost
from falconet.graph import Conv, Draft, NetSpec, PixelShuffle, ReLU
from falconet.graph.rewrite import deployed_spec

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
    sizes: Sequence[tuple[int, int]] | Mapping[str, Sequence[tuple[int, int]]],
    *,
    rounds: int = ROUNDS,
    burst: int = BURST,
    threads: int = 1,
    seed: int = 0,
    max_seconds: float | None = None,
    runtime: str = "onnxruntime",
    meter: Meter | None = None,
) -> dict[str, Latency]:
    """Name -> its latency for inputs of (height, width) `sizes`: one for each input, or one for all.

    `sizes` may differ by the network's name. A network is an ONNX file or its bytes, a Network (fused first), or a
    NetSpec (fused; its weights are drawn, which does not change the time). The reference network runs along in every
    round. After `max_seconds` no further round begins, though at least five are made. Timed here by `runtime`, or by a
    `meter`, which has a runtime and threads of its own. Raises UserError when a file cannot be run at that size.
    """
    by_name = sizes if isinstance(sizes, Mapping) else dict.fromkeys(nets, sizes)
    return measure_items(
        items_of(nets, by_name), meter or Here(runtime, threads), Rounds(rounds, burst, seed, max_seconds)
    )


def measure_items(items: Sequence[Item], meter: Meter, how: Rounds) -> dict[str, Latency]:
    """The latencies of items, and of the reference network along with them."""
    found = meter.time([*items, item_of(REFERENCE, reference(), (REFERENCE_SIZE,))], how)
    timed = timings(found.seconds, found.load, REFERENCE)
    title = f"{meter.runtime} {found.version}"
    return {
        item.name: Latency(
            item.name,
            **asdict(timed[item.name]),
            runtime=title,
            device=found.processor,
            threads=meter.threads,
            input_size=item.shapes[0][1:],
        )
        for item in items
    }


def items_of(nets: Mapping[str, Net], sizes: Mapping[str, Sequence[tuple[int, int]]]) -> list[Item]:
    """The items that are timed for networks, by name."""
    if REFERENCE in nets:
        raise UserError(f"no network may be called {REFERENCE!r} here: that is the one all others are compared with")
    return [_item(name, net, sizes[name]) for name, net in nets.items()]


def reference() -> NetSpec:
    """The network all others are compared with; it never changes, or old ratios lose their meaning."""
    d = Draft(x=1)
    y = "x"
    for n in range(4):
        y = d.layer(f"act{n}", ReLU(), d.layer(f"conv{n}", Conv(16), y))
    return d.build(d.layer("up", PixelShuffle(2), d.layer("tail", Conv(4), y)))


def _item(name: str, net: Net, sizes: Sequence[tuple[int, int]]) -> Item:
    """The item that is timed for `net`."""
    if isinstance(net, (bytes, Path)):
        return item_of_file(name, net, sizes)
    spec = net if isinstance(net, NetSpec) else net.spec
    assert spec is not None, "a bare store has no network to time"
    given = tuple(sizes) * len(spec.inputs) if len(sizes) == 1 else tuple(sizes)
    if len(given) != len(spec.inputs):
        raise UserError(f"{name} has {len(spec.inputs)} inputs: give one (height, width), or one for each")
    if isinstance(net, NetSpec):
        return item_of(name, deployed_spec(net), given)
    import torch

    from falconet.graph.network import deployed

    with torch.random.fork_rng(devices=[]):  # making the fused network must not disturb a training in this process
        small = deployed(net)
    assert small.spec is not None
    return item_of(name, small.spec, given, small.weights())
