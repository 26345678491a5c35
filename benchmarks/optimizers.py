"""What an optimizer makes of the same number of steps: AdamW against SOAP, each at several learning rates.

    python benchmarks/optimizers.py --data BSD200 [--steps 1000] [--seeds 2]

A network for each of three cases: residual blocks and re-parameterized ones for super-resolution x2, residual ones for
grey noise of 25; the residual ones are those of blind_start.py. Each is trained from the same seed and batches.
Reported: PSNR on 20 validation pictures, and the core seconds of the training, which share one run and so may be
compared. About eighteen minutes on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import blind_start
import torch

from falconet.files import write_json
from falconet.run.record import environment
from falconet.spaces import Restoration, build, largest
from falconet.tasks import DataSettings, Denoising, SuperResolution
from falconet.train.init import fresh
from falconet.train.settings import TrainSettings

COMMON = TrainSettings(batch=16, precision="float32")
RATES = (2e-3, 4e-3, 8e-3, 1.6e-2)
CASES: dict[str, tuple[SuperResolution | Denoising, Restoration]] = {
    "super-resolution x2, residual": blind_start.CASES["super-resolution x2"],
    "super-resolution x2, re-parameterized": (
        SuperResolution(scale=2),
        Restoration(width=(16,), depth=(4,), kind=("ecb",), activation=("leaky_relu",)),
    ),
    "grey noise of 25": blind_start.CASES["grey noise of 25"],
}


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
        spec = build(space, largest(space))
        dataset = task.read(DataSettings(train=(given.data,), validation=20), 0)
        for optimizer in ("adamw", "soap"):
            for rate in RATES:
                how = COMMON.model_copy(update={"optimizer": optimizer, "learning_rate": rate})
                found = [
                    blind_start.learned(fresh(spec, seed), task, dataset, how, given.steps, seed)
                    for seed in range(given.seeds)
                ]
                rows.append(row := _row(title, optimizer, rate, found))
                print(row, flush=True)
    about: dict[str, Any] = {"benchmark": "optimizers", "environment": environment("python", sys.argv[0])}
    write_json(given.out, {**about, "steps": given.steps, "settings": COMMON.model_dump(mode="json"), "rows": rows})


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
