"""Non-local means on real camera noise, told the level that is best on other cameras: a rival that is given a chance.

    python benchmarks/real_noise_nlm.py --data ../shared/data/realnoise/PolyU [--out results/real_noise_nlm.json]

The `nlm` of a report estimates the level, and takes noise that a camera has smoothed over for weaker than it is. Here,
for each camera that recipes/real_noise.yaml leaves out, the level is chosen among LEVELS by mean PSNR on the pictures
that choose the network there (the scene "toy" of the other cameras), and then judged on the camera once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from falconet.files import write_json
from falconet.run.record import environment
from falconet.tasks import Denoising, Pictures
from falconet.tasks.noise import non_local_means
from falconet.tasks.task import Run

CAMERAS = ("Canon5D2", "Canon600D", "Canon80D", "NikonD800")
LEVELS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
SCENE = "_toy_"


def main() -> None:
    """Judge non-local means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of pairs, files ending in _real and _mean")
    parser.add_argument("--out", type=Path, default=Path("results/real_noise_nlm.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    compare(given.data, "real_noise_nlm", lambda level: partial(_run, level), LEVELS, given.out)


def compare(folder: Path, name: str, told: Callable[[float], Run], levels: Sequence[float], out: Path) -> None:
    """Choose each camera's level, judge with it, write. `told` makes what removes noise of a level."""
    task = Denoising(noise="pairs", ends=("_real", "_mean"), colour="rgb")

    def judged(only: str, level: float) -> dict[str, float]:
        if not any(folder.glob(f"{only}_real.*")):
            return {}
        result = task.test(told(level), Pictures(folder=folder, only=(only,)))
        return {**result.metrics, "num_images": result.num_images}

    on_scene = {camera: {level: judged(f"{camera}*{SCENE}*", level) for level in levels} for camera in CAMERAS}
    rows = []
    for camera in CAMERAS:
        mean = {level: _mean([on_scene[one][level] for one in CAMERAS if one != camera]) for level in levels}
        level = max(levels, key=mean.__getitem__)
        rows.append({"camera": camera, "level": level, "test": judged(f"{camera}*", level)})
        print(rows[-1], flush=True)
    made = environment("python", sys.argv[0])
    write_json(out, {"benchmark": name, "environment": made, "rows": rows, "scene": on_scene})


def _run(level: float, xs: tuple[Tensor, ...]) -> Tensor:
    return torch.from_numpy(np.stack([non_local_means(one, level) for one in xs[0].numpy()]))


def _mean(found: list[dict[str, float]]) -> float:
    """The mean PSNR over all pictures of several cameras, those without any left out."""
    there = [one for one in found if one]
    return sum(one["psnr"] * one["num_images"] for one in there) / sum(one["num_images"] for one in there)


if __name__ == "__main__":
    main()
