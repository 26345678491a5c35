"""Networks drawn from the spaces, fused and exported, give on real pictures what they gave in training."""

from collections.abc import Callable
from random import Random

import pytest
import torch

from falconet.deploy import check_parity
from falconet.deploy.onnx import to_onnx
from falconet.graph import NetSpec
from falconet.graph.network import Network, deployed
from falconet.spaces import SPACES, Restoration, build, sample

CHOICES = {
    "kind": ("plain", "residual", "gated", "ecb"),
    "activation": ("relu", "prelu", "leaky_relu", "hardswish"),
    "upsampler": ("pixel_shuffle", "nearest_conv"),
    "skip": (False, True),
    "kernel": (1, 3, 5),
    "width": (4, 8),
    "depth": (1, 2, 3),
    "stages": 2,
}


def parity_of(spec: NetSpec, samples) -> float:
    torch.manual_seed(0)
    network = Network(spec)
    small = deployed(network)
    return check_parity(to_onnx(small.spec, small.weights()), network, samples, tolerance=1e-5).largest


@pytest.mark.parametrize("name", SPACES)
def test_default_space_exports(name, photo_of: Callable[[int], list]):
    space = SPACES[name]()
    for seed in range(3):
        spec = build(space, sample(space, Random(seed)))
        assert parity_of(spec, photo_of(spec.inputs[0].channels)) < 1e-5


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_restoration_net_exports(scale, seed, photo_of: Callable[[int], list]):
    space = Restoration(scale=scale, colour=("luma", "rgb")[seed % 2], **CHOICES)
    spec = build(space, sample(space, Random(100 * scale + seed)))
    assert parity_of(spec, photo_of(space.channels)) < 1e-5
