"""Four ways to make a network cheaper: from its own layers or from restoration blocks, with it as a teacher or without.

    python benchmarks/shrink.py --data BSD200 --test BSD68_FOLDER [--model denoise-25] [--factor 4] [--only NAMES_FILE]

`falconet shrink` with the same steps each, `--supernet` for the shared weights and `--final` for the network that is
kept. Reported: PSNR on validation pictures as inherited and after the final training, PSNR on the test set,
multiply-accumulates a pixel and core-minutes. The runs are kept (runs/benchmark_shrink_...), so that it can be killed
and started again. About half an hour on one thread.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from falconet.files import write_json
from falconet.report import Results, read_results
from falconet.run import pipeline
from falconet.run.progress import shown
from falconet.run.recipe import from_tree
from falconet.run.record import environment
from falconet.run.shrinking import Goal, Heavy, SpaceKind, shrunk
from falconet.run.teacher import TeacherSettings

WAYS: dict[str, tuple[SpaceKind, bool]] = {
    "own layers, taught": ("own", True),
    "own layers": ("own", False),
    "restoration blocks, taught": ("restoration", True),
    "restoration blocks": ("restoration", False),
}
PIXELS = 1280 * 720


def main() -> None:
    """Run every way, or go on with it; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--test", type=Path, required=True, help="the folder of the test set")
    parser.add_argument("--only", help="a text file with the names of the test pictures, or a pattern")
    parser.add_argument("--model", default="denoise-25")
    parser.add_argument("--factor", type=float, default=4)
    parser.add_argument("--supernet", type=int, default=300)
    parser.add_argument("--final", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_shrink.json"))
    given = parser.parse_args()
    heavy = Heavy(TeacherSettings(net=given.model))
    rows = []
    for name, (space, taught) in WAYS.items():
        tree = shrunk(heavy, Goal(given.factor, space=space), given.data)
        test = {"folder": str(given.test), **({"only": given.only} if given.only else {})}
        recipe = from_tree(
            {**tree, "teacher": tree["teacher"] if taught else None},
            "shrink",
            [
                f"supernet.steps={given.supernet}",
                f"final.steps={given.final}",
                "final.batch=16",
                "search.evaluations=30",
                "data.validation=20",
                f"data.test={{test: {test}}}",
            ],
        )
        folder = Path("runs") / f"benchmark_shrink_{given.model}_{name.replace(', ', '_').replace(' ', '_')}"
        with shown() as progress:
            if folder.exists():
                pipeline.resume(folder, progress)
            else:
                pipeline.run(recipe, folder, progress)
        rows.append(row := {"way": name, **figures(read_results(folder))})
        print(row, flush=True)
    about = {"benchmark": "shrink", "environment": environment("python", sys.argv[0])}
    steps = {"supernet": given.supernet, "final": given.final}
    write_json(given.out, {**about, "model": given.model, "factor": given.factor, "steps": steps, "rows": rows})


def figures(results: Results) -> dict[str, Any]:
    """What is reported of one run."""
    (model,) = results.models
    quality = next(iter(model.final))
    minutes = sum((stage.seconds or 0.0) * (stage.cores or 1.0) for stage in results.stages) / 60
    return {
        "arch": model.arch,
        "macs_per_pixel": round(model.costs["macs"] / PIXELS, 1),
        "inherited": round(model.inherited[quality], 3),
        "final": round(model.final[quality], 3),
        "test": round(model.test["test"].metrics[quality], 3),
        "core_minutes": round(minutes, 1),
    }


if __name__ == "__main__":
    main()
