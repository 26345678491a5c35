"""Judge networks on folders of pictures, under settings of the task of one's own, into a result file.

    python scripts/judge.py sr-x2-camera sr-x2 bicubic --set scale=2 --set degradation=camera \\
        --data Set5=../shared/data/sr/Set5 --out results/sr_x2_camera_judged.json
    python scripts/judge.py denoise-small noisy --data "Birds=./photos:bird*" ...       some pictures of a folder

A network is what `falconet evaluate` takes. The first is held against each of the others picture by picture: the mean
difference with its 95 % interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compare_pictures import differences

from falconet.cli.targets import judged
from falconet.files import write_json
from falconet.run.reading import split_override, with_override
from falconet.run.record import environment
from falconet.tasks import Pictures


def main() -> None:
    """Judge, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+")
    parser.add_argument("--data", action="append", required=True, metavar="NAME=FOLDER[:PATTERN]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the task")
    parser.add_argument("--figure", default="psnr_y", help="the figure that networks are compared by")
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    settings: dict[str, Any] = {}
    for one in given.set:
        settings = with_override(settings, *split_override(one))
    sets = dict(_pictures(one) for one in given.data)
    rows = [_row(name, settings, sets) for name in given.networks]
    compared = [
        {"network": rows[0]["name"], "than": row["name"], **found}
        for row in rows[1:]
        for found in differences(rows[0]["test"], row["test"], given.figure)
    ]
    for row in rows:
        print(row["name"], *(f"{title} {found[given.figure]:.3f}" for title, found in row["test"].items()), sep="  ")
    for row in compared:
        print("{than} on {data}: {mean:+.3f} [{low:+.3f}, {high:+.3f}], {verdict}".format(**row))
    found = {"settings": settings, "networks": rows, "differences": compared}
    write_json(given.out, {"environment": environment("python", sys.argv[0]), **found})


def _pictures(given: str) -> tuple[str, Pictures]:
    title, _, place = given.partition("=")
    folder, _, pattern = place.partition(":")
    return title, Pictures(folder=Path(folder), only=(pattern,) if pattern else ())


def _row(name: str, settings: Mapping[str, Any], sets: Mapping[str, Pictures]) -> dict[str, Any]:
    """The figures of one network on all sets: means, and each picture's own."""
    run, task = judged(name, None, settings)
    tested = {}
    for title, pictures in sets.items():
        found = task.test(run, pictures)
        if found.skipped:
            raise SystemExit(f"error: {title} holds pictures that cannot be judged: {found.skipped[0]}")
        tested[title] = {**found.metrics, "num_images": found.num_images, "per_image": dict(found.per_image)}
    return {"name": name, "test": tested}


if __name__ == "__main__":
    main()
