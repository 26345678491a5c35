"""How long predicting the latency of 10,000 architectures takes, from the architecture to its milliseconds.

    python benchmarks/predictions.py [--spaces restoration] [--architectures 10000]

For each space: random architectures, each built and priced by a device that knows the blocks of the space, as `falconet
device add` would measure them. The milliseconds in its table are made up (1 each), for they do not matter here. The
blocks have been met before, the networks have not. Target: under 5 s. The median of several times; on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random
from statistics import median

from predict_latency import MOST_BLOCKS, size_of

from falconet.evaluate.device import BlockTime, Device
from falconet.evaluate.estimate import Estimator
from falconet.evaluate.linear import fit_linear
from falconet.evaluate.survey import are_parts, blocks_of_space, networks_of_space
from falconet.files import write_json
from falconet.graph.shape import Size
from falconet.run.record import environment
from falconet.spaces import SPACES, Space, build, sample

TIMES = 3


def main() -> None:
    """Measure; print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--architectures", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_predictions.json"))
    given = parser.parse_args()
    seconds = {}
    for name in given.spaces:
        space: Space = SPACES[name]()
        sizes = (size_of(name, space),) * len(build(space, sample(space, Random(0))).inputs)
        device = known(space, sizes)
        found = [timed(device, space, sizes, given.architectures, seed) for seed in range(TIMES)]
        seconds[name] = {"blocks": len(device.blocks), "median": median(found), "each": found}
        print(name, seconds[name], flush=True)
    write_json(
        given.out,
        {
            "benchmark": "predictions",
            "environment": environment("python", sys.argv[0]),
            "architectures": given.architectures,
            "seconds": seconds,
        },
    )
    print(json.dumps({name: row["median"] for name, row in seconds.items()}))


def known(space: Space, sizes: tuple[Size, ...]) -> Device:
    """A device that takes 1 ms for each block of the space."""
    blocks = blocks_of_space(space, sizes, Random(0), MOST_BLOCKS)
    return Device(
        name="made_up",
        runtime="none",
        blocks=tuple(BlockTime.of(block, 1.0) for block in blocks),
        linear=fit_linear(blocks, [1.0] * len(blocks)),
        taken_apart=are_parts(blocks, networks_of_space(space, Random(1), 10), sizes),
    )


def timed(device: Device, space: Space, sizes: tuple[Size, ...], count: int, seed: int) -> float:
    """Seconds for `count` architectures, with nothing remembered of earlier prices."""
    rng = Random(seed)
    predict, archs = Estimator(device), [sample(space, rng) for _ in range(count)]
    began = time.perf_counter()
    for arch in archs:
        predict(build(space, arch), sizes)
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main()
