"""Compare the searched network of several runs of one recipe, one a seed, with everything trained beside it.

    python scripts/compare_seeds.py runs/sr_x2_rivals_{0,1,2} --out results/sr_x2_rivals.json

For each rival and test set: the mean score of each picture over the seeds, the differences picture by picture, and
their 95 % interval. Where a random search found the searched network itself, it stands itself, with no difference.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from falconet.errors import UserError
from falconet.evaluate.paired import mean_over_seeds, paired
from falconet.files import write_json
from falconet.report import Results, read_results
from falconet.report.results import BaselineResult, ModelResult


def main() -> None:
    """Write the comparison, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    try:
        found = comparison(given.runs)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    write_json(given.out, found)
    for row in found["differences"]:
        interval = f"{row['mean']:+.3f} dB [{row['low']:+.3f}, {row['high']:+.3f}], {row['verdict']}"
        print(f"{row['data']:<8}{row['model']} - {row['rival']}: {interval}; by seed {row['by_seed']}")


def comparison(runs: Sequence[Path]) -> dict[str, Any]:
    """All that the result file holds."""
    recipes = [yaml.safe_load((run / "recipe.yaml").read_text()) for run in runs]
    seeds = [recipe["seed"] for recipe in recipes]
    if len(set(seeds)) != len(seeds) or any(_without(one) != _without(recipes[0]) for one in recipes):
        raise UserError(f"the runs must be of one recipe with different seeds; these have seeds {seeds}")
    results = [read_results(run) for run in runs]
    return {
        "environments": [json.loads((run / "environment.json").read_text()) for run in runs],
        "recipe": _without(recipes[0]),
        "seeds": seeds,
        "runs": [_figures(run, one) for run, one in zip(runs, results, strict=True)],
        "differences": _differences(results),
    }


def _without(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe without what changes no network: the seed, and networks trained to judge the supernet."""
    return {name: section for name, section in recipe.items() if name not in ("seed", "trust")}


def _figures(run: Path, results: Results) -> dict[str, Any]:
    clock = json.loads((run / "clock.json").read_text())
    stages = [json.loads(path.read_text())["core_minutes"] for path in sorted((run / "stages").glob("*.json"))]
    between = clock["core_minutes"] - sum(stages)
    rows: list[ModelResult | BaselineResult] = [*results.models, *results.baselines]
    return {
        "run": run.name,
        "core_minutes_of_stages": sum(stages),
        "core_minutes_between_stages": between if between >= 0 else None,  # None: stages ran in several processes
        "networks": [_network(row) for row in rows if row.test],
        "searches": [row.model_dump(mode="json", exclude_none=True) for row in results.searches],
        "rank_correlation": _plain(results.rank_correlation),
        "notes": list(results.notes),
    }


def _plain(value: Any) -> Any:
    return None if value is None else value.model_dump(mode="json", exclude_none=True)


def _network(row: ModelResult | BaselineResult) -> dict[str, Any]:
    return {
        "name": row.name,
        "costs": row.costs,
        "core_minutes": row.core_minutes,
        "validation": row.final,
        "test": {title: one.metrics for title, one in row.test.items()},
        "per_image": {title: one.per_image for title, one in row.test.items()},
    }


def _differences(results: Sequence[Results]) -> list[dict[str, Any]]:
    """Every model against every rival that was tested, on every test set."""
    metric, rows = results[0].quality, list[dict[str, Any]]()
    for model in results[0].models:
        ours = [next(one for one in result.models if one.name == model.name) for result in results]
        names = [one.name for result in results for one in result.baselines if not _of_another(one, model.name)]
        for rival in dict.fromkeys(names):
            others = [one for result in results for one in _same(result, rival, model.name)]
            if not others:
                continue  # quoted, not trained here
            if len(others) < len(results):
                raise UserError(f"{rival} was tested in some of the runs only: resume the others first")
            for title in sorted(ours[0].test.keys() & others[0].test.keys()):
                rows.append(_difference(ours, others, title, metric) | {"model": model.name, "rival": rival})
    return rows


def _of_another(row: BaselineResult, model: str) -> bool:
    """Whether it is what a random search found within the limits of another network."""
    return row.kind == "random_search" and row.name != f"{model}-random"


def _same(result: Results, rival: str, model: str) -> list[ModelResult | BaselineResult]:
    """The rival of that name; where the random search found the searched network itself, that one stands for it."""
    found: list[ModelResult | BaselineResult] = [one for one in result.baselines if one.name == rival and one.test]
    if not found and rival == f"{model}-random":
        found = [one for one in result.models if one.name == model]
    return found


def _difference(
    ours: Sequence[ModelResult | BaselineResult],
    others: Sequence[ModelResult | BaselineResult],
    title: str,
    metric: str,
) -> dict[str, Any]:
    left, right = ([_scores(row, title, metric) for row in rows] for rows in (ours, others))
    by_seed = [round(fmean(a.values()) - fmean(b.values()), 4) for a, b in zip(left, right, strict=True)]
    result = paired(mean_over_seeds(left), mean_over_seeds(right))
    return {"data": title, "metric": metric, **asdict(result), "num_pictures": len(left[0]), "by_seed": by_seed}


def _scores(row: ModelResult | BaselineResult, title: str, metric: str) -> dict[str, float]:
    return {name: scores[metric] for name, scores in row.test[title].per_image.items()}


if __name__ == "__main__":
    main()
