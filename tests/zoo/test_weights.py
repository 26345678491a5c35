"""Weights from elsewhere: they land where they belong, or are refused in words; no code of a file is run."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from falconet.cli import main
from falconet.errors import UserError
from falconet.evaluate.quality import runner
from falconet.graph.network import Network, deployed
from falconet.tasks import Denoising, Pictures
from falconet.zoo import ZOO
from falconet.zoo.weights import load_weights, matched, read_state

SPEC = ZOO["dncnn"](depth=4, width=6)


def theirs(norm: bool = False) -> nn.Sequential:
    """A DnCNN as others write it."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(1, 6, 3, padding=1), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Conv2d(6, 6, 3, padding=1, bias=not norm), *([nn.BatchNorm2d(6)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(6, 1, 3, padding=1)).eval()


@pytest.mark.parametrize("norm", [False, True])
def test_a_foreign_file_gives_the_foreign_network(tmp_path: Path, norm: bool) -> None:
    model = theirs(norm)
    x = torch.rand(1, 1, 9, 8)
    with torch.no_grad():
        if norm:
            model.train()(torch.rand(4, 1, 16, 16))  # statistics of its own
            model.eval()
        wanted = x - model(x)
    spec = ZOO["dncnn"](depth=4, width=6, norm=norm)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    torch.save({"epoch": 3, "state_dict": {"params": model.state_dict()}}, tmp_path / "b.pt")
    save_file(model.state_dict(), tmp_path / "c.safetensors")
    for name in ("a.pth", "b.pt", "c.safetensors"):
        network = load_weights(spec, tmp_path / name)
        with torch.no_grad():
            torch.testing.assert_close(network(x), wanted)


def test_numbers_in_names_are_numbers_where_a_file_keeps_no_order(tmp_path: Path) -> None:
    spec = ZOO["dncnn"](depth=12, width=3)
    state = Network(spec).state_dict()
    numbered = {f"body{name.removeprefix('conv')}": value for name, value in state.items()}  # body2 before body10
    save_file(numbered, tmp_path / "a.safetensors")
    network = load_weights(spec, tmp_path / "a.safetensors")
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_our_own_names_decide_whatever_the_order() -> None:
    state = Network(SPEC).state_dict()
    mixed = dict(sorted(state.items(), reverse=True))
    assert list(mixed) != list(state)
    assert all(torch.equal(value, state[name]) for name, value in matched(SPEC, mixed).items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("6.bias"), r"file lacks conv3\.bias: it holds 7 tensors, and the network has 8"),
        (lambda s: s.update(extra=torch.zeros(2)), r"file has more than this network: extra: it holds 9"),
        (lambda s: s.update({"2.weight": torch.zeros(8, 6, 3, 3)}), r"2\.weight has shape 8x6x3x3, but conv1\.weight"),
        (lambda s: s.pop("0.bias"), r"2\.weight has shape 6x6x3x3, but conv0\.bias, which is next .* needs 6;"),
    ],
)
def test_what_does_not_fit_is_named(change, message: str) -> None:
    state = dict(theirs().state_dict())
    change(state)
    with pytest.raises(UserError, match=message):
        matched(SPEC, state, "the file")


def test_files_that_are_no_weights_are_refused_and_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    (tmp_path / "trap.pth").write_bytes(pickle.dumps({"w": Trap()}, protocol=2))
    torch.save({"w": Trap()}, tmp_path / "zipped.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("no tensors")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "bare.pth")
    for name in ("trap.pth", "zipped.pth", "torn.pth", "empty.pth", "text.safetensors", "list.pth", "bare.pth", "none"):
        with pytest.raises(UserError, match=name):
            read_state(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "not finite"), (3, "floating-point")])
def test_values_that_are_no_weights_are_refused(tmp_path: Path, value: float, message: str) -> None:
    torch.save({"conv0.weight": torch.tensor([value])}, tmp_path / "odd.pth")
    with pytest.raises(UserError, match=message):
        read_state(tmp_path / "odd.pth")


def psnr_of_denoised(network: Network, pictures: list[np.ndarray]) -> float:
    """Mean PSNR in dB of grey pictures (0..255) under seeded noise of standard deviation 25; values are not rounded."""
    found = []
    for number, picture in enumerate(pictures):
        truth = torch.from_numpy(picture.astype(np.float32) / 255)[None, None]
        noise = np.random.default_rng(number).normal(0, 25 / 255, picture.shape).astype(np.float32)
        with torch.inference_mode():
            out = network(truth + torch.from_numpy(noise)[None, None])
        assert isinstance(out, torch.Tensor)
        found.append(float(-10 * (out.clamp(0, 1) - truth).square().mean().log10()))
    return float(np.mean(found))


def test_the_released_weights_load_and_denoise(shared: Path) -> None:
    """One picture of 256x256: far above its noisy self (20.2 dB) and what a wrong order of layers would give."""
    network = load_weights(ZOO["dncnn_17"](), shared / "data/models/dncnn_25.pth")
    with Image.open(shared / "data/denoise/Set12/01.png") as picture:
        assert psnr_of_denoised(network, [np.asarray(picture)]) == pytest.approx(30.18, abs=0.15)


def test_the_command_line_evaluates_a_zoo_network_with_weights(
    tmp_path: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(shared / "data/denoise/Set12/01.png") as picture:
        picture.crop((60, 60, 156, 156)).save(tmp_path / "a.png")
    weights = str(shared / "data/models/dncnn_25.pth")

    def evaluate(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["evaluate", *arguments, "--data", str(tmp_path), "--json"])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    _, better, _ = evaluate("dncnn_17", "--weights", weights, "--sigma", "25")
    _, before, _ = evaluate("noisy", "--sigma", "25")
    assert json.loads(better)["psnr"] > json.loads(before)["psnr"] + 6
    for wrong, message in (
        (["dncnn_17"], "without weights; add --weights"),
        (["dncnn_20", "--weights", weights], "is next in this network, needs 64x64x3x3"),
        (["bicubic", "--weights", weights], "belongs to a zoo network"),
        (["ecbsr", "--weights", weights], "is it the same network"),
    ):
        code, out, error = evaluate(*wrong)
        assert code == 2 and not out and message in error


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_released_weights_give_the_published_figures(shared: Path) -> None:
    """Set12 30.45 and BSD68 29.23 dB at sigma 25, as their authors publish; noise of other seeds moves 0.02 dB."""
    task = Denoising(sigma=25)
    run = runner(deployed(load_weights(ZOO["dncnn_17"](), shared / "data/models/dncnn_25.pth")))
    set12 = task.test(run, Pictures(folder=shared / "data/denoise/Set12"))
    assert set12.num_images == 12 and set12.metrics["psnr"] == pytest.approx(30.45, abs=0.03)
    bsd68 = task.test(run, Pictures(folder=shared / "data/sr/BSD100", only=(str(shared / "data/sr/cbsd68.txt"),)))
    assert bsd68.num_images == 68 and bsd68.metrics["psnr"] == pytest.approx(29.23, abs=0.03)
