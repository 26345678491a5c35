"""The classifiers of the zoo: published figures, and that each runs, deploys, exports and is what torch counts."""

from __future__ import annotations

import inspect

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from falconet.deploy.onnx import to_onnx
from falconet.errors import UserError
from falconet.graph import (
    Add,
    Linear,
    Mean,
    NetSpec,
    costs,
    count_params,
    flatten,
    merged,
    spec_from_json,
    spec_to_json,
)
from falconet.graph.network import Network, deployed
from falconet.zoo import CLASSIFICATION, PUBLISHED, SUPER_RESOLUTION, ZOO
from falconet.zoo.classify import rounded

# Widths other than 1 that were published: million multiply-accumulates, million parameters (the authors' releases).
WIDTHS = {
    ("shufflenet_v1_g3", 0.5): (38, 0.7),
    ("shufflenet_v1_g3", 1.5): (292, 3.4),
    ("shufflenet_v1_g3", 2.0): (524, 5.4),
    ("shufflenet_v1_g8", 0.5): (40, 1.0),
    ("shufflenet_v1_g8", 1.5): (290, 4.3),
    ("shufflenet_v1_g8", 2.0): (522, 6.5),
    ("mobilenet_v3_large", 0.75): (155, 4.0),
    ("mobilenet_v3_large", 1.25): (356, 7.5),
}
# Learned values, exactly, as torchvision's and Keras's implementations of the same networks have them.
PARAMS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "xception": 22_855_952,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "mobilenet_v3_large": 5_483_032,
}
QUICK = ("resnet20", "shufflenet_v2_x0_5", "shufflenet_v1_g3", "mobilenet_v3_small", "shufflenet_v2_plus_small")
each = pytest.mark.parametrize("name", CLASSIFICATION)
# ONNX Runtime takes seconds to write and load the large ones.
quick_first = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CLASSIFICATION]
)


def small_size(name: str) -> tuple[int, int]:
    """A small input that the network takes; AlexNet's linear layers take one size only."""
    return {"alexnet": (224, 224), "googlenet": (64, 96), "xception": (75, 91)}.get(name, (32, 64))


def trained_a_little(spec: NetSpec) -> Network:
    """A network with statistics and weights that are not those of a fresh one, in evaluation mode."""
    torch.manual_seed(0)
    network = Network(spec).eval()
    with torch.no_grad():
        for name, value in network.weights().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif name.endswith("running_mean") or value.dim() == 1:
                value.add_(0.1 * torch.randn_like(value))
    return network


def test_every_classifier_has_published_figures_and_a_summary() -> None:
    assert list(PUBLISHED) == list(CLASSIFICATION)
    assert all(figures.mega_macs or figures.mega_params for figures in PUBLISHED.values())
    for name, design in CLASSIFICATION.items():
        assert design.__name__ == name
        summary = (inspect.getdoc(design) or "").partition("\n")[0]
        assert summary.endswith(".")
        assert "x".join(map(str, PUBLISHED[name].size)) in summary


@each
def test_costs_are_the_published_ones(name: str) -> None:
    published, ours = PUBLISHED[name], costs(ZOO[name](), PUBLISHED[name].size)
    if published.mega_macs is not None:
        assert ours.macs / 1e6 == pytest.approx(published.mega_macs, rel=published.macs_within)
    if published.mega_params is not None:
        assert ours.params / 1e6 == pytest.approx(published.mega_params, rel=published.params_within)
    assert ours.params == PARAMS.get(name, ours.params)


@pytest.mark.parametrize(("name", "width"), WIDTHS)
def test_other_widths_cost_what_was_published(name: str, width: float) -> None:
    macs, params = WIDTHS[name, width]
    ours = costs(ZOO[name](width=width), (224, 224))
    assert ours.macs / 1e6 == pytest.approx(macs, rel=0.013)
    assert ours.params / 1e6 == pytest.approx(params, rel=0.03)


@pytest.mark.parametrize(("name", "billions"), [("resnet50", 3.8), ("resnet101", 7.6), ("resnet152", 11.3)])
def test_the_papers_own_resnets_halve_the_picture_earlier(name: str, billions: float) -> None:
    assert costs(ZOO[name](early=True), (224, 224)).macs / 1e9 == pytest.approx(billions, rel=0.016)
    assert count_params(ZOO[name](early=True)) == PARAMS[name]


@each
def test_multiplications_are_half_of_what_torch_counts(name: str) -> None:
    """On weights that were never initialised, which is quick."""
    spec, size = merged(ZOO[name]()), small_size(name)
    with torch.device("meta"):
        network = Network(spec).eval()
    network.to_empty(device="cpu")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, *size))
    ours = costs(spec, size)
    assert ours.macs == counter.get_total_flops() / 2
    assert ours.params == sum(p.numel() for p in network.parameters())


@each
def test_files_bring_it_back_and_classes_are_an_option(name: str) -> None:
    spec = ZOO[name](classes=7)
    assert spec_from_json(spec_to_json(spec)).digest == spec.digest
    last = flatten(spec).layers[-1].op
    assert isinstance(last, Linear)
    assert last.out == 7
    with pytest.raises(UserError, match="classes must be a whole number from 2, got 1"):
        ZOO[name](classes=1)


@quick_first
def test_it_runs_trains_deploys_and_exports(name: str) -> None:
    size = small_size(name)
    network = trained_a_little(ZOO[name](classes=5))
    torch.manual_seed(1)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        small, y = deployed(network), network(x)
        assert isinstance(y, torch.Tensor)
        assert y.shape == (2, 5)
        assert float(y.std()) > 0
        close = 2e-5 * max(1.0, float(y.abs().max()))
        torch.testing.assert_close(small(x), y, rtol=1e-4, atol=close)
    assert small.spec is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    runtime = onnxruntime.InferenceSession(
        to_onnx(small.spec, small.weights()), options, providers=["CPUExecutionProvider"]
    )
    (theirs,) = runtime.run(None, {"x": x.numpy()})
    assert np.abs(theirs - y.numpy()).max() <= 5 * close
    network.train()(x).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_residual_names_are_torchvisions() -> None:
    keys = set(Network(ZOO["resnet18"]()).state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias", "fc.bias"} <= keys
    assert len(keys) == 122


def test_small_residual_networks_have_no_weights_in_their_shortcuts() -> None:
    """Option A: 6n + 1 convolutions and a linear layer, weights as the paper's table has them."""
    for blocks, name in ((3, "resnet20"), (9, "resnet56")):
        spec = flatten(ZOO[name]())
        assert sum(type(layer.op).__name__ == "Conv" for layer in spec.layers) == 6 * blocks + 1
        assert sum(isinstance(layer.op, Add) for layer in spec.layers) == 3 * blocks


def test_googlenets_auxiliary_classifiers_are_gone_once_deployed() -> None:
    spec = ZOO["googlenet"](classes=4, auxiliaries=True)
    network = trained_a_little(spec)
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        out, alone = network(x), deployed(network)(x)
    assert isinstance(out, tuple)
    assert [tuple(one.shape) for one in out] == [(1, 4)] * 3
    torch.testing.assert_close(alone, out[0], rtol=1e-4, atol=1e-5)
    assert merged(spec).digest == merged(ZOO["googlenet"](classes=4)).digest
    assert count_params(spec) - count_params(merged(spec)) > 4e6


def test_a_column_of_a_fractal_is_a_sub_network_of_it() -> None:
    whole = trained_a_little(ZOO["fractalnet"](columns=3))
    x = torch.randn(1, 3, 32, 32)
    for column, depth in ((1, 5), (2, 10), (3, 20)):
        sub = ZOO["fractalnet"](columns=3, column=column)
        flat = flatten(sub)
        assert sum(type(layer.op).__name__ == "Conv" for layer in flat.layers) == depth
        assert not any(isinstance(layer.op, Mean) for layer in flat.layers)
        with torch.no_grad():
            assert torch.equal(whole(x, sub), whole.extract(sub)(x))
    assert sum(type(layer.op).__name__ == "Conv" for layer in flatten(ZOO["fractalnet"](columns=4)).layers) == 75
    with pytest.raises(UserError, match="1 to 8 columns, and one of these as column; got 3 and 4"):
        ZOO["fractalnet"](columns=3, column=4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("shufflenet_v1_g3", {"width": 0.7}, "must be one of 0.5, 1.0, 1.5, 2.0; got 0.7"),
        ("mobilenet_v2", {"width": 0}, "a number from 0.1 to 4, got 0"),
        ("mobilenet_v3_large", {"width": "wide"}, "a number from 0.1 to 4, got 'wide'"),
    ],
)
def test_an_option_that_is_not_offered_is_refused(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ZOO[name](**options)


def test_groups_hold_every_network_once() -> None:
    assert not set(SUPER_RESOLUTION) & set(CLASSIFICATION)
    assert all("classes" in inspect.signature(design).parameters for design in CLASSIFICATION.values())
    assert [rounded(x) for x in (12, 18, 20, 4, 91)] == [16, 24, 24, 8, 88]
