"""A file that does not compute what the network does is refused; so is a runtime that cannot run it."""

import numpy as np
import pytest
import torch

from falconet.deploy import ExportRefused, check_parity, run_onnx
from falconet.deploy.onnx import to_onnx
from falconet.errors import UserError
from falconet.graph import Conv, Draft
from falconet.graph.network import Network, deployed


def fused(network: Network) -> bytes:
    small = deployed(network)
    return to_onnx(small.spec, small.weights())


def test_fused_file_agrees_with_the_network_as_trained(network, samples, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(fused(network))
    for model in (path, path.read_bytes(), run_onnx(path).arrays):
        parity = check_parity(model, network, samples, tolerance=1e-5)
        assert 0 < parity.largest < 1e-5
        assert parity.samples == 3 and parity.sizes == ((40, 61), (64, 64), (33, 47))
    assert network.training  # left as it was


def test_other_weights_are_refused(network, samples):
    data = fused(network)
    with torch.no_grad():
        network.weights()["tail.bias"][0] += 2e-4
    with pytest.raises(ExportRefused, match=r"differ by 0\.0002 on a 61x40 picture; at most 0\.0001"):
        check_parity(data, network, samples)


def test_values_that_are_no_numbers_are_refused(network, samples):
    data = fused(network)
    run = run_onnx_bytes(data)
    with pytest.raises(ExportRefused, match="onnxruntime gives values that are no numbers"):
        check_parity(lambda xs: tuple(y * np.float32("nan") for y in run(xs)), network, samples)
    with torch.no_grad():
        network.weights()["tail.bias"].fill_(float("inf"))
    with pytest.raises(ExportRefused, match="the network itself"):
        check_parity(data, network, samples)


def run_onnx_bytes(data: bytes):
    from falconet.deploy import OnnxRun

    return OnnxRun(data).arrays


def test_other_shapes_are_refused(network, samples):
    run = run_onnx_bytes(fused(network))
    with pytest.raises(ExportRefused, match="returns shapes"):
        check_parity(lambda xs: tuple(y[..., :-1] for y in run(xs)), network, samples)


def test_run_onnx_speaks_tensors_and_knows_its_inputs(network, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(fused(network))
    run = run_onnx(path)
    assert [(i.name, i.channels) for i in run.inputs] == [("x", 1)] and run.outputs == ("up",)
    x = torch.rand(2, 1, 9, 14)
    assert torch.allclose(run((x,)), network.eval()(x), atol=1e-5)


def test_files_that_cannot_be_run_are_told(tmp_path, network):
    with pytest.raises(UserError, match="no file"):
        run_onnx(tmp_path / "missing.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("not a network")
    with pytest.raises(UserError, match=r"text\.onnx is not a network that ONNX Runtime can run"):
        run_onnx(text)
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(fused(network)[:-200])
    with pytest.raises(UserError, match=r"cut\.onnx"):
        run_onnx(cut)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.onnx"):
        run_onnx(empty)


def test_inputs_that_do_not_fit_are_told():
    d = Draft(x=3)
    network = Network(d.build(d.layer("only", Conv(3, 5, pad=0), "x")))
    run = run_onnx_bytes(fused(network))
    with pytest.raises(UserError, match="does not take an input of 1x1x9x9"):
        run([np.zeros((1, 1, 9, 9), np.float32)])
    with pytest.raises(UserError, match="takes 1 inputs, got 2"):
        run([np.zeros((1, 3, 9, 9), np.float32)] * 2)
