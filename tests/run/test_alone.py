"""`falconet train` and `falconet data check` as a user calls them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falconet.cli import main
from falconet.deploy import load_model
from falconet.errors import UserError
from falconet.report import read_results
from falconet.run.alone import lone_recipe, task_of
from falconet.run.recipe import dump, parse
from falconet.zoo import ZOO

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def falconet(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, name in enumerate(("red", "green")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(20):
            values = rng.integers(0, 130, (20, 20, 3), dtype=np.uint8)
            values[..., label] += 60
            Image.fromarray(values).save(tmp_path / "pictures" / name / f"{index}.png")
    return tmp_path / "pictures"


@pytest.mark.timeout(400)
def test_a_model_goes_on_from_its_weights(falconet: Command, small_photos: Path, tmp_path: Path) -> None:
    """Its own weights are what is inherited, they stay when the training did harm, the run has its own copy."""
    mine = tmp_path / "mine"
    shutil.copytree(load_model("sr-x2-small").folder, mine)
    quick = ("--set", "final.batch=2", "--set", "final.precision=float32", "--set", "data.validation=2")
    quick += ("--set", "budget={macs: 1G, at_output: 128x64}")  # times at 1280x720 would take half a minute
    code, out, err = falconet("train", mine, "--data", small_photos, "--steps", 2, *quick, "--set", "final.warmup=0")
    assert code == 0, err
    folder = Path(out.strip()).parent
    assert folder == Path("runs/mine")
    assert read_results(folder).judged_with == "model"
    (found,) = read_results(folder).models
    assert found.inherited["psnr_y"] > 25 and abs(found.final["psnr_y"] - found.inherited["psnr_y"]) < 1
    card = (folder / "models" / found.name / "card.md").read_text()
    assert "began with the weights of sr-x2-small, trained before. Of those: 270 pictures: BSD200, T91." in card
    assert "Terms of the pictures: BSD200" in card  # what taught it before binds it still
    assert load_model(folder / "models" / found.name).facts.arch == load_model("sr-x2-small").facts.arch
    shutil.rmtree(mine)
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("learning_rate: 0.001", "learning_rate: 0.9"))
    (folder / "stages" / f"final.{found.name}.json").unlink()
    (folder / "stages" / f"export.{found.name}.json").unlink()
    shutil.rmtree(folder / "checkpoints" / found.name)
    code, _, err = falconet("resume", folder)
    assert code == 0, err
    (again,) = read_results(folder).models
    assert again.weights == "inherited" and again.final["psnr_y"] < again.inherited["psnr_y"]
    kept, before = load_model(folder / "models" / again.name).weights, load_model("sr-x2-small").weights
    assert all(np.array_equal(kept[name], before[name]) for name in before)


def test_what_is_neither_in_the_zoo_nor_a_model_is_refused(falconet: Command, small_photos: Path) -> None:
    code, _, err = falconet("train", "sr-x2-smal", "--data", small_photos)
    assert code == 2 and "did you mean sr-x2-small?" in err
    code, _, err = falconet("train", "sr-x2", "--data", small_photos, "--task", "denoising")
    assert code == 2 and "was made for super_resolution" in err


@pytest.mark.timeout(400)
def test_a_classifier_is_trained_and_shipped(falconet: Command, labelled: Path) -> None:
    quick = ("--set", "task.size=16", "--set", "final.batch=4", "--set", "final.precision=float32")
    code, out, err = falconet("train", "resnet20", "--data", labelled, "--steps", 2, *quick)
    assert code == 0, err
    folder = Path("runs/resnet20")
    assert out.strip() == str(folder / "report.html")
    (model,) = read_results(folder).models
    assert model.weights == "final" and model.test["held out"].num_images == 4
    shipped = load_model(folder / "models" / model.name)
    assert shipped.task.classes == ("green", "red")
    code, _, err = falconet("train", "resnet20", "--data", labelled)
    assert code == 2 and "falconet resume" in err


@pytest.mark.timeout(400)
def test_pixel_networks_train_too(falconet: Command, small_photos: Path) -> None:
    small = ("--set", "budget.at_output=256x128", "--set", "task.patch=16")
    quick = (*small, "--set", "final.batch=2", "--set", "final.precision=float32")
    code, _, err = falconet("train", "espcn", "--data", small_photos, "--steps", 1, *quick, "--name", "x2")
    assert code == 0, err
    (model,) = read_results(Path("runs/x2")).models
    assert model.final["psnr_y"] > 5


@pytest.mark.parametrize("net", ["resnet20", "espcn", "dncnn", "ffdnet_colour"])
def test_the_recipe_suits_the_network_and_reads_back(net: str, small_photos: Path) -> None:
    recipe = lone_recipe(net, [small_photos], steps=3, overrides=["task.classes=[a, b]"] if "net20" in net else [])
    assert recipe.task.name == task_of(net)
    assert recipe.task.inputs()[0].channels == ZOO[net]().inputs[0].channels
    assert parse(dump(recipe)) == recipe


def test_mistakes_are_one_message(falconet: Command, labelled: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("train", "resnet21", "--data", labelled), "did you mean resnet"),
        (("train", "resnet20", "--data", tmp_path / "none"), "does not exist"),
        (("train", "resnet20", "--data", labelled, "--steps", 1, "--minutes", 1), "one of the two"),
        (("train", "resnet20", "--data", labelled, "--task", "naming"), "which does not exist"),
        (("train", "resnet20", "--data", labelled, "--set", "final.bach=1"), "did you mean final.batch?"),
        (("data", "check", tmp_path / "none"), "does not exist"),
    ):
        code, out, err = falconet(*arguments)
        assert code == 2 and out == "" and words in err and "Traceback" not in err, err
    with pytest.raises(UserError, match="falconet list zoo"):
        lone_recipe("zzz", [labelled])


def test_data_check_says_what_is_wrong(falconet: Command, labelled: Path) -> None:
    code, out, err = falconet("data", "check", labelled)
    assert code == 0 and "40 pictures" in out and "red" in out
    (labelled / "red/torn.png").write_bytes(b"not a picture")
    code, out, err = falconet("data", "check", labelled, "--json")
    assert code == 2 and "problem: 1 of 41 pictures cannot be read" in err
    assert json.loads(out)["unreadable"][0][0] == "red/torn.png"
