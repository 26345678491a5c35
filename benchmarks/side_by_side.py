"""Networks timed side by side, by one runtime after the other, with all that it takes to repeat it: a result file.

    python benchmarks/side_by_side.py runs/sr_x2_fast/models/NAME plain_7x20 --input 1x360x640 \\
        --out results/sr_x2_fast_times.json

What `falconet bench` prints for each runtime, as JSON. On an idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from falconet.files import write_json
from falconet.run.record import environment


def main() -> None:
    """Time, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="as `falconet bench` takes them")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "ncnn"])
    parser.add_argument("--input", default="1x360x640", metavar="CxHxW")
    parser.add_argument("--minutes", default="1", help="for each runtime")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = {}
    for runtime in given.runtimes:
        how = ["--runtime", runtime, "--input", given.input, "--minutes", given.minutes, "--json"]
        timed = subprocess.run(
            [sys.executable, "-m", "falconet", "bench", *given.models, *how], check=True, stdout=subprocess.PIPE
        )
        rows[runtime] = json.loads(timed.stdout)
        for row in rows[runtime]:
            print(f"{runtime}: {row['name']}: {row['min_ms']:.1f} ms, median {row['median_ms']:.1f}", flush=True)
    write_json(
        given.out, {"benchmark": "side_by_side", "environment": environment("python", sys.argv[0]), "runtimes": rows}
    )
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
