"""Export every shipped network and 20 random ones of a space to every target that runs here; fill docs/targets.md.

    python scripts/export_table.py                      # all targets that are installed; about ten minutes
    python scripts/export_table.py --targets ncnn       # some; the others keep the figures they had
    python scripts/export_table.py --page               # only write the page again from the result file

Figures go to results/export_targets.json: bytes, largest difference from PyTorch on real pictures, time to convert.
Files that take one picture size are made for SIZE.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from falconet.deploy import TARGETS, ExportRefused, load_model, shipped_models
from falconet.deploy.export import Source, export, source_of
from falconet.errors import UserError
from falconet.files import write_json

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "results" / "export_targets.json"
PAGE = ROOT / "docs" / "targets.md"
SIZE = (90, 160)  # height, width
SPACE = "restoration"
NETS = 20


def sources(seed: int) -> Iterator[Source]:
    """The shipped networks, and random ones of the space with fresh weights."""
    import torch

    from falconet.graph.network import Network, deployed
    from falconet.spaces import SPACES, build, sample

    for name in shipped_models():
        yield source_of(load_model(name))
    space = SPACES[SPACE]()
    for number in range(NETS):
        torch.manual_seed(seed + number)
        yield Source(f"random {number}", deployed(Network(build(space, sample(space, Random(seed + number))))), {})


def measured(target: str, seed: int) -> dict[str, Any]:
    """What exporting to one target came to: its version, and a row for each network."""
    rows: dict[str, Any] = {}
    for source in sources(seed):
        with TemporaryDirectory() as folder:
            try:
                facts = export(source, target, Path(folder) / "out", sizes=[SIZE])
            except (UserError, ExportRefused) as error:
                rows[source.name] = {"refused": str(error)}
                continue
        rows[source.name] = {
            "bytes": sum(facts.files.values()),
            "largest": facts.proof.largest if facts.proof else None,
            "seconds": facts.convert_seconds,
        }
        print(f"{target}: {source.name}: {rows[source.name]}", file=sys.stderr, flush=True)
    return {"runtime": TARGETS[target]().version(), "networks": rows}


def contract_table() -> str:
    """What each target takes and offers, from the table of targets itself."""
    lines = ["| target | pictures | precisions: largest difference allowed | to install |", "|---|---|---|---|"]
    for name, target in TARGETS.items():
        size = "any size" if target.any_size else "stated sizes, one file each"
        allowed = ", ".join(
            f"{precision}: {'judged by the task' if tolerance is None else f'{tolerance:.0e}'}"
            for precision, tolerance in target.tolerances.items()
        )
        extra = f"`pip install 'falconet[{target.extra}]'`" if target.extra else "nothing"
        lines.append(f"| `{name}` | {size} | {allowed if target.runs else 'not proved'} | {extra} |")
    return "\n".join(lines)


def result_table(result: Mapping[str, Any]) -> str:
    """What was measured."""
    shipped = [name for name in shipped_models() if any(name in one["networks"] for one in result["targets"].values())]
    random = [f"random {number}" for number in range(NETS)]
    head = ["target", *(f"{name}: kB, difference" for name in shipped)]
    head += [f"{NETS} random networks: proved", "largest difference", "seconds to convert, median"]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
    for target, found in result["targets"].items():
        rows = found["networks"]
        drawn = [rows[name] for name in random if "bytes" in rows.get(name, {})]
        seconds = sorted(row["seconds"] for row in rows.values() if "bytes" in row)
        cells = [f"`{target}` ({found['runtime'].rpartition(' ')[2]})"]
        cells += [_cell(rows.get(name, {})) for name in shipped]
        worst = [row["largest"] for row in drawn if row["largest"] is not None]
        cells += [str(len(drawn)), f"{max(worst):.1g}" if worst else "not proved"]
        cells.append(f"{seconds[len(seconds) // 2]:.2g}" if seconds else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    if "bytes" not in row:
        return "refused" if row else ""
    difference = "not proved" if row["largest"] is None else f"{row['largest']:.1g}"
    return f"{row['bytes'] / 1000:.0f}, {difference}"


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with the tables between their marks."""
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise SystemExit(f"{PAGE} needs the marks {begin} and {end}, once each")
        page = f"{page.partition(begin)[0]}{begin}\n\n{table}\n\n{end}{page.partition(end)[2]}"
    return page


def main() -> None:
    """Measure, write the result file, fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    before = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {"targets": {}}
    found = dict(before["targets"])
    for target in [] if given.page else given.targets:
        try:
            TARGETS[target]().version()
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        found[target] = measured(target, given.seed)
        result = {
            "command": "python scripts/export_table.py",
            "seed": given.seed,
            "space": SPACE,
            "size": list(SIZE),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "targets": {name: found[name] for name in TARGETS if name in found},
        }
        write_json(RESULT, result)
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    tables = {"what they take": contract_table(), "what was measured": result_table(result)}
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()
