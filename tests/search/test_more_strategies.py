"""Aging evolution, local search, the predictor and Optuna's samplers: what each adds to the contract."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.evaluate.score import Budget, Objective
from falconet.search import (
    STRATEGIES,
    Feasible,
    LocalSearch,
    LocalSettings,
    OptunaSettings,
    OptunaStrategy,
    PredictorGuided,
    PredictorSettings,
    RandomSettings,
    RegularizedEvolution,
    RegularizedSettings,
    hypervolume,
)
from falconet.search.predictor_guided import Ranks
from falconet.spaces import decisions, every, neighbours


def rounds(toys, strategy, space, num_rounds, size, seed=0, spoil=lambda trial: trial):
    trials = []
    for number in range(num_rounds):
        archs = strategy.ask(Random(f"{seed}/{number}"), size)
        told = [spoil(trial) for trial in toys.evaluate(list(enumerate(archs, len(trials))), space)]
        strategy.tell(told)
        trials += told
    return trials


def best(trials):
    return max(trial.value("score") for trial in trials)


@pytest.mark.parametrize("name", ["regularized", "local"])
def test_one_objective_only(toys, name):
    cls = STRATEGIES[name]
    assert cls.Settings().improves_one
    with pytest.raises(UserError, match="exactly one objective, not score, macs; use nsga2 or predictor"):
        cls(toys.ladder, toys.feasible(toys.ladder), (toys.up, toys.macs), cls.Settings())


@pytest.mark.parametrize(("name", "settings"), [("regularized", {"alive": 20, "contest": 8}), ("local", {})])
def test_they_beat_random_search(toys, name, settings):
    gains = []
    for seed in range(5):
        feasible, found = toys.feasible(toys.ladder), []
        for cls, chosen in (
            (STRATEGIES[name], STRATEGIES[name].Settings(**settings)),
            (STRATEGIES["random"], RandomSettings()),
        ):
            strategy = cls(toys.ladder, feasible, (toys.up,), chosen)
            found.append(best(rounds(toys, strategy, toys.ladder, 12, 10, seed)))
        gains.append(found[0] - found[1])
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / 5**0.5 > 0


# --- regularized ------------------------------------------------------------------------------------------


def test_the_oldest_die_even_when_they_are_the_best(toys):
    strategy = RegularizedEvolution(
        toys.ladder, toys.feasible(toys.ladder), (toys.up,), RegularizedSettings(alive=10, contest=5)
    )
    lucky = rounds(toys, strategy, toys.ladder, 1, 5, spoil=lambda t: replace(t, quality={"score": 1e6}))
    assert strategy.population == lucky
    later = rounds(toys, strategy, toys.ladder, 2, 5, seed=1)
    assert strategy.population == later  # ten are alive: the five best of all have died


def test_its_children_have_one_answer_changed_and_good_parents(toys):
    strategy = RegularizedEvolution(
        toys.short, toys.feasible(toys.short), (toys.up,), RegularizedSettings(alive=10, contest=10)
    )
    first = rounds(toys, strategy, toys.short, 1, 10)
    parents = {t.arch for t in sorted(first, key=lambda t: -t.value("score"))[:6]}
    for child in strategy.ask(Random(1), 4):
        assert any(sum(child[n] != parent[n] for n in child) == 1 for parent in parents)


def test_a_contest_fits_into_the_population(toys):
    with pytest.raises(UserError, match="contest must be at most alive, 10, not 25"):
        RegularizedEvolution(toys.short, toys.feasible(toys.short), (toys.up,), RegularizedSettings(alive=10))


# --- local search -----------------------------------------------------------------------------------------


def test_local_search_tries_the_neighbours_of_the_best_and_starts_again_when_none_is_better(toys):
    strategy = LocalSearch(toys.short, toys.feasible(toys.short), (toys.up,), LocalSettings(starts=3))
    seen, here = {}, None
    for number in range(12):
        archs = strategy.ask(Random(number), 4)
        near = set(neighbours(toys.short, here)) - set(seen) if here else set()
        assert set(archs) <= near if near else len(archs) <= 3  # a start
        told = list(toys.evaluate(list(enumerate(archs, len(seen))), toys.short))
        strategy.tell(told)
        scores = {t.arch: t.value("score") for t in told}
        rivals = scores if not near else {here: seen[here], **scores}
        seen.update(scores)
        here = max(rivals, key=rivals.get)
        assert strategy.here.arch == here
    optimum = max(every(toys.short), key=toys.quality)
    assert toys.quality(optimum) == max(seen.values())


# --- predictor --------------------------------------------------------------------------------------------


def test_the_predictor_finds_more_than_random_search_with_one_objective_and_with_two(toys):
    def gains(objectives, measure):
        found = []
        for seed in range(3):
            feasible = toys.feasible(toys.ladder, "400K")
            results = []
            for cls, chosen in (
                (PredictorGuided, PredictorSettings(steps=6)),
                (STRATEGIES["random"], RandomSettings()),
            ):
                strategy = cls(toys.ladder, feasible, objectives, chosen)
                results.append(measure(rounds(toys, strategy, toys.ladder, 6, 10, seed)))
            found.append(results[0] - results[1])
        return found

    assert min(gains((toys.up,), best)) > 0

    def volume(trials):
        return hypervolume([t.scores((toys.up, toys.macs)) for t in trials], (0.0, 400_000.0), (True, False))

    assert min(gains((toys.up, toys.macs), volume)) > 0


def test_a_cost_that_is_not_counted_is_predicted_as_well(toys):
    slow = Objective("slow", maximize=False)
    strategy = PredictorGuided(
        toys.ladder,
        Feasible(toys.ladder, Budget(), lambda spec: {}),
        (toys.up, slow),
        PredictorSettings(first=8, steps=4),
    )

    def measured(trial):
        return replace(trial, quality={**trial.quality, "slow": trial.value("macs") ** 0.5})

    rounds(toys, strategy, toys.ladder, 3, 6, spoil=measured)
    assert set(strategy.weights) == {"score", "slow"} and len(strategy.ask(Random(0), 6)) == 6


def test_ranks_go_and_come_back():
    losses = np.array([5.0, 1.0, 1.0, 40.0, 2.0])
    ranks = Ranks.of(losses)
    assert ranks.scores[1] == ranks.scores[2] < ranks.scores[4] == 0 < ranks.scores[0] < ranks.scores[3]
    assert ranks.back(ranks.scores) == pytest.approx(losses)
    assert ranks.back(np.array([-9.0, 9.0])) == pytest.approx([-9.0, 9.0], abs=1000)
    assert ranks.back(np.array([-9.0]))[0] < 1 < 40 < ranks.back(np.array([9.0]))[0]
    assert Ranks.of(np.array([3.0, 3.0])).back(np.array([0.5])).tolist() == [3.0]


# --- optuna -----------------------------------------------------------------------------------------------

SAMPLERS = ["TPESampler", "NSGAIISampler", "QMCSampler", "RandomSampler", "CmaEsSampler"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_proposes_what_lies_in_the_space_and_resumes(toys, sampler):
    pytest.importorskip("optuna")
    if sampler == "CmaEsSampler":
        pytest.importorskip("cmaes")
    settings = OptunaSettings(sampler=sampler, options={"n_startup_trials": 4} if sampler == "TPESampler" else {})
    objectives = (toys.up,) if settings.improves_one else (toys.up, toys.macs)

    def make():
        return OptunaStrategy(toys.ladder, toys.feasible(toys.ladder, "2M"), objectives, settings)

    strategy = make()
    trials = rounds(toys, strategy, toys.ladder, 3, 6)
    assert len({trial.network for trial in trials}) == 18
    assert all(decisions(toys.ladder, trial.arch).keys() == trial.arch.keys() for trial in trials)
    again = make()
    for start in range(0, 18, 6):
        again.tell(trials[start : start + 6])
    assert again.ask(Random(3), 6) == strategy.ask(Random(3), 6)


def test_optuna_learns(toys):
    """TPE after 60 trials is better than its random first ones."""
    pytest.importorskip("optuna")
    strategy = OptunaStrategy(toys.ladder, toys.feasible(toys.ladder), (toys.up,), OptunaSettings())
    trials = rounds(toys, strategy, toys.ladder, 6, 10)
    scores = [trial.value("score") for trial in trials]
    assert np.mean(scores[-20:]) > np.mean(scores[:10]) + np.std(scores[:10])


def test_optuna_says_what_is_wrong(toys):
    pytest.importorskip("optuna")
    feasible = toys.feasible(toys.ladder)
    with pytest.raises(UserError, match=r"options do not make a TPESampler of Optuna: .*multivariat"):
        OptunaStrategy(toys.ladder, feasible, (toys.up,), OptunaSettings(options={"multivariat": True}))
    with pytest.raises(UserError, match="optuna's CmaEsSampler improves exactly one objective"):
        OptunaStrategy(toys.ladder, feasible, (toys.up, toys.macs), OptunaSettings(sampler="CmaEsSampler"))
    with pytest.raises(ValidationError, match="TPESampler"):
        OptunaSettings(sampler="TPE")
