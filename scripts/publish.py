"""Publish what a run came to: its models as models that ship, its figures as a result file.

    python scripts/publish.py runs/sr_x2 macs-6.1G=sr-x2 macs-2.5G=sr-x2-small

Each RUN_MODEL=NAME becomes src/falconet/models/NAME, exported and proved again under its new name. The figures of the
run, its plan, its environment and its recipe become results/RUN.json: what README and docs quote stands there. Figures
of single pictures are left out where a test set has more than 1,000.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from falconet.deploy import read_model, write_model
from falconet.files import write_json
from falconet.run.searches import read_recipe
from falconet.run.shipping import proof_samples

ROOT = Path(__file__).resolve().parent.parent
MOST_PICTURES = 1000


def main() -> None:
    """Write the models and the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("models", nargs="*", metavar="RUN_MODEL=NAME")
    given = parser.parse_args()
    recipe = read_recipe(given.run)
    samples = proof_samples(recipe.task, recipe.task.read(recipe.data, recipe.seed)) if given.models else []
    for pair in given.models:
        source, _, name = pair.partition("=")
        model = read_model(given.run / "models" / source)
        facts = model.facts
        shipped = write_model(
            ROOT / "src" / "falconet" / "models" / name,
            network=model.network,
            task=model.task,
            samples=samples,
            sizes=facts.costs_at,
            arch=facts.arch,
            metrics=facts.metrics,
            training=facts.training,
        )
        print(f"{shipped.folder.relative_to(ROOT)}: {facts.metrics}")
    path = ROOT / "results" / f"{given.run.name}.json"
    write_json(path, result(given.run))
    print(path.relative_to(ROOT))


def result(run: Path) -> dict[str, Any]:
    """The figures of a run with all that it takes to repeat it."""
    read = {name: json.loads((run / f"{name}.json").read_text()) for name in ("environment", "plan", "results", "data")}
    return {
        "environment": read["environment"],
        "recipe": (run / "recipe.yaml").read_text(),
        "pictures": {name: len(read["data"][name]) for name in ("train", "validation", "skipped")},
        "plan": read["plan"],
        "results": without_long_lists(read["results"]),
    }


def without_long_lists(value: Any) -> Any:
    """The value, at any depth without figures of single pictures where there are more than `MOST_PICTURES`."""
    if isinstance(value, list):
        return [without_long_lists(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {} if key in ("per_image", "groups") and len(one) > MOST_PICTURES else without_long_lists(one)
        for key, one in value.items()
    }


if __name__ == "__main__":
    main()
