"""A supernet's training step against the same sub-network as a plain torch module: the price of sharing weights.

    python benchmarks/supernet_step.py [--rounds 40]

Both run forward, loss and backward on the same batch (32 patches of 32x32, float32, channels last), in turn, in
shuffled rounds, in one process with one thread; what counts is the ratio of the medians of processor time. The plain
module is written with nn.Conv2d and nn.LeakyReLU alone. Target: at most 1.05.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median

import torch
from torch import Tensor, nn

from falconet.files import write_json
from falconet.graph import NetSpec
from falconet.graph.network import Network, channels_last
from falconet.run.record import environment
from falconet.spaces import Arch, Restoration, build, union

SPACE = Restoration(width=(8, 16, 24), depth=(2, 4, 6), kind=("plain",), activation=("leaky_relu",))
ARCH = Arch({"s0.width": 16, "s0.depth": 4})


class Plain(nn.Module):
    """ARCH, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 16, 3, padding=1), nn.LeakyReLU(0.1)]
        for _ in range(4):
            layers += [nn.Conv2d(16, 16, 3, padding=1), nn.LeakyReLU(0.1)]
        self.body = nn.Sequential(*layers, nn.Conv2d(16, 4, 3, padding=1))
        self.up = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        """The picture, twice as wide and high."""
        enlarged: Tensor = self.up(self.body(x) + x.expand(-1, 4, -1, -1))
        return enlarged


def step(run: Callable[[], Tensor], parameters: list[nn.Parameter], target: Tensor) -> float:
    """Processor seconds of one forward, loss and backward."""
    for parameter in parameters:
        parameter.grad = None
    start = time.process_time()
    (run() - target).abs().mean().backward()
    return time.process_time() - start


def main() -> None:
    """Measure; print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_supernet_step.json"))
    given = parser.parse_args()
    rounds = given.rounds
    torch.set_num_threads(1)
    spec: NetSpec = build(SPACE, ARCH)
    supernet = channels_last(Network(store=union(SPACE, Random(0))))
    plain = channels_last(Plain())
    x = torch.rand(32, 1, 32, 32).contiguous(memory_format=torch.channels_last)
    target = torch.rand(32, 1, 64, 64)
    runs = {
        "supernet": (lambda: supernet(x, spec), list(supernet.parameters())),
        "plain": (lambda: plain(x), list(plain.parameters())),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    rng = Random(0)
    for _ in range(rounds):
        for name in rng.sample(list(runs), len(runs)):
            step(*runs[name], target)
            taken[name].append(step(*runs[name], target))
    medians = {name: median(values) for name, values in taken.items()}
    found = {
        "benchmark": "supernet_step",
        "environment": environment("python", sys.argv[0]),
        "ratio": round(medians["supernet"] / medians["plain"], 4),
        "ratio_of_minima": round(min(taken["supernet"]) / min(taken["plain"]), 4),
        "ms": {name: round(1e3 * value, 2) for name, value in medians.items()},
        "rounds": rounds,
    }
    write_json(given.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
