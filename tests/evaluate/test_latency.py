"""Latency: rows carry what they were measured with, and a network ten times as large takes longer."""

import dataclasses

import pytest
import torch

from falconet.deploy.onnx import to_onnx
from falconet.errors import UserError
from falconet.evaluate.latency import REFERENCE, measure_latency, reference
from falconet.evaluate.score import Cost
from falconet.graph import Conv, Draft, NetSpec, ReLU, costs
from falconet.graph.network import Network


def plain(width: int, depth: int = 2, channels: int = 1) -> NetSpec:
    d = Draft(x=channels)
    y = "x"
    for n in range(depth):
        y = d.layer(f"act{n}", ReLU(), d.layer(f"conv{n}", Conv(width), y))
    return d.build(y)


def test_rows_carry_what_they_were_measured_with(tmp_path):
    network = Network(plain(8))
    path = tmp_path / "net.onnx"
    path.write_bytes(to_onnx(network.spec, network.weights()))
    nets = {"spec": plain(64, 4), "network": network, "bytes": path.read_bytes(), "path": path}
    before = torch.get_rng_state()
    found = measure_latency(nets, [(48, 64)], rounds=6)
    assert torch.equal(before, torch.get_rng_state())
    assert list(found) == list(nets)
    for name, row in found.items():
        assert row.name == name and row.runtime.startswith("onnxruntime 1.") and row.threads == 1 and row.device
        assert row.input_size == (1, 48, 64) and row.num_samples == 18
        assert 0 < row.min_ms <= row.p10_ms <= row.median_ms and row.relative > 0
        assert row.cost == Cost(row.median_ms, "measured")
    assert found["spec"].min_ms > 3 * found["network"].min_ms  # 150 times the multiply-accumulates


def test_report_row_takes_every_field():
    from falconet.report.results import LatencyRow

    found = measure_latency({"net": plain(4)}, [(16, 16)], rounds=5, max_seconds=0)["net"]
    row = LatencyRow(**dataclasses.asdict(found))
    assert row.relative == found.relative and row.num_samples == 15


def test_reference_is_the_one_old_ratios_were_made_with():
    assert costs(reference(), (128, 128)).macs == 9 * (16 + 3 * 256 + 64) * 128 * 128
    assert reference().digest.startswith("2fe382ad1b52")


def test_mistakes_are_told():
    with pytest.raises(UserError, match="may be called"):
        measure_latency({REFERENCE: plain(4)}, [(16, 16)])
    with pytest.raises(UserError, match="one for each"):
        measure_latency({"net": plain(4)}, [(16, 16), (16, 16)])
    d = Draft(x=1)
    valid = d.build(d.layer("only", Conv(3, 5, pad=0), "x"))
    with pytest.raises(UserError, match="does not take an input of 1x1x3x3"):
        measure_latency({"net": valid}, [(3, 3)])
