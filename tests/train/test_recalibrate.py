"""Batch-norm statistics: those of a plain torch module, on an extract alone, and better than the shared ones."""

from random import Random
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from falconet.evaluate.quality import quality
from falconet.graph import BatchNorm, Conv, Draft, flatten
from falconet.graph.network import Network
from falconet.spaces import Restoration, build, draw, smallest, union
from falconet.train.recalibrate import PICTURES, inherited, normed, recalibrate
from falconet.zoo.classify import classify


def test_the_statistics_are_those_of_torchs_cumulative_average(tiny: SimpleNamespace) -> None:
    d = Draft(x=3)
    y = d.layer("norm", BatchNorm(), d.layer("first", Conv(4), "x"))
    y = d.layer("norm2", BatchNorm(), d.layer("second", Conv(5), y))
    network, dataset = Network(tiny.task.prepare(d.build(classify(d, y, 3, dropout=0.5)))), tiny.blobs()
    recalibrate(network, tiny.task, dataset, batches=3)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, momentum=None),
                          nn.Conv2d(4, 5, 3, padding=1), nn.BatchNorm2d(5, momentum=None))  # fmt: skip
    for index, name in enumerate(("first", "norm", "second", "norm2")):
        values = {k: v for k, v in network.get_submodule(name).state_dict().items() if "running" not in k}
        plain[index].load_state_dict(values, strict=False)
        if "norm" in name:
            plain[index].reset_running_stats()
    normalize = network.spec.layers[0].op
    with torch.no_grad():
        for index in range(3):
            (x,) = tiny.task.plain_batch(dataset, index, PICTURES)
            mean, std = (torch.tensor(v)[:, None, None] for v in (normalize.mean, normalize.std))
            plain.train()((x - mean) / std)
    for index, name in ((1, "norm"), (3, "norm2")):
        held = network.get_submodule(name)
        torch.testing.assert_close(held.running_mean, plain[index].running_mean, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(held.running_var, plain[index].running_var, atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def supernet(tiny: SimpleNamespace) -> Network:
    torch.manual_seed(0)
    return Network(store=union(tiny.space, Random(0), quiet=50))


def test_the_supernet_stays_as_it_is_to_the_bit(tiny: SimpleNamespace, supernet: Network) -> None:
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    first, again = (inherited(supernet, draw(tiny.space, Random(3))[1], tiny.task, tiny.blobs(), 2) for _ in range(2))
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(first.get_submodule("stem_norm").running_mean, supernet.stem_norm.running_mean)


def test_an_extract_without_batches_has_the_shared_statistics(tiny: SimpleNamespace, supernet: Network) -> None:
    spec = build(tiny.space, smallest(tiny.space))
    assert torch.equal(
        inherited(supernet, spec, tiny.task, tiny.blobs(), 0).stem_norm.running_mean, supernet.stem_norm.running_mean
    )


def test_a_network_without_batch_norm_is_left_alone(tiny: SimpleNamespace) -> None:
    pixels = Restoration(kind=("plain",), depth=(2,))
    spec = build(pixels, smallest(pixels))
    assert not normed(spec) and normed(tiny.space(lambda name, options: options[0]))
    network = Network(spec)
    assert recalibrate(network, None, None, 5) is network  # neither task nor pictures are asked for anything


def test_inherited_quality_is_that_of_the_recalibrated_extract(tiny: SimpleNamespace, supernet: Network) -> None:
    spec, dataset = draw(tiny.space, Random(5))[1], tiny.blobs()
    ours = quality(supernet, tiny.task, dataset, spec, 4)
    assert ours == quality(inherited(supernet, spec, tiny.task, dataset, 4), tiny.task, dataset)
    assert flatten(spec).layers[0].name == "normalize"


def test_training_mode_is_kept(tiny: SimpleNamespace, supernet: Network) -> None:
    network = supernet.extract(build(tiny.space, smallest(tiny.space)))
    assert recalibrate(network.train(), tiny.task, tiny.blobs(), 1).training
    assert not recalibrate(network.eval(), tiny.task, tiny.blobs(), 1).training
