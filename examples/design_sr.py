"""The whole job as a Python program, with a loss, a metric and a search space of one's own.

    python examples/design_sr.py PHOTOS [--out runs/mine] [--minutes 20]

The settings are the same typed models that a recipe file is read into; whatever a recipe names, a program may pass as
an object. Called again, the program goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from my_space import space  # examples/my_space.py: a function of `pick`

from falconet.errors import UserError
from falconet.evaluate import Budget
from falconet.report import read_results
from falconet.run import Recipe, pipeline
from falconet.run.plan import Plan, describe
from falconet.run.progress import shown
from falconet.run.settings import FinalSettings, SupernetSettings
from falconet.search import Nsga2Settings
from falconet.tasks import DataSettings, SuperResolution


def l1_and_edges(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A loss of one's own: absolute error of pixels, and of the steps from one to the next; bchw to a scalar."""
    error = output - target
    steps = torch.diff(error, dim=-1).abs().mean() + torch.diff(error, dim=-2).abs().mean()
    return error.abs().mean() + 0.5 * steps


def edge_db(result: np.ndarray, truth: np.ndarray) -> float:
    """A metric of one's own, larger is better: PSNR of the steps between pixels; two lumas hw of 0..255."""
    error = result - truth
    mean = np.mean([np.mean(np.diff(error, axis=axis) ** 2) for axis in (0, 1)])
    return float(10 * np.log10(255**2 / max(mean, 1e-12)))


def recipe(photos: Path, size: str, minutes: float, steps: int | None, evaluations: int) -> Recipe:
    """What to do. `minutes` are shared out between the supernet and the two final trainings; `steps` overrules them."""

    def length(share: float) -> dict[str, float]:
        return {"minutes": share * minutes} if steps is None else {"steps": steps}

    return Recipe(
        task=SuperResolution(scale=2, criterion=l1_and_edges, metrics={"edge_db": edge_db}, quality="edge_db"),
        data=DataSettings(train=photos, validation=0.2),
        space=space,
        budget=Budget(macs="2G", at_output=size),
        supernet=SupernetSettings(**length(0.4), batch=16, learning_rate=2e-3),
        search=Nsga2Settings(evaluations=evaluations),
        final=FinalSettings(**length(0.3), at=("1G", "2G")),
    )


def main() -> None:
    """Plan, run or go on, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of photos")
    parser.add_argument("--out", type=Path, default=Path("runs/mine"), help="the run folder (default: runs/mine)")
    parser.add_argument("--size", default="1280x720", help="the picture that costs are counted for (default: 1280x720)")
    parser.add_argument("--minutes", type=float, default=20, help="of training, in all (default: 20)")
    parser.add_argument("--steps", type=int, help="training steps of each stage, instead of minutes")
    parser.add_argument("--evaluations", type=int, default=100, help="networks to judge (default: 100)")
    given = parser.parse_args()
    wanted = recipe(given.photos, given.size, given.minutes, given.steps, given.evaluations)
    with shown() as progress:
        if not given.out.exists():
            pipeline.begin(wanted, given.out, progress)
            print("\n".join(describe(wanted, Plan.read(given.out / "plan.json"))), flush=True)
        report = pipeline.resume(given.out, progress, wanted)
    for model in read_results(given.out).models:
        quality = model.final or model.inherited
        print(
            f"{model.name}: {model.costs['macs'] / 1e9:.2f} GMACs, {quality['edge_db']:.2f} dB of edges on validation"
        )
    print(f"models in {given.out / 'models'}, report in {report}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"design_sr: {error}", file=sys.stderr)
        sys.exit(2)
