"""From a heavy network to a run folder: the recipe, teachers of every kind, a whole tiny run from the command line."""

from pathlib import Path

import pytest
import torch
from torch import nn

from falconet.cli import main
from falconet.deploy import load_model, shipped_models
from falconet.deploy.onnx import to_onnx
from falconet.errors import UserError
from falconet.graph import costs
from falconet.graph.network import Network, deployed
from falconet.report import read_results
from falconet.run import pipeline
from falconet.run.below_space import BelowSpace, options_within
from falconet.run.recipe import dump, from_tree, parse
from falconet.run.shrinking import Goal, Heavy, macs_of, shrunk, space_within, task_of
from falconet.run.teacher import TeacherSettings, load_prototype, teacher_of
from falconet.spaces import Restoration, build, largest, smallest
from falconet.tasks import Denoising, SuperResolution
from falconet.zoo import ZOO, plain_sr

AT_720P = (360, 640)


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a plain network of 4 times 16 channels."""
    folder = tmp_path_factory.mktemp("heavy")
    torch.manual_seed(0)
    torch.save(Network(plain_sr(4, 16)).state_dict(), folder / "plain.pth")
    return folder / "plain.pth"


def plain(weights: Path | None) -> Heavy:
    return Heavy(TeacherSettings(net="plain_4x16", weights=weights))


def test_the_recipe_is_an_ordinary_one(heavy: Path, photos: Path) -> None:
    recipe = from_tree(shrunk(plain(heavy), Goal(4), photos), "shrink")
    assert recipe.budget.macs == pytest.approx(2_289_254_400 / 4, rel=1e-6)
    assert recipe.teacher is not None and recipe.teacher.net == "plain_4x16"
    assert isinstance(recipe.task, SuperResolution)
    assert parse(dump(recipe)) == recipe


@pytest.mark.parametrize("gmacs", [0.6, 2.5, 6.1, 60.0])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_space_is_as_large_as_the_budget_asks(gmacs: float, scale: int) -> None:
    task = SuperResolution(scale=scale)
    space = Restoration.model_validate({**space_within(task, gmacs * 1e9), "scale": scale})
    sizes = task.input_sizes(at_output=(1280, 720))
    assert costs(build(space, smallest(space)), *sizes).macs < gmacs * 1e9
    assert costs(build(space, largest(space)), *sizes).macs < 2.2 * gmacs * 1e9
    if max(space.width) < 64:
        assert costs(build(space, largest(space)), *sizes).macs > 0.8 * gmacs * 1e9


def test_denoisers_shrink_at_half_resolution() -> None:
    task = Denoising(sigma=25)
    space = Restoration.model_validate({**space_within(task, 5.1e9), "scale": 1})
    assert space.unshuffle == (2,)
    assert costs(build(space, largest(space)), (720, 1280)).macs < 2.2 * 5.1e9
    found = task_of(Heavy(TeacherSettings(net="dncnn_17"), settings=(("sigma", 25),)))
    assert isinstance(found, Denoising)


def test_nothing_is_left_at_an_absurd_factor(heavy: Path, photos: Path) -> None:
    with pytest.raises(UserError, match="Choose a smaller --factor"):
        shrunk(plain(heavy), Goal(1000), photos)
    for factor in (1.0, -3.0, float("nan")):
        with pytest.raises(UserError, match="above 1"):
            shrunk(plain(heavy), Goal(factor), photos)


OWN = """
import torch
from torch import nn
def make(width=4):
    head, tail = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1)
    return nn.Sequential(head, nn.ReLU(), tail, nn.PixelShuffle(2))
def wrong():
    return 3
"""


def test_teachers_of_every_kind(heavy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_heavy_net.py").write_text(OWN)
    task, x = SuperResolution(scale=2), torch.rand(1, 1, 9, 7)
    network = Network(plain_sr(4, 16))
    network.load_state_dict(torch.load(heavy, weights_only=True))
    small = deployed(network)
    assert small.spec is not None
    (tmp_path / "net.onnx").write_bytes(to_onnx(small.spec, small.weights()))
    with torch.no_grad():
        wanted = network(x)
    for settings in (TeacherSettings(net="plain_4x16", weights=heavy), TeacherSettings(net="net.onnx")):
        said, features = teacher_of(settings, task).run((x,))
        torch.testing.assert_close(said, wanted, atol=1e-5, rtol=1e-5)
        assert (features is None) == (settings.net == "net.onnx")
        assert teacher_of(settings, task).channels == (0 if features is None else 16)
    own = TeacherSettings(net="my_heavy_net:make", options={"width": 6})
    assert teacher_of(own, task).run((x,))[0].shape == (1, 1, 18, 14)
    prototype = load_prototype(own, task)
    assert isinstance(prototype.module, nn.Module)
    assert macs_of(prototype, task, "mine") == 9 * (6 + 24) * 360 * 640
    model = load_prototype(TeacherSettings(net="sr-x2-small"), task)
    assert model.network is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"net": "vdsrr"}, "there is no network 'vdsrr' to learn from"),
        ({"net": "vdsr"}, "vdsr has no weights to learn from"),
        ({"net": "sr-x2", "weights": Path("x.pth")}, "holds its weights itself"),
        ({"net": "no.onnx"}, "there is no file no.onnx"),
        ({"net": "no_such_module:make"}, "cannot be used: No module named"),
    ],
)
def test_a_teacher_that_is_none_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_prototype(TeacherSettings.model_validate(settings), SuperResolution())


def test_an_onnx_file_says_its_work_on_the_command_line(tmp_path: Path) -> None:
    network = deployed(Network(plain_sr(1, 4)))
    assert network.spec is not None
    (tmp_path / "net.onnx").write_bytes(to_onnx(network.spec, network.weights()))
    heavy = Heavy(TeacherSettings(net=str(tmp_path / "net.onnx")))
    with pytest.raises(UserError, match="say it with --macs"):
        shrunk(heavy, Goal(10), tmp_path)
    told = Heavy(heavy.teacher, macs=6e10)
    assert shrunk(told, Goal(10), tmp_path)["budget"] == {"macs": "6G", "at_output": "1280x720"}


def test_a_prototype_that_does_something_else_is_told(heavy: Path, tmp_path: Path) -> None:
    model = TeacherSettings(net="sr-x2-small")
    with pytest.raises(UserError, match=r"makes a picture of 24x24 where the task super_resolution wants 36x36"):
        shrunk(Heavy(model, settings=(("scale", 3),)), Goal(3), tmp_path)
    with pytest.raises(UserError, match="does not take what the task super_resolution gives"):
        shrunk(Heavy(model, settings=(("colour", "rgb"),)), Goal(3), tmp_path)


def test_without_weights_a_network_of_the_zoo_teaches_nothing(tmp_path: Path) -> None:
    """What it costs and does is known all the same: the command of the documentation runs."""
    recipe = from_tree(shrunk(Heavy(TeacherSettings(net="vdsr")), Goal(100), tmp_path), "shrink")
    assert recipe.teacher is None
    assert recipe.budget.macs == pytest.approx(6.126e9, rel=1e-3)
    three = from_tree(shrunk(Heavy(TeacherSettings(net="vdsr"), settings=(("scale", 3),)), Goal(5), tmp_path), "shrink")
    assert isinstance(three.space, BelowSpace) and three.space.factor == 3
    assert getattr(three.task, "scale", 0) == 3


def test_a_model_is_shrunk_in_its_own_task(tmp_path: Path) -> None:
    """The recipe says what the model does, not what the task does by default."""
    for name, wanted in (("sr-x4", {"scale": 4}), ("sr-x3", {"scale": 3}), ("denoise-small", {"noise_map": True})):
        task = from_tree(shrunk(Heavy(TeacherSettings(net=name)), Goal(2), tmp_path), "shrink").task
        assert {key: getattr(task, key) for key in wanted} == wanted
    model = Heavy(TeacherSettings(net="sr-x2-camera"))
    assert getattr(from_tree(shrunk(model, Goal(4), tmp_path), "shrink").task, "degradation", "") == "camera"


def test_layers_of_its_own_up_to_a_factor_of_ten(tmp_path: Path) -> None:
    torch.save(Network(plain_sr(4, 48)).state_dict(), tmp_path / "wide.pth")
    teacher = TeacherSettings(net="plain_sr", weights=tmp_path / "wide.pth", options={"depth": 4, "width": 48})
    wide = Heavy(teacher)

    def first(goal: Goal) -> str:
        space = shrunk(wide, goal, tmp_path)["space"]
        assert isinstance(space, dict)
        return next(iter(space))

    assert [first(Goal(10)), first(Goal(12))] == ["below", "name"]
    assert [first(Goal(12, space="own")), first(Goal(10, space="restoration"))] == ["below", "name"]
    with pytest.raises(UserError, match="has no layers that could be so narrow"):
        shrunk(wide, Goal(1000, space="own"), tmp_path)


def test_a_hundredth_of_dncnn_works_at_half_resolution() -> None:
    found = options_within(ZOO["dncnn_17"](), 5.1e9, (720, 1280), 1)
    assert found is not None and found["factor"] == 2
    assert found["blocks"] == [[3, 6, 9, 12, 15]]
    space = BelowSpace.model_validate({"below": "dncnn_17", **found})
    assert (
        costs(build(space, smallest(space)), (720, 1280)).macs
        < 5.1e9
        < costs(build(space, largest(space)), (720, 1280)).macs
    )
    few = options_within(ZOO["dncnn_17"](), 128e9, (720, 1280), 1)
    assert few is not None and few["factor"] == 1
    vdsr = options_within(ZOO["vdsr"](2), 61e9, (360, 640), 2)
    assert vdsr is not None and vdsr["factor"] == 2


@pytest.mark.parametrize("name", shipped_models())
def test_there_is_a_space_below_every_model_that_ships(name: str) -> None:
    model = load_model(name)
    scale, size = getattr(model.task, "scale", 1), (36, 64)
    full = costs(model.spec, size).macs
    found = options_within(model.spec, full / 3, size, scale)
    assert found is not None
    space = BelowSpace.model_validate({"below": name, **found})
    spec = build(space, smallest(space))
    assert costs(spec, size).macs < full / 3 < costs(build(space, largest(space)), size).macs * 1.5
    xs = tuple(torch.rand(1, one.channels, 13, 11) for one in spec.inputs)
    with torch.no_grad():
        made = Network(spec)(xs)
    assert isinstance(made, torch.Tensor) and made.shape[2:] == (13 * scale, 11 * scale)


def test_a_space_below_nothing_is_told() -> None:
    base = "task: {name: super_resolution}\ndata: {train: x}\nbudget: {macs: 1G, at_output: 64x64}\nspace: "
    for space, message in (
        ("{below: nothing, width: [0.5]}", "nothing"),
        ("{below: espcn, width: [0.5], blocks: [[2]]}", r"blocks must have a list of numbers for each run .*none"),
        ("{below: espcn, width: [0.5], factor: 2}", "factor must be 1"),
        ("{below: espcn, width: [0.5], options: {deep: 3}}", "no option 'deep'"),
        ("{below: espcn, widht: [0.5]}", "did you mean space.width"),
    ):
        with pytest.raises(UserError, match=message):
            parse(base + space)


def test_a_budget_in_milliseconds(heavy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of what the prototype takes; the space is made as large as that asks for."""
    monkeypatch.setattr("falconet.run.shrinking.AT", (128, 96))
    found = shrunk(plain(heavy), Goal(3, by="latency_ms"), tmp_path)
    assert isinstance(found["budget"], dict) and 0 < found["budget"]["latency_ms"] < 10
    assert isinstance(found["space"], dict) and found["space"]["below"] == "plain_4x16"
    network = deployed(Network(plain_sr(4, 32)))
    assert network.spec is not None
    (tmp_path / "net.onnx").write_bytes(to_onnx(network.spec, network.weights()))
    onnx = shrunk(Heavy(TeacherSettings(net=str(tmp_path / "net.onnx"))), Goal(2, by="latency_ms"), tmp_path)
    assert isinstance(onnx["space"], dict) and onnx["space"]["name"] == "restoration"
    with pytest.raises(UserError, match=r"its layers are not known\. Leave out --on"):
        shrunk(Heavy(TeacherSettings(net=str(tmp_path / "net.onnx"))), Goal(2, "latency_ms", "phone"), tmp_path)
    with pytest.raises(UserError, match="there is no device"):
        shrunk(plain(heavy), Goal(3, "latency_ms", "phone"), tmp_path)


SHORT = (
    "supernet={steps: 2, batch: 2, precision: float32}", "final={steps: 2, batch: 2, precision: float32}",
    "search.evaluations=4", "search.population=2", "task.patch=16", "data.validation=2", "budget.at_output=256x128",
    "budget.macs=40M",
)  # fmt: skip
SPACES = {
    "restoration": ("space.width=[4, 6]", "space.depth=[1]"),
    "own": ("space.width=[0.25, 0.5]", "space.blocks=[[1, 2]]"),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("space", SPACES)
def test_a_whole_run_from_the_command_line(
    space: str,
    heavy: Path,
    small_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    sets = [part for one in (*SHORT, *SPACES[space]) for part in ("--set", one)]
    command = ["shrink", "plain_4x16", "--weights", str(heavy), "--data", str(small_photos), "--factor", "4", *sets]
    command += ["--space", space]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert not ended.value.code, capsys.readouterr().err
    run = tmp_path / "runs" / "plain_4x16-4"
    (model,) = read_results(run).models
    assert model.costs["macs"] <= 40e6
    assert "teacher" in (run / "recipe.yaml").read_text()
    assert {path.name for path in (run / "models" / model.name).iterdir()} >= {"model.onnx", "weights.safetensors"}
    trials = (run / "trials.jsonl").read_bytes()
    pipeline.resume(run)
    assert (run / "trials.jsonl").read_bytes() == trials
    with pytest.raises(SystemExit) as ended:
        main([*command, "--dry-run"])
    assert "net: plain_4x16" in capsys.readouterr().out
    assert ZOO["plain_4x16"]().inputs == SuperResolution().inputs()
