"""Two networks of two result files, picture by picture: the mean difference on each test set with its 95 % interval.

    python scripts/compare_pictures.py results/sr_x2_fast_more.json:best results/sr_x2_fast.json:plain_7x20 \\
        --out results/sr_x2_fast_paired.json

A network is named FILE:NAME, as in the file. For networks that one run did not train together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from falconet.evaluate.paired import paired
from falconet.files import write_json
from falconet.run.record import environment


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs=2, metavar="FILE:NAME")
    parser.add_argument("--figure", default="psnr_y")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    left, right = (_tested(one) for one in given.networks)
    rows = differences(left, right, given.figure)
    for row in rows:
        print("{data:<8}{mean:+.3f} [{low:+.3f}, {high:+.3f}], {verdict}".format(**row))
    write_json(
        given.out, {"environment": environment("python", sys.argv[0]), "networks": given.networks, "differences": rows}
    )


def differences(left: Mapping[str, Any], right: Mapping[str, Any], figure: str) -> list[dict[str, Any]]:
    """How much better the left is on the pictures of each test set; both: what a network came to, by test set."""
    rows = []
    for title in left:
        scores = [_scores(side[title], figure) for side in (left, right)]
        rows.append({"data": title, "figure": figure, "pictures": len(scores[0]), **asdict(paired(*scores))})
    return rows


def _tested(named: str) -> dict[str, Any]:
    """What a network of a result file came to on each test set."""
    path, _, name = named.rpartition(":")
    results = json.loads(Path(path).read_text(encoding="utf-8"))["results"]
    found = {row["name"]: row["test"] for row in (*results["models"], *results["baselines"]) if row.get("test")}
    if name not in found:
        raise SystemExit(f"error: {path} has no network {name!r} that was tested; it has {', '.join(found)}")
    tested: dict[str, Any] = found[name]
    return tested


def _scores(tested: Mapping[str, Any], figure: str) -> dict[str, float]:
    return {picture: float(scores[figure]) for picture, scores in tested["per_image"].items()}


if __name__ == "__main__":
    main()
