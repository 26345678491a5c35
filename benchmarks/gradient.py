"""One-shot search beside gradient-based search, in one space: accuracy, core-minutes, peak memory, a second budget.

    python benchmarks/gradient.py --data ../shared/data/cls/cifar10_train49k.npz [--out results/gradient.json]

Block search in the shuffle space for 32x32 pictures (4^20 networks), at most 8 and then 7.5 M multiply-accumulates:

    one_shot     uniform paths, then evolution among inherited weights (Single Path One-Shot)
    all          every branch computed and mixed (DARTS, first order)
    two          one path for weights, two for logits (ProxylessNAS)

All get the same number of weight steps of equal settings; logits and evolution read the same 4,000 pictures. The second
budget is another evolution for the one, everything anew for the others. Each method runs in a process of its own, so
that its peak memory is its own; the networks found are trained from scratch with equal settings and judged on 5,000
pictures that nothing else has seen. Work in progress is kept in build/gradient, in a folder for these settings, so a
stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import torch

from falconet.evaluate import Budget, Cost, Objective, Trial
from falconet.evaluate.quality import quality, runner
from falconet.files import write_json
from falconet.graph import costs
from falconet.graph.network import Network, deployed
from falconet.run.prepared import prepared
from falconet.run.record import environment
from falconet.search import STRATEGIES, Feasible, search
from falconet.search.evolution import EvolutionSettings
from falconet.spaces import Arch, Shuffle, build, union
from falconet.spaces.places import places
from falconet.tasks import Classification, DataSettings
from falconet.tasks.task import Dataset
from falconet.train.fit import fit
from falconet.train.gradient import GradientSettings, descend
from falconet.train.init import fresh
from falconet.train.paths import alone, uniform
from falconet.train.settings import TrainSettings

METHODS = ("one_shot", "all", "two")
BUDGETS = (8e6, 7.5e6)
SIZE = (32, 32)
SGD = TrainSettings(
    batch=128, optimizer="sgd", learning_rate=0.1, weight_decay=5e-4, clip=5, ema=0, precision="float32"
)
SUPERNET = SGD.model_copy(update={"learning_rate": 0.0625, "weight_decay": 4e-5, "recalibrate": 4})
WORK = Path("build/gradient")
SEARCHED_BY = ("steps", "evaluations", "validation", "holdout")  # what the work in progress depends on


def main() -> None:
    """Run what is left, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled pictures: a folder, an .npz or a .csv")
    parser.add_argument("--out", type=Path, default=Path("results/gradient.json"))
    parser.add_argument("--steps", type=int, default=2000, help="of the weights, while searching")
    parser.add_argument("--final", type=int, default=2500, help="steps of a training from scratch")
    parser.add_argument("--evaluations", type=int, default=400, help="of evolution")
    parser.add_argument("--seeds", type=int, default=2, help="trainings from scratch of each network")
    parser.add_argument("--validation", type=int, default=4000, help="pictures that logits and evolution read")
    parser.add_argument("--holdout", type=int, default=5000, help="pictures that are judged once")
    parser.add_argument("--method", choices=METHODS, help="run the search of one method, in this process")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work = WORK / "-".join(str(getattr(given, name)) for name in SEARCHED_BY)
    if given.method:
        write_json(given.work / f"{given.method}.json", searched(given.method, given))
        return
    for method in METHODS:
        if not (given.work / f"{method}.json").exists():
            subprocess.run([sys.executable, *sys.argv, "--method", method], check=True)
    found = {method: json.loads((given.work / f"{method}.json").read_text()) for method in METHODS}
    task, dataset = read(given)
    for method, one in found.items():
        for row in one["networks"]:
            row["top1"] = [lone(row["arch"], task, dataset, given, seed) for seed in range(given.seeds)]
            print(f"{method} {row['budget']:.3g}: {row['macs']:,} MACs, top-1 {fmean(row['top1']):.2f}", flush=True)
    write_json(
        given.out,
        {
            "benchmark": "gradient",
            "environment": environment("python", sys.argv[0]),
            "settings": {name: getattr(given, name) for name in ("final", "seeds", *SEARCHED_BY)},
            "methods": found,
        },
    )


def read(given: argparse.Namespace) -> tuple[Classification, Dataset]:
    """The task with its classes, and its pictures: training, validation, held out."""
    data = DataSettings(train=(given.data,), validation=given.validation, holdout=given.holdout)
    task = Classification(size=SIZE[0], policy="none").knowing(data)
    return task, task.read(data, 0)


def space_of(task: Classification) -> Any:
    """Block search: the width is not decided."""
    return prepared(Shuffle(layout="cifar", width=1.0), task)


def searched(method: str, given: argparse.Namespace) -> dict[str, Any]:
    """One method's networks for both budgets, its core-minutes for each, its peak memory."""
    task, dataset = read(given)
    before = peak_mb()
    rows = list(one_shot(task, dataset, given) if method == "one_shot" else descents(method, task, dataset, given))
    return {"networks": rows, "peak_mb": round(peak_mb() - before, 1), "weight_steps": given.steps}


def one_shot(task: Classification, dataset: Dataset, given: argparse.Namespace) -> Iterable[dict[str, Any]]:
    """One supernet, an evolution for each budget."""
    space = space_of(task)
    torch.manual_seed(0)
    network = Network(store=union(space, Random(0)))
    fitted = fit(network, task, dataset, SUPERNET, uniform(space), given.steps, given.work / "one_shot", 0)
    spent = fitted.core_seconds
    for budget in BUDGETS:
        began = time.process_time()
        arch = evolved(space, network, task, dataset, budget, given)
        yield row(space, arch, budget, spent + time.process_time() - began)
        spent = 0.0


def evolved(
    space: Any, network: Network, task: Classification, dataset: Dataset, budget: float, given: argparse.Namespace
) -> Arch:
    """The best of an evolution among inherited weights."""
    settings = EvolutionSettings(evaluations=given.evaluations, population=50)
    feasible = Feasible(space, Budget(macs=budget, at_input="32x32"), lambda spec: {"macs": costs(spec, SIZE).macs})

    def judge(asked: Sequence[tuple[int, Arch]]) -> Iterable[Trial]:
        for index, arch in asked:
            spec = build(space, arch)
            yield Trial(
                index=index,
                arch=arch,
                network=spec.digest,
                quality=quality(network, task, dataset, spec, SUPERNET.recalibrate),
                costs={"macs": Cost(costs(spec, SIZE).macs, "counted")},
                fidelity="inherited",
                executor="this process",
            )

    goal = (Objective(task.quality, maximize=True),)
    strategy = STRATEGIES["evolution"](space, feasible, goal, settings)
    trials = search(
        strategy,
        judge,
        given.work / f"one_shot_{budget:.0f}.jsonl",
        evaluations=given.evaluations,
        round_size=50,
        seed=0,
        search_id="1",
        proposer="evolution",
    )
    return max(trials, key=lambda trial: trial.quality[task.quality]).arch


def descents(
    method: str, task: Classification, dataset: Dataset, given: argparse.Namespace
) -> Iterable[dict[str, Any]]:
    """A descent for each budget, from the beginning."""
    space = space_of(task)
    held = replace(dataset, arrays=as_arrays(dataset))
    settings = SUPERNET, GradientSettings(branches=method)
    for budget in BUDGETS:
        torch.manual_seed(0)
        network, folder = Network(store=union(space, Random(0))), given.work / f"{method}_{budget:.0f}"
        found = descend(network, places(space, SIZE), budget, task, (dataset, held), settings, given.steps, folder, 0)
        sure = fmean(max(place) for place in found.probabilities if len(place) > 1)
        yield row(space, found.arch, budget, found.core_seconds) | {"mean_largest_probability": round(sure, 3)}


def as_arrays(dataset: Dataset) -> dict[str, Any]:
    """The validation pictures as training pictures are kept."""
    images = np.stack([one.inputs[0].transpose(1, 2, 0) for one in dataset.validation])
    return {**dataset.arrays, "images": images, "labels": np.array([int(one.target) for one in dataset.validation])}


def row(space: Any, arch: Arch, budget: float, core_seconds: float) -> dict[str, Any]:
    """What one search came to."""
    macs = costs(build(space, arch), SIZE).macs
    return {"budget": budget, "arch": arch.to_json(), "macs": macs, "core_minutes": round(core_seconds / 60, 2)}


def lone(
    arch: dict[str, object], task: Classification, dataset: Dataset, given: argparse.Namespace, seed: int
) -> float:
    """Top-1 of a network trained from scratch, in per cent of the pictures held out."""
    spec = build(space_of(task), Arch.from_json(arch))
    network = fresh(spec, seed)
    folder = given.work / "alone" / f"{spec.digest}_{given.final}_{seed}"
    fit(network, task, dataset, SGD, alone(spec), given.final, folder, seed)
    judged = replace(dataset, validation=dataset.holdout)
    return task.validate(runner(deployed(network)), judged)["top1"]


def peak_mb() -> float:
    """The most memory this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
