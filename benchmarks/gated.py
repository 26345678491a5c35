"""What blocks make of the same multiply-accumulates: plain, residual and gated ones, wide or deep.

    python benchmarks/gated.py --data BSD200 [--steps 1000] [--seeds 1]

Networks of nearly equal cost for super-resolution x2 and for grey noise of 25. Each is trained with SOAP for the same
steps, from the same seed and places, on patches as they are, and with the contrast of some stretched (task.stretched).
Reported: multiply-accumulates for each pixel that the network sees, PSNR on 20 validation pictures, and PSNR on
drawings (`drawings.py`). About twenty minutes on one thread.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import blind_start
import drawings
import torch

from falconet.evaluate.quality import runner
from falconet.files import write_json
from falconet.graph import costs
from falconet.run.record import environment
from falconet.spaces import Restoration, build, largest
from falconet.tasks import DataSettings, Denoising, SuperResolution
from falconet.train.init import fresh
from falconet.train.settings import TrainSettings

HOW = TrainSettings(batch=16, optimizer="soap", learning_rate=8e-3, precision="float32")
TASKS: dict[str, tuple[SuperResolution | Denoising, dict[str, Any]]] = {
    "super-resolution x2": (SuperResolution(scale=2), {"scale": 2}),
    "grey noise of 25": (Denoising(sigma=25), {"scale": 1, "colour": "grey", "unshuffle": 2}),
}
SHAPES: dict[str, tuple[tuple[str, int, int], ...]] = {
    "super-resolution x2": (
        ("plain", 16, 10),
        ("residual", 16, 5),
        ("residual", 12, 9),
        ("gated", 12, 6),
        ("gated", 8, 13),
    ),
    "grey noise of 25": (
        ("plain", 16, 8),
        ("residual", 16, 4),
        ("residual", 12, 7),
        ("gated", 12, 5),
        ("gated", 10, 7),
    ),
}
STRETCHED = (0.0, 0.05, 0.15)
SIDE = 48


def main() -> None:
    """Train every shape; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_gated.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for title, (task, common) in TASKS.items():
        dataset = task.read(DataSettings(train=(given.data,), validation=20), 0)
        for (kind, width, depth), share in product(SHAPES[title], STRETCHED):
            shape = {"kind": kind, "width": width, "depth": depth}
            space = Restoration.model_validate({**common, **shape, "activation": "leaky_relu"})
            spec = build(space, largest(space))
            some = task.model_copy(update={"stretched": share})
            found, drawn = [], []
            for seed in range(given.seeds):
                network = fresh(spec, seed)
                found.append(blind_start.learned(network, some, dataset, HOW, given.steps, seed)[0])
                drawn.append(drawings.judged(task, runner(network)))
            a_pixel = costs(spec, (SIDE, SIDE)).macs / SIDE**2
            psnr = {"psnr": [round(one, 3) for one in found], "mean": round(mean(found), 3)}
            what = {"task": title, **shape, "macs_per_pixel": a_pixel, "stretched": share}
            rows.append(row := {**what, **psnr, "drawings": drawn})
            print(row, flush=True)
    about: dict[str, Any] = {"benchmark": "gated", "environment": environment("python", sys.argv[0])}
    write_json(given.out, {**about, "steps": given.steps, "settings": HOW.model_dump(mode="json"), "rows": rows})


if __name__ == "__main__":
    main()
