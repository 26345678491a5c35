"""Model folders: what is written is read back; half a folder, a damaged one and a stranger's are told apart."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from falconet.deploy import (
    DEFAULT_MODEL,
    ExportRefused,
    default_model,
    folder,
    load_model,
    model,
    place,
    read_model,
    shipped_models,
)
from falconet.deploy import script as program
from falconet.deploy.card import card
from falconet.deploy.model import DEFAULT_DENOISER
from falconet.deploy.targets import TARGETS
from falconet.errors import UserError
from falconet.graph import NetSpec, costs
from falconet.tasks.images import Picture, read_picture

FILES = {"model.json", "weights.safetensors", "model.onnx", "run.py", "card.md"}


def test_model_reads_back_as_it_was_written(write):
    written = write("tiny")
    found = load_model(written.folder)
    assert {path.name for path in written.folder.iterdir()} == FILES
    assert (found.name, found.spec, found.facts) == ("tiny", written.spec, written.facts)
    assert found.task.name == "super_resolution" and found.task.scale == 2
    facts = found.facts
    assert facts.arch == {"width": 6} and facts.training.seed == 3 and facts.parity[0].largest < 1e-5
    assert facts.costs["macs"] == costs(found.spec, (360, 640)).macs and facts.costs_at == ((360, 640),)
    assert facts.trained_spec is not None and len(facts.trained_spec["layers"]) > len(facts.spec["layers"])


def test_model_computes_what_was_trained(write, network):
    found = write("tiny")
    x = torch.rand(2, 1, 17, 23)
    with torch.no_grad():
        assert torch.allclose(found.run((x,)), network.eval()(x), atol=1e-5)
    assert found.facts.network == network.spec.digest


def test_reading_a_model_imports_no_torch(write):
    written = write("tiny")
    code = (
        "import sys; from falconet import load_model; load_model(sys.argv[1]).task; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(written.folder)], check=True)


def test_report_and_tools_find_the_network_in_the_json(write):
    data = json.loads((write("tiny").folder / "model.json").read_text())
    assert data["schema_version"] == 1 and data["spec"]["layers"] and data["task"]["name"] == "super_resolution"


def test_card_says_what_a_user_must_know(write):
    text = (write("tiny").folder / "card.md").read_text()
    for words in (
        "| Set5 | 33.50 | 0.9300 | 5 |",
        "CC0",
        "PSNR",
        "640x360",
        "not evidence",
        "python run.py",
        "80 pictures",
    ):
        assert words in text
    assert "Terms of the pictures: not stated" in (write("other", training=None).folder / "card.md").read_text()


def test_a_second_write_replaces_the_first_whole(write):
    first = write("tiny")
    (first.folder / "extra.txt").write_text("old")
    second = write("tiny", arch={"width": 7})
    assert read_model(second.folder).facts.arch == {"width": 7}
    assert {path.name for path in second.folder.iterdir()} == FILES
    assert [path.name for path in second.folder.parent.iterdir()] == ["tiny"]


def test_disagreement_leaves_nothing_behind_and_the_old_model_alone(write, samples):
    first = write("tiny")
    with pytest.raises(ExportRefused):
        write("tiny", tolerance=0.0)
    assert read_model(first.folder).facts == first.facts
    with pytest.raises(ExportRefused):
        write("never", tolerance=0.0)
    assert [path.name for path in first.folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize("step", ["write_bytes", "write_text", "card", "put"])
def test_a_failure_at_any_step_leaves_no_half_folder(write, monkeypatch, step, tmp_path):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(place if step == "put" else folder, step, fail)
    with pytest.raises(OSError, match="disk full"):
        write("tiny")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("step", ["_export", "write_bytes", "write_text", "put"])
def test_a_kill_at_any_step_leaves_a_whole_model_or_none(write, monkeypatch, step, old, tmp_path):
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    if old:
        write("tiny", arch={"width": 1})
    with monkeypatch.context() as patched:
        patched.setattr(place if step == "put" else folder, step, kill)
        patched.setattr(place.shutil, "rmtree", lambda *_, **__: None)  # a kill tidies nothing up
        with pytest.raises(Killed):
            write("tiny")
    kept = tmp_path / "models" / "tiny"
    assert kept.exists() == old and (not old or read_model(kept).facts.arch == {"width": 1})
    assert read_model(write("tiny").folder).facts.arch == {"width": 6}
    assert [path.name for path in kept.parent.iterdir()] == ["tiny"]


def test_a_failed_rename_puts_the_old_model_back(write, monkeypatch, tmp_path):
    place = write("tiny", arch={"width": 1}).folder
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError("no more links")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no more links"):
        write("tiny")
    assert read_model(place).facts.arch == {"width": 1}
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["tiny"]


def test_other_folders_are_not_written_over(write, tmp_path):
    (tmp_path / "models" / "photos").mkdir(parents=True)
    with pytest.raises(UserError, match="not a model folder"):
        write("photos")
    with pytest.raises(UserError, match="letters, digits"):
        write("my model")


def edit(path: Path, change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


BAD_FACTS = {
    "newer Falconet": lambda data: data.update(schema_version=2),
    "schema_version": lambda data: data.update(schema_version="x"),
    "unheard: Extra inputs": lambda data: data.update(unheard=1),
    "name": lambda data: data.update(name="../../etc"),
    "unknown operator 'Evil'": lambda data: data["spec"]["layers"][0]["op"].update(type="Evil"),
    "spec: Field required": lambda data: data.pop("spec"),
    "kernel must be a whole number": lambda data: data["spec"]["layers"][0]["op"].update(kernel=-3),
    "weights do not fit": lambda data: data["spec"]["layers"][0]["op"].update(out=1_000_000, groups=1),
}


@pytest.mark.parametrize("message", BAD_FACTS)
def test_unsound_json_is_told(write, message):
    written = write("tiny")
    edit(written.folder / "model.json", BAD_FACTS[message])
    with pytest.raises(
        UserError, match=message if message != "weights do not fit" else "needs equal channels|do not fit"
    ):
        read_model(written.folder)


@pytest.mark.parametrize("kernel", [99, 999_999])
def test_a_network_larger_than_its_weights_is_refused_before_it_is_built(write, kernel):
    written = write("tiny")

    def grow(data):
        (layer,) = [one for one in data["spec"]["layers"] if one["name"] == "head"]
        layer["op"]["kernel"] = kernel

    edit(written.folder / "model.json", grow)
    with pytest.raises(
        UserError, match=r"needs shape \(6, 1, 99, 99\), the file has \(6, 1, 3, 3\)|5,999,988,000,568 parameters"
    ):
        read_model(written.folder)


def test_unknown_task_and_bad_settings_are_told_when_the_task_is_needed(write):
    written = write("tiny")
    edit(written.folder / "model.json", lambda data: data["task"].update(scale=9))
    with pytest.raises(UserError, match=r"task\.scale"):
        _ = read_model(written.folder).task
    edit(written.folder / "model.json", lambda data: data.update(task={"name": "telepathy"}))
    with pytest.raises(UserError, match="telepathy"):
        _ = read_model(written.folder).task


def test_damaged_files_are_told(write):
    written = write("tiny")
    weights = written.folder / "weights.safetensors"
    whole = weights.read_bytes()
    for damage in (b"", b"junk", whole[:-10], b"\xff" * 8 + whole[8:]):
        weights.write_bytes(damage)
        with pytest.raises(UserError, match=r"weights\.safetensors is damaged"):
            read_model(written.folder)
    weights.unlink()
    with pytest.raises(UserError, match="is missing"):
        read_model(written.folder)
    weights.write_bytes(whole)
    arrays = load_file(weights)
    save_file({**arrays, "head.bias": np.full_like(arrays["head.bias"], np.nan)}, weights)
    with pytest.raises(UserError, match=r"head\.bias must hold finite numbers"):
        read_model(written.folder)
    save_file({**arrays, "more": arrays["head.bias"]}, weights)
    with pytest.raises(UserError, match="the first is more: it needs shape none"):
        read_model(written.folder)
    (written.folder / "model.json").write_text("{" * 100_000)
    with pytest.raises(UserError, match="not JSON"):
        read_model(written.folder)


def test_names_that_mean_nothing_are_told(write, tmp_path):
    with pytest.raises(UserError, match="there is no model 'nonsense'"):
        load_model("nonsense")
    written = write("tiny")
    with pytest.raises(UserError, match=r"not a model folder.*models/tiny"):
        load_model(tmp_path)
    assert written.name == "tiny"


def test_shipped_models_are_found_by_name(write, monkeypatch, tmp_path):
    write("sr-x2")
    write("sr-x3", scale=3, colour="rgb")
    monkeypatch.setattr(model, "SHIPPED", tmp_path / "models")
    listed = shipped_models()
    assert list(listed) == ["sr-x2", "sr-x3"]
    assert listed["sr-x2"].startswith("super_resolution x2, luma, ") and listed["sr-x2"].endswith("Set5 33.50 dB")
    assert load_model(DEFAULT_MODEL).task.scale == 2


def test_a_task_is_done_with_its_default_whatever_else_ships(write, monkeypatch, tmp_path):
    assert [default_model("super_resolution"), default_model("denoising")] == [DEFAULT_MODEL, DEFAULT_DENOISER]
    for name in ("another", DEFAULT_MODEL):
        write(name)
    monkeypatch.setattr(model, "SHIPPED", tmp_path / "models")
    assert default_model("super_resolution") == DEFAULT_MODEL
    with pytest.raises(UserError, match="no model for denoising ships"):
        default_model("denoising")


def test_a_models_line_says_what_pictures_it_is_for():
    lines = shipped_models()
    assert lines["denoise-camera"].startswith("denoising learned from pairs, rgb")
    assert lines["denoise-small"].startswith("denoising of 0 to 50, grey")
    assert lines["sr-x2-camera"].startswith("super_resolution x2 of photos as they come, luma")
    assert lines["sr-x2"].startswith("super_resolution x2, luma")


def test_every_model_that_ships_is_sound_and_agrees_with_its_onnx_file():
    for name in shipped_models():
        found = load_model(name)
        assert found.name == name and {path.name for path in found.folder.iterdir()} >= FILES
        assert isinstance(found.spec, NetSpec) and found.facts.training.terms
        written = program.run_script(name, found.facts.task, TARGETS["onnxruntime"](), "model.onnx")
        assert (found.folder / "run.py").read_text() == written
        assert (found.folder / "card.md").read_text() == card(found.facts)


def run_script(where: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    """run.py where neither Falconet nor torch can be imported."""
    code = (
        "import runpy, sys; sys.modules.update(falconet=None, torch=None); "
        "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", code, str(where / "run.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=where.parent, check=False)


@pytest.mark.parametrize(
    ("scale", "colour", "mode"), [(2, "luma", "RGB"), (2, "luma", "L"), (3, "rgb", "RGB"), (3, "rgb", "L")]
)
def test_run_py_does_what_enhance_does_without_falconet(write, tmp_path, scale, colour, mode):
    import skimage.data

    written = write("tiny", scale, colour)
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    Image.fromarray(skimage.data.chelsea()[60:151, 120:240]).convert(mode).save(photo)
    done = run_script(written.folder, photo, out)
    assert done.returncode == 0, done.stderr
    ours = written.enhance(read_picture(photo)).pixels.astype(int)
    theirs = np.asarray(Image.open(out)).astype(int)
    theirs = theirs[..., None] if theirs.ndim == 2 else theirs
    assert theirs.shape[:2] == (91 * scale, 120 * scale)
    inner = slice(8, -8)  # at the border Pillow's bicubic differs from ours
    assert np.abs(ours - theirs)[inner, inner].max() <= (2 if colour == "luma" else 1)


def test_run_py_says_how_it_is_used(write):
    written = write("tiny")
    done = run_script(written.folder)
    assert done.returncode == 1 and "python run.py PICTURE RESULT" in done.stderr
    lines = (written.folder / "run.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 28


def test_enhance_by_tiles_equals_the_whole(write):
    import skimage.data

    written = write("tiny")
    photo = Picture(skimage.data.astronaut()[:300, :280])
    tiled = written.enhance(photo).pixels.astype(int)
    whole = written.task.enhance(written.run, photo, margin=0, tile=1000).pixels.astype(int)
    assert np.abs(tiled - whole).max() <= 1


@pytest.mark.parametrize("noise_map", [False, True])
@pytest.mark.parametrize(("colour", "mode"), [("grey", "RGB"), ("grey", "L"), ("rgb", "RGB"), ("rgb", "L")])
def test_run_py_of_a_denoiser(tmp_path, samples, colour, mode, noise_map):
    import skimage.data

    from falconet.deploy import write_model
    from falconet.graph.network import Network
    from falconet.spaces import Restoration, build, largest
    from falconet.tasks import Denoising

    task = Denoising(colour=colour, noise_map=noise_map, sigma=30)
    settings = {"colour": colour, "noise_map": noise_map, "kind": "ecb", "activation": "relu", "unshuffle": 2}
    space = Restoration(scale=1, width=4, depth=1, **settings)
    torch.manual_seed(0)
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    Image.fromarray(skimage.data.chelsea()[60:151, 120:240]).convert(mode).save(photo)
    channels = [x.repeat(3 if colour == "rgb" else 1, axis=0) for (x,) in samples]
    given = [(x, np.full_like(x[:1], 0.1)) if noise_map else (x,) for x in channels]
    network = Network(build(space, largest(space)))
    written = write_model(
        tmp_path / "clean", network=network, task=task, samples=given, sizes=((91, 120),) * len(task.inputs())
    )
    done = run_script(written.folder, photo, out, *(["30"] if noise_map else []))
    assert done.returncode == 0, done.stderr
    ours = written.enhance(read_picture(photo)).pixels.astype(int)
    theirs = np.asarray(Image.open(out)).astype(int)
    assert np.abs(ours - theirs.reshape(ours.shape)).max() <= 1
    assert np.abs(ours - read_picture(photo).pixels).max() > 3  # the network did something
    usage = "PICTURE RESULT SIGMA" if noise_map else "PICTURE RESULT   "
    assert usage in run_script(written.folder).stderr
    assert "white Gaussian noise (standard deviation 30 of 255)" in (written.folder / "card.md").read_text()
