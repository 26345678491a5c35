"""Export every shipped network and 20 random ones of each space to every target that runs here; fill docs/targets.md.

    python scripts/export_table.py                      # all targets that are installed, all spaces
    python scripts/export_table.py --targets ncnn       # some; the others keep the figures they had
    python scripts/export_table.py --page               # only write the page again from the result file

Figures go to results/export_targets.json: bytes, largest difference from PyTorch on real pictures, time to convert.
Files that take one picture size are made for SIZE, those of classifiers for the size in SIZES. On an idle machine, for
the times; what was exported already is not exported again (the work of an interrupted command is kept).
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from falconet.deploy import TARGETS, ExportRefused, load_model, shipped_models
from falconet.deploy.export import Source, export, source_of
from falconet.deploy.proof import proof_photos
from falconet.errors import UserError
from falconet.files import write_json
from falconet.graph import NetSpec
from falconet.spaces import SPACES
from falconet.train.recalibrate import normed

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph.network import Network

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "results" / "export_targets.json"
PAGE = ROOT / "docs" / "targets.md"
SIZE = (90, 160)  # height, width
SIZES = {"shuffle": (224, 224), "nas_bench_201": (32, 32), "fbnet": (32, 32)}
SHIPPED = "shipped"
NETS = 20
BATCHES, VIEWS = 20, 8  # of the photo that ships, for the statistics of batch norm


def sources(space: str, seed: int) -> Iterator[tuple[str, Source]]:
    """Random networks of a space with fresh weights, or the shipped networks; each made when it is asked for."""
    from falconet.graph.network import deployed
    from falconet.spaces import build, sample

    if space == SHIPPED:
        for name in shipped_models():
            yield name, source_of(load_model(name))
        return
    given = SPACES[space]()
    for number in range(NETS):
        spec = build(given, sample(given, Random(seed + number)))
        network = _alive(spec, SIZES.get(space, SIZE), seed + number)
        yield f"random {number}", Source(f"random {number}", deployed(network), {})


def _alive(spec: NetSpec, size: tuple[int, int], seed: int) -> Network:
    """A network whose values are of ordinary size in every layer: with outputs near 0 nothing could differ.

    Weights begin as in a training; batch norms know the statistics of photos.
    """
    import torch

    from falconet.train.init import fresh

    network = fresh(spec, seed)
    photo = torch.from_numpy(proof_photos()[0].transpose(2, 0, 1).copy())[None]
    rng = Random(seed)
    with torch.no_grad():
        for _ in range(BATCHES if normed(spec) else 0):
            views = torch.cat([_view(photo, size, rng) for _ in range(VIEWS)])
            network.train()((views[:, : spec.inputs[0].channels],))
    return network.eval()


def _view(photo: Tensor, size: tuple[int, int], rng: Random) -> Tensor:
    """A square of the photo, some mirrored and all darkened: views that differ little would leave norms all but zero.

    Dividing by those makes a network that float32 cannot compute to four figures, on any runtime.
    """
    from torch.nn.functional import interpolate

    height, width = photo.shape[2:]
    side = rng.randint(height // 3, height)
    top, left = rng.randint(0, height - side), rng.randint(0, width - side)
    cut = photo[:, :, top : top + side, left : left + side]
    turned = cut.flip([3]) if rng.random() < 0.5 else cut
    return interpolate(turned, size, mode="bilinear") * rng.uniform(0.4, 1.0)


def measured(targets: Sequence[str], space: str, seed: int) -> dict[str, dict[str, Any]]:
    """What exporting the networks of a space came to: for each target a row for each network."""
    rows: dict[str, dict[str, Any]] = {target: {} for target in targets}
    for name, source in sources(space, seed):
        for target in targets:
            rows[target][name] = _exported(source, target, SIZES.get(space, SIZE))
            print(f"{target}: {space}: {name}: {rows[target][name]}", file=sys.stderr, flush=True)
    return rows


def _exported(source: Source, target: str, size: tuple[int, int]) -> dict[str, Any]:
    """The figures of one export, or why it was refused."""
    with TemporaryDirectory() as folder:
        try:
            facts = export(source, target, Path(folder) / "out", sizes=[size])
        except (UserError, ExportRefused) as error:
            return {"refused": str(error)}
    return {
        "bytes": sum(facts.files.values()),
        "largest": facts.proof.largest if facts.proof else None,
        "seconds": facts.convert_seconds,
    }


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


def shipped_table(result: Mapping[str, Any]) -> str:
    """The shipped networks: kilobytes and the largest difference, a column for each target."""
    targets = result["targets"]
    head = [
        "network: kB, largest difference",
        *(f"`{one}` ({targets[one]['runtime'].rpartition(' ')[2]})" for one in targets),
    ]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * len(targets)]
    for name in shipped_models():
        cells = [_cell(found["spaces"].get(SHIPPED, {}).get(name, {})) for found in targets.values()]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def random_table(result: Mapping[str, Any]) -> str:
    """Random networks of each space: how many were proved, the largest difference, the median time to convert."""
    targets = result["targets"]
    head = ["space: proved, largest difference, median seconds", *(f"`{one}`" for one in targets)]
    lines = [f"| {' | '.join(head)} |", "|---|" + "---:|" * len(targets)]
    for space in SPACES:
        cells = [_cells(found["spaces"].get(space, {})) for found in targets.values()]
        lines.append(f"| `{space}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(rows: Mapping[str, Any]) -> str:
    if not rows:
        return "not run"
    proved = [row for row in rows.values() if row.get("largest") is not None]
    if not proved:
        return f"0 of {len(rows)}" if any("refused" in row for row in rows.values()) else "not proved"
    worst, seconds = max(row["largest"] for row in proved), median(row["seconds"] for row in proved)
    return f"{len(proved)} of {len(rows)}, {worst:.1g}, {seconds:.2g}"


def _cell(row: Mapping[str, Any]) -> str:
    if "bytes" not in row:
        return "refused" if row else "not run"
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
    parser.add_argument("--spaces", nargs="*", choices=[SHIPPED, *SPACES], default=[SHIPPED, *SPACES])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", action="store_true", help="export what has figures already, too")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    runtimes = {} if given.page else _installed(given.targets)
    for space in given.spaces:
        _update(runtimes, space, given.seed, given.again)
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    tables = {
        "what they take": contract_table(),
        "what ships, measured": shipped_table(result),
        "what was drawn, measured": random_table(result),
    }
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")


def _installed(targets: Sequence[str]) -> dict[str, str]:
    """Target -> its runtime with the version, for those that are installed."""
    found = {}
    for target in targets:
        try:
            found[target] = TARGETS[target]().version()
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def _update(runtimes: Mapping[str, str], space: str, seed: int, again: bool) -> None:
    """Bring the result file up to date with one space: what it lacks of these targets, or all of it again."""
    found = json.loads(RESULT.read_text(encoding="utf-8"))["targets"] if RESULT.is_file() else {}
    expected = set(shipped_models()) if space == SHIPPED else {f"random {number}" for number in range(NETS)}
    for target, runtime in runtimes.items():
        if found.get(target, {}).get("runtime") != runtime:
            found[target] = {"runtime": runtime, "spaces": {}}
    lacking = [target for target in runtimes if again or set(found[target]["spaces"].get(space, {})) != expected]
    if not lacking:
        return
    for target, rows in measured(lacking, space, seed).items():
        found[target]["spaces"][space] = rows
    write_json(
        RESULT,
        {
            "command": "python scripts/export_table.py",
            "seed": seed,
            "sizes": {name: list(SIZES.get(name, SIZE)) for name in (SHIPPED, *SPACES)},
            "python": platform.python_version(),
            "machine": platform.machine(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "targets": {name: found[name] for name in TARGETS if name in found},
        },
    )


if __name__ == "__main__":
    main()
