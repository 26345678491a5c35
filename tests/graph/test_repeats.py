"""Blocks that a network repeats, found by what they compute."""

import pytest
import torch

from falconet.graph import Concat, Conv, Draft, ReLU, flatten
from falconet.graph.network import Network
from falconet.graph.repeats import Run, repeats, shortened
from falconet.zoo import ZOO, dncnn, dncnn_17, vdsr
from falconet.zoo.blocks import gated_block, residual_block


def test_chains_repeat_a_convolution_and_a_rectifier() -> None:
    assert repeats(dncnn_17()) == (Run(1, 2, 15),)  # in the rhythm act, conv: the head's rectifier begins it
    assert repeats(vdsr()) == (Run(2, 2, 18),)


def test_a_shorter_dncnn_is_dncnn() -> None:
    ours, theirs = shortened(dncnn_17(), (8,)), flatten(dncnn(10))
    assert [layer.op for layer in ours.layers] == [layer.op for layer in theirs.layers]
    x = torch.rand(1, 1, 8, 8)
    network = Network(dncnn_17())
    with torch.no_grad():
        made = network(x, ours)
    assert isinstance(made, torch.Tensor) and made.shape == x.shape


def test_blocks_of_several_layers_and_two_runs() -> None:
    d = Draft(x=1)
    y = d.layer("head", Conv(8), "x")
    for i in range(3):
        y = d.layer(f"a{i}", residual_block(8), y)
    y = d.layer("wider", Conv(12), y)
    for i in range(2):
        y = d.layer(f"b{i}", gated_block(12), y)
    net = d.build(d.layer("tail", Conv(1), y))
    runs = repeats(net)
    assert [(run.length, run.count) for run in runs] == [(4, 3), (6, 2)]
    small = shortened(net, (1, 2))
    assert [layer.name for layer in small.layers if layer.name.startswith("a")] == [
        "a0.conv1", "a0.act", "a0.conv2", "a0.sum",
    ]  # fmt: skip
    assert shortened(net, (3, 2)) == flatten(net)


def test_blocks_that_are_read_from_outside_are_no_run() -> None:
    d = Draft(x=4)
    a = d.layer("a", Conv(4), "x")
    b = d.layer("b", Conv(4), a)
    c = d.layer("c", Conv(4), b)
    assert repeats(d.build(c)) == (Run(0, 1, 3),)
    assert repeats(d.build(d.layer("all", Concat(("a", "b", "c")), a, b, c))) == ()


def test_what_cannot_be_kept_is_refused() -> None:
    for kept in ((0,), (16,)):
        with pytest.raises(ValueError, match="of 15 blocks, 1 to 15 can be kept"):
            shortened(dncnn_17(), kept)
    with pytest.raises(ValueError, match="repeats 1 runs of blocks, got numbers for 2"):
        shortened(dncnn_17(), (3, 3))


@pytest.mark.parametrize("name", ["fsrcnn", "ecbsr_m4c16", "ffdnet", "imdn_rtc", "resnet20", "xception", "carn_m"])
def test_the_shortest_of_each_runs(name: str) -> None:
    spec = flatten(ZOO[name]())
    runs = repeats(spec)
    assert runs
    small = shortened(spec, [1] * len(runs))
    assert len(small.layers) == len(spec.layers) - sum(run.length * (run.count - 1) for run in runs)
    assert small.outputs and not any(isinstance(layer.op, ReLU) and not layer.inputs for layer in small.layers)
