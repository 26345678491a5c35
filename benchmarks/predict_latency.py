"""How well latencies are predicted: 40 held-out random networks of each space, by ONNX Runtime and ncnn.

    python benchmarks/predict_latency.py             all spaces, both runtimes; writes results/predict_latency.json
    python benchmarks/predict_latency.py --spaces dense      this one; rows that the file has are kept as they are
    python benchmarks/predict_latency.py --spaces restoration --runtimes ncnn --minutes 0.5 --networks 10 --out x.json

On an idle machine. For each space and runtime the blocks are measured, a table is made of them, one scale is taken from
ten networks, and forty others are measured twice: the first time against the prediction, the second time against the
first, which is the noise floor. The scores are those of `falconet device show`. How long predicting takes is another
benchmark, predictions.py.

Targets: Spearman >= 0.98 and MAPE <= 5 %, or both within 1.5 times the noise floor.
A measurement that was stopped goes on where it was (build/predict_latency/*.jsonl). Each row is written when it is done
and says when it was measured; --again measures rows anew that the file already has.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from nb201_latency import put_between

from falconet.deploy.runner import load_average
from falconet.evaluate.check import judge
from falconet.evaluate.device import write_device
from falconet.evaluate.measure import Onboarding, measure_device
from falconet.evaluate.meter import Here
from falconet.files import write_json
from falconet.run.record import environment
from falconet.spaces import SPACES, Space, build, sample

PIXELS = (180, 320)  # height and width: a quarter of what 1280x720 is made of, at x2
SIZES = {"dense": (64, 64)}  # where that would be too slow to repeat: seconds for each network
VECTORS = (224, 224)  # classifiers, unless they are made for another size
SMALL = ("nas_bench_201", "fbnet")  # classifiers for 32x32 pictures
NETWORKS = 40
MINUTES = 8.0
MOST_BLOCKS = 2_000
FOLDER = Path("build/predict_latency")


def main() -> None:
    """Measure, and write one JSON file."""
    options = _options()
    rows: dict[str, dict[str, Any]] = _read(options)
    for name in options.spaces:
        space: Space = SPACES[name]()
        size = size_of(name, space)
        for runtime in options.runtimes:
            key = f"{name}-{runtime}"
            if key in rows and not options.again:
                print(f"{key} has been measured")
                continue
            print(f"{name} on {runtime} at {size[0]}x{size[1]}", flush=True)
            rows[key] = _measured(name, space, size, runtime, options)
            _print(rows[key])
            write_json(options.out, {**_settings(options), "rows": rows})
            print(f"wrote {options.out}")
    if options.page is not None:
        fill(options.page, rows)


def fill(page: Path, rows: dict[str, dict[str, Any]]) -> None:
    """Write the table between the marks of the page."""
    head = ("space, runtime", "Spearman: predicted", "measured again", "MACs", "error: predicted", "measured again")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows.values():
        ranks = " | ".join(f"{row[one]['spearman']:.3f}" for one in ("table", "noise", "macs"))
        errors = " | ".join(f"{100 * row[one]['mape']:.1f} %" for one in ("table", "noise"))
        name = f"`{row['space']}`, {row['runtime'].split()[0]}, {row['input'][2]}x{row['input'][1]}"
        lines.append(f"| {name} | {ranks} | {errors} |")
    put_between(page, "predictions", "\n".join(lines))


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """What all rows of a file have in common."""
    return {"benchmark": "predict_latency", "seed": options.seed, "networks": options.networks}


def _read(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The rows of the file to write, if there is one. Refuses a file whose rows are of another kind."""
    if not options.out.is_file():
        return {}
    found = json.loads(options.out.read_text(encoding="utf-8"))
    if {key: found.get(key) for key in _settings(options)} != _settings(options):
        sys.exit(f"{options.out} was measured with another seed or number of networks; give another --out")
    return dict(found["rows"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=list(SPACES))
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "ncnn"])
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each space and runtime")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="measure rows anew that the file has")
    parser.add_argument("--out", type=Path, default=Path("results/predict_latency.json"))
    parser.add_argument("--page", type=Path, help="a page to write the table into: docs/devices.md")
    return parser.parse_args()


def size_of(name: str, space: Space) -> tuple[int, int]:
    """Height and width of the input that a space is measured at."""
    if name in SIZES:
        return SIZES[name]
    if hasattr(space, "scale"):
        return PIXELS
    return (32, 32) if name in SMALL else VECTORS


def _measured(
    name: str, space: Space, size: tuple[int, int], runtime: str, options: argparse.Namespace
) -> dict[str, Any]:
    inputs = build(space, sample(space, Random(0))).inputs
    plan = Onboarding(
        f"{name}-{runtime}",
        name,
        (size,) * len(inputs),
        seed=options.seed,
        held_out=options.networks,
        most_blocks=MOST_BLOCKS,
        minutes=options.minutes,
    )
    log, began = FOLDER / f"{plan.name}.jsonl", time.perf_counter()
    device = measure_device(plan, space, Here(runtime), log, lambda text: print(f"  {text}", flush=True))
    log.unlink()
    write_device(device, FOLDER / f"{plan.name}.json")
    scores = judge(device.checks[0])
    return {
        "environment": environment("python", sys.argv[0]),
        "minutes": options.minutes,
        "space": name,
        "runtime": f"{device.runtime} {device.version}",
        "input": [inputs[0].channels, *size],
        "num_blocks": len(device.blocks),
        "linear_model_median_error": device.linear.median_error if device.linear else None,
        "scale": device.scale,
        **_plain(asdict(scores)),
        "holds": scores.holds,
        "seconds": round(time.perf_counter() - began, 1),
        "load_at_the_end": load_average(),
        "networks": [one.model_dump() for one in device.checks[0].nets],
    }


def _plain(value: Any) -> Any:
    """NaN is no JSON: None in its place."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and value != value else value


def _print(row: dict[str, Any]) -> None:
    shown = {key: row[key] for key in ("table", "noise", "macs", "params", "banded", "banded_noise", "bands", "holds")}
    print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
