"""What credits earn: ESR-EA's evolution guided by credits, the same unguided, and random search, on equal budgets.

    python benchmarks/esr_ea.py --data ../shared/data/sr_train/T91 [--out results/esr_ea.json]

Every network gets the same proxy training (luma, x2, from scratch) and is judged on fixed validation crops; who
proposes it is all that differs. The space is ESR-EA's with fewer and narrower blocks, so that a proxy takes seconds.
For each seed the three begin with the same random networks. Trials are appended to a log beside the result, so a run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import torch

from falconet.evaluate import Budget, Cost, Objective, Trial
from falconet.evaluate.paired import paired
from falconet.evaluate.quality import quality
from falconet.files import write_json
from falconet.graph import NetSpec, costs
from falconet.run.record import environment
from falconet.search import STRATEGIES, CreditSettings, Feasible, RandomSettings, SearchSettings, read_trials, search
from falconet.spaces import Arch, Dense, build
from falconet.tasks import Dataset, DataSettings, SuperResolution
from falconet.train.fit import fit
from falconet.train.init import fresh
from falconet.train.paths import alone
from falconet.train.settings import TrainSettings

SPACE = Dense(colour="luma", genes=8, least_active=6, convs=(3, 4), growth=(8, 16), width=16)
BUDGET = Budget(params="30K..36K")
TASK = SuperResolution(scale=2, colour="luma", patch=24)
TRAINING = TrainSettings(batch=8, learning_rate=2e-3, warmup=20, ema=0.98, precision="float32")
SIZE = (360, 640)  # height and width that costs are counted at
POPULATION = 8


def proposers(networks: int) -> dict[str, SearchSettings]:
    """Who is compared: the same settings but for what the name says."""
    size = {"evaluations": networks, "population": POPULATION}
    return {
        "credit": CreditSettings(segment=(2, 4), **size),
        "uniform": CreditSettings(segment=(2, 4), guided=False, **size),
        "random": RandomSettings(**size),
    }


def count(spec: NetSpec) -> dict[str, float]:
    """The costs that the budget is held against."""
    found = costs(spec, SIZE)
    return {"params": found.params, "macs": found.macs}


class Judge:
    """Trains and judges networks, each once for a seed, whoever proposes it."""

    def __init__(self, dataset: Dataset, seed: int, steps: int, known: Iterable[Trial]) -> None:
        self.dataset, self.seed, self.steps = dataset, seed, steps
        self.known = {trial.network: trial.quality for trial in known if trial.status == "ok"}

    def __call__(self, asked: Sequence[tuple[int, Arch]]) -> Iterable[Trial]:
        for index, arch in asked:
            spec, began = build(SPACE, arch), time.process_time()
            if spec.digest not in self.known:
                self.known[spec.digest] = self.judged(spec)
            yield Trial(
                index=index,
                arch=arch,
                network=spec.digest,
                quality=self.known[spec.digest],
                costs={name: Cost(value, "counted") for name, value in count(spec).items()},
                fidelity=f"proxy of {self.steps} steps",
                executor="this process",
                seconds=round(time.process_time() - began, 3),
            )

    def judged(self, spec: NetSpec) -> dict[str, float]:
        network = fresh(spec, self.seed)
        with tempfile.TemporaryDirectory() as folder:
            fit(network, TASK, self.dataset, TRAINING, alone(spec), self.steps, Path(folder), self.seed)
        return quality(network, TASK, self.dataset)


def best_so_far(trials: Sequence[Trial]) -> list[float]:
    """The best quality after each trial."""
    found: list[float] = []
    for trial in trials:
        value = trial.quality[TASK.quality]
        found.append(round(max(value, found[-1]) if found else value, 4))
    return found


def compare(curves: dict[str, dict[int, list[float]]], one: str, other: str) -> dict[str, object]:
    """What `one` gains over `other`, paired by seed, with 95 % intervals: at the end, and on average along the way."""
    last = {name: {str(seed): curve[-1] for seed, curve in curves[name].items()} for name in (one, other)}
    along = {name: {str(seed): fmean(curve) for seed, curve in curves[name].items()} for name in (one, other)}
    return {
        "one": one,
        "other": other,
        "best_db": asdict(paired(last[one], last[other])),
        "mean_of_best_so_far_db": asdict(paired(along[one], along[other])),
    }


def main() -> None:
    """Search, compare, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of training pictures")
    parser.add_argument("--out", type=Path, default=Path("results/esr_ea.json"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    torch.set_num_threads(1)
    log = given.out.with_suffix(".jsonl")
    dataset = TASK.read(DataSettings(train=(given.data,), validation=12), 0)
    goal = (Objective(TASK.quality, maximize=True),)
    curves: dict[str, dict[int, list[float]]] = {name: {} for name in proposers(given.networks)}
    for seed in range(given.seeds):
        for name, settings in proposers(given.networks).items():
            known = [trial for trial in read_trials(log) if trial.search == f"seed-{seed}"]
            feasible = Feasible(SPACE, BUDGET, count)
            trials = search(
                STRATEGIES[settings.strategy](SPACE, feasible, goal, settings),  # type: ignore[attr-defined]
                Judge(dataset, seed, given.steps, known),
                log,
                evaluations=given.networks,
                round_size=POPULATION,
                seed=seed,
                search_id=f"seed-{seed}",
                proposer=name,
            )
            curves[name][seed] = best_so_far(trials)
            print(f"seed {seed} {name}: best {curves[name][seed][-1]:.3f} dB of {len(trials)}", flush=True)
    everything = read_trials(log)
    write_json(
        given.out,
        {
            "benchmark": "esr_ea",
            "environment": environment("python", sys.argv[0]),
            "space": SPACE.model_dump(),
            "budget": BUDGET.model_dump(exclude_none=True),
            "training": {**TRAINING.model_dump(), "steps": given.steps},
            "proposers": {name: one.model_dump() for name, one in proposers(given.networks).items()},
            "best_so_far_db": curves,
            "comparisons": [compare(curves, "credit", other) for other in ("uniform", "random")],
            "core_minutes": round(sum(trial.seconds for trial in everything) / 60, 1),
            "trials": len(everything),
        },
    )


if __name__ == "__main__":
    main()
