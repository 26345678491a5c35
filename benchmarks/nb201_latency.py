"""Latency of NAS-Bench-201's networks on phones, predicted from few of them: rank correlation on all the others.

    python benchmarks/nb201_latency.py --table nb201.csv.gz [--draws 10] [--out results/nb201_latency.json]

For each phone and each of `draws` random splits (numpy's default_rng(draw).permutation) the predictor is fitted to
the first 50, and to the first 900, and ranks the rest; a linear model on one-hot operations, which is what a table of
layers amounts to, is fitted to the same networks. Ten thousand networks are then predicted from their architectures,
features and all, and timed. The table is the user's own copy (columns ops, pixel3_ms, samsung_a50_ms, raspi4_ms);
about five minutes on one core. Targets: above a Spearman of 0.866, 0.947, 0.872 with 50 samples and of 0.941, 0.978,
0.942 with 900, mean of ten draws; ten thousand in under 5 s.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np

from falconet.deploy.runner import processor
from falconet.evaluate.describe import Floats, features, tabulate
from falconet.evaluate.predictor import fit
from falconet.evaluate.tables import Table, read_table
from falconet.files import write_json, write_text
from falconet.spaces import build
from falconet.spaces.nb201 import one_cell

PHONES = ("pixel3", "samsung_a50", "raspi4")
SAMPLES = (50, 900)
TARGETS = {50: {"pixel3": 0.866, "samsung_a50": 0.947, "raspi4": 0.872},
           900: {"pixel3": 0.941, "samsung_a50": 0.978, "raspi4": 0.942}}  # fmt: skip
MANY = 10_000


def main() -> None:
    """Measure, print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("../shared/data/nas/nb201.csv.gz"))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("results/nb201_latency.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/strategies.md"))
    given = parser.parse_args()
    table = read_table(given.table)
    groups = tabulate([features(arch, build(one_cell, arch), {}) for arch in table.archs()])
    found: dict[str, dict[str, object]] = {}
    for samples in SAMPLES:
        for phone in PHONES:
            found[f"{phone}, {samples} samples"] = one = compare(table, groups, phone, samples, given.draws)
            print(f"{phone}, {samples} samples: {one}", file=sys.stderr, flush=True)
    result = {
        "benchmark": "nb201_latency",
        "command": "python benchmarks/nb201_latency.py",
        "draws": given.draws,
        "spearman": found,
        "seconds_for_10000": round(seconds_for_many(table, groups), 2),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": processor(),
        "date": date.today().isoformat(),
    }
    write_json(given.out, result)
    fill(given.page, found)
    print(json.dumps(result, indent=1))


def fill(page: Path, found: dict[str, dict[str, object]]) -> None:
    """Write the table between the marks of the page."""
    lines = ["| phone, samples | predictor | least of the draws | linear model |", "|---|---|---|---|"]
    lines += [f"| {name} | {o['predictor']} | {o['predictor_least']} | {o['linear']} |" for name, o in found.items()]
    put_between(page, "nb201_latency", "\n".join(lines))


def put_between(page: Path, mark: str, text: str) -> None:
    """Write `text` between the page's comments `mark` and `end of mark`, in place of what stood there."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, marked, after = rest.partition(end)
    assert marked, f"{page} must hold {begin} and {end}"
    write_text(page, f"{before}{begin}\n{text}\n{end}{after}")


def compare(table: Table, groups: tuple[Floats, ...], phone: str, samples: int, draws: int) -> dict[str, object]:
    """Spearman of the predictor and of the linear model, mean over the draws, with the least of the predictor's."""
    measured = table.column(f"{phone}_ms")
    onehot = np.column_stack([groups[0], np.ones(len(measured))])
    ours, linear = [], []
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(measured))
        known, rest = order[:samples], order[samples:]
        model = fit([group[known] for group in groups], measured[known])
        ours.append(spearman(model.mean([group[rest] for group in groups]), measured[rest]))
        weights = np.linalg.lstsq(onehot[known], measured[known], rcond=None)[0]
        linear.append(spearman(onehot[rest] @ weights, measured[rest]))
    return {
        "predictor": round(float(np.mean(ours)), 4),
        "predictor_least": round(float(np.min(ours)), 4),
        "linear": round(float(np.mean(linear)), 4),
        "target": TARGETS[samples][phone],
    }


def seconds_for_many(table: Table, groups: tuple[Floats, ...]) -> float:
    """Processor seconds from 10,000 architectures to their predicted latencies, by a model of 900 samples."""
    archs = table.archs()
    known = np.random.default_rng(0).permutation(len(archs))[:900]
    model = fit([group[known] for group in groups], table.column("pixel3_ms")[known], steps=10)
    began = time.process_time()
    model.mean(tabulate([features(arch, build(one_cell, arch), {}) for arch in archs]))
    return (time.process_time() - began) * MANY / len(archs)


def spearman(a: Floats, b: Floats) -> float:
    """Rank correlation; ties get their mean rank."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: Floats) -> Floats:
    """Mean ranks from 0."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[inverse])


if __name__ == "__main__":
    main()
