"""Spaces: what one definition yields, on spaces small enough to list by hand or to enumerate."""

import json
import pickle
import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconet.errors import UserError
from falconet.graph import Conv, Draft, NetSpec, PReLU, ReLU
from falconet.spaces import (
    Arch,
    Pick,
    build,
    crossover,
    decisions,
    draw,
    encoder_of,
    every,
    is_ordered,
    largest,
    load_space,
    mutate,
    neighbours,
    sample,
    size,
    smallest,
)


def chain(pick: Pick) -> NetSpec:
    """Conditional: every layer that exists has a kernel of its own. 2 * 2 * (2 + 4 + 8) = 56 architectures."""
    width = pick("width", (8, 16))
    act = {"relu": ReLU(), "prelu": PReLU()}[pick("act", ("relu", "prelu"))]
    draft = Draft(x=1)
    y = "x"
    for i in range(pick("depth", (1, 2, 3))):
        y = draft.layer(f"b{i}", Conv(width, kernel=pick(f"b{i}.kernel", (3, 5))), y)
        y = draft.layer(f"b{i}.act", act, y)
    return draft.build(y)


def fixed(pick: Pick) -> NetSpec:
    """The same decisions whatever the answers. 3 * 4 * 4 = 48 architectures."""
    draft = Draft(x=1)
    y = draft.layer("head", Conv(pick("width", (8, 16, 32))), "x")
    for i in range(2):
        y = draft.layer(f"b{i}", Conv(8, kernel=pick(f"b{i}.kernel", (1, 3, 5, 7))), y)
    return draft.build(y)


def shifting(pick: Pick) -> NetSpec:
    """The options of `out` depend on `width`; `style` holds tuples and bools."""
    width = pick("width", (4, 8))
    kernel, bias = pick("style", ((3, True), (5, False)))
    out = pick("out", (width, 2 * width, 3 * width))
    draft = Draft(x=1)
    return draft.build(draft.layer("b", Conv(out, kernel=kernel, bias=bias), draft.layer("a", Conv(width), "x")))


SPACES = {"chain": chain, "fixed": fixed, "shifting": shifting}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


# --- Arch -----------------------------------------------------------------------------------------------

plain = st.recursive(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_json_keeps_every_type_and_the_order(answers):
    arch = Arch(answers)
    back = Arch.from_json(json.loads(json.dumps(arch.to_json())))
    assert back == arch and hash(back) == hash(arch) and back.digest == arch.digest
    assert repr(back) == repr(arch)  # 1, 1.0 and True are equal in Python, but not here


def test_arch_is_a_value():
    source = {"a": 1, "b": (2, 3)}
    arch = Arch(source)
    source["a"] = 5
    assert dict(arch) == {"a": 1, "b": (2, 3)} and list(arch) == ["a", "b"] and len(arch) == 2
    assert arch == Arch({"b": (2, 3), "a": 1}) and arch != Arch({"a": 1}) and arch != {"a": 1, "b": (2, 3)}
    assert arch.digest == Arch({"b": [2, 3], "a": 1}).digest != Arch({"a": 1, "b": 2}).digest
    assert len(arch.digest) == 12 and pickle.loads(pickle.dumps(arch)) == arch and len({arch, Arch(arch)}) == 1
    with pytest.raises(AttributeError):
        arch._answers = {}


@pytest.mark.parametrize("value", [None, {"x": 1}, float("nan"), float("inf"), b"x", object()])
def test_arch_refuses_what_json_cannot_hold(value):
    with pytest.raises(UserError, match="option must be"):
        Arch({"a": value})


# --- what every space must hold -------------------------------------------------------------------------


def test_every_visits_each_architecture_once_and_all_build(space):
    archs = list(every(space))
    assert len(archs) == len(set(archs)) == {chain: 56, fixed: 48, shifting: 12}[space]
    assert len({build(space, arch).digest for arch in archs}) == len(archs)


def test_samples_mutants_and_children_lie_in_the_space(space):
    members, rng = set(every(space)), Random(0)
    for _ in range(300):
        a, b = sample(space, rng), sample(space, rng)
        mutant = mutate(space, a, rng)
        assert {a, b, mutant, crossover(space, a, b, rng), sample(space, rng, reach=0.3)} <= members
        assert mutant != a


def test_same_seed_same_answers(space):
    def all_of_it(seed):
        rng = Random(seed)
        a, b = sample(space, rng), sample(space, rng)
        return [a, b, mutate(space, a, rng), crossover(space, a, b, rng), draw(space, rng)]

    assert all_of_it(3) == all_of_it(3) != all_of_it(4)


def test_draw_gives_the_sample_with_its_network(space):
    arch, spec = draw(space, Random(5))
    assert arch == sample(space, Random(5)) and spec == build(space, arch)


def test_neighbours_of_every_architecture(space):
    members = set(every(space))
    for arch in members:
        near = list(neighbours(space, arch))
        assert len(near) == len(set(near)) == sum(len(o) - 1 for o in decisions(space, arch).values())
        assert set(near) <= members and arch not in near


def test_different_architectures_get_different_vectors_of_one_length(space):
    encoder = encoder_of(space)
    vectors = [encoder.encode(arch) for arch in every(space)]
    assert len(set(vectors)) == len(vectors) and len({len(vector) for vector in vectors}) == 1
    assert all(0 <= number <= 1 for vector in vectors for number in vector)


def test_size_counts_small_spaces(space):
    assert size(space).count == len(list(every(space))) and size(space).exact


def test_extremes_bound_every_ordered_decision(space):
    low, high = smallest(space), largest(space)
    for arch in every(space):
        for name, options in decisions(space, arch).items():
            if is_ordered(options) and options == decisions(space, high).get(name):
                assert arch[name] <= high[name]
            if is_ordered(options) and options == decisions(space, low).get(name):
                assert arch[name] >= low[name]


# --- single functions, by hand --------------------------------------------------------------------------


def test_worked_example():
    arch = Arch({"width": 8, "act": "prelu", "depth": 2, "b0.kernel": 3, "b1.kernel": 5})
    assert [dict(near) for near in neighbours(chain, arch)] == [
        {"width": 16, "act": "prelu", "depth": 2, "b0.kernel": 3, "b1.kernel": 5},
        {"width": 8, "act": "relu", "depth": 2, "b0.kernel": 3, "b1.kernel": 5},
        {"width": 8, "act": "prelu", "depth": 1, "b0.kernel": 3},
        {"width": 8, "act": "prelu", "depth": 3, "b0.kernel": 3, "b1.kernel": 5, "b2.kernel": 3},  # first option
        {"width": 8, "act": "prelu", "depth": 2, "b0.kernel": 5, "b1.kernel": 5},
        {"width": 8, "act": "prelu", "depth": 2, "b0.kernel": 3, "b1.kernel": 3},
    ]
    assert dict(smallest(chain)) == {"width": 8, "act": "relu", "depth": 1, "b0.kernel": 3}
    assert largest(chain, base=arch)["act"] == "prelu" and largest(chain)["act"] == "relu"
    assert largest(chain, base=arch)["b2.kernel"] == 5
    assert encoder_of(fixed).encode({"width": 16, "b0.kernel": 1, "b1.kernel": 7}) == (1 / 3, 0.0, 1.0)
    encoder = encoder_of(chain)  # width, act (one-hot), depth, b0.kernel, then b1 and b2: is it there, which
    assert encoder.encode(arch) == (0.0, 0.0, 1.0, 0.5, 0.0, 1.0, 1.0, 0.0, 0.0)


def test_mutation_rate_and_that_other_options_are_equally_likely():
    arch, rng = Arch({"width": 16, "b0.kernel": 1, "b1.kernel": 7}), Random(0)
    mutants = [mutate(fixed, arch, rng, rate=0.5) for _ in range(4000)]
    changes = Counter(sum(mutant[name] != arch[name] for name in arch) for mutant in mutants)
    # binomial(3, 1/2), the case of no change turned into one change: 1/2, 3/8, 1/8
    assert changes[1] / 4000 == pytest.approx(1 / 2, abs=0.03) and changes[2] / 4000 == pytest.approx(3 / 8, abs=0.03)
    kernels = Counter(mutant["b0.kernel"] for mutant in mutants)
    assert all(kernels[k] / sum(kernels[k] for k in (3, 5, 7)) == pytest.approx(1 / 3, abs=0.03) for k in (3, 5, 7))
    assert all(sum(m[n] != arch[n] for n in arch) == 1 for m in (mutate(fixed, arch, rng, rate=0) for _ in range(50)))


def test_mutation_of_the_only_architecture_gives_it_back():
    def single(pick):
        draft = Draft(x=1)
        return draft.build(draft.layer("a", Conv(pick("width", (8,))), "x"))

    assert mutate(single, sample(single, Random(0)), Random(0)) == Arch({"width": 8})
    assert list(neighbours(single, {"width": 8})) == [] and size(single).count == 1


def test_crossover_takes_each_gene_from_either_parent():
    a, b = Arch({"width": 8, "b0.kernel": 1, "b1.kernel": 3}), Arch({"width": 32, "b0.kernel": 5, "b1.kernel": 3})
    children = Counter(crossover(fixed, a, b, Random(seed)) for seed in range(800))
    assert len(children) == 4 and all(n / 800 == pytest.approx(1 / 4, abs=0.06) for n in children.values())
    assert all(child["b1.kernel"] == 3 for child in children)
    deep = Arch({"width": 8, "act": "relu", "depth": 3, "b0.kernel": 3, "b1.kernel": 3, "b2.kernel": 5})
    shallow = Arch({"width": 8, "act": "relu", "depth": 1, "b0.kernel": 3})
    assert {crossover(chain, shallow, deep, Random(seed)) for seed in range(20)} == {deep, shallow}


def test_uniform_picks_are_not_uniform_architectures():
    """The module's warning, measured: a depth-1 chain is four times as likely as a depth-3 chain."""
    rng = Random(0)
    counts = Counter(sample(chain, rng) for _ in range(8_000))
    per_arch = {d: sum(n for arch, n in counts.items() if arch["depth"] == d) / (4 * 2**d) for d in (1, 3)}
    assert per_arch[1] / per_arch[3] == pytest.approx(4, rel=0.2)


def test_reach_limits_ordered_decisions_only():
    archs = [sample(fixed, Random(seed), reach=0.5) for seed in range(200)]
    assert {arch["width"] for arch in archs} == {8, 16} and {arch["b0.kernel"] for arch in archs} == {1, 3}
    assert {(a["act"], a["width"], a["depth"]) for a in (sample(chain, Random(s), 0.0) for s in range(50))} == {
        ("relu", 8, 1),
        ("prelu", 8, 1),
    }


@pytest.mark.parametrize(
    ("options", "ordered"),
    [
        ((1, 2, 4), True),
        ((1, 2.5), True),
        ((3,), True),
        ((1, 1), False),
        ((2, 1), False),
        (("a", "b"), False),
        ((False, True), False),
    ],
)
def test_is_ordered(options, ordered):
    assert is_ordered(options) is ordered


def test_answers_take_the_type_of_the_options():
    """8.0 read from another tool's JSON builds the network with 8 channels."""
    spec = build(fixed, {"width": 8.0, "b0.kernel": 1, "b1.kernel": 3})
    assert type(spec.layers[0].op.out) is int


def test_the_same_question_twice_is_one_decision():
    def twice(pick):
        draft = Draft(x=1)
        a = draft.layer("a", Conv(pick("width", (8, 16))), "x")
        return draft.build(draft.layer("b", Conv(pick("width", (8, 16))), a))

    assert all(len({layer.op.out for layer in build(twice, arch).layers}) == 1 for arch in every(twice))
    assert size(twice).count == 2


# --- mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([("a", (1, 2)), ("a", (1, 3))], "twice with different options"),
        ([("a", ())], "no options"),
        ([("a", (1, 1))], "option twice"),
        ([("a", (1, True))], "option twice"),
        ([("", (1,))], "non-empty string"),
        ([("a", (None,))], "option must be"),
        ([("a", (float("nan"),))], "option must be"),
    ],
)
def test_a_space_that_asks_nonsense_is_told_so(questions, message):
    def bad(pick):
        for name, options in questions:
            pick(name, options)
        return Draft(x=1).build("x")

    with pytest.raises(UserError, match=message):
        sample(bad, Random(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 9}, "answers 9 to 'width'; this space offers 8, 16"),
        ({"b9.kernel": 3}, "'b9.kernel', which the space does not ask"),
        ({"depth": 3}, "does not answer 'b2.kernel'"),
    ],
)
def test_build_says_why_an_architecture_does_not_fit(change, message):
    good = {"width": 8, "act": "relu", "depth": 2, "b0.kernel": 3, "b1.kernel": 5}
    build(chain, good)
    with pytest.raises(UserError, match=message):
        build(chain, {**good, **change})


def test_encoder_refuses_what_it_never_met():
    encoder = encoder_of(fixed)
    good = {"width": 8, "b0.kernel": 1, "b1.kernel": 1}
    for bad in ({**good, "new": 1}, {**good, "width": 9}, {"width": 8, "b0.kernel": 1}):
        with pytest.raises(UserError):
            encoder.encode(bad)


# --- size of large spaces -------------------------------------------------------------------------------


def test_size_of_independent_decisions_is_their_product():
    def shuffle_like(pick):
        for i in range(20):
            pick(f"b{i}", (0, 1, 2, 3))
        return Draft(x=1).build("x")

    found = size(shuffle_like, draws=50)
    assert found.count == 4**20 and found.exact and found.how == "product over 20 independent decisions"


def test_size_of_a_large_conditional_space_is_estimated():
    def deep(pick):
        for i in range(pick("depth", tuple(range(1, 9)))):
            pick(f"w{i}", tuple(range(8)))
        return Draft(x=1).build("x")

    truth = sum(8**depth for depth in range(1, 9))
    found = size(deep, draws=2000)
    assert not found.exact and found.count == pytest.approx(truth, rel=0.25) and "standard error" in found.how
    assert size(deep, draws=2000) == found


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=5), st.integers(0, 2**32))
def test_size_equals_enumeration_on_random_trees(counts, seed):
    """Decision i+1 is asked only where decision i took an option other than its last."""

    def tree(pick):
        for i, count in enumerate(counts):
            if pick(f"d{i}", tuple(range(count))) == count - 1:
                break
        return Draft(x=1).build("x")

    expected = 1
    for count in reversed(counts):
        expected = (count - 1) * expected + 1
    assert size(tree, draws=20, seed=seed).count == len(list(every(tree))) == expected


# --- the user's own file --------------------------------------------------------------------------------

OWN = """
from falconet.graph import Conv, Draft
class Wide:
    def __call__(self, pick):
        draft = Draft(x=3)
        return draft.build(draft.layer("a", Conv(pick("width", (8, 16))), "x"))
wide = Wide()
def space(pick):
    draft = Draft(x=1)
    return draft.build(draft.layer("a", Conv(pick("width", (8, 16, 24))), "x"))
def nothing(pick): pick("a", (1, 2))
def broken(pick): return pick("a", (1, 2)).depth
number = 3
"""


def test_load_space(tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text(OWN)
    assert size(load_space(str(path))).count == 3
    assert size(load_space(f"{path}:wide")).count == 2
    assert pickle.loads(pickle.dumps(load_space(f"{path}:wide"))).__class__.__name__ == "Wide"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "defines no 'missing'"),
        ("number", "must be a function of `pick`"),
        ("Wide", "make an object"),
        ("nothing", "must return a NetSpec"),
        ("broken", "failed to build its smallest network"),
    ],
)
def test_load_space_says_what_is_wrong(tmp_path, name, message):
    path = tmp_path / "my_space.py"
    path.write_text(OWN)
    with pytest.raises(UserError, match=message):
        load_space(f"{path}:{name}")


def test_load_space_from_a_file_that_does_not_run(tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text("import nowhere_to_be_found")
    with pytest.raises(UserError, match=r"could not be run: ModuleNotFoundError"):
        load_space(str(path))
    for where in ("none.py", "none.py:space", str(tmp_path), "space"):
        with pytest.raises(UserError, match="must be a Python file"):
            load_space(where)


def test_spaces_search_and_scores_import_no_torch():
    code = "import sys, falconet.spaces, falconet.evaluate.score, falconet.search; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
