"""The hand-designed rivals of a run, trained on the same pictures by the same loop for the same core-minutes.

    python benchmarks/rivals.py runs/sr_x2 --net plain_4x16 --minutes 45 [--seed 0]

Everything but the network comes from the run's recipe: task, pictures, split, final training. Killed, it goes on where
it was when called again. What it came to is written to runs/sr_x2/rivals/NET-seed-N.json: validation and test figures,
picture by picture, with the command, seed, steps, core-minutes, versions and date.

The nets: a plain chain and ECBSR, each at the two sizes of the recipe, with the activation that won on validation
pictures (leaky ReLU). ECBSR's branches add up their steps under Adam, so it has a learning rate of its own, chosen on
validation pictures too (1e-3 of 5e-4, 1e-3 and 4e-3).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from falconet.evaluate.quality import runner
from falconet.files import write_json
from falconet.graph import NetSpec, costs
from falconet.graph.network import Network, deployed
from falconet.run.record import environment
from falconet.run.searches import read_recipe
from falconet.run.wanted import sizes
from falconet.train.fit import fit, seconds_per_step
from falconet.train.init import msra
from falconet.train.paths import alone
from falconet.zoo import ecbsr, plain_sr

NETS: dict[str, tuple[Callable[[], NetSpec], float | None]] = {
    "plain_4x16": (lambda: plain_sr(4, 16, activation="leaky_relu"), None),
    "plain_7x20": (lambda: plain_sr(7, 20, activation="leaky_relu"), None),
    "ecbsr_m4c16": (lambda: ecbsr(2, 4, 16, activation="leaky_relu"), 1e-3),
    "ecbsr_m7c20": (lambda: ecbsr(2, 7, 20, activation="leaky_relu"), 1e-3),
}


def main() -> None:
    """Train one rival and write what it came to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--net", choices=NETS, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    recipe = read_recipe(given.run)
    make, rate = NETS[given.net]
    settings = recipe.final if rate is None else recipe.final.model_copy(update={"learning_rate": rate})
    spec, title = make(), f"{given.net}-seed-{given.seed}"
    dataset = recipe.task.read(recipe.data, recipe.seed)
    torch.manual_seed(given.seed)
    network = Network(spec)
    msra(network, [spec])
    folder = given.run / "rivals" / title
    steps_file = folder / "steps.txt"
    if not steps_file.exists():
        seconds = seconds_per_step(network, recipe.task, dataset, settings, alone(spec), given.seed)
        folder.mkdir(parents=True, exist_ok=True)
        steps_file.write_text(str(round(given.minutes * 60 / seconds)))
    steps = int(steps_file.read_text())

    def on_step(step: int, loss: float) -> None:
        if step % 500 == 0:
            print(f"{title}  {step}/{steps}  loss {loss:.5f}", flush=True)

    fitted = fit(network, recipe.task, dataset, settings, alone(spec), steps, folder, given.seed, on_step)
    run = runner(deployed(network))
    found = costs(spec, *sizes(recipe))
    tests = {name: recipe.task.test(run, path) for name, path in recipe.data.test.items()}
    write_json(
        given.run / "rivals" / f"{title}.json",
        {
            "net": given.net,
            "seed": given.seed,
            "minutes_asked": given.minutes,
            "core_minutes": fitted.core_seconds / 60,
            "steps": steps,
            "precision": fitted.precision,
            "learning_rate": settings.learning_rate,
            "costs": {"macs": found.macs, "params": found.params},
            "validation": dict(recipe.task.validate(run, dataset)),
            "test": {
                name: {"metrics": dict(result.metrics), "num_images": result.num_images, "per_image": result.per_image}
                for name, result in tests.items()
            },
            "environment": environment(),
        },
    )


if __name__ == "__main__":
    main()
