"""Learning from a teacher: what the target becomes, that an adapter leaves no trace, that sizes are matched."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from falconet.errors import UserError
from falconet.graph import Draft, merged
from falconet.graph.network import Network
from falconet.tasks import DataSettings, SuperResolution
from falconet.train.distill import ADAPTER, Taught, Teacher, feature_of, with_adapter
from falconet.train.fit import fit
from falconet.train.paths import alone, sandwich
from falconet.train.settings import TrainSettings
from falconet.zoo import ZOO, plain_sr

TASK = SuperResolution(scale=2, patch=12)
SETTINGS = TrainSettings(batch=2, precision="float32", learning_rate=1e-3)
SPEC = plain_sr(1, 4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("noise")
    for seed in range(3):
        values = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{seed}.png")
    return TASK.read(DataSettings(train=(folder,), validation=1), 0)


def flat(value: float, channels: int = 0) -> Teacher:
    """A teacher that says one value everywhere, and sees features of twice the student's size."""

    def run(xs):
        x = xs[0]
        said = torch.full((len(x), 1, 2 * x.shape[2], 2 * x.shape[3]), value)
        return said, said.expand(-1, channels, -1, -1) if channels else None

    return Teacher(run, channels)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_target_is_moved_towards_the_teacher(dataset, share: float) -> None:
    xs, truth = TASK.batch(dataset, 0, 3, 2)
    again, target = Taught(TASK, flat(0.5), share).batch(dataset, 0, 3, 2)
    assert all(torch.equal(x, y) for x, y in zip(xs, again, strict=True))
    torch.testing.assert_close(target, (1 - share) * truth + share * 0.5)


def test_all_else_is_the_tasks_own() -> None:
    taught = Taught(TASK, flat(0.5))
    assert taught.quality == TASK.quality and taught.inputs() == TASK.inputs() and taught.patch == 12
    with pytest.raises(AttributeError):
        taught.nothing  # noqa: B018


def trained(dataset, folder: Path, task, spec=SPEC, steps: int = 4) -> Network:
    torch.manual_seed(0)
    network = Network(spec)
    fit(network, task, dataset, SETTINGS, alone(spec), steps, folder, 0)
    return network


def test_a_silent_teacher_changes_no_bit(dataset, tmp_path: Path) -> None:
    alone_state = trained(dataset, tmp_path / "a", TASK).state_dict()
    taught_state = trained(dataset, tmp_path / "b", Taught(TASK, flat(0.5), output=0.0)).state_dict()
    assert all(torch.equal(value, taught_state[name]) for name, value in alone_state.items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_teacher_is_asked_at_the_precision_of_the_training(dataset, tmp_path: Path, precision: str) -> None:
    seen, conv = set(), torch.nn.Conv2d(1, 1, 3, padding=1)

    def run(xs):
        said = conv(xs[0])
        seen.add(str(said.dtype).removeprefix("torch."))
        return said.repeat_interleave(2, 2).repeat_interleave(2, 3), None

    settings = SETTINGS.model_copy(update={"precision": precision})
    network = Network(SPEC)
    fit(network, Taught(TASK, Teacher(run)), dataset, settings, alone(SPEC), 1, tmp_path, 0)
    assert seen == {precision} and {value.dtype for value in network.state_dict().values()} == {torch.float32}


def test_a_network_becomes_what_its_only_teacher_says(dataset, tmp_path: Path) -> None:
    network = trained(dataset, tmp_path, Taught(TASK, flat(0.25), output=1.0), steps=150)
    xs, _ = TASK.batch(dataset, 0, 0, 2)
    with torch.no_grad():
        before = (Network(SPEC)(xs) - 0.25).abs().mean()
        assert (network(xs) - 0.25).abs().mean() < 0.8 * before


def test_a_supernet_learns_from_a_teacher_too(dataset, tmp_path: Path) -> None:
    from random import Random

    from falconet.spaces import Restoration, union

    space = Restoration(width=(4, 6), depth=(1, 2), kind=("plain",), activation=("relu",))
    network = Network(store=union(space, Random(0)))
    fitted = fit(network, Taught(TASK, flat(0.5)), dataset, SETTINGS, sandwich(space, 1), 2, tmp_path, 0)
    assert fitted.steps == 2


def test_an_adapter_is_trained_and_leaves_no_trace(dataset, tmp_path: Path) -> None:
    wide = with_adapter(SPEC, 5)
    assert merged(wide) == merged(with_adapter(SPEC, 7)) and ADAPTER not in {
        layer.name for layer in merged(wide).layers
    }
    torch.manual_seed(0)
    before = Network(wide).state_dict()[f"{ADAPTER}.weight"].clone()
    network = trained(dataset, tmp_path, Taught(TASK, flat(0.5, 5), 0.5, feature=1.0), wide)
    assert not torch.equal(network.state_dict()[f"{ADAPTER}.weight"], before)
    assert set(network.state_dict()) - set(Network(SPEC).state_dict()) == {f"{ADAPTER}.weight", f"{ADAPTER}.bias"}


def test_a_killed_lesson_ends_with_the_same_bits(dataset, tmp_path: Path) -> None:
    task, wide = Taught(TASK, flat(0.5, 5), 0.5, feature=1.0), with_adapter(SPEC, 5)
    whole = trained(dataset, tmp_path / "whole", task, wide, steps=4)

    def stop(step: int, loss: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    settings = SETTINGS.model_copy(update={"checkpoint_minutes": 1e-9})
    with pytest.raises(KeyboardInterrupt):
        fit(Network(wide), task, dataset, settings, alone(wide), 4, tmp_path / "cut", 0, stop)
    again = trained(dataset, tmp_path / "cut", task, wide, steps=4)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_features_are_what_the_last_convolution_reads() -> None:
    assert feature_of(ZOO["vdsr"]()) == "act18"
    assert feature_of(ZOO["fsrcnn"]()) == "expand_act"
    d = Draft(x=1)
    with pytest.raises(UserError, match="no convolution"):
        feature_of(d.build("x"))


@pytest.mark.parametrize(
    ("shape", "message"), [((2, 1, 5, 5), "must do the same task"), ((2, 3, 24, 24), "must do the same task")]
)
def test_a_teacher_of_another_task_is_refused(dataset, shape: tuple[int, ...], message: str) -> None:
    teacher = Teacher(lambda xs: (torch.zeros(shape), None))
    with pytest.raises(UserError, match=message):
        Taught(TASK, teacher).batch(dataset, 0, 0, 2)


def test_features_of_other_sizes_are_refused() -> None:
    taught = Taught(TASK, flat(0.5), feature=1.0)
    picture = torch.zeros(1, 1, 4, 4)
    with pytest.raises(UserError, match=r"set teacher\.feature to 0"):
        taught.loss((picture, torch.zeros(1, 2, 4, 4)), (picture, torch.zeros(1, 2, 6, 6)))
