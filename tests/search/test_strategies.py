"""The contract of every strategy in STRATEGIES, and what each one adds."""

import copy
import statistics
from dataclasses import replace
from random import Random

import pytest
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.evaluate.score import Budget, InfeasibleBudget
from falconet.graph import costs
from falconet.search import (
    STRATEGIES,
    Evolution,
    EvolutionSettings,
    Feasible,
    Nsga2Settings,
    RandomSettings,
    feasible_sample,
    hypervolume,
    sample_by_cost,
)
from falconet.search.strategy import SearchSettings
from falconet.spaces import Arch, Shuffle, build, every, largest, sample, smallest


def rounds(toys, strategy, space, num_rounds, size, seed=0, spoil=lambda trial: trial):
    """All trials of a search without a log."""
    trials = []
    for number in range(num_rounds):
        archs = strategy.ask(Random(f"{seed}/{number}"), size)
        told = [spoil(trial) for trial in toys.evaluate(list(enumerate(archs, len(trials))), space)]
        strategy.tell(told)
        trials += told
    return trials


# --- the contract -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("space_name", ["ladder", "short", "twins"])
def test_proposals_lie_in_the_space_within_the_budget_and_are_new_networks(toys, name, space_name):
    space, budget = getattr(toys, space_name), {"ladder": "400K", "short": "30K", "twins": "15K"}[space_name]
    assert toys.count(build(space, largest(space)))["macs"] > toys.feasible(space, budget).budget.macs
    trials = rounds(toys, toys.strategy(name, space, budget, population=8), space, 5, 8)
    assert all(build(space, trial.arch).digest == trial.network for trial in trials)
    assert all(trial.costs["macs"].value <= toys.feasible(space, budget).budget.macs for trial in trials)
    assert len({trial.network for trial in trials}) == len(trials) > 0


def test_ask_is_pure_and_the_seed_decides(toys, name):
    strategy = toys.strategy(name, toys.ladder, population=6)
    rounds(toys, strategy, toys.ladder, 1, 6)
    before = copy.deepcopy({key: value for key, value in vars(strategy).items() if key != "feasible"})
    first = strategy.ask(Random(7), 6)
    assert strategy.ask(Random(7), 6) == first != strategy.ask(Random(8), 6) and len(first) == 6
    assert {key: value for key, value in vars(strategy).items() if key != "feasible"} == before


def test_telling_the_log_again_is_resuming(toys, name):
    strategy = toys.strategy(name, toys.ladder, population=6)
    trials = rounds(toys, strategy, toys.ladder, 3, 6)
    resumed = toys.strategy(name, toys.ladder, population=6)
    for start in range(0, 18, 6):
        resumed.tell(trials[start : start + 6])
    assert resumed.ask(Random(1), 6) == strategy.ask(Random(1), 6)


@pytest.mark.parametrize("spoiled", ["every third", "all"])
def test_failed_trials_are_survived_and_not_tried_again(toys, name, spoiled):
    def spoil(trial):
        if spoiled == "every third" and trial.index % 3:
            return trial
        return replace(trial, status="failed", error="out of memory", quality={})

    trials = rounds(toys, toys.strategy(name, toys.ladder, population=9), toys.ladder, 4, 9, spoil=spoil)
    assert len({trial.network for trial in trials}) == len(trials)
    assert len(trials) == 36 or (name == "local" and len(trials) > 20)  # it tries the last neighbours in a short round


def test_trials_over_budget_when_measured_are_no_parents(toys, name):
    strategy = toys.strategy(name, toys.ladder, population=6)
    rounds(toys, strategy, toys.ladder, 2, 6, spoil=lambda t: replace(t, status="infeasible"))
    assert not getattr(strategy, "best", []) and not getattr(strategy, "population", [])


def test_a_small_space_runs_out_without_an_error(toys, name):
    strategy = toys.strategy(name, toys.twins, population=6)
    trials = rounds(toys, strategy, toys.twins, 30, 6)
    networks = {build(toys.twins, arch).digest for arch in every(toys.twins)}
    assert len(networks) == 18 < len(list(every(toys.twins)))
    assert {trial.network for trial in trials} == networks and len(trials) == 18


def test_a_budget_nothing_meets_names_the_smallest_cost(toys, name):
    least = min(toys.count(build(toys.short, arch))["macs"] for arch in every(toys.short))
    with pytest.raises(InfeasibleBudget, match=rf"smallest cost there is: macs {least:.0f}\b"):
        toys.strategy(name, toys.short, "0.3K").ask(Random(0), 4)


def test_a_budget_that_only_the_very_smallest_meets_is_met(toys, name):
    """One architecture in 5 * (6 * 3)^2 or more; uniform picks meet it once in 1,620 draws."""
    least = toys.count(build(toys.ladder, smallest(toys.ladder)))["macs"]
    archs = toys.strategy(name, toys.ladder, least).ask(Random(0), 3)
    assert archs == [smallest(toys.ladder)]


def test_settings_are_frozen_and_strict(name):
    settings = STRATEGIES[name].Settings()
    assert settings.strategy == name and isinstance(settings, SearchSettings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.population = 3
    with pytest.raises(ValidationError, match="Extra inputs"):
        STRATEGIES[name].Settings(populaton=3)


# --- drawing under a budget -------------------------------------------------------------------------------


def test_a_loose_budget_leaves_uniform_picks(toys):
    """Where nearly all fit, a feasible sample is the uniform pick of the same generator."""
    feasible = toys.feasible(toys.ladder, "10G")
    assert [feasible_sample(toys.ladder, feasible, Random(s)) for s in range(20)] == [
        sample(toys.ladder, Random(s)) for s in range(20)
    ]


def test_a_budget_that_few_choices_of_blocks_meet_is_met():
    """Options without an order cannot be leaned to; none of thousands of uniform picks fits here."""
    space = Shuffle(layout="cifar", width=1.0)
    feasible = Feasible(space, Budget(macs=6.8e6, at_input="32x32"), lambda spec: {"macs": costs(spec, (32, 32)).macs})
    assert feasible(feasible_sample(space, feasible, Random(0)))


def test_limits_that_exclude_each_other_are_named(toys):
    """Wide kernels need parameters and few outputs need none: each limit can be met, both cannot."""

    def count(spec):
        return {"macs": float(spec.layers[0].op.out), "params": 100.0 - spec.layers[0].op.out}

    feasible = Feasible(toys.short, Budget(macs=10, params=70, at_input="8x8"), count)
    with pytest.raises(InfeasibleBudget, match=r"at once in 50 draws.*macs 4, params 68"):
        feasible_sample(toys.short, feasible, Random(0), limit=50)


def test_sampling_by_cost_spreads_where_uniform_picks_do_not(toys):
    feasible = toys.feasible(toys.ladder)
    cost = lambda arch: feasible.costs(arch)["macs"]  # noqa: E731
    low, high, rng = cost(smallest(toys.ladder)), 400_000.0, Random(0)
    spread = [cost(sample_by_cost(toys.ladder, cost, low, high, rng)) for _ in range(200)]
    uniform = [cost(sample(toys.ladder, rng)) for _ in range(200)]

    def share_of_fifths(values):
        return [
            sum(low + k * (high - low) / 5 <= v < low + (k + 1) * (high - low) / 5 for v in values) / 200
            for k in range(5)
        ]

    assert min(share_of_fifths(spread)) > 0.1 > min(share_of_fifths(uniform))


# --- they find what is there to find ----------------------------------------------------------------------

BUDGET = "400K"


def gains(toys, objectives, settings, measure):
    """What a strategy gains over random search with the same objectives and evaluations, for each of five seeds."""
    found = []
    for seed in range(5):
        measured = {}
        for chosen in (settings, RandomSettings()):
            feasible = toys.feasible(toys.ladder, BUDGET)
            strategy = STRATEGIES[chosen.strategy](toys.ladder, feasible, objectives, chosen)
            measured[chosen.strategy] = measure(rounds(toys, strategy, toys.ladder, 8, 20, seed))
        found.append(measured[settings.strategy] - measured["random"])
    return found


def test_evolution_beats_random_search_at_equal_budget(toys):
    """The best score after 160 evaluations, paired by seed: more than three standard errors better."""
    found = gains(toys, (toys.up,), EvolutionSettings(), lambda trials: max(t.value("score") for t in trials))
    assert statistics.mean(found) > 3 * statistics.stdev(found) / len(found) ** 0.5 > 0


def test_nsga2_beats_random_search_at_equal_budget(toys):
    """The hypervolume of the front after 160 evaluations, likewise."""

    def volume(trials):
        points = [trial.scores((toys.up, toys.macs)) for trial in trials]
        return hypervolume(points, (0.0, 400_000.0), (True, False))

    found = gains(toys, (toys.up, toys.macs), Nsga2Settings(), volume)
    assert statistics.mean(found) > 3 * statistics.stdev(found) / len(found) ** 0.5 > 0


def test_evolution_finds_the_known_optimum(toys):
    feasible = toys.feasible(toys.short, "30K")

    def score(arch):
        return -abs(arch["a.width"] - 12) - abs(arch["a.kernel"] - 3) - abs(arch["b.kernel"] - 3)

    best = max((arch for arch in every(toys.short) if feasible(arch)), key=score)
    strategy = Evolution(toys.short, feasible, (toys.up,), EvolutionSettings(parents=3))
    trials = rounds(toys, strategy, toys.short, 5, 6, spoil=lambda t: replace(t, quality={"score": score(t.arch)}))
    assert max(trials, key=lambda t: t.value("score")).arch == best and len(trials) == 30 < 54


# --- each one alone ---------------------------------------------------------------------------------------


def test_evolution_follows_the_papers_recipe(toys):
    """After the first round: 25 mutants of the ten best, 25 children of two of them."""
    strategy = toys.strategy("evolution", toys.ladder)
    first = rounds(toys, strategy, toys.ladder, 1, 50)
    top = sorted(first, key=lambda t: -t.value("score"))[:10]
    assert [t.arch for t in strategy.best] == [t.arch for t in top]
    archs = strategy.ask(Random(0), 50)

    def from_two(child):
        """Every answer is one of the parents' (children whose parents disagree on depth may also draw)."""
        return all(any(child[name] == t.arch.get(name) for t in top) for name in child)

    assert len(archs) == 50 and sum(map(from_two, archs[25:])) >= 24
    distance = [min(sum(a.get(n) != t.arch.get(n) for n in {*a, *t.arch}) for t in top) for a in archs[:25]]
    assert min(distance) >= 1 and statistics.median(distance) <= 2


def test_evolution_minimizes_when_told_to(toys):
    strategy = Evolution(toys.ladder, toys.feasible(toys.ladder), (toys.macs,), EvolutionSettings(parents=2))
    trials = rounds(toys, strategy, toys.ladder, 2, 10)
    assert [t.value("macs") for t in strategy.best] == sorted(t.value("macs") for t in trials)[:2]


@pytest.mark.parametrize(("objectives", "settings"), [(2, {}), (0, {}), (1, {"mutants": 0.7, "children": 0.7})])
def test_evolution_says_what_it_cannot_do(toys, objectives, settings):
    with pytest.raises(UserError, match=r"exactly one objective|at most 1"):
        Evolution(
            toys.ladder, toys.feasible(toys.ladder), (toys.up, toys.macs)[:objectives], EvolutionSettings(**settings)
        )


def test_nsga2_keeps_the_front_and_its_ends(toys):
    strategy = toys.strategy("nsga2", toys.ladder, population=12)
    trials = rounds(toys, strategy, toys.ladder, 4, 12)
    kept = {t.index for t in strategy.population}
    assert len(kept) == 12
    assert max(trials, key=lambda t: t.value("score")).index in kept
    assert min(trials, key=lambda t: (t.value("macs"), -t.value("score"))).index in kept


def test_feasible_remembers_and_ignores_the_order_of_answers(toys):
    calls = []
    feasible = Feasible(toys.short, Budget(), lambda spec: calls.append(spec) or {"macs": 1.0})
    arch = smallest(toys.short)
    again = Arch({name: arch[name] for name in reversed(list(arch))})
    assert feasible.costs(arch) == feasible.costs(again) == {"macs": 1.0} and len(calls) == 1
    assert feasible.network(arch) == build(toys.short, arch).digest
