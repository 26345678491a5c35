"""Architectures a second whose costs can be counted, on a space of 20 shuffle blocks; and against torch's own counter.

    python benchmarks/cost.py [--archs 2000]

Counted is the whole way from an architecture to its costs: the space is replayed, the network built, checked, merged,
and its multiply-accumulates, parameters and peak memory counted. Blocks are remembered, whole networks are not: each
architecture is met once. Torch's flop counter runs a ready module on the meta device, which computes only shapes;
building the module is not held against it. Targets: 2,000 a second, and 100 times torch's counter.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from functools import lru_cache
from random import Random

import torch
from torch.utils.flop_counter import FlopCounterMode

from falconet.graph import (
    BatchNorm,
    Conv,
    Costs,
    DepthwiseConv,
    Draft,
    Flatten,
    GlobalAvgPool,
    Linear,
    NetSpec,
    ReLU,
    Shuffle,
    Slice,
    costs,
)
from falconet.graph.network import Network
from falconet.spaces import Arch, Pick, build, sample

SIZE = (224, 224)
STAGES = ((64, 4), (160, 4), (320, 8), (640, 4))  # channels, blocks; the first block of each halves the picture
WIDTHS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)


@lru_cache(maxsize=4096)
def shuffle_block(inp: int, mid: int, out: int, kernel: int, stride: int) -> NetSpec:
    """ShuffleNet v2's block (Ma et al. 2018, fig. 3 c, d), with a free kernel and middle width."""
    d = Draft(x=inp)
    if stride == 1:
        left, y, kept = d.layer("left", Slice(0, inp // 2), "x"), d.layer("right", Slice(inp // 2, inp), "x"), inp // 2
    else:
        left = d.chain([("left_dw", DepthwiseConv(kernel, 2, False)), ("left_norm", BatchNorm())], "x")
        left = d.chain(
            [("left_pw", Conv(inp, 1, bias=False)), ("left_pw_norm", BatchNorm()), ("left_act", ReLU())], left
        )
        y, kept = "x", inp
    y = d.chain([("pw1", Conv(mid, 1, bias=False)), ("pw1_norm", BatchNorm()), ("act1", ReLU())], y)
    y = d.chain([("dw", DepthwiseConv(kernel, stride, False)), ("dw_norm", BatchNorm())], y)
    y = d.chain([("pw2", Conv(out - kept, 1, bias=False)), ("pw2_norm", BatchNorm()), ("act2", ReLU())], y)
    return d.build(d.layer("mix", Shuffle(2), d.concat("cat", left=left, right=y)))


def space(pick: Pick) -> NetSpec:
    """Kernel and width of each of 20 blocks: 30^20 networks, of the size of Single Path One-Shot's."""
    d = Draft(x=3)
    y = d.chain([("stem", Conv(16, 3, 2, bias=False)), ("stem_norm", BatchNorm()), ("stem_act", ReLU())], "x")
    channels, block = 16, 0
    for out, depth in STAGES:
        for i in range(depth):
            kernel, mid = pick(f"b{block}.kernel", (3, 5, 7)), int(out // 2 * pick(f"b{block}.width", WIDTHS))
            y = d.layer(f"b{block}", shuffle_block(channels, mid, out, kernel, 2 if i == 0 else 1), y)
            channels, block = out, block + 1
    y = d.chain([("last", Conv(1024, 1, bias=False)), ("last_norm", BatchNorm()), ("last_act", ReLU())], y)
    y = d.chain([("mean", GlobalAvgPool()), ("flat", Flatten()), ("classes", Linear(1000))], y)
    return d.build(y)


def ours(arch: Arch) -> Costs:
    """From an architecture to its costs."""
    return costs(build(space, arch), SIZE)


def torchs(network: Network) -> int:
    """Multiply-accumulates as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, 3, *SIZE, device="meta"))
    return int(counter.get_total_flops()) // 2


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archs", type=int, default=2000)
    count = parser.parse_args().archs
    torch.set_num_threads(1)
    rng = Random(0)
    archs = [sample(space, rng) for _ in range(count)]
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
        network = Network(build(space, arch)).eval().to("meta")
        torchs(network)
        began = time.process_time()
        macs = torchs(network)
        seconds.append(time.process_time() - began)
        assert macs == ours(arch).macs, "the two counts differ"
    rates.sort()
    median = rates[len(rates) // 2]
    print(
        json.dumps(
            {
                "benchmark": "cost",
                "archs_per_second": {"median": round(median), "best": round(rates[-1]), "worst": round(rates[0])},
                "times_torch_flop_counter": round(median * sorted(seconds)[len(seconds) // 2], 1),
                "times_torch_flop_counter_best": round(rates[-1] * min(seconds), 1),
                "layers": len(network.spec.layers) if network.spec else 0,
                "archs": count,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "machine": platform.processor() or platform.machine(),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
