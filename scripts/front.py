"""One picture of all there is: quality on a test set against multiply-accumulates, ours and others', by one protocol.

    python scripts/front.py                                         draw the pictures from the result files
    python scripts/front.py --measure ../shared/data                judge networks of others first (results/peers.json)

Ours are those of results/*.json. Others with weights to be had are judged here, by the same code as ours: SPAN
(ncnn files of its authors' weights) and DnCNN. Figures that are only quoted are drawn hollow and say so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from falconet.deploy.ncnn import NcnnFile
from falconet.evaluate.score import format_quantity
from falconet.files import write_json, write_text
from falconet.report.chart import Frame, Plot, Point, finish, labels, level, line, linear_axis, log_axis, points, start
from falconet.report.views import staircase
from falconet.run.record import environment
from falconet.tasks import Denoising, Pictures, SuperResolution

ROOT = Path(__file__).resolve().parent.parent
RESULTS, IMAGES = ROOT / "results", ROOT / "docs" / "images"
PEERS = RESULTS / "peers.json"
PIXELS = 1280 * 720  # of the picture that costs are counted for
STYLE = """
svg { background: #fff; font: 12px system-ui, sans-serif; }
text { fill: #333; } .grid line { stroke: #e6e6e6; } .axis line { stroke: #888; }
.series-ours circle { fill: #0a6b58; } .series-ours text { fill: #0a6b58; font-weight: 650; }
.series-others path { fill: #9a5b00; } .series-others text { fill: #6b4a12; }
.series-quoted path { fill: #fff; stroke: #9a5b00; stroke-width: 1.3; } .series-quoted text { fill: #6b4a12; }
.series-front path { fill: none; stroke: #0a6b58; stroke-width: 1.4; stroke-opacity: .5; }
.dashed { stroke: #999; stroke-dasharray: 5 4; }
"""


@dataclass(frozen=True)
class Times:
    """Measured milliseconds that take the place of counted costs: the file, the runtime, who is called what in it."""

    file: str
    runtime: str
    names: Mapping[str, str]

    def of(self) -> dict[str, float]:
        """Milliseconds by the name in the picture; the least of all calls."""
        found = json.loads((RESULTS / self.file).read_text())["runtimes"][self.runtime]
        timed = {row["name"]: row["min_ms"] for row in found}
        return {name: timed[there] for name, there in self.names.items()}


@dataclass(frozen=True)
class Front:
    """A picture: its name, what it shows, on which set, by which figure and cost; the files; what is only quoted.

    With `times`, networks that were not timed are left out.
    """

    name: str
    title: str
    data: str
    figure: str
    cost: str
    cost_words: str
    runs: tuple[str, ...]
    quoted: Mapping[str, tuple[float, float]]
    times: Times | None = None


FRONTS = (
    Front(
        "front-x2",
        "Super-resolution x2",
        "BSD100",
        "psnr_y",
        "macs",
        "multiply-accumulates for a picture of 1280x720",
        ("sr_x2.json", "sr_x2_lossless.json", "sr_x2_rivals.json"),
        {"VDSR": (612.6e9, 31.90), "IMDN-RTC": (4.6e9, 31.73), "FSRCNN": (6.0e9, 31.53)},
    ),
    Front(
        "front-x2-ms",
        "Super-resolution x2, measured on ONNX Runtime",
        "BSD100",
        "psnr_y",
        "macs",
        "milliseconds for a picture of 1280x720, one thread of an x86 processor",
        ("sr_x2.json", "sr_x2_rivals.json", "sr_x2_fast.json"),
        {"FSRCNN": (6.0e9, 31.53)},
        Times(
            "front_x2_times.json",
            "onnxruntime",
            {
                "Falconet, 5.38G": "sr-x2",
                "Falconet, 2.47G": "sr-x2-small",
                "plain, by hand": "plain_4x16",
                "ECB, by hand": "ecbsr_m4c16",
                "plain_7x20": "plain_7x20",
                "FSRCNN": "fsrcnn",
            },
        ),
    ),
    Front(
        "front-x3",
        "Super-resolution x3",
        "BSD100",
        "psnr_y",
        "macs",
        "multiply-accumulates for a picture of 1280x720",
        ("sr_x3.json",),
        {"VDSR": (612.6e9, 28.82), "FSRCNN": (5.0e9, 28.53)},
    ),
    Front(
        "front-x4",
        "Super-resolution x4",
        "BSD100",
        "psnr_y",
        "macs",
        "multiply-accumulates for a picture of 1280x720",
        ("sr_x4.json",),
        {"VDSR": (612.6e9, 27.29), "FSRCNN": (4.6e9, 26.98)},
    ),
    Front(
        "front-denoise-25",
        "Denoising, Gaussian noise of 25",
        "BSD68",
        "psnr",
        "macs_per_pixel",
        "multiply-accumulates a pixel",
        ("denoise_25.json", "denoise_25_more.json", "denoise_25_tenth.json"),
        {"BM3D": (0.0, 28.57)},
    ),
)


def main() -> None:
    """Measure what is asked for, then draw every picture whose figures are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=Path, metavar="DATA", help="the folder of test sets and peers' weights")
    given = parser.parse_args()
    if given.measure:
        write_json(PEERS, {"environment": environment("python", sys.argv[0]), "rows": list(measured(given.measure))})
    peers = json.loads(PEERS.read_text())["rows"] if PEERS.exists() else []
    for front in FRONTS:
        files = [RESULTS / name for name in front.runs if (RESULTS / name).exists()]
        found = [row for path in files for row in ours(json.loads(path.read_text()), front)]
        rows = list({row["name"]: row for row in found}.values())  # what went on learning counts as it is now
        if front.times:
            if not (RESULTS / front.times.file).exists():
                continue
            front, rows = in_ms(front, front.times.of(), rows)
        if rows:
            others = [row for row in peers if row["front"] == front.name]
            path = IMAGES / f"{front.name}.svg"
            write_text(path, drawn(front, rows, others))
            print(path)


def in_ms(front: Front, ms: Mapping[str, float], rows: Sequence[dict[str, Any]]) -> tuple[Front, list[dict[str, Any]]]:
    """The picture and its networks with milliseconds for costs: those that were timed, and what has no cost."""
    quoted = {name: (ms[name], score) for name, (_, score) in front.quoted.items()}
    timed = [{**row, "cost": ms.get(row["name"], 0.0)} for row in rows if row["name"] in ms or not row["cost"]]
    return replace(front, quoted=quoted), timed


def measured(data: Path) -> Iterator[dict[str, Any]]:
    """Networks of others, judged by our protocol with the weights that their authors published."""
    sets = {"Set5": data / "sr/Set5", "Set14": data / "sr/Set14", "BSD100": data / "sr/BSD100"}
    for scale in (2, 4):
        path = data / f"models/span/spanx{scale}_ch48.param"
        task = SuperResolution(scale=scale, colour="rgb")
        yield {
            "front": f"front-x{scale}",
            "name": "SPAN",
            "source": f"{path.name}, run by ncnn",
            "costs": {"macs": _kernel_weights(path) * (1280 // scale) * (720 // scale)},
            "test": {name: dict(task.test(NcnnFile(path), folder).metrics) for name, folder in sets.items()},
        }
    yield _dncnn(data)


def _dncnn(data: Path) -> dict[str, Any]:
    from falconet.evaluate.quality import runner
    from falconet.graph import costs
    from falconet.graph.network import deployed
    from falconet.zoo import ZOO
    from falconet.zoo.weights import load_weights

    spec, task = ZOO["dncnn_17"](), Denoising(sigma=25)
    run = runner(deployed(load_weights(spec, data / "models/dncnn_25.pth")))
    bsd68 = Pictures(folder=data / "sr/BSD100", only=(str(data / "sr/cbsd68.txt"),))
    sets = {"Set12": Pictures(folder=data / "denoise/Set12"), "BSD68": bsd68}
    return {
        "front": "front-denoise-25",
        "name": "DnCNN",
        "source": "dncnn_25.pth, run by PyTorch",
        "costs": {"macs_per_pixel": costs(spec, (100, 100)).macs / 1e4},
        "test": {name: dict(task.test(run, pictures).metrics) for name, pictures in sets.items()},
    }


def _kernel_weights(path: Path) -> int:
    """The weights of all convolutions of an ncnn file: its multiply-accumulates a pixel of the input."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return sum(int(word[2:]) for words in lines if words[0] == "Convolution" for word in words if word[:2] == "6=")


def ours(found: Mapping[str, Any], front: Front) -> Iterator[dict[str, Any]]:
    """The networks of a result file: of one run, or of several seeds (means over them)."""
    if "runs" in found:  # of compare_seeds.py
        names = [row["name"] for row in found["runs"][0]["networks"]]
        for name in names:
            rows = [row for run in found["runs"] for row in run["networks"] if row["name"] == name]
            if rows[0]["costs"] and "random" not in name and not name.startswith("macs-"):
                yield _mean(name, rows, front)
        return
    for row in [*found["results"]["models"], *found["results"]["baselines"]]:
        if row.get("test"):
            score = row["test"][front.data]["metrics"][front.figure]
            costs = row["costs"]
            cost = costs.get(front.cost, costs.get("macs", 0.0) / PIXELS)  # the only other one is macs_per_pixel
            name = f"Falconet, {format_quantity(cost)}" if "arch" in row else row.get("title") or row["name"]
            yield {"name": name, "cost": cost, "score": score}


def _mean(name: str, rows: Sequence[Mapping[str, Any]], front: Front) -> dict[str, Any]:
    score = fmean(row["test"][front.data][front.figure] for row in rows)
    return {
        "name": "ECB, by hand" if name.startswith("ecb") else "plain, by hand",
        "cost": rows[0]["costs"][front.cost],
        "score": score,
    }


def drawn(front: Front, rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> str:
    """The picture as SVG that stands alone."""
    mine = [_point(row["name"], row["cost"], row["score"]) for row in rows if row["cost"]]
    theirs = [_point(one["name"], one["costs"][front.cost], one["test"][front.data][front.figure]) for one in others]
    known = {one["name"] for one in others}
    quoted = [
        _point(f"{name} (quoted)", cost, score)
        for name, (cost, score) in front.quoted.items()
        if cost and name not in known
    ]
    levels = {row["name"]: row["score"] for row in rows if not row["cost"]}
    levels |= {f"{name} (quoted)": score for name, (cost, score) in front.quoted.items() if not cost}
    every = [*mine, *theirs, *quoted]
    x = log_axis(front.cost_words, [one.x for one in every], format_quantity)
    beneath = ", ".join(f"{name} {score:.2f}" for name, score in levels.items())
    name = f"PSNR on {front.data}, dB" + (f" ({beneath})" if beneath else "")
    y = linear_axis(name, [one.y for one in every], lambda value: f"{value:g}", headroom=0.12)
    plot = start(x, y, Frame(900, 420), front.title)
    line(plot, staircase((one.x, one.y) for one in mine), "front", step=True)
    for words, value in levels.items():
        level(plot, value, words, "level")
    points(plot, mine, "ours", radius=4.5)
    points(plot, theirs, "others", "square", 4.5)
    points(plot, quoted, "quoted", "square", 4)
    labels(plot, mine, "ours")
    labels(plot, theirs, "others")
    labels(plot, quoted, "quoted")
    return alone(plot)


def alone(plot: Plot) -> str:
    """A finished drawing as SVG that stands alone, with its style sheet in it."""
    svg = str(finish(plot)).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return svg.replace(">", f"><style>{STYLE}</style>", 1) + "\n"


def _point(name: str, cost: float, score: float) -> Point:
    return Point(cost, score, f"{name}: {score:.2f} dB at {format_quantity(cost)}", name)


if __name__ == "__main__":
    main()
