"""Architectures a second whose costs can be counted, on Single Path One-Shot's space; and against torch's own counter.

    python benchmarks/cost.py [--archs 2000]

Counted is the whole way from an architecture to its costs: the space is replayed, the network built, checked, merged,
and its multiply-accumulates, parameters and peak memory counted. Blocks are remembered, whole networks are not: each
architecture is met once. Torch's flop counter runs a ready module on the meta device, which computes only shapes;
building the module is not held against it. Targets: 2,000 a second, and 100 times torch's counter.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random

import torch
from torch.utils.flop_counter import FlopCounterMode

from falconet.files import write_json
from falconet.graph import Costs, costs, flatten
from falconet.graph.network import Network
from falconet.run.record import environment
from falconet.spaces import Arch, Shuffle, build, sample

SIZE = (224, 224)
SPACE = Shuffle()


def ours(arch: Arch) -> Costs:
    """From an architecture to its costs."""
    return costs(build(SPACE, arch), SIZE)


def torchs(network: Network) -> int:
    """Multiply-accumulates as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, *SIZE, device="meta"))
    return int(counter.get_total_flops()) // 2


def main() -> None:
    """Measure; print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archs", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_cost.json"))
    given = parser.parse_args()
    count = given.archs
    torch.set_num_threads(1)
    rng = Random(0)
    archs = [sample(SPACE, rng) for _ in range(count)]
    for arch in archs[: count // 4]:  # the blocks are met
        ours(arch)
    rates, chunk = [], max(1, count // 20)
    for start in range(count // 4, count, chunk):
        some = archs[start : start + chunk]
        began = time.process_time()
        for arch in some:
            ours(arch)
        rates.append(len(some) / (time.process_time() - began))
    seconds = []
    for arch in archs[:6]:
        network = Network(build(SPACE, arch)).eval().to("meta")
        torchs(network)
        began = time.process_time()
        macs = torchs(network)
        seconds.append(time.process_time() - began)
        assert macs == ours(arch).macs, "the two counts differ"
    rates.sort()
    median = rates[len(rates) // 2]
    found = {
        "benchmark": "cost",
        "environment": environment("python", sys.argv[0]),
        "archs_per_second": {"median": round(median), "best": round(rates[-1]), "worst": round(rates[0])},
        "times_torch_flop_counter": round(median * sorted(seconds)[len(seconds) // 2], 1),
        "times_torch_flop_counter_best": round(rates[-1] * min(seconds), 1),
        "layers": len(flatten(network.spec).layers) if network.spec else 0,
        "archs": count,
    }
    write_json(given.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
