"""Evolution by credits: the rule worked by hand, windows that hold, and that guidance earns its keep where it can."""

import math
import statistics
from dataclasses import replace
from random import Random

import pytest
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.evaluate.score import Budget, Cost, Objective, Trial
from falconet.graph import Conv, Draft
from falconet.search import Credit, CreditSettings, Feasible
from falconet.search.credit import gains, genes, softmax, type_of, types
from falconet.spaces import Arch, build

UP = Objective("score", maximize=True)
KINDS = tuple("abcdefghijklmnop")
WORTH = {kind: (place * 7 % 16) / 15 for place, kind in enumerate(KINDS)}  # what a block of this kind adds


def row(pick):
    """Twelve genes of sixteen kinds each, up to three of them off; the kind sets the width, so networks differ."""
    draft = Draft(x=1)
    y, off = "x", 0
    for i in range(12):
        active = pick(f"b{i}.active", (0, 1)) if off < 3 else 1
        kind = pick(f"b{i}.kind", KINDS)
        off += 1 - active
        if active:
            y = draft.layer(f"b{i}", Conv(2 + KINDS.index(kind)), y)
    return draft.build(y)


def count(spec):
    channels, params = 1, 0
    for layer in spec.layers:
        params, channels = params + 9 * channels * layer.op.out, layer.op.out
    return {"params": float(params)}


def worth(arch):
    """The same kind adds as much wherever it stands, which is what a credit can know."""
    return sum(WORTH[arch[f"b{i}.kind"]] for i in range(12) if arch.get(f"b{i}.active", 1))


def search(settings, budget, seed, rounds=12):
    feasible = Feasible(row, budget, count)
    strategy = Credit(row, feasible, (UP,), settings)
    trials = []
    for number in range(rounds):
        archs = strategy.ask(Random(f"{seed}/{number}"), settings.population)
        told = [
            Trial(
                len(trials) + i,
                arch,
                build(row, arch).digest,
                quality={"score": worth(arch)},
                costs={name: Cost(value, "counted") for name, value in feasible.costs(arch).items()},
            )
            for i, arch in enumerate(archs)
        ]
        strategy.tell(told)
        trials += told
    return strategy, trials


def test_genes_and_types():
    arch = Arch({"depth": 2, "b0.active": 0, "b0.kind": "S", "b1.kind": "G", "b1.g8.out": 8})
    assert genes(arch) == {"depth": ["depth"], "b0": ["b0.active", "b0.kind"], "b1": ["b1.kind", "b1.g8.out"]}
    assert type_of(arch, ["b1.kind", "b1.g8.out"]) == ((".g8.out", 8), (".kind", "G"))
    assert types(arch) == {(("depth", 2),), ((".g8.out", 8), (".kind", "G"))}  # b0 is off


def test_the_rule_by_hand():
    """Three networks of 1, 2 and 6: mean 3, deviation sqrt(14/3); then one more of 9 beside the two elites 6 and 2."""
    strategy = Credit(row, Feasible(row, Budget(), count), (UP,), CreditSettings(elites=2, smoothing=0.5))
    s, g, c = (((".kind", kind),) for kind in "SGC")

    def trial(index, score, *kinds):
        arch = Arch({f"b{i}.kind": kind for i, kind in enumerate(kinds)})
        return Trial(index, arch, str(index), quality={"score": score})

    strategy.feasible.network = lambda arch: arch.digest  # these are no networks of the space
    strategy.tell([trial(0, 1.0, "S", "S"), trial(1, 2.0, "S", "G"), trial(2, 6.0, "G", "C")])
    spread = math.sqrt(14 / 3)
    first = {s: (-2 - 1) / 2 / spread, g: (-1 + 3) / 2 / spread, c: 3 / spread}
    assert strategy.credits == pytest.approx({kind: 0.5 * gain for kind, gain in first.items()})
    assert [t.index for t in strategy.best] == [2, 1]
    strategy.tell([trial(3, 10.0, "C", "C")])
    mean, spread = 6.0, math.sqrt((16 + 0 + 16) / 3)
    assert strategy.credits[c] == pytest.approx(0.5 * 0.5 * first[c] + 0.5 * ((0 + 10 - mean) / 2) / spread)
    assert strategy.credits[s] == pytest.approx(0.5 * 0.5 * first[s] + 0.5 * (2 - mean) / spread)
    assert [t.index for t in strategy.best] == [3, 2]


def test_equal_fitness_gives_no_credit_and_softmax_is_one():
    same = [Trial(i, Arch({"b0.kind": kind}), kind) for i, kind in enumerate("SG")]
    assert set(gains(same, [5.0, 5.0]).values()) == {0.0}
    chances = softmax([-1000.0, 0.0, 3.0], 0.5)
    assert (
        sum(chances) == pytest.approx(1)
        and chances == sorted(chances)
        and chances[2] / chances[1] == pytest.approx(math.exp(6))
    )


@pytest.mark.parametrize("guided", [True, False])
def test_a_window_holds_for_every_network(guided):
    budget = Budget(params="9K..10K")
    settings = CreditSettings(population=8, guided=guided)
    _, trials = search(settings, budget, 0, rounds=5)
    assert len(trials) == 40 == len({trial.network for trial in trials})
    assert all(9e3 <= trial.costs["params"].value <= 10e3 for trial in trials)
    actives = [sum(trial.arch.get(f"b{i}.active", 1) for i in range(12)) for trial in trials]
    assert min(actives) >= 9 and len(set(actives)) > 1  # draws have 9, flipped bits more


def test_credits_find_the_kinds_that_are_worth_most():
    strategy, _ = search(CreditSettings(), Budget(), seed=0, rounds=20)
    best = sorted(strategy.credits, key=strategy.credits.get, reverse=True)[:5]
    assert statistics.mean(WORTH[kind[0][1]] for kind in best) > 0.75


def test_guidance_beats_uniform_mutation_where_blocks_add_up():
    """The best of 96 evaluations, paired by seed: more than three standard errors better."""

    def best(seed, guided):
        settings = CreditSettings(guided=guided, mutants=1, mutation_rate=0.25)
        return max(t.quality["score"] for t in search(settings, Budget(), seed)[1])

    found = [best(seed, True) - best(seed, False) for seed in range(8)]
    assert statistics.mean(found) > 3 * statistics.stdev(found) / len(found) ** 0.5 > 0


def test_a_score_to_minimize_is_minimized():
    feasible = Feasible(row, Budget(), count)
    strategy = Credit(row, feasible, (replace(UP, maximize=False),), CreditSettings(elites=1))
    archs = strategy.ask(Random(0), 6)
    strategy.tell([Trial(i, a, str(i), quality={"score": worth(a)}) for i, a in enumerate(archs)])
    assert strategy.best[0].quality["score"] == min(worth(arch) for arch in archs)


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"segment": (5, 4)}, {"segment": (0, 4)}, {"temperature": 0}, {"smoothing": 0}):
        with pytest.raises(ValidationError):
            CreditSettings(**wrong)
    with pytest.raises(UserError, match="exactly one objective, not score, params"):
        Credit(row, Feasible(row, Budget(), count), (UP, Objective("params", False)), CreditSettings())
