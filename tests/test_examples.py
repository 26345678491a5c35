"""The examples do their job as a user runs them, in processes of their own, with a few steps of each training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


def run(script: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """The example, run in `folder` as on a machine without a screen."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / script), *map(str, arguments)]
    quiet = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small pieces of real photos."""
    import skimage.data

    folder = tmp_path_factory.mktemp("examples") / "photos"
    folder.mkdir()
    for name in ("chelsea", "coffee", "camera", "coins"):
        Image.fromarray(getattr(skimage.data, name)()[100:196, 100:228]).save(folder / f"{name}.png")
    return folder


TINY_DEMO = (
    "supernet.steps=2", "supernet.batch=2", "supernet.precision=float32", "search.evaluations=4",
    "search.population=2", "final.steps=2", "final.batch=2", "final.precision=float32",
    "budget.at_output=256x128", "space.width=[4,8]", "space.depth=[1]",
)  # fmt: skip


@pytest.mark.timeout(300)
def test_the_demo_judges_itself_on_photos_it_was_not_trained_on_and_says_when_it_falls_short(tmp_path: Path) -> None:
    sets = [part for one in TINY_DEMO for part in ("--set", one)]
    first = run("demo.py", *sets, folder=tmp_path)
    assert first.returncode == 1, first.stderr  # two steps teach nothing, and the demo does not hide it
    assert "less than the 1 dB" in first.stderr
    assert "dB above bicubic" in first.stdout or "dB below bicubic" in first.stdout

    demo = tmp_path / "runs" / "demo"
    kept_out = {path.name for path in (tmp_path / "runs" / "demo-photos" / "test").iterdir()}
    facts = json.loads((demo / "data.json").read_text())
    seen = {Path(name).name for name in (*facts["train"], *facts["validation"])}
    assert len(seen) >= 8 and len(kept_out) >= 2
    assert not seen & kept_out
    assert (demo / "report.html").stat().st_size > 10_000
    (model,) = (demo / "models").iterdir()
    assert {path.name for path in model.iterdir()} >= {"model.onnx", "weights.safetensors", "run.py", "card.md"}
    for place in (str(model.relative_to(tmp_path)), (demo / "report.html").as_uri()):
        assert place in first.stdout

    trials = (demo / "trials.jsonl").read_bytes()
    again = run("demo.py", folder=tmp_path)
    assert again.returncode == 1 and (demo / "trials.jsonl").read_bytes() == trials
    assert again.stdout == first.stdout  # nothing is trained twice


def test_the_demo_says_what_is_wrong_with_a_setting(tmp_path: Path) -> None:
    result = run("demo.py", "--set", "final.step=3", folder=tmp_path)
    assert result.returncode == 2
    assert "did you mean final.steps?" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "runs" / "demo").exists()


@pytest.mark.timeout(300)
def test_the_program_with_a_loss_a_metric_and_a_space_of_its_own(few: Path, tmp_path: Path) -> None:
    arguments = (few, "--out", "mine", "--size", "256x128", "--steps", 2, "--evaluations", 4)
    first = run("design_sr.py", *arguments, folder=tmp_path)
    assert first.returncode == 0, first.stderr
    assert "dB of edges on validation" in first.stdout
    trials = [json.loads(line) for line in (tmp_path / "mine" / "trials.jsonl").read_text().splitlines()]
    assert all("edge_db" in trial["quality"] and "gather" in trial["arch"] for trial in trials)
    again = run("design_sr.py", *arguments, folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == first.stdout.splitlines()[-1]


def test_the_program_says_what_is_wrong_with_its_photos(tmp_path: Path) -> None:
    result = run("design_sr.py", tmp_path, "--steps", 2, folder=tmp_path)
    assert result.returncode == 2
    assert "holds no pictures" in result.stderr and "Traceback" not in result.stderr


def test_the_space_builds_networks_for_pictures_of_any_size() -> None:
    from random import Random

    from falconet.graph import costs
    from falconet.spaces import build, load_space, sample, size

    space = load_space(str(EXAMPLES / "my_space.py"))
    assert size(space).exact
    for seed in range(30):
        spec = build(space, sample(space, Random(seed)))
        assert costs(spec, (23, 17)).macs > 0


@pytest.mark.timeout(300)
def test_the_demo_of_digits_judges_itself_and_says_when_it_falls_short(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    short = ("supernet.steps=2", "search.evaluations=4", "search.population=2", "final.steps=2", "trust.networks=0")
    done = run("demo_digits.py", *(part for one in short for part in ("--set", one)), folder=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "less than the 95 %" in done.stderr and "Of 350 digits" in done.stdout
    (model,) = (tmp_path / "runs" / "demo-digits" / "models").iterdir()
    assert "falconet enhance" not in (model / "card.md").read_text()
