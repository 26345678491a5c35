"""Widths that belong together, and narrower networks."""

import pytest
import torch

from falconet.graph import Add, Conv, Draft, Multiply, NetSpec, PixelShuffle, ReLU, Slice, costs, flatten
from falconet.graph.network import Network
from falconet.graph.widths import narrowed, widths_of
from falconet.zoo import ZOO, dncnn_17
from falconet.zoo.blocks import gated_block, residual_block

PIXELS = ("espcn", "fsrcnn", "vdsr", "carn", "carn_m", "imdn", "imdn_rtc", "ecbsr_m4c16", "dncnn_17", "ffdnet")


def chain(width: int = 16) -> NetSpec:
    d = Draft(x=1)
    y = d.layer("head", Conv(width), "x")
    y = d.layer("b0", residual_block(width), y)
    y = d.layer("b1", gated_block(width), y)
    return d.build(d.layer("up", PixelShuffle(2), d.layer("tail", Conv(4), y)))


def test_what_is_added_has_one_width() -> None:
    found = widths_of(flatten(chain()))
    runs = {name: found.runs[name] for name in ("head", "b0.conv2", "b0.sum", "b1.out", "b1.sum")}
    assert len({run for one in runs.values() for run in one}) == 1
    assert found.runs["b1.value"] == found.runs["b1.gate"] != found.runs["head"]  # multiplied with each other
    assert sorted(found.unit[name] for name in found.free) == [16, 16, 16]


@pytest.mark.parametrize("name", PIXELS)
def test_half_of_every_network_is_a_network(name: str) -> None:
    spec = flatten(ZOO[name]())
    small = narrowed(spec, 0.5)
    assert (small.inputs, small.outputs) == (spec.inputs, spec.outputs)
    assert costs(small, *[(24, 24)] * len(spec.inputs)).macs < costs(spec, *[(24, 24)] * len(spec.inputs)).macs
    assert narrowed(spec, 1.0) == spec
    xs = tuple(torch.rand(1, one.channels, 12, 12) for one in spec.inputs)
    with torch.no_grad():
        made, whole = Network(small)(xs), Network(spec)(xs)
    assert isinstance(made, torch.Tensor) and isinstance(whole, torch.Tensor)
    assert made.shape == whole.shape


def test_a_quarter_of_dncnn_by_hand() -> None:
    assert costs(narrowed(dncnn_17(), 0.25), (1, 1)).macs == 9 * (16 + 15 * 16 * 16 + 16)


def test_widths_that_an_operator_fixes_stay() -> None:
    d = Draft(x=1)
    y = d.layer("head", Conv(16), "x")
    left = d.layer("left", Slice(0, 8), y)
    net = d.build(d.layer("sum", Add(), d.layer("wide", Conv(8), d.layer("free", Conv(12), left)), left))
    small = {layer.name: layer.op for layer in narrowed(net, 0.5).layers}
    assert (small["head"], small["wide"], small["free"]) == (Conv(16), Conv(8), Conv(6))
    with pytest.raises(ValueError, match="fixes the channels of its pictures"):
        narrowed(d.build("left"), 0.5, picture=4)


def test_pictures_may_have_more_channels() -> None:
    small = narrowed(dncnn_17(), 0.25, picture=4)
    assert small.inputs[0].channels == 4
    assert small.layers[-2].op == Conv(4) and small.layers[0].op == Conv(16)


def test_products_are_tied() -> None:
    d = Draft(x=1)
    value, gate = d.layer("value", Conv(8), "x"), d.layer("gate", Conv(8), "x")
    net = d.build(d.layer("tail", Conv(1), d.layer("act", ReLU(), d.layer("product", Multiply(), value, gate))))
    found = widths_of(net)
    assert found.runs["value"] == found.runs["gate"] == found.runs["act"]
