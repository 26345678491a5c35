"""Laws of a grey denoiser made one of colour, and the command that trains one on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from falconet.cli import main
from falconet.deploy import load_model
from falconet.errors import UserError
from falconet.graph import costs
from falconet.graph.network import Network, deployed
from falconet.run.in_colour import YCBCR, give_weights, in_colour
from falconet.run.model_space import ModelSpace
from falconet.zoo import plain_sr

LEVEL = 10.0


@pytest.fixture(scope="module")
def grey() -> Network:
    return load_model("denoise").network


@pytest.fixture(scope="module")
def colour(grey: Network) -> Network:
    assert grey.spec is not None
    network = Network(in_colour(grey.spec))
    give_weights(network, grey, LEVEL)
    return network.eval()


def output(network: Network, *xs: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = network(xs)
    assert isinstance(found, torch.Tensor)
    return found


@pytest.mark.parametrize("size", [(48, 64), (47, 61)])
def test_brightness_is_what_the_grey_network_makes_of_it(grey: Network, colour: Network, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor(YCBCR)
    luma = torch.einsum("c,bchw->bhw", weights[0], x)[:, None]
    level = torch.full_like(luma, float(weights[0].norm()) * LEVEL / 255)
    made = output(colour, x)
    assert made.shape == x.shape
    found = torch.einsum("c,bchw->bhw", weights[0], made)[:, None]
    torch.testing.assert_close(found, output(grey, luma, level), atol=2e-5, rtol=0)


def test_it_is_the_same_network_when_fused(colour: Network) -> None:
    x = torch.rand(1, 3, 33, 40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(output(deployed(colour), x), output(colour, x), atol=1e-5, rtol=0)


def test_it_takes_noise_out_of_a_photo(colour: Network, photos: Path) -> None:
    with Image.open(next(iter(sorted(photos.iterdir())))) as photo:
        clean = np.asarray(photo.convert("RGB").resize((160, 120)), dtype=np.float32) / 255
    noisy = clean + np.random.default_rng(0).normal(0, LEVEL / 255, clean.shape).astype(np.float32)
    given = torch.from_numpy(noisy.transpose(2, 0, 1)[None].copy())
    made = output(colour, given)[0].permute(1, 2, 0).numpy()
    assert np.square(made - clean).mean() < 0.6 * np.square(noisy - clean).mean()


def test_it_costs_half_as_much_again_and_two_networks_of_weights(grey: Network, colour: Network) -> None:
    assert grey.spec is not None and colour.spec is not None
    one, three = costs(grey.spec, (64, 64), (64, 64)), costs(colour.spec, (64, 64))
    assert three.macs == pytest.approx(1.5 * one.macs + 24 * 64 * 64, rel=1e-3)
    assert three.params == 2 * one.params + 12 + 8 + 12


def test_what_is_no_grey_denoiser_told_its_level_is_refused() -> None:
    with pytest.raises(UserError, match=r"told the noise level; this one takes x of 1"):
        in_colour(plain_sr(1, 4))
    with pytest.raises(ValueError, match="sr-x2: in_colour takes a denoiser of grey pictures"):
        ModelSpace(model="sr-x2", in_colour=10)


@pytest.mark.timeout(400)
def test_it_is_trained_on_and_shipped(
    small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`space.in_colour` makes an ordinary run: its model is proved, enhances photos, and can be resumed."""
    monkeypatch.chdir(tmp_path)
    settings = ["space.in_colour=10", "task.colour=rgb", "task.noise_map=false", "task.sigma=10", "final.batch=2"]
    settings += ["final.precision=float32", "data.validation=2", "budget={macs: 1G, at_output: 128x64}"]
    told = [word for one in settings for word in ("--set", one)]
    for command in (
        ["train", "denoise", "--data", str(small_photos), "--steps", "2", *told],
        ["resume", "runs/denoise"],
        ["enhance", str(next(iter(small_photos.iterdir()))), "--model", "runs/denoise/models/macs-1G", "--out", "made"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert not ended.value.code, capsys.readouterr().err
    assert len(list((tmp_path / "made").iterdir())) == 1
    assert load_model("runs/denoise/models/macs-1G").task.inputs()[0].channels == 3


def test_a_task_in_grey_is_told_what_to_set(
    small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", "denoise", "--data", str(small_photos), "--steps", "1", "--set", "space.in_colour=10"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "take x (3 channels), but the task denoising gives x (1 channel), sigma" in said
    assert not (tmp_path / "runs").exists()
