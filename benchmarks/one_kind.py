"""A supernet that begins with one kind of block against one whose kinds are drawn apart, for equal steps.

    python benchmarks/one_kind.py --data cifar10_train49k.npz [--steps 1000] [--recipe recipes/spos_cifar10.yaml]

The supernet of the recipe is trained twice from the same seed, as the recipe says but for `steps`: with its share
`one_kind`, and without. Reported: the loss of the last hundred steps, beside that of guessing, and the mean top-1 that
random networks of the space (the same for both) inherit, on 1,000 validation pictures, with statistics of their own;
by kind of block as well, networks of one kind throughout. One thread, about 10 minutes for 500 steps.
Resumable: both trainings live in --work.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import mean

import torch

from falconet.evaluate.quality import quality
from falconet.files import write_json
from falconet.graph import NetSpec
from falconet.run.progress import shown
from falconet.run.recipe import Recipe, load
from falconet.run.record import Record, environment
from falconet.run.supernet import train_supernet
from falconet.spaces import Arch, build, draw
from falconet.tasks import Classification
from falconet.zoo.shuffle_blocks import KINDS

NETWORKS, PICTURES = 20, 1000


def main() -> None:
    """Train both, judge the same networks on each; print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pictures with labels: a folder, .npz or .csv")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--recipe", type=Path, default=Path("recipes/spos_cifar10.yaml"))
    parser.add_argument("--work", type=Path, default=Path("build/one_kind"), help="where the trainings are kept")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_one_kind.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load(given.recipe, [f"data.train={given.data}", f"data.validation={PICTURES}"])
    share = recipe.supernet.one_kind
    assert isinstance(recipe.task, Classification)
    found = {
        "benchmark": "one_kind",
        "environment": environment("python", sys.argv[0]),
        "recipe": given.recipe.as_posix(),
        "steps": given.steps,
        "loss_of_guessing": round(math.log(len(recipe.task.classes)), 3),
        "networks": NETWORKS,
        "supernets": {str(one): trained(recipe, one, given.steps, given.work / str(one)) for one in (0.0, share)},
    }
    write_json(given.out, found)
    print(json.dumps(found, indent=1))


def trained(recipe: Recipe, one_kind: float, steps: int, folder: Path) -> dict[str, object]:
    """What the supernet comes to when the share `one_kind` of its steps trains one kind alone."""
    how = recipe.supernet.model_copy(update={"one_kind": one_kind, "steps": steps, "minutes": None})
    recipe = recipe.model_copy(update={"supernet": how})
    record, dataset = Record(folder), recipe.task.read(recipe.data, recipe.seed)
    with shown() as progress:
        supernet = train_supernet(record, recipe, dataset, steps, progress).network

    def top1(specs: Sequence[NetSpec]) -> float:
        return round(mean(quality(supernet, recipe.task, dataset, one, how.recalibrate)["top1"] for one in specs), 2)

    def of_kind(arch: Arch, kind: str) -> NetSpec:
        return build(recipe.space, {name: kind if name.endswith(".kind") else arch[name] for name in arch})

    rng = Random(recipe.seed)
    drawn = [draw(recipe.space, rng) for _ in range(NETWORKS)]
    loss = record.facts("supernet")["loss"]
    assert isinstance(loss, float)
    return {
        "loss": round(loss, 4),
        "top1": top1([spec for _, spec in drawn]),
        "top1_by_kind": {kind: top1([of_kind(arch, kind) for arch, _ in drawn[:5]]) for kind in KINDS},
    }


if __name__ == "__main__":
    main()
