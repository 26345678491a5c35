"""Networks whose first kernels begin blind to brightness (sum zero), against the same begun as He et al. 2015 say.

    python benchmarks/blind_start.py --data BSD200 [--steps 1000] [--seeds 2]

One network for each of three tasks, all with a global skip: super-resolution x2, grey noise of 25, colour noise of any
level up to 25. Each is trained for `steps` steps from the same seed, batches and other weights, once with its head as
`fresh` begins it, once with the head's kernels drawn anew at the same variance, without the sum of zero. Reported: PSNR
on 20 validation pictures. About a minute for 1,000 steps on one thread.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch

from falconet.evaluate.quality import runner
from falconet.files import write_json
from falconet.graph.network import Network
from falconet.run.record import environment
from falconet.spaces import Restoration, build, largest
from falconet.tasks import Dataset, DataSettings, Denoising, SuperResolution
from falconet.train.fit import fit
from falconet.train.init import fresh
from falconet.train.paths import alone
from falconet.train.settings import TrainSettings

SLOPE = 0.1
HOW = TrainSettings(batch=16, learning_rate=2e-3, precision="float32")
COMMON: dict[str, Any] = {"kind": "residual", "activation": "leaky_relu"}
CLEANER: dict[str, Any] = {"scale": 1, "unshuffle": (2,), "width": (20,), "depth": (4,), **COMMON}
CASES: dict[str, tuple[SuperResolution | Denoising, Restoration]] = {
    "super-resolution x2": (SuperResolution(scale=2), Restoration(width=(16,), depth=(3,), **COMMON)),
    "grey noise of 25": (Denoising(sigma=25), Restoration(colour="grey", **CLEANER)),
    "colour noise of 0 to 25": (Denoising(sigma=(0, 25), colour="rgb"), Restoration(colour="rgb", **CLEANER)),
}


def main() -> None:
    """Train each network both ways; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_blind_start.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for title, (task, space) in CASES.items():
        dataset = task.read(DataSettings(train=(given.data,), validation=20), 0)
        psnr = {
            begin: [trained(task, space, dataset, seed, given.steps, begin == "blind") for seed in range(given.seeds)]
            for begin in ("blind", "as drawn")
        }
        means = {begin: round(mean(found), 2) for begin, found in psnr.items()}
        rows.append({"task": title, "psnr": psnr, "mean": means})
        print(title, means, flush=True)
    about: dict[str, Any] = {"benchmark": "blind_start", "environment": environment("python", sys.argv[0])}
    write_json(given.out, {**about, "steps": given.steps, "settings": HOW.model_dump(mode="json"), "rows": rows})


def trained(
    task: SuperResolution | Denoising, space: Restoration, dataset: Dataset, seed: int, steps: int, blind: bool
) -> float:
    """Validation PSNR of the network of the space after so many steps."""
    network = fresh(build(space, largest(space)), seed)
    if not blind:
        see(network, seed)
    return learned(network, task, dataset, HOW, steps, seed)[0]


def learned(
    network: Network, task: SuperResolution | Denoising, dataset: Dataset, how: TrainSettings, steps: int, seed: int
) -> tuple[float, float]:
    """Validation PSNR of the network after so many steps, and their core seconds."""
    assert network.spec is not None
    with TemporaryDirectory() as folder:
        done = fit(network, task, dataset, how, alone(network.spec), steps, Path(folder), seed)
    return task.validate(runner(network), dataset)[task.quality], done.core_seconds


def see(network: Network, seed: int) -> None:
    """Draw the kernels of the head anew, as He et al. say."""
    (weight,) = (p for name, p in network.named_parameters() if "head" in name and name.endswith("weight"))
    torch.manual_seed(seed)
    with torch.no_grad():
        weight.normal_(0.0, math.sqrt(2 / ((1 + SLOPE**2) * weight[0].numel())))


if __name__ == "__main__":
    main()
