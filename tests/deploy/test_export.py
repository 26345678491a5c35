"""Export folders: they run where Falconet is not installed, are whole or not there, and say what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from falconet import cli
from falconet.deploy import TARGETS, ExportRefused, export
from falconet.deploy.compare import Against, told
from falconet.deploy.export import Source, source_of
from falconet.deploy.export_facts import ExportFacts
from falconet.deploy.proof import PROOF_SIZES, fits, proof_photos, proof_sample, proof_sizes
from falconet.errors import UserError
from falconet.graph import Conv, Draft, Flatten, GlobalAvgPool, Linear, PixelUnshuffle
from falconet.graph.network import Network
from falconet.tasks.images import read_picture
from falconet.zoo import ZOO

QUICK = [name for name in TARGETS if TARGETS[name].runs and name != "executorch"]  # which converts for ten seconds
SIZE = (40, 56)  # height, width of files that take one size; smaller than the photo, so it is run in parts


@pytest.fixture
def run():
    """The command line, in this process: (exit code, stdout, stderr)."""

    def called(capsys, *arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return called


def run_bare(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """run.py of a folder where neither Falconet nor torch can be imported."""
    code = (
        "import runpy, sys; sys.modules.update(falconet=None, torch=None); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code, str(folder / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder.parent, check=False)


@pytest.mark.parametrize("target", QUICK, indirect=True)
def test_a_folder_runs_without_falconet_as_enhance_does(target, request, write, tmp_path):
    import skimage.data

    name = request.node.callspec.params["target"]
    model = write("tiny")
    facts = export.export(source_of(model), name, tmp_path / "out", sizes=[SIZE])
    folder = tmp_path / "out"
    assert {path.name for path in folder.iterdir()} == {*facts.files, "run.py", "card.md", "export.json"}
    assert ExportFacts.model_validate_json((folder / "export.json").read_text()) == facts
    assert facts.runtime == target.version() and facts.convert_seconds > 0 and facts.proof is not None
    assert 0 < facts.proof.largest <= facts.proof.tolerance == target.tolerances["float32"]
    assert facts.sizes == (() if target.any_size else ((SIZE,),))
    photo = tmp_path / "photo.png"
    Image.fromarray(skimage.data.chelsea()[60:151, 120:240]).save(photo)  # 120x91
    done = run_bare(folder, photo, tmp_path / "large.png")
    assert done.returncode == 0, done.stderr
    ours = model.enhance(read_picture(photo)).pixels.astype(int)
    theirs = np.asarray(Image.open(tmp_path / "large.png")).astype(int)
    inner = slice(8, -8)  # at the border Pillow's bicubic differs from ours
    assert theirs.shape == (182, 240, 3) and np.abs(ours - theirs)[inner, inner].max() <= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", ["executorch"], indirect=True)
def test_executorch_folders_are_proved_too(target, write, tmp_path):
    facts = export.export(source_of(write("tiny")), "executorch", tmp_path / "out", sizes=[SIZE])
    assert facts.proof is not None and facts.proof.largest <= facts.proof.tolerance and "model-56x40.pte" in facts.files


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("target", ["coreml"], indirect=True)
def test_core_ml_is_written_and_called_not_proved(target, write, tmp_path):
    facts = export.export(source_of(write("tiny")), "coreml", tmp_path / "out", sizes=[SIZE], precision="float16")
    assert facts.proof is None and facts.files["model-56x40.mlpackage"] > 1000
    assert "**Not proved.**" in (tmp_path / "out" / "card.md").read_text()
    with pytest.raises(UserError, match="Apple's systems alone"):
        target.load(tmp_path / "out" / "model-56x40.mlpackage")


@pytest.mark.parametrize("target", ["litert"], indirect=True)
def test_a_picture_smaller_than_the_file_and_two_sizes(target, write, tmp_path):
    model = write("tiny", colour="rgb", scale=3)
    facts = export.export(source_of(model), "litert", tmp_path / "out", sizes=[SIZE, (24, 24)])
    assert [name for name in facts.files if name.endswith(".tflite")] == ["model-24x24.tflite", "model-56x40.tflite"]
    photo = tmp_path / "photo.png"
    Image.fromarray(np.asarray(Image.open(Path(export.__file__).with_name("proof.jpg")))[:30, :70]).save(photo)
    done = run_bare(tmp_path / "out", photo, tmp_path / "large.png")
    assert done.returncode == 0, done.stderr
    ours = model.enhance(read_picture(photo)).pixels.astype(int)
    theirs = np.asarray(Image.open(tmp_path / "large.png")).astype(int)
    assert theirs.shape == (90, 210, 3)
    assert np.abs(ours - theirs)[: -3 * 8].max() <= 1  # the padded border is below


@pytest.mark.parametrize("target", ["ncnn"], indirect=True)
def test_half_precision_halves_the_file_and_the_card_has_the_lines_for_an_app(target, write, tmp_path):
    source = source_of(write("tiny"))
    whole = export.export(source, "ncnn", tmp_path / "whole")
    half = export.export(source, "ncnn", tmp_path / "half", precision="float16")
    assert half.files["model.bin"] < 0.65 * whole.files["model.bin"]
    assert half.proof is not None and half.proof.largest > whole.proof.largest  # type: ignore[union-attr]
    card = (tmp_path / "half" / "card.md").read_text()
    assert 'net.load_model("model.bin")' in card and 'extractor.extract("up", out)' in card and "float16" in card
    assert "Terms of the pictures that the network learned from: CC0." in card


def test_a_file_that_fails_its_proof_is_not_written(write, tmp_path, monkeypatch):
    source, out = source_of(write("tiny")), tmp_path / "out"
    first = export.export(source, "onnxruntime", out)
    monkeypatch.setattr(TARGETS["onnxruntime"], "tolerances", {"float32": 1e-12})
    for place in (out, tmp_path / "new"):
        with pytest.raises(ExportRefused, match="differ by"):
            export.export(source, "onnxruntime", place)
    assert ExportFacts.model_validate_json((out / "export.json").read_text()) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "out"]


def test_int8_is_judged_by_the_task_and_timed(write, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("falconet.deploy.compare.SECONDS", 0.0)
    facts = export.export(source_of(write("tiny")), "onnxruntime", tmp_path / "out", precision="int8", data=photos)
    found = facts.against
    assert found is not None and facts.proof is None and found.calibrated_on == 3 and found.num_pictures == 6
    change = found.figures["int8"]["psnr_y"] - found.figures["float32"]["psnr_y"]
    assert -3 < change < 0.5 and found.times["int8"]["num_samples"] >= 5 and found.faster > 0
    card = (tmp_path / "out" / "card.md").read_text()
    assert all(line in card for line in told(found)) and "psnr_y on" in card
    assert not (tmp_path / "out" / "float32").exists()


def test_slower_integers_are_called_slower():
    row, figures = {"min_ms": 10.0}, {"float32": {"psnr_y": 37.36}, "int8": {"psnr_y": 37.11}}
    found = Against(
        pictures="Set5", num_pictures=5, calibrated_on=5, figures=figures,
        size=((360, 640),), times={"float32": row, "int8": {"min_ms": 15.0}}, faster=10 / 15,
    )  # fmt: skip
    lines = told(found)
    assert lines[0] == "psnr_y on Set5 (5 pictures): 37.36 float32, 37.11 int8 (-0.25)"
    assert "int8 is SLOWER, 1.50 times as slow: use float32" in lines[1]
    assert "1.50 times as fast" in told(found.model_copy(update={"faster": 1.5}))[1]
    assert "no difference that can be told" in told(found.model_copy(update={"faster": 1.04}))[1]


def test_the_command_writes_prints_and_records(run, capsys, write, tmp_path):
    model, out = write("tiny"), tmp_path / "out"
    code, stdout, stderr = run(capsys, "export", model.folder, "--target", "onnxruntime", "--out", out)
    assert code == 0 and stdout == f"{out}\n" and "differs from PyTorch by at most" in stderr
    code, stdout, _ = run(capsys, "export", model.folder, "--target", "onnxruntime", "--out", out, "--json")
    assert code == 0 and json.loads(stdout)[0]["target"] == "onnxruntime"


def test_a_bare_network_is_exported_with_weights(run, capsys, tmp_path):
    torch.manual_seed(0)
    save_file({k: v.detach() for k, v in Network(ZOO["espcn"]()).weights().items()}, tmp_path / "w.safetensors")
    arguments = ("export", "espcn", "--target", "onnxruntime", "--out", tmp_path / "out")
    code, _, stderr = run(capsys, *arguments)
    assert code == 2 and "espcn has no weights of its own: add --weights" in stderr
    code, _, stderr = run(capsys, *arguments, "--weights", tmp_path / "w.safetensors")
    assert code == 0, stderr
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((1, 1, 9, 14)))
    done = run_bare(tmp_path / "out", tmp_path / "x.npy", tmp_path / "y.npy")
    assert done.returncode == 0 and np.load(tmp_path / "y.npy").shape == (1, 1, 18, 28), done.stderr


@pytest.mark.parametrize(
    ("changed", "told_words"),
    [
        ({"--target": "nccn"}, "there is no target 'nccn'.*ncnn"),
        ({"--precision": "float8"}, "--precision must be one of float32, float16, int8; got 'float8'"),
        ({"--precision": "float16"}, "onnxruntime has no precision 'float16' here; it offers float32, int8"),
        ({"--precision": "int8"}, "int8 is calibrated and judged on real pictures: add --data FOLDER"),
        ({"--size": "640"}, "--size must be WIDTHxHEIGHT in pixels, such as 640x360; got '640'"),
        ({"--data": "nowhere"}, "nowhere does not exist"),
        ({"--weights": "nowhere.safetensors"}, "no network '.*tiny|no weights file"),
        ({"model": "sr-x9"}, "there is no network 'sr-x9'"),
        ({"--out": "."}, "exists and is not a folder that export wrote"),
    ],
)
def test_mistakes_are_one_line(run, capsys, write, tmp_path, monkeypatch, changed, told_words):
    monkeypatch.chdir(tmp_path)
    given = {"model": str(write("tiny").folder), "--target": "onnxruntime", "--out": "out", **changed}
    flags = [word for name, value in given.items() if name != "model" for word in (name, value)]
    code, stdout, stderr = run(capsys, "export", given["model"], *flags)
    assert code == 2 and not stdout and "Traceback" not in stderr
    import re

    assert re.search(told_words, stderr.replace("\n", " ")), stderr
    assert not (tmp_path / "out").exists()


def test_all_targets_leave_out_what_is_not_there(run, capsys, write, tmp_path, monkeypatch):
    monkeypatch.setattr("falconet.deploy.TARGETS", {name: TARGETS[name] for name in ("onnxruntime", "openvino")})

    def missing(self: object) -> str:
        raise UserError("OpenVINO is not installed: pip install 'falconet[openvino]'")

    monkeypatch.setattr(TARGETS["openvino"], "version", missing)
    code, stdout, stderr = run(capsys, "export", write("tiny").folder, "--target", "all", "--out", tmp_path / "out")
    assert code == 0 and stdout == f"{tmp_path / 'out' / 'onnxruntime'}\n"
    assert "left out openvino: OpenVINO is not installed: pip install 'falconet[openvino]'" in stderr


def test_sizes_that_a_network_does_not_take_are_told(tmp_path):
    d = Draft(x=1)
    spec = d.build(d.layer("conv", Conv(4), d.layer("blocks", PixelUnshuffle(4), "x")))
    assert proof_sizes(spec, ()) == (((96, 96),),) and not fits(spec, ((61, 47),))
    source = Source("odd", Network(spec).eval(), {})
    with pytest.raises(UserError, match="odd does not take pictures of 47x61: give another --size"):
        export.export(source, "litert" if _installed("litert") else "onnxruntime", tmp_path / "out", sizes=[(61, 47)])
    d = Draft(x=1)
    flat = d.layer("flat", Flatten(49), "x")
    with pytest.raises(UserError, match="takes none of the usual picture sizes"):
        proof_sizes(d.build(d.layer("fc", Linear(2), flat)), ())


def _installed(name: str) -> bool:
    try:
        return bool(TARGETS[name]().version())
    except UserError:
        return False


def test_proof_pictures_fit_every_kind_of_input(photos):
    d = Draft(frame=3, noise=1, deep=5)
    spec = d.build(d.concat("cat", a="frame", b="noise", c="deep"))
    for number, size in enumerate(PROOF_SIZES):
        sample = proof_sample(spec, (size,) * 3, proof_photos(photos), number)
        assert [x.shape for x in sample] == [(3, *size), (1, *size), (5, *size)]
        assert all(0 <= x.min() < x.max() <= 1 and x.dtype == np.float32 for x in sample)
    with pytest.raises(UserError, match="pictures"):
        proof_photos(photos / "nowhere")


def test_a_classifier_says_names(write, tmp_path):
    from falconet.tasks import Classification

    d = Draft(x=3)
    flat = d.layer("flat", Flatten(), d.layer("mean", GlobalAvgPool(), d.layer("conv", Conv(8), "x")))
    task = Classification(size=32, classes=("cat", "dog", "car"))
    network = Network(d.build(d.layer("names", Linear(3), flat))).eval()
    facts = export.export(Source("pets", network, task.model_dump(mode="json"), task), "onnxruntime", tmp_path / "out")
    assert facts.outputs == ("names",)
    done = run_bare(tmp_path / "out", Path(export.__file__).with_name("proof.jpg"))
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and {line.split()[1] for line in lines} == {"cat", "dog", "car"}, done.stderr
    assert abs(sum(float(line.split()[0]) for line in lines) - 1) < 0.01
