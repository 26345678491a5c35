"""Small spaces with a known best network, and an evaluator that needs no weights."""

import math

import pytest

from falconet.evaluate.score import Budget, Cost, Objective, Trial
from falconet.graph import Conv, Draft
from falconet.search import STRATEGIES, Feasible
from falconet.spaces import build

WIDTHS = (4, 8, 12, 16, 24, 32)


def ladder(pick):
    """Six layers at most, each of its own width and kernel, then one wide; conditional on depth."""
    draft = Draft(x=1)
    y = "x"
    for i in range(pick("depth", (2, 3, 4, 5, 6))):
        y = draft.layer(f"b{i}", Conv(pick(f"b{i}.width", WIDTHS), kernel=pick(f"b{i}.kernel", (1, 3, 5))), y)
    return draft.build(draft.layer("tail", Conv(1), y))


def short(pick):
    """54 architectures."""
    draft = Draft(x=1)
    y = draft.layer("a", Conv(pick("a.width", WIDTHS), kernel=pick("a.kernel", (1, 3, 5))), "x")
    return draft.build(draft.layer("b", Conv(1, kernel=pick("b.kernel", (1, 3, 5))), y))


def twins(pick):
    """24 architectures, 18 networks: with kernel 1 both values of `mode` mean the same."""
    draft = Draft(x=1)
    kernel = pick("kernel", (1, 3))
    mode = pick("mode", ("tall", "wide"))
    shape = kernel if mode == "tall" or kernel == 1 else 5
    return draft.build(draft.layer("a", Conv(pick("width", WIDTHS), kernel=shape), "x"))


def quality(arch):
    """Smooth with diminishing returns and a taste: kernels of 3, widths that taper. Unrelated to training."""
    score = 0.0
    for i in range(8):
        width = arch.get(f"b{i}.width")
        if width is not None:
            score += math.log2(width) - 0.4 * abs(math.log2(width) - 5 + 0.4 * i) + (arch[f"b{i}.kernel"] == 3) - 2.2
    return score + sum(isinstance(value, int) and value == 3 for value in arch.values()) * 0.01


def count(spec):
    """Costs of a chain of convolutions on 8x8 pixels, without bias. Much faster than falconet.graph.costs."""
    params, channels = 0, 1
    for layer in spec.layers:
        params += layer.op.kernel**2 * channels * layer.op.out
        channels = layer.op.out
    return {"macs": 64.0 * params, "params": float(params)}


def evaluate(tasks, space):
    for index, arch in tasks:
        spec = build(space, arch)
        counted = {name: Cost(value, "counted") for name, value in count(spec).items()}
        yield Trial(index, arch, spec.digest, quality={"score": quality(arch)}, costs=counted, seconds=0.25)


# So that a strategy does its own thing within the few rounds of a test.
SMALL = {
    "regularized": {"alive": 8, "contest": 3},
    "predictor": {"first": 4, "candidates": 40, "steps": 4},
    "optuna": {"options": {"n_startup_trials": 8}},
}
UP, MACS = Objective("score", maximize=True), Objective("macs", maximize=False)


class Toys:
    ladder, short, twins = staticmethod(ladder), staticmethod(short), staticmethod(twins)
    quality, count, evaluate = staticmethod(quality), staticmethod(count), staticmethod(evaluate)
    up, macs = UP, MACS

    @staticmethod
    def feasible(space, macs=None):
        return Feasible(space, Budget(macs=macs, at_input="8x8") if macs else Budget(), count)

    @staticmethod
    def strategy(name, space, macs=None, **settings):
        cls = STRATEGIES[name]
        chosen = cls.Settings(**{**SMALL.get(name, {}), **settings})
        objectives = (UP,) if chosen.improves_one else (UP, MACS)
        return cls(space, Toys.feasible(space, macs), objectives, chosen)


@pytest.fixture
def toys():
    return Toys


@pytest.fixture(params=sorted(STRATEGIES))
def name(request):
    return request.param
