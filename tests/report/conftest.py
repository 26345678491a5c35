"""A run folder made up for these tests. No number in it was measured; pictures "enlarged by a network" are blends."""

import json
import math
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from falconet.evaluate.score import Cost, Trial
from falconet.graph import Draft, NetSpec, spec_to_json
from falconet.graph.ops import Add, Conv, PixelShuffle, PReLU, Repeat
from falconet.report import results as r
from falconet.spaces import Arch

RECIPE = """\
# TEST DATA: this recipe was never run.
task: {name: super_resolution, scale: 2, colour: luma}
data: {train: ./photos, test: {Set5: ./sr/Set5, BSD100: ./sr/BSD100}, validation: 20}
space: {name: restoration}
budget: {macs: 6.1G, at_output: 1280x720}
supernet: {minutes: 25, paths: sandwich}
search: {strategy: nsga2, evaluations: 300}
final: {minutes: 40, at: [2.5G, 6.1G]}
seed: 0
"""


def example_network(width: int = 16, blocks: int = 4) -> NetSpec:
    """A small super-resolution network with nested residual blocks and a global skip."""
    block = Draft(x=width)
    y = block.chain([("conv", Conv(width)), ("act", PReLU())], "x")
    residual = block.build(block.layer("add", Add(), y, "x"))
    net = Draft(x=1)
    y = net.chain([("head", Conv(width)), ("head_act", PReLU())], "x")
    y = net.chain([(f"b{i}", residual) for i in range(blocks)], y)
    y = net.layer("tail", Conv(4), y)
    skip = net.layer("nearest", Repeat(4), "x")
    y = net.layer("skip", Add(), y, skip)
    return net.build(net.layer("up", PixelShuffle(2), y))


def example_trial(index: int, proposer: str, rng: Random, skill: float = 0.0) -> Trial:
    """A made-up trial: quality rises with cost, with noise; `skill` lifts later trials."""
    macs = math.exp(rng.uniform(math.log(7e8), math.log(6.1e9)))
    quality = 35.9 + 1.1 * (1 - math.exp(-macs / 1.7e9)) + rng.gauss(0, 0.16) + skill * min(1, index / 200)
    costs = {
        "macs": Cost(macs, "counted"),
        "params": Cost(macs / 230400, "counted"),
        "latency_ms": Cost(macs / 4e7, "predicted"),
    }
    arch = Arch({"depth": 2 + index % 6, "width": 8 + 4 * (index % 5)})
    scores = {"psnr_y": min(quality, 37.05 + 0.02 * math.log(macs / 1e9))}
    return Trial(
        index,
        arch,
        f"{proposer}-{index}",
        quality=scores,
        costs=costs,
        search="search-1",
        proposer=proposer,
        weights="supernet@1a2b3c4d",
    )


def _latency(name: str, ms: float) -> r.LatencyRow:
    return r.LatencyRow(
        name=name, min_ms=ms * 0.94, p10_ms=ms * 0.96, median_ms=ms, spread_ms=ms * 0.07, load=0.41, relative=ms / 20,
        runtime="onnxruntime 1.31", device="x86-64", threads=1, input_size=(360, 640), num_samples=120,
    )  # fmt: skip


def _score(psnr: float, count: int) -> r.SetScore:
    names = [f"picture{i}" for i in range(count)]
    per_image = {name: {"psnr_y": psnr, "ssim_y": 0.95} for name in names}
    return r.SetScore(metrics={"psnr_y": psnr, "ssim_y": psnr / 39}, num_images=count, per_image=per_image)


def _model(name: str, macs: float, ms: float, inherited: float, final: float, set5: float) -> r.ModelResult:
    examples = tuple(
        r.PictureExample(picture=picture, source="test picture", before={"psnr_y": 31.2}, after={"psnr_y": 34.5})
        for picture in ("chelsea", "coffee", "astronaut")
    )
    return r.ModelResult(
        name=name,
        arch={
            "depth": 6,
            "width": 16,
            "kernel": 3,
            "block": "ecb",
            "activation": "prelu",
            "upsampler": "pixel_shuffle",
        },
        network="0" * 64,
        budget={"macs": 2.5e9 if macs < 2.5e9 else 6.1e9},
        costs={"macs": macs, "params": macs / 230400, "peak_activation_bytes": 2.949e7},
        inherited={"psnr_y": inherited},
        final={"psnr_y": final},
        weights="final",
        core_minutes=18.2,
        test={"Set5": _score(set5, 5), "BSD100": _score(set5 - 5.5, 100)},
        latency=_latency(name, ms),
        parity=(r.Parity(target="onnxruntime", max_error=1.3e-6, tolerance=1e-4, num_pictures=6),),
        examples=examples,
    )


def _baselines() -> tuple[r.BaselineResult, ...]:
    trained = {"origin": "trained_here", "core_minutes": 18, "costs": {"macs": 2.31e9, "params": 1.0e4}}
    published = {"kind": "zoo", "origin": "published"}
    rows: list[dict[str, object]] = [
        {"name": "bicubic", "kind": "interpolation", "origin": "no_training", "test": (33.66, 29.56)},
        {
            "name": "plain 4x16",
            "kind": "plain",
            **trained,
            "final": {"psnr_y": 36.84},
            "test": (37.02, 31.56),
            "ms": 52,
        },
        {"name": "ECB 4x16", "kind": "ecb", **trained, "final": {"psnr_y": 36.9}, "test": (37.05, 31.57), "ms": 53},
        {"name": "FSRCNN", **published, "costs": {"macs": 6.0e9}, "test": (37.0, 31.5), "source": "Dong et al. 2016"},
        {"name": "VDSR", **published, "costs": {"macs": 6.126e11}, "test": (37.53, 31.9), "source": "Kim et al. 2016"},
    ]
    return tuple(_baseline(row) for row in rows)


def _baseline(row: dict[str, object]) -> r.BaselineResult:
    set5, bsd = row.pop("test")  # type: ignore[misc]
    ms = row.pop("ms", None)
    latency = _latency(str(row["name"]), ms) if isinstance(ms, int) else None
    scores = {"Set5": _score(set5, 5), "BSD100": _score(bsd, 100)}
    return r.BaselineResult.model_validate({**row, "test": scores, "latency": latency})


def _rank() -> r.RankCorrelation:
    rng = Random(5)
    points = []
    for _ in range(24):
        truth = rng.uniform(36.2, 37.1)
        points.append(
            r.RankPoint(inherited=truth - 0.5 + rng.gauss(0, 0.08), trained=truth, macs=rng.uniform(1e9, 6e9))
        )
    rows = tuple(
        r.RankRow(kind=kind, predictor=name, within=within, value=value, interval=r.Interval(low=low, high=high))
        for kind, name, within, value, low, high in (
            ("inherited", "shared weights", "all", 0.78, 0.61, 0.89),
            ("cost", "MACs alone", "all", 0.66, 0.42, 0.82),
            ("inherited", "shared weights", "MACs ±10 %", 0.41, 0.08, 0.66),
            ("cost", "MACs alone", "MACs ±10 %", 0.05, -0.28, 0.36),
        )
    )
    return r.RankCorrelation(truth="quality after own training", rows=rows, points=tuple(points))


def _searches() -> tuple[r.SearchResult, ...]:
    return tuple(
        r.SearchResult(
            id="search-1",
            strategy=strategy,
            role=role,
            evaluations=300,
            planned_evaluations=300,
            seconds=410,
            hypervolume=volume,
            best=(
                r.BestTrial(budget={"macs": 2.5e9}, quality=small),
                r.BestTrial(budget={"macs": 6.1e9}, quality=37.09),
            ),
        )
        for strategy, role, volume, small in (
            ("nsga2", "search", 0.842, 36.97),
            ("random", "random_baseline", 0.829, 36.93),
        )
    )


def _comparison(right: str, difference: float, half: float) -> r.Comparison:
    interval = r.Interval(low=difference - half, high=difference + half)
    return r.Comparison(
        left="medium", right=right, data="BSD100", difference=difference, interval=interval, num_pairs=100, num_seeds=3
    )


def example_results() -> r.Results:
    """Made-up results of a finished run."""
    rng = Random(7)
    predicted = tuple(
        r.PredictedPoint(
            name=f"net{i}", predicted=(ms := rng.uniform(20, 150)), measured=ms * rng.gauss(1.02, 0.06), chosen=i < 2
        )
        for i in range(14)
    )
    stages = (
        r.Stage(name="supernet", planned_seconds=1500, seconds=1512, planned_steps=4100, steps=4100),
        r.Stage(name="search", planned_seconds=420, seconds=410, note="300 evaluations and 300 at random"),
        r.Stage(name="final", planned_seconds=4800, seconds=4655, planned_steps=21000, steps=21000),
        r.Stage(name="report", seconds=3.2),
    )
    return r.Results(
        run="TEST DATA",
        at_output="1280x720",
        protocol="Made up. Shrunk by antialiased bicubic, a = -0.5; PSNR and SSIM on BT.601 luma without the border.",
        terms="Test pictures of scikit-image.",
        search="search-1",
        seeds={"supernet": 0, "search": 0, "final": 0},
        stages=stages,
        models=(_model("medium", 2.402e9, 53, 36.41, 36.97, 37.1), _model("large", 6.02e9, 128, 36.6, 37.12, 37.36)),
        baselines=_baselines(),
        searches=_searches(),
        hypervolume=r.Hypervolume(objectives=("psnr_y", "macs"), reference=(33.5, 6.1e9)),
        comparisons=(_comparison("ECB 4x16", 0.031, 0.019), _comparison("plain 4x16", 0.004, 0.015)),
        rank_correlation=_rank(),
        cost_prediction=r.CostPrediction(
            predictor="a linear model of MACs fitted to other networks", points=predicted, median_error=0.043
        ),
        notes=("Test data: no number on this page was measured.",),
    )


def write_pictures(folder: Path, names: tuple[str, ...] = ("chelsea", "coffee", "astronaut")) -> None:
    """Real pictures: enlarged by bicubic, a blend that stands for a network's output, and the original."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        truth = Image.fromarray(getattr(data, name)()).convert("RGB").crop((0, 0, 400, 300))
        before = truth.resize((200, 150), Image.Resampling.BICUBIC).resize((400, 300), Image.Resampling.BICUBIC)
        for kind, image in (("before", before), ("after", Image.blend(before, truth, 0.7)), ("truth", truth)):
            image.save(folder / f"{name}-{kind}.png")


def write_run(folder: Path, pictures: bool = True) -> Path:
    """A finished run, every part of it made up."""
    rng = Random(1)
    (folder / "models").mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE)
    trials = [example_trial(i, "nsga2", rng, 0.25) for i in range(300)] + [
        example_trial(i, "random", rng) for i in range(300)
    ]
    (folder / "trials.jsonl").write_text("".join(json.dumps(t.to_json()) + "\n" for t in trials))
    data = {
        "train": [f"train{i}.jpg" for i in range(270)],
        "validation": [f"v{i}.jpg" for i in range(20)],
        "skipped": [{"path": "photos/notes.png", "reason": "not a picture"}],
    }
    documents = {
        "data": data,
        "environment": {
            "date": "2026-01-31T12:00:00Z",
            "python": "3.11.2",
            "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        },
        "plan": {
            "space_size": {"count": 1.2e9, "exact": True},
            "costs": {"macs": {"min": 6e8, "median": 3e9, "max": 9e9}},
        },
        "pareto": {"objectives": ["psnr_y", "macs"], "members": []},
    }
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    r.write_results(folder, example_results())
    for name, width, blocks in (("medium", 16, 4), ("large", 24, 7)):
        model = folder / "models" / name
        model.mkdir()
        (model / "model.json").write_text(json.dumps({"spec": spec_to_json(example_network(width, blocks))}))
        for file in ("model.onnx", "run.py", "card.md", "weights.safetensors"):
            (model / file).write_text("test data " * 900)
        if pictures:
            write_pictures(model / "examples")
    return folder


@pytest.fixture
def results() -> r.Results:
    """Made-up results of a finished run."""
    return example_results()


@pytest.fixture
def network() -> NetSpec:
    """A small super-resolution network."""
    return example_network()


@pytest.fixture
def trials() -> tuple[Trial, ...]:
    """Thirty made-up trials of a search, then thirty of its random baseline."""
    rng = Random(3)
    return tuple(example_trial(i, name, rng) for name in ("nsga2", "random") for i in range(30))


@pytest.fixture
def own_run(tmp_path: Path) -> Path:
    """The folder of a finished run without pictures, which the test may change."""
    return write_run(tmp_path / "runs" / "own", pictures=False)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; tests must not change it."""
    return write_run(tmp_path_factory.mktemp("runs") / "test-data")
