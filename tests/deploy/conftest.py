"""Small networks, real pictures and a model folder that the deploy tests share."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from falconet.deploy import TARGETS, Model, Target, Training, write_model
from falconet.errors import UserError
from falconet.graph import Add, Conv, Draft, EdgeConv, PixelShuffle, PReLU, Repeat
from falconet.graph.network import Network
from falconet.tasks import SuperResolution

Samples = list[tuple[np.ndarray, ...]]

SIZES = ((40, 61), (64, 64), (33, 47))  # height, width


def edge_net(scale: int = 2, channels: int = 1, width: int = 6) -> Network:
    """A re-parameterized block and a nearest-neighbour skip, small random weights; fused, it is another spec."""
    d = Draft(x=channels)
    y = d.layer("head", Conv(width), "x")
    wide = d.layer("b1.conv", Conv(width), y)
    edge = d.layer("b1.edge", EdgeConv("sobel_x"), d.layer("b1.one", Conv(width, 1, pad=1), y))
    y = d.layer("b1.act", PReLU(), d.layer("b1.sum", Add(), wide, edge))
    tail = d.layer("tail", Conv(channels * scale**2), y)
    up = d.layer("sum", Add(), tail, d.layer("again", Repeat(scale**2), "x"))
    torch.manual_seed(0)
    network = Network(d.build(d.layer("up", PixelShuffle(scale), up)))
    with torch.no_grad():
        for value in network.weights().values():
            value.mul_(0.3)
    return network


def photo_samples(channels: int = 1) -> Samples:
    """Real pictures of odd sizes, chw, 0..1."""
    import skimage.data

    photo = skimage.data.astronaut().astype(np.float32) / 255
    return [(photo[50 : 50 + h, 100 : 100 + w, :channels].transpose(2, 0, 1).copy(),) for h, w in SIZES]


@pytest.fixture
def network() -> Network:
    return edge_net()


@pytest.fixture(scope="session")
def samples() -> Samples:
    return photo_samples()


@pytest.fixture(scope="session")
def photo_of() -> Callable[[int], Samples]:
    return photo_samples


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Model]:
    """Write a model folder tmp_path/models/NAME for a scale and colour; other arguments go to write_model."""

    def written(name: str = "tiny", scale: int = 2, colour: str = "luma", **more: object) -> Model:
        channels = 1 if colour == "luma" else 3
        given = {
            "network": edge_net(scale, channels),
            "samples": photo_samples(channels),
            "sizes": ((360, 640),),
            "arch": {"width": 6},
            "metrics": {"Set5": {"psnr_y": 33.5, "ssim_y": 0.93, "num_images": 5}},
            "training": Training(recipe="ab" * 32, seed=3, steps=100, pictures=80, terms="CC0", source="photos"),
        }
        task = SuperResolution(scale=scale, colour=colour)
        return write_model(tmp_path / "models" / name, task=task, **{**given, **more})

    return written


@pytest.fixture(scope="session")
def operators() -> ModuleType:
    """The tests of ONNX, for their cases of every operator and what builds networks of them."""
    path = Path(__file__).with_name("test_onnx.py")
    found = importlib.util.spec_from_file_location("operator_cases", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """The target whose name is the parameter, when its runtime is installed."""
    found = TARGETS[request.param]()
    try:
        found.version()
    except UserError as error:
        pytest.skip(str(error))
    return found
