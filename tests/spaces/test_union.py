"""The weights that a space's networks share: every fresh sample fits, and what cannot be shared is refused."""

import pickle
from functools import lru_cache
from random import Random

import pytest

from falconet.errors import UserError
from falconet.graph import BatchNorm, Conv, Draft, Linear, NetSpec, ReLU, store_of
from falconet.graph.plan import compile_plan
from falconet.graph.store import Slot
from falconet.spaces.space import Pick, Space, build, draw, largest, sample
from falconet.spaces.union import union


@lru_cache(maxsize=4096)
def block(inp: int, mid: int, out: int, kernel: int, norm: bool) -> NetSpec:
    d = Draft(x=inp)
    y = d.layer("conv1", Conv(mid, kernel), "x")
    y = d.layer("norm", BatchNorm(), y) if norm else y
    y = d.layer("act", ReLU(), y)
    return d.build(d.layer("conv2", Conv(out, kernel), y))


def elastic(pick: Pick) -> NetSpec:
    """Width of every stage, kernel and inner width of every block, depth."""
    d = Draft(x=3)
    y, channels = "x", 3
    for i in range(pick("depth", (2, 3, 5))):
        width, mid, kernel = pick(f"w{i // 2}", (4, 6, 8)), pick(f"b{i}.mid", (2, 5, 9)), pick(f"b{i}.kernel", (3, 5))
        y = d.layer(f"b{i}", block(channels, mid, width, kernel, norm=i % 2 == 0), y)
        channels = width
    return d.build(d.layer("tail", Conv(4), y))


def dense(pick: Pick) -> NetSpec:
    """Each block reads any of those before it, side by side; a block's width is its own."""
    d = Draft(x=2)
    made = {"x": 2}
    for i in range(pick("depth", (1, 2, 3, 4))):
        read = [name for name in made if name == "x" or pick(f"b{i}.reads.{name}", (False, True))]
        width = pick(f"b{i}.width", (3, 5, 7))
        joined = d.concat(f"cat{i}", **{f"from_{name}": name for name in read})
        made[d.layer(f"b{i}", block(sum(made[n] for n in read), width, width, 3, norm=False), joined)] = width
    joined = d.concat("all", **{f"from_{name}": name for name in made})
    return d.build(d.layer("tail", Conv(1), joined))


def conditional(pick: Pick) -> NetSpec:
    """Kinds of block that share nothing, each with questions of its own; one width that two answers make together."""
    d = Draft(x=1)
    width = pick("base", (2, 3, 4)) * pick("times", (1, 2, 3))
    y = d.layer("head", Conv(width), "x")
    for i in range(pick("depth", (1, 2, 3))):
        kind = pick(f"b{i}", ("plain", "wide", "grouped"))
        if kind == "plain":
            y = d.layer(f"b{i}.plain", Conv(width, pick(f"b{i}.plain.kernel", (1, 3, 5))), y)
        elif kind == "wide":
            y = d.layer(f"b{i}.wide", block(width, width * pick(f"b{i}.wide.times", (1, 2, 4)), width, 3, True), y)
        else:
            y = d.layer(f"b{i}.grouped{width}", Conv(width, groups=width), y)
    return d.build(y)


SPACES = {"elastic": elastic, "dense": dense, "conditional": conditional}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_fresh_sample_fits(space: Space) -> None:
    store = union(space, Random(0))
    rng = Random(1)
    for _ in range(3000):
        compile_plan(build(space, sample(space, rng)), store)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_union_is_no_larger_than_what_some_network_needs(space: Space) -> None:
    """Every slot's every width is that of a sampled network: nothing is made up."""
    store = union(space, Random(0))
    rng = Random(2)
    needed: dict[str, set[int]] = {}
    for _ in range(1000):
        for name, slot in store_of(draw(space, rng)[1]).slots.items():
            needed.setdefault(name, set()).add(_entries(slot))
    assert set(needed) == set(store.slots)
    assert all(_entries(slot) >= max(needed[name]) for name, slot in store.slots.items())
    if space is elastic:  # no parts: a wider network holds all narrower ones
        assert all(_entries(slot) == max(needed[name]) for name, slot in store.slots.items())


def test_of_an_elastic_space_the_union_is_the_largest_network() -> None:
    assert union(elastic, Random(0)).slots == store_of(build(elastic, largest(elastic))).slots


def test_the_same_seed_gives_the_same_store_in_the_same_order() -> None:
    one, two = union(dense, Random(3)), union(dense, Random(3))
    assert list(one.slots.items()) == list(two.slots.items())
    assert pickle.loads(pickle.dumps(one)).slots == one.slots


def test_weights_that_cannot_be_shared_are_refused_by_name() -> None:
    def groups(pick: Pick) -> NetSpec:
        d = Draft(x=4)
        return d.build(d.layer("head", Conv(4, groups=pick("groups", (1, 2))), "x"))

    with pytest.raises(UserError, match=r"'head' cannot be shared: groups is .* give the two options different layer"):
        union(groups, Random(0))

    def kinds(pick: Pick) -> NetSpec:
        d = Draft(x=4)
        return d.build(d.layer("head", Conv(4, 1) if pick("conv", (False, True)) else Linear(4), "x"))

    with pytest.raises(UserError, match="'head' cannot be shared by"):
        union(kinds, Random(0))


def test_a_space_that_never_stops_bringing_new_weights_is_refused() -> None:
    def endless(pick: Pick) -> NetSpec:
        d = Draft(x=1)
        digits = [str(pick(f"digit{i}", ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"))) for i in range(9)]
        return d.build(d.layer("n" + "".join(digits), Conv(1, 1), "x"))

    with pytest.raises(UserError, match="after 100 draws"):
        union(endless, Random(0), limit=100)


def test_a_network_outside_the_union_is_refused_by_name() -> None:
    store = store_of(build(elastic, largest(elastic)))
    with pytest.raises(ValueError, match=r"'b0\.conv1'"):
        compile_plan(_one(block(3, 10, 8, 5, True)), store)


def _one(inner: NetSpec) -> NetSpec:
    d = Draft(x=3)
    return d.build(d.layer("b0", inner, "x"))


def _entries(slot: Slot) -> int:
    return sum(weight.count for weight in slot.op.weights(*slot.inputs).values())
