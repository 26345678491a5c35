"""The command line as a user meets it: what it prints, and that every mistake is one clear message and exit code 2."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from falconet.cli import main
from falconet.graph import Conv, Draft, PixelShuffle, spec_to_json
from falconet.run.templates import kinds

RECIPE = """
task: {name: super_resolution, scale: 2, patch: 16}
data: {train: PHOTOS, validation: 2}
space: {name: restoration, width: [4], depth: [1, 2], kind: [plain], activation: [relu]}
budget: {macs: 8M, at_output: 256x128}
supernet: {steps: 2, batch: 2, precision: float32}
search: {strategy: random, evaluations: 2, population: 2}
final: {steps: 0}
"""


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def falconet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """Runs a command in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(int(ended.value.code or 0), captured.out, captured.err)

    return run


Falconet = Callable[..., Result]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small pieces of real photos."""
    import skimage.data

    folder = tmp_path_factory.mktemp("few")
    for name in ("astronaut", "chelsea", "coffee", "camera"):
        Image.fromarray(getattr(skimage.data, name)()).crop((100, 100, 196, 180)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def recipe(tmp_path: Path, few: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("PHOTOS", str(few)))
    return path


@pytest.fixture(scope="module")
def run_folder(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Not to be changed."""
    from falconet.run import pipeline
    from falconet.run.recipe import parse

    folder = tmp_path_factory.mktemp("runs") / "done"
    pipeline.run(parse(RECIPE.replace("PHOTOS", str(few))), folder)
    return folder


def assert_refused(result: Result, *words: str) -> None:
    """One message, no traceback, nothing on stdout, exit code 2."""
    assert result.code == 2, result.err
    assert result.out == ""
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err
    told = [line for line in result.err.splitlines() if line.startswith("falconet: ")]
    assert len(told) == 1


# What it prints


def test_help_needs_no_torch() -> None:
    script = (
        "import sys\nfrom falconet.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('heavy:', sorted({'torch', 'pydantic', 'onnxruntime', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    for command in ("init", "plan", "run", "search", "resume", "report", "inspect", "evaluate", "enhance", "list"):
        assert f"\n  {command} " in done.stdout


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run([sys.executable, "-m", "falconet", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("falconet ")


@pytest.mark.parametrize(
    ("table", "name"),
    [("spaces", "restoration"), ("tasks", "super_resolution"), ("strategies", "nsga2"), ("targets", "onnxruntime")],
)
def test_list(falconet: Falconet, table: str, name: str) -> None:
    rows = json.loads(falconet("list", table, "--json").out)
    assert name in [row["name"] for row in rows]
    assert all(row["summary"] for row in rows)
    assert name in falconet("list", table).out


def test_list_zoo(falconet: Falconet) -> None:
    names = [row["name"] for row in json.loads(falconet("list", "zoo", "--json").out)]
    assert {"espcn", "fsrcnn", "vdsr", "ecbsr", "resnet50", "mobilenet_v3_large"} <= set(names)


def test_the_zoo_is_listed_by_what_its_networks_are_for(falconet: Falconet) -> None:
    rows = json.loads(falconet("list", "zoo", "--json").out)
    purposes = [row["for"] for row in rows]
    assert list(dict.fromkeys(purposes)) == ["super_resolution", "denoising", "classification"]
    assert [row["name"] for row in rows if row["for"] == "denoising"][:1] == ["dncnn"]
    lines = falconet("list", "zoo").out.splitlines()
    assert any(line.split()[:2] == ["classification", "resnet50"] for line in lines)


def test_init_says_which_recipes_there_are(falconet: Falconet) -> None:
    assert set(kinds()) <= set(re.findall(r"\w+", falconet("init", "--help").out))


def test_init_then_plan(falconet: Falconet, few: Path) -> None:
    assert falconet("init", "sr").code == 0
    shorter = ["--set", "space.width=[4]", "--set", "space.depth=[1]", "--set", "budget.at_output=256x128"]
    shorter += ["--set", "task.patch=16", "--set", "supernet.batch=2", "--set", "final.batch=2"]
    steps = ["--set", "supernet.steps=3", "--set", "final.steps=3"]
    result = falconet("plan", "recipe.yaml", "--json", "--set", f"data.train={few}", *shorter, *steps)
    planned = json.loads(result.out)
    assert planned["steps"]["supernet"] == 3
    assert planned["costs"]["macs"]["min"] > 0


def test_dry_run_trains_nothing(falconet: Falconet, recipe: Path) -> None:
    result = falconet("run", recipe, "--dry-run", "--set", "budget.macs=7M")
    assert result.code == 0
    assert "macs: 7000000.0" in result.out
    assert "The budget can be met." in result.out
    assert not Path("runs").exists()


def test_run_resume_report(falconet: Falconet, recipe: Path) -> None:
    result = falconet("run", recipe, "--name", "one")
    assert result.code == 0
    assert result.out == "runs/one/report.html\n"
    assert_refused(falconet("run", recipe, "--name", "one"), "falconet resume runs/one")
    assert falconet("resume", "runs/one").out == "runs/one/report.html\n"
    Path("runs/one/report.html").unlink()
    assert falconet("report", "runs/one").out == "runs/one/report.html\n"
    assert Path("runs/one/report.html").is_file()


def test_interrupting_says_how_to_go_on(falconet: Falconet, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from falconet.run import pipeline

    def interrupt(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", interrupt)
    result = falconet("run", recipe, "-o", "mine")
    assert result.code == 130
    assert "stopped before the run began" in result.err
    Path("mine").mkdir()
    monkeypatch.setattr(pipeline, "resume", interrupt)
    assert "falconet resume mine" in falconet("resume", "mine").err


def test_inspect_a_zoo_network(falconet: Falconet) -> None:
    assert json.loads(falconet("inspect", "espcn", "--input", "1x360x640", "--json").out).keys() == {
        "macs", "params", "peak_activation_bytes",
    }  # fmt: skip
    assert "PixelShuffle" in falconet("inspect", "espcn", "--input", "1x360x640").out


def test_inspect_a_classifier_at_the_size_that_it_was_made_for(falconet: Falconet) -> None:
    found = json.loads(falconet("inspect", "resnet50", "--json").out)
    assert (found["macs"], found["params"]) == (4_089_184_256, 25_557_032)
    small = json.loads(falconet("inspect", "resnet50", "--input", "3x32x32", "--json").out)
    assert small["macs"] < found["macs"] / 40
    assert "x 3x32x32" in falconet("inspect", "resnet20").out.splitlines()[-1]
    assert_refused(falconet("inspect", "resnet50", "--input", "1x32x32"), "takes 3 channels, not 1", "3x32x32")
    assert_refused(falconet("inspect", "resnet50", "--input", "224"), "such as 3x224x224; got '224'")
    assert_refused(falconet("inspect", "alexnet", "--input", "3x64x64"), "cannot take pictures of 64x64", "for 224x224")
    assert_refused(falconet("inspect", "resnet51"), "did you mean resnet")


def test_inspect_a_file_and_a_model(falconet: Falconet, run_folder: Path, tmp_path: Path) -> None:
    d = Draft(x=1)
    spec = d.build(d.layer("up", PixelShuffle(2), d.layer("conv", Conv(4), "x")))
    path = tmp_path / "net.json"
    path.write_text(json.dumps(spec_to_json(spec)))
    found = json.loads(falconet("inspect", path, "--input", "1x10x20", "--json").out)
    assert found["macs"] == 9 * 4 * 200
    assert found["params"] == 9 * 4 + 4
    path.write_text(json.dumps({"space": {"name": "restoration", "kind": ["plain"]}, "arch": {"s0.width": 8}}))
    assert_refused(falconet("inspect", path, "--input", "1x10x20"), "does not answer")
    arch = {"s0.width": 8, "s0.depth": 2, "s0.activation": "relu"}
    path.write_text(json.dumps({"space": {"name": "restoration", "kind": ["plain"]}, "arch": arch}))
    found = json.loads(falconet("inspect", path, "--input", "1x10x20", "--json").out)
    assert found["macs"] == 9 * (8 + 2 * 64 + 32) * 200
    model = next((run_folder / "models").iterdir())
    by_folder = json.loads(falconet("inspect", model, "--json").out)
    by_file = json.loads(falconet("inspect", model / "model.json", "--input", "1x360x640", "--json").out)
    assert by_folder == by_file  # a model knows its task: 1280x720 out unless told otherwise


def test_evaluate_bicubic_a_model_and_its_files(
    falconet: Falconet, run_folder: Path, few: Path, tmp_path: Path
) -> None:
    bicubic = falconet("evaluate", "bicubic", "--data", few, "--scale", "2", "--json")
    figures = json.loads(bicubic.out)
    assert figures.keys() == {"psnr_y", "ssim_y", "num_images"}
    assert figures["num_images"] == 4
    folder = next((run_folder / "models").iterdir())
    model = json.loads(falconet("evaluate", folder, "--data", few, "--json").out)
    onnx = json.loads(falconet("evaluate", folder / "model.onnx", "--data", few, "--scale", 2, "--json").out)
    assert onnx == pytest.approx(model, abs=1e-3)
    assert falconet("export", folder, "--target", "ncnn", "--out", folder.parent / "ncnn").code == 0
    ncnn = json.loads(
        falconet("evaluate", folder.parent / "ncnn/model.param", "--data", few, "--scale", 2, "--json").out
    )
    assert ncnn == pytest.approx(model, abs=1e-3)
    assert "psnr_y" in falconet("evaluate", folder, "--data", few).out


def test_evaluate_by_other_tasks(falconet: Falconet, few: Path, tmp_path: Path) -> None:
    noisy = json.loads(falconet("evaluate", "noisy", "--data", few, "--sigma", 25, "--json").out)
    assert noisy["psnr"] == pytest.approx(20.4, abs=0.3) and noisy["num_images"] == 4
    names = tmp_path / "some.txt"
    names.write_text("camera.png\n")
    some = falconet("evaluate", "nlm", "--data", few, "--sigma", "0,30", "--only", names, "--only", "c*", "--json")
    assert {"psnr_15", "psnr_25"} < json.loads(some.out).keys() and json.loads(some.out)["num_images"] == 3
    camera = ["--set", "degradation=camera", "--set", "camera.noise=20"]
    damaged = json.loads(falconet("evaluate", "bicubic", "--data", few, *camera, "--json").out)
    clean = json.loads(falconet("evaluate", "bicubic", "--data", few, "--json").out)
    assert damaged["psnr_y"] < clean["psnr_y"] - 1


def test_enhance_never_overwrites(falconet: Falconet, run_folder: Path, few: Path, tmp_path: Path) -> None:
    model = next((run_folder / "models").iterdir())
    photo = few / "astronaut.png"
    first = falconet("enhance", photo, "--model", model, "--out", tmp_path / "large")
    second = falconet("enhance", photo, "--model", model, "--out", tmp_path / "large")
    assert [Path(result.out.strip()).name for result in (first, second)] == ["astronaut-x2.png", "astronaut-x2-2.png"]
    with Image.open(first.out.strip()) as large:
        assert large.size == (192, 160)


def test_enhance_does_the_good_ones_and_names_the_bad(
    falconet: Falconet, run_folder: Path, few: Path, tmp_path: Path
) -> None:
    model = next((run_folder / "models").iterdir())
    bad = tmp_path / "text.png"
    bad.write_text("hello")
    result = falconet("enhance", bad, few / "camera.png", "--model", model, "--out", tmp_path / "large")
    assert result.code == 2
    assert result.out.strip().endswith("camera-x2.png")
    assert "text.png: not a picture" in result.err
    assert "Traceback" not in result.err


# What it refuses


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["budget.mac=6G"], ["budget.mac is not a setting; did you mean budget.macs?"]),
        (["budget.macs=10K"], ["The smallest cost there is: macs 2.65M"]),
        (["data.train=nowhere"], ["nowhere does not exist"]),
        (["space.name=nowhere"], ["does not exist; there are: restoration"]),
        (["novalue"], ["--set takes KEY=VALUE"]),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_recipe_that_cannot_be_done(
    falconet: Falconet, recipe: Path, command: str, settings: list[str], words: list[str]
) -> None:
    assert_refused(falconet(command, recipe, *[f"--set={setting}" for setting in settings]), *words)
    assert not Path("runs").exists()  # nothing is left behind, so the same command works once mended


def test_a_typo_in_the_file(falconet: Falconet, recipe: Path) -> None:
    recipe.write_text(recipe.read_text().replace("strategy:", "stratgy:"))
    assert_refused(falconet("run", recipe), f"{recipe}: search.stratgy is not a setting; did you mean search.strategy?")


def test_pictures_that_are_none(falconet: Falconet, recipe: Path, tmp_path: Path) -> None:
    for name, words in (("empty", "holds no picture"), ("text", "a.png"), ("tiny", "a.png")):
        folder = tmp_path / name
        folder.mkdir()
        if name == "text":
            (folder / "a.png").write_text("hello")
        if name == "tiny":
            Image.new("RGB", (1, 1)).save(folder / "a.png")
        assert_refused(falconet("run", recipe, "--set", f"data.train={folder}"), words)


def test_folders_that_are_no_runs(falconet: Falconet, recipe: Path, tmp_path: Path) -> None:
    assert_refused(falconet("resume", "nowhere"), "there is no folder nowhere")
    other = tmp_path / "other"
    other.mkdir()
    assert_refused(falconet("report", other), "has no recipe.yaml")
    assert_refused(falconet("search", other, "--set", "budget.macs=2G"), "has no recipe.yaml")
    assert_refused(falconet("run", recipe, "--out", other), "exists already and is not a run folder")
    (other / "recipe.yaml").write_text(recipe.read_text())
    assert_refused(falconet("resume", other), "plan.json is missing")
    assert_refused(falconet("run", tmp_path / "none.yaml"), "there is no recipe")


def test_networks_that_are_none(falconet: Falconet, tmp_path: Path, few: Path) -> None:
    assert_refused(falconet("inspect", "espnc", "--input", "1x9x9"), "no network 'espnc'", "did you mean espcn?")
    assert_refused(falconet("inspect", "espcn", "--input", "3x9x9"), "takes 1 channels, not 3")
    assert_refused(falconet("inspect", "espcn", "--input", "big"), "--input must be CHANNELSxHEIGHTxWIDTH")
    assert_refused(falconet("inspect", "espcn"), "add --input 1xHEIGHTxWIDTH")
    (tmp_path / "net.json").write_text("{}")
    assert_refused(falconet("inspect", tmp_path / "net.json", "--input", "1x9x9"), "net.json")
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff")
    assert_refused(falconet("inspect", tmp_path / "picture.json", "--input", "1x9x9"), "is not a network")
    assert_refused(falconet("evaluate", "bicubik", "--data", few), "nothing to evaluate called 'bicubik'")
    assert_refused(falconet("evaluate", "none.onnx", "--data", few), "none.onnx")
    assert_refused(falconet("evaluate", "none.param", "--data", few), "no file none.param")
    words = "no model for super_resolution at scale 7 ships"
    assert_refused(falconet("enhance", few / "none.png", "--scale", 7), words)
    assert_refused(falconet("enhance", few / "none.png", "--model", "sr-x2", "--scale", 4), "does not enlarge 4 times")
    assert_refused(falconet("evaluate", "bicubic", "--data", "nowhere"), "nowhere does not exist")
    assert_refused(falconet("evaluate", "bicubic", "--data", few, "--scale", 9), "scale")
    assert_refused(
        falconet("evaluate", "bicubic", "--data", few, "--task", "upscale"), "'upscale', which does not exist"
    )
    assert_refused(falconet("evaluate", "noisy", "--data", few, "--sigma", "much"), "a noise level of a 0..255 scale")
    assert_refused(falconet("evaluate", "noisy", "--data", few, "--sigma", 300), "above 0 and up to 255")
    assert_refused(falconet("evaluate", "noisy", "--data", few, "--colour", "luma"), "task.colour should be 'grey'")
    assert_refused(falconet("evaluate", "bicubic", "--data", few, "--sigma", 25), "task.sigma is not a setting")
    assert_refused(
        falconet("evaluate", "noisy", "--data", few, "--task", "super_resolution"), "is bicubic; got 'noisy'"
    )
    assert_refused(falconet("evaluate", "noisy", "--data", few, "--only", "x*"), "is named 'x*'")
    assert_refused(falconet("evaluate", "noisy", "--data", few, "--set", "noise=pairs"), "clean one of a pair")
    assert_refused(falconet("enhance", few / "camera.png", "--model", "none"), "no model 'none'")
    assert_refused(falconet("enhance", few / "camera.png", "--task", "denoise"), "no model for denoise ships")
    assert_refused(falconet("enhance", few / "camera.png", "--task", "denoising", "--sigma", 80), "0 to 50; --sigma")


def test_a_model_is_judged_at_its_own_scale(falconet: Falconet, run_folder: Path, few: Path) -> None:
    model = next((run_folder / "models").iterdir())
    assert_refused(falconet("evaluate", model, "--data", few, "--scale", 3), "made for scale 2, not 3")
    assert_refused(falconet("evaluate", model, "--data", few, "--sigma", 3), "has no setting sigma")
    assert_refused(falconet("evaluate", model, "--data", few, "--task", "denoising"), "made for super_resolution")
    assert_refused(falconet("enhance", few / "camera.png", "--model", model, "--sigma", 3), "not told how strong")


def test_usage_errors_are_codes_of_their_own_tool(falconet: Falconet) -> None:
    assert falconet("list", "spices").code == 2
    assert falconet("rnu").code == 2


def test_debug_shows_where(falconet: Falconet) -> None:
    from falconet.errors import UserError

    with pytest.raises(UserError, match="no folder nowhere"):
        main(["resume", "nowhere", "--debug"])


def test_the_version(falconet: Falconet) -> None:
    from falconet import __version__

    result = falconet("--version")
    assert result.code == 0 and result.out == f"falconet {__version__}\n"


def test_a_group_given_as_a_word_is_told(falconet: Falconet, recipe: Path) -> None:
    assert_refused(falconet("plan", recipe, "--set", "data.test=./photos"), "data.test", "a group", "'./photos'")
