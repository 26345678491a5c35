"""Blocks: what belongs together, what makes two blocks one, and that nothing of a network is lost."""

from random import Random

import pytest

from falconet.evaluate.blocks import Block, block_of, blocks_of, parts_of
from falconet.graph import Add, Concat, Conv, Draft, GlobalAvgPool, Multiply, NetSpec, PReLU, ReLU, Sigmoid, costs
from falconet.spaces import Restoration, build, sample
from falconet.zoo import ZOO, plain_block, residual_block

SIZE = (12, 20)


def titles(spec: NetSpec) -> list[str]:
    return [block.title for block in blocks_of(spec, SIZE)]


def test_what_runs_along_with_a_convolution_is_one_block_with_it():
    assert titles(ZOO["plain_sr"](2, 8)) == [
        "conv 3x3 1>8, relu",
        "conv 3x3 8>8, relu",
        "conv 3x3 8>8, relu",
        "conv 3x3 8>4, repeat, add, pixelshuffle",
    ]


def test_a_nested_layer_is_one_block_and_opens_into_parts():
    d = Draft(x=1)
    y = d.layer("head", Conv(8), "x")
    spec = d.build(d.layer("act", ReLU(), d.layer("b0", residual_block(8), y)))
    whole = blocks_of(spec, SIZE)[1]
    assert whole.title == "conv 3x3 8>8, relu, conv 3x3 8>8, add, relu"
    assert [part.title for part in parts_of(whole)] == ["conv 3x3 8>8, relu", "conv 3x3 8>8, add, relu"]
    alone = blocks_of(spec, SIZE)[0]
    assert parts_of(alone) == (alone,)


def test_names_and_nesting_do_not_matter_shapes_edges_and_operators_do():
    flat, nested = Draft(a=8), Draft(b=8)
    one = flat.build(flat.layer("c", ReLU(), flat.layer("k", Conv(8), "a")))
    two = nested.build(nested.layer("z", ReLU(), nested.layer("y", plain_block(8, 8), "b")))
    key = block_of(one, [(8, 12, 20)]).key
    assert key == block_of(two, [(8, 12, 20)]).key
    others = [
        block_of(one, [(8, 12, 21)]),
        block_of(one, [(8, 12, 20)], outer=[0]),
        block_of(one, [(8, 12, 20)], last=True),
    ]
    prelu = Draft(x=8)
    others.append(block_of(prelu.build(prelu.layer("act", PReLU(), prelu.layer("k", Conv(8), "x"))), [(8, 12, 20)]))
    assert len({key, *(other.key for other in others)}) == 5


def test_a_value_that_two_read_ends_a_block_and_a_gate_stands_alone():
    d = Draft(x=4)
    y = d.layer("conv", Conv(4), "x")
    gate = d.layer("sig", Sigmoid(), d.layer("squeeze", Conv(4, 1), d.layer("mean", GlobalAvgPool(), y)))
    spec = d.build(d.layer("scaled", Multiply(), y, gate))
    assert titles(spec) == ["conv 3x3 4>4", "globalavgpool", "conv 1x1 4>4, sigmoid, multiply"]
    assert [block.inputs for block in blocks_of(spec, SIZE)][2] == ((4, 1, 1), (4, 12, 20))


def test_only_the_last_of_several_convolutions_takes_the_join():
    d = Draft(x=4)
    left, right = d.layer("left", Conv(4), "x"), d.layer("right", Conv(4), "x")
    spec = d.build(d.layer("product", Multiply(), left, right))
    assert titles(spec) == ["conv 3x3 4>4", "conv 3x3 4>4, multiply"]


def test_a_concat_begins_a_block_which_takes_what_follows():
    d = Draft(x=4)
    left, right = d.layer("left", Conv(4), "x"), d.layer("right", Conv(4), "x")
    spec = d.build(d.layer("act", ReLU(), d.concat("cat", left=left, right=right)))
    assert titles(spec) == ["conv 3x3 4>4", "conv 3x3 4>4", "concat, relu"]


def test_concats_of_many_widths_are_one_block_when_their_sums_are():
    def joined(*widths: int) -> NetSpec:
        d = Draft(x=4)
        parts = {f"of{width}_{n}": d.layer(f"c{n}", Conv(width), "x") for n, width in enumerate(widths)}
        return d.build(d.layer("act", ReLU(), d.concat("cat", **parts)))

    def last(*widths: int) -> Block:
        return blocks_of(joined(*widths), SIZE)[-1]

    assert last(8, 16, 24).key == last(24, 8, 16).key == last(16, 16, 16).key
    assert last(8, 16, 25).inputs == ((17, 12, 20), (16, 12, 20), (16, 12, 20))
    assert len({last(8, 16, 24).key, last(8, 16, 32).key, last(8, 8, 16, 16).key}) == 3
    assert last(8, 16).key != last(12, 12).key


@pytest.mark.parametrize("net", ["fsrcnn", "ecbsr", "vdsr", "espcn"])
def test_the_work_of_the_blocks_is_the_work_of_the_network(net):
    spec = ZOO[net]()
    assert sum(costs(b.spec, *b.sizes).macs for b in blocks_of(spec, SIZE)) == costs(spec, SIZE).macs


def test_so_it_is_for_networks_of_a_space_and_their_parts():
    upsamplers = ("pixel_shuffle", "nearest_conv")
    space = Restoration(stages=2, kernel=(3, 5), activation=("relu", "prelu"), upsampler=upsamplers)
    rng = Random(1)
    for _ in range(25):
        spec = build(space, sample(space, rng))
        for found in (blocks_of(spec, SIZE), [part for b in blocks_of(spec, SIZE) for part in parts_of(b)]):
            assert sum(costs(b.spec, *b.sizes).macs for b in found) == costs(spec, SIZE).macs
            assert sum(b.last for b in found) == 1 and any(b.outer for b in found)


def test_sums_of_the_same_value_twice_are_understood():
    d = Draft(x=4)
    y = d.layer("conv", Conv(4), "x")
    assert titles(d.build(d.layer("twice", Add(), y, y))) == ["conv 3x3 4>4, add"]
    assert Concat(("a", "b")).num_inputs is None
