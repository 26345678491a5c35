"""Strategies on a real table: NAS-Bench-201, searched by validation accuracy, reported by test accuracy.

    python benchmarks/nb201_search.py --table nb201.csv.gz [--seeds 50] [--log runs/nb201_search.jsonl]

Four tasks: accuracy alone, and accuracy against latency on three phones. Each strategy plays each task once a seed,
300 queries each, with its default settings (those of Optuna's samplers are Optuna's own); nothing here was tuned on
this table. Strategies that improve one thing only play accuracy alone, and their front is what they met on the way;
so does Optuna's default TPE, whose multivariate form is much quicker at two objectives.

    accuracy      test accuracy of the network with the best validation accuracy so far
    a phone       the front by validation accuracy and latency; its hypervolume by test accuracy, as a share of what
                  the whole table reaches; worst point: 10 % and the slowest network of the table

Curves are means over seeds with Student's 95 % intervals. The verdict compares our predictor with the best of the
others, paired by seed; an interval that holds 0 is a tie. Every play is a line of the log: stopped at any instant,
the same command goes on. About an hour on one core. It writes results/nb201_search.json,
docs/images/nb201_search.svg and the tables between the marks in docs/strategies.md. The table is the user's own copy.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Sequence
from datetime import date
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from nb201_latency import put_between

from falconet.deploy.runner import processor
from falconet.evaluate import Budget, Objective
from falconet.evaluate.paired import paired, t_quantile
from falconet.evaluate.tables import Table, read_table
from falconet.files import append_line, read_lines, write_json, write_text
from falconet.report.chart import Frame, Plot, finish, linear_axis, put, start, write
from falconet.search import STRATEGIES, Feasible, front, hypervolume, search
from falconet.search.in_table import evaluator
from falconet.spaces.nb201 import one_cell

QUERIES = 300
AT = tuple(range(20, QUERIES + 1, 20))
ACCURACY = "accuracy"
PHONES = ("pixel3", "samsung_a50", "raspi4")
OURS = "predictor"
PLAYERS: dict[str, tuple[str, dict[str, object]]] = {
    "random": ("random", {}),
    "evolution": ("evolution", {}),
    "nsga2": ("nsga2", {}),
    "regularized": ("regularized", {}),
    "local": ("local", {}),
    "predictor": ("predictor", {}),
    "optuna TPE": ("optuna", {"sampler": "TPESampler"}),
    "optuna TPE, multivariate": ("optuna", {"sampler": "TPESampler", "options": {"multivariate": True}}),
    "optuna NSGA-II": ("optuna", {"sampler": "NSGAIISampler"}),
}
VALIDATION, TEST = "c10_val", "c10_test"
ACCURACY_ONLY = ("optuna TPE",)
COLOURS = ("#999999", "#b07aa1", "#59a14f", "#edc948", "#f28e2b", "#d62728", "#4e79a7", "#76b7b2", "#9c755f")


def main() -> None:
    """Play what the log lacks, then write result, figure and tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=Path("../shared/data/nas/nb201.csv.gz"))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--log", type=Path, default=Path("runs/nb201_search.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("results/nb201_search.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/strategies.md"))
    given = parser.parse_args()
    table = read_table(given.table)
    plays = play_all(table, given.seeds, given.log)
    result = summary(table, plays, given.seeds)
    write_json(given.out, result)
    write_text(given.page.parent / "images" / "nb201_search.svg", figure(result))
    fill(given.page, result)


def play_all(table: Table, seeds: int, log: Path) -> dict[tuple[str, str, int], list[int]]:
    """(task, player, seed) -> the rows of the table in the order they were tried."""
    plays = {}
    for line in read_lines(log):
        one = json.loads(line)
        plays[one["task"], one["player"], one["seed"]] = one["rows"]
    feasible = Feasible(one_cell, Budget(), lambda spec: {})  # what it remembers serves all plays
    for seed in range(seeds):
        for player, (strategy, settings) in PLAYERS.items():
            chosen = STRATEGIES[strategy].Settings.model_validate(settings)
            for task in (ACCURACY,) if chosen.improves_one or player in ACCURACY_ONLY else (ACCURACY, *PHONES):
                if (task, player, seed) not in plays:
                    rows = play(table, feasible, task, player, seed)
                    plays[task, player, seed] = rows
                    append_line(log, json.dumps({"task": task, "player": player, "seed": seed, "rows": rows}))
                    print(task, player, seed, flush=True)
    for (task, player, seed), rows in list(plays.items()):
        if task == ACCURACY:
            for phone in PHONES:
                plays.setdefault((phone, player, seed), rows)
    return plays


def play(table: Table, feasible: Feasible, task: str, player: str, seed: int) -> list[int]:
    """One search of 300 queries."""
    strategy, settings = PLAYERS[player]
    costs = [] if task == ACCURACY else [f"{task}_ms"]
    objectives = (Objective(VALIDATION, maximize=True), *(Objective(name, maximize=False) for name in costs))
    chosen = STRATEGIES[strategy].Settings.model_validate({**settings, "evaluations": QUERIES})
    with tempfile.TemporaryDirectory() as folder:
        trials = search(
            STRATEGIES[strategy](one_cell, feasible, objectives, chosen),
            evaluator(table, feasible, [VALIDATION], costs),
            Path(folder) / "log",
            evaluations=QUERIES, round_size=chosen.population, seed=seed, search_id=task, proposer=player,
        )  # fmt: skip
    return [table.place(trial.arch) for trial in trials]


def curve(table: Table, task: str, rows: list[int]) -> list[float]:
    """The figure of a task after 20, 40, ... queries."""
    validation, test = table.column(VALIDATION)[rows], table.column(TEST)[rows]
    if task == ACCURACY:
        return [float(test[np.argmax(validation[:n])]) for n in AT]
    everything = table.column(f"{task}_ms")
    worst, ms = (10.0, float(everything.max())), everything[rows]
    most = hypervolume(np.column_stack([table.column(TEST), everything]), worst, (True, False))
    found = []
    for n in AT:
        kept = front(np.column_stack([validation[:n], ms[:n]]), (True, False))
        found.append(hypervolume(np.column_stack([test[kept], ms[kept]]), worst, (True, False)) / most)
    return found


def summary(table: Table, plays: dict[tuple[str, str, int], list[int]], seeds: int) -> dict[str, object]:
    """Means with intervals for every task and player, and the verdicts."""
    tasks: dict[str, object] = {}
    for task in (ACCURACY, *PHONES):
        curves = {p: [curve(table, task, plays[task, p, seed]) for seed in range(seeds)] for p in PLAYERS}
        half = t_quantile(0.95, seeds - 1) / sqrt(seeds)
        tasks[task] = {
            "players": {
                player: {
                    "mean": [round(fmean(values), 5) for values in zip(*found, strict=True)],
                    "half_interval": [round(half * stdev(values), 5) for values in zip(*found, strict=True)],
                }
                for player, found in curves.items()
            },
            "verdicts": {str(n): verdict(curves, AT.index(n)) for n in (100, 200, 300)},
        }
    return {
        "benchmark": "nb201_search",
        "command": "python benchmarks/nb201_search.py",
        "seeds": seeds,
        "queries": list(AT),
        "settings": {player: {"strategy": name, **settings} for player, (name, settings) in PLAYERS.items()},
        "best_in_table": float(table.column(TEST).max()),
        "test_of_best_validation": float(table.column(TEST)[np.argmax(table.column(VALIDATION))]),
        "tasks": tasks,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": processor(),
        "date": date.today().isoformat(),
    }


def verdict(curves: dict[str, list[list[float]]], place: int) -> dict[str, object]:
    """Our predictor against the best of the others: the paired difference over seeds."""
    last = {player: {str(seed): one[place] for seed, one in enumerate(found)} for player, found in curves.items()}
    rival = max((player for player in last if player != OURS), key=lambda player: fmean(last[player].values()))
    found = paired(last[OURS], last[rival])
    return {"rival": rival, "difference": found.mean, "low": found.low, "high": found.high, "verdict": found.verdict}


def figure(result: dict[str, object]) -> str:
    """The curves of all tasks, one below the other, as one SVG."""
    tasks = result["tasks"]
    assert isinstance(tasks, dict)
    drawings, height = [], 300
    for number, (task, found) in enumerate(tasks.items()):
        tail = [value for one in found["players"].values() for value in one["mean"][2:]]
        y_name = "test accuracy, %" if task == ACCURACY else f"share of hypervolume, {task}"
        x = linear_axis("queries", [0, QUERIES], lambda v: f"{v:.0f}")
        y = linear_axis(y_name, tail, (lambda v: f"{v:.1f}") if task == ACCURACY else (lambda v: f"{v:.3f}"))
        plot = start(x, y, Frame(760, height, right=190), y_name)
        for place, (player, one) in enumerate(found["players"].items()):
            _curve(plot, one["mean"], one["half_interval"], COLOURS[place], place, player)
        drawings.append(f'<g transform="translate(0 {number * height})">{finish(plot)}</g>')
    style = "text{font:12px sans-serif;fill:#444}.grid line{stroke:#ddd}.axis line{stroke:#888}"
    size = f'width="760" height="{len(drawings) * height}"'
    background = '<rect width="100%" height="100%" fill="#fff"/>'
    body = "".join(drawings)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>{background}{body}</svg>\n'


def _curve(plot: Plot, means: Sequence[float], halves: Sequence[float], colour: str, row: int, name: str) -> None:
    """One player: its mean, its intervals, its name beside the plot."""
    before: tuple[float, float] | None = None
    for queries, mean, half in zip(AT, means, halves, strict=True):
        across, height = plot.place(queries, min(max(mean, plot.y.low), plot.y.high))
        ends = [plot.place(queries, min(max(mean + sign * half, plot.y.low), plot.y.high))[1] for sign in (1, -1)]
        places = [(across, ends[0], across, ends[1])] + ([(*before, across, height)] if before else [])
        for left, top, right, bottom in places:
            put(plot.svg, "line", {"x1": left, "y1": top, "x2": right, "y2": bottom}).set("stroke", colour)
        before = across, height
    top = plot.frame.top + 16 * row + 10
    place = plot.frame.width - plot.frame.right + 12
    put(plot.svg, "line", {"x1": place, "y1": top, "x2": place + 18, "y2": top}).set("stroke", colour)
    write(plot.svg, place + 24, top + 4, name)


def fill(page: Path, result: dict[str, object]) -> None:
    """Write the tables between the marks of the page."""
    put_between(page, "nb201_search", tables(result))


def tables(result: dict[str, object]) -> str:
    """The figures after 100 and 300 queries, and who won, in Markdown."""
    tasks = result["tasks"]
    assert isinstance(tasks, dict)
    lines = []
    for task, found in tasks.items():
        scale, unit = (1, "test accuracy, %") if task == ACCURACY else (100, "hypervolume, % of the table's")
        lines += [f"**{task}**: {unit}, mean of {result['seeds']} seeds with its 95 % interval", ""]
        lines += ["| strategy | 100 queries | 200 queries | 300 queries |", "|---|---|---|---|"]
        order = sorted(found["players"].items(), key=lambda item: -item[1]["mean"][-1])
        for player, one in order:
            cells = [
                f"{scale * one['mean'][AT.index(n)]:.2f} ± {scale * one['half_interval'][AT.index(n)]:.2f}"
                for n in (100, 200, 300)
            ]
            lines.append(f"| {player} | {' | '.join(cells)} |")
        lines.append("")
        for n, one in found["verdicts"].items():
            words = {"better": "our predictor is ahead of", "worse": "our predictor is behind", "tie": "a tie with"}
            gap = f"{scale * one['difference']:+.3f} ({scale * one['low']:+.3f} to {scale * one['high']:+.3f})"
            lines.append(f"- After {n} queries: {words[one['verdict']]} {one['rival']}, the best of the others: {gap}.")
        lines.append("")
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    main()
