"""PSNR against training: trainings of one network of different lengths, and what ships, in a result file and a picture.

    python scripts/hours.py runs/sr_x2_hours_{2.5,5,10}

Writes results/sr_x2_hours.json and docs/images/hours-x2.svg. To the trainings it adds the network that ships, from
results/sr_x2.json, whose minutes are those of its final training and of the supernet that it began with. Minutes of two
machines cannot be compared, so the picture is drawn over steps, which can.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from front import alone

from falconet.evaluate import format_quantity
from falconet.files import write_json, write_text
from falconet.report import Results, read_results
from falconet.report.chart import Frame, Point, labels, level, line, linear_axis, log_axis, points, start
from falconet.run.record import environment

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "results" / "sr_x2.json"
SETS = ("Set5", "Set14", "BSD100")
VDSR = {"Set5": 37.53, "Set14": 33.03, "BSD100": 31.90}  # as published
SHOWN = "BSD100"


def main() -> None:
    """Write the result file and the picture, and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    given = parser.parse_args()
    rows = sorted([row(run) for run in given.runs] + [shipped()], key=lambda one: int(one["steps"]))
    found = {
        "environment": environment("python", sys.argv[0]),
        "runs": {run.name: json.loads((run / "environment.json").read_text()) for run in given.runs},
        "recipe": (given.runs[0] / "recipe.yaml").read_text(),
        "rows": rows,
        "vdsr_published": VDSR,
    }
    write_json(ROOT / "results" / "sr_x2_hours.json", found)
    write_text(ROOT / "docs" / "images" / "hours-x2.svg", drawn(rows))
    for one in rows:
        print(f"{one['name']}: {one['core_minutes']:.1f} core-minutes, {one['steps']} steps, {one['psnr_y']}")


def row(run: Path) -> dict[str, Any]:
    """The one network of a run: minutes, steps, PSNR-Y of each test set."""
    results: Results = read_results(run)
    (model,) = results.models
    return {
        "name": run.name,
        "core_minutes": model.core_minutes,
        "steps": model.steps,
        "validation": model.final["psnr_y"],
        "psnr_y": {name: round(model.test[name].metrics["psnr_y"], 3) for name in SETS},
    }


def shipped() -> dict[str, Any]:
    """The same of the network that ships as sr-x2: the larger of its run."""
    results = json.loads(SHIPPED.read_text())["results"]
    model = max(results["models"], key=lambda one: one["costs"]["macs"])
    supernet = next(one for one in results["stages"] if one["name"] == "supernet")
    return {
        "name": "sr-x2, supernet included",
        "core_minutes": model["core_minutes"] + supernet["seconds"] * supernet["cores"] / 60,
        "steps": model["steps"],
        "validation": model["final"]["psnr_y"],
        "psnr_y": {name: round(model["test"][name]["metrics"]["psnr_y"], 3) for name in SETS},
    }


def drawn(rows: Sequence[dict[str, Any]]) -> str:
    """PSNR over steps as SVG that stands alone."""
    marks = [
        Point(one["steps"], one["psnr_y"][SHOWN], f"{one['name']}: {one['psnr_y'][SHOWN]:.2f} dB", label(one))
        for one in rows
    ]
    x = log_axis("training steps of 32 patches", [one.x for one in marks], format_quantity)
    y = linear_axis(
        f"PSNR-Y on {SHOWN}, dB", [*(one.y for one in marks), VDSR[SHOWN]], lambda value: f"{value:g}", headroom=0.12
    )
    plot = start(x, y, Frame(760, 380), "Super-resolution x2 at 5.38 GMACs: what training time buys")
    level(plot, VDSR[SHOWN], f"VDSR {VDSR[SHOWN]:.2f} (published, 612.6 GMACs)", "level")
    line(plot, [(one.x, one.y) for one in marks], "front")
    points(plot, marks, "ours", radius=4.5)
    labels(plot, marks, "ours")
    return alone(plot)


def label(one: dict[str, Any]) -> str:
    """What stands beside a point."""
    minutes = f"{one['psnr_y'][SHOWN]:.2f} dB, {one['core_minutes']:.0f} core-minutes"
    return f"sr-x2: {minutes}" if one["name"].startswith("sr-x2,") else minutes


if __name__ == "__main__":
    main()
