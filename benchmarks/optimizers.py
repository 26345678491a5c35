"""What an optimizer makes of the same number of steps: AdamW against SOAP, each at several learning rates.

    python benchmarks/optimizers.py --data BSD200 [--steps 1000] [--seeds 2]

A network for each of three cases: residual blocks and re-parameterized ones for super-resolution x2, residual ones for
grey noise of 25. Each is trained from the same seed and batches. Reported: PSNR on 20 validation pictures, and the core
seconds of the training, which share one run and so may be compared. About twelve minutes on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from falconet.evaluate.quality import runner
from falconet.files import write_json
from falconet.run.record import environment
from falconet.spaces import Restoration, build, largest
from falconet.tasks import Dataset, DataSettings, Denoising, SuperResolution
from falconet.train.fit import fit
from falconet.train.init import fresh
from falconet.train.paths import alone
from falconet.train.settings import TrainSettings

COMMON = TrainSettings(batch=16, precision="float32")
RATES = (2e-3, 4e-3, 8e-3, 1.6e-2)
CASES: dict[str, tuple[SuperResolution | Denoising, Restoration]] = {
    "super-resolution x2, residual": (
        SuperResolution(scale=2),
        Restoration(width=(16,), depth=(3,), kind=("residual",), activation=("leaky_relu",)),
    ),
    "super-resolution x2, re-parameterized": (
        SuperResolution(scale=2),
        Restoration(width=(16,), depth=(4,), kind=("ecb",), activation=("leaky_relu",)),
    ),
    "grey noise of 25": (
        Denoising(sigma=25),
        Restoration(
            scale=1, unshuffle=(2,), colour="grey", width=(20,), depth=(4,), kind=("residual",),
            activation=("leaky_relu",),
        ),
    ),
}  # fmt: skip


def main() -> None:
    """Train every case with every optimizer and learning rate; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_optimizers.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for title, (task, space) in CASES.items():
        dataset = task.read(DataSettings(train=(given.data,), validation=20), 0)
        for optimizer in ("adamw", "soap"):
            for rate in RATES:
                how = COMMON.model_copy(update={"optimizer": optimizer, "learning_rate": rate})
                found = [trained(task, space, dataset, how, seed, given.steps) for seed in range(given.seeds)]
                rows.append(row := _row(title, optimizer, rate, found))
                print(row, flush=True)
    about: dict[str, Any] = {"benchmark": "optimizers", "environment": environment("python", sys.argv[0])}
    write_json(given.out, {**about, "steps": given.steps, "settings": COMMON.model_dump(mode="json"), "rows": rows})


def trained(
    task: SuperResolution | Denoising, space: Restoration, dataset: Dataset, how: TrainSettings, seed: int, steps: int
) -> tuple[float, float]:
    """Validation PSNR of the network of the space after so many steps, and their core seconds."""
    spec = build(space, largest(space))
    network = fresh(spec, seed)
    with TemporaryDirectory() as folder:
        done = fit(network, task, dataset, how, alone(spec), steps, Path(folder), seed)
    return task.validate(runner(network), dataset)[task.quality], done.core_seconds


def _row(
    title: str, optimizer: Literal["adamw", "soap"], rate: float, found: list[tuple[float, float]]
) -> dict[str, Any]:
    return {
        "case": title,
        "optimizer": optimizer,
        "learning_rate": rate,
        "psnr": [round(psnr, 3) for psnr, _ in found],
        "mean": round(mean(psnr for psnr, _ in found), 3),
        "core_seconds": round(mean(seconds for _, seconds in found), 1),
    }


if __name__ == "__main__":
    main()
