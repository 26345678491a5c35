"""The loop: one log, killed anywhere, ends the same."""

import json
from dataclasses import replace
from random import Random

import pytest

from falconet.errors import UserError
from falconet.evaluate.score import Cost
from falconet.search import read_trials, search


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


SETTINGS = {"evaluations": 14, "round_size": 5, "seed": 3, "search_id": "s"}


@pytest.fixture
def run(toys, name, tmp_path):
    """Runs a search in rounds of 5, 5, 4; killed after `kill` new trials; results come in `order`."""

    def run(log, kill=None, order=lambda tasks: tasks, **changes):
        evaluated = []

        def evaluate(tasks):
            for trial in toys.evaluate(order(list(tasks)), toys.ladder):
                if len(evaluated) == kill:
                    raise Killed
                evaluated.append(trial.index)
                yield replace(trial, seconds=Random().random())

        strategy = toys.strategy(name, toys.ladder, population=5)
        trials = search(strategy, evaluate, tmp_path / log, **{**SETTINGS, "proposer": name, **changes})
        return trials, evaluated

    return run


def lines(path):
    """The log without the one thing that may differ."""
    return [{**json.loads(line), "seconds": None} for line in path.read_text().splitlines()]


def test_a_search_killed_between_any_two_trials_ends_the_same(run, tmp_path):
    whole, evaluated = run("whole")
    assert evaluated == list(range(14)) and [t.round for t in whole] == [0] * 5 + [1] * 5 + [2] * 4
    for kill in range(14):
        with pytest.raises(Killed):
            run(f"log{kill}", kill=kill)
        trials, again = run(f"log{kill}")
        assert again == list(range(kill, 14))
        assert lines(tmp_path / f"log{kill}") == lines(tmp_path / "whole")
        assert [replace(t, seconds=0) for t in trials] == [replace(t, seconds=0) for t in whole]


def test_a_search_killed_within_a_line_ends_the_same(run, tmp_path):
    run("whole")
    text = (tmp_path / "whole").read_bytes()
    for cut in Random(0).sample(range(len(text)), 8):
        (tmp_path / "torn").write_bytes(text[:cut])
        run("torn")
        assert lines(tmp_path / "torn") == lines(tmp_path / "whole")


def test_the_order_in_which_workers_finish_does_not_matter(run, tmp_path):
    whole, _ = run("whole")
    mixed, evaluated = run("mixed", order=lambda tasks: Random(len(tasks)).sample(tasks, len(tasks)))
    assert evaluated != sorted(evaluated)
    assert [replace(t, seconds=0) for t in mixed] == [replace(t, seconds=0) for t in whole]
    with pytest.raises(Killed):
        run("both", kill=8, order=lambda tasks: tasks[::-1])
    assert sorted(run("both")[1]) != list(range(8, 14))  # the missing indices are not simply the last
    assert sorted(map(json.dumps, lines(tmp_path / "both"))) == sorted(map(json.dumps, lines(tmp_path / "whole")))


def test_several_searches_share_a_log(run, tmp_path):
    first, _ = run("log")
    second, evaluated = run("log", search_id="t", seed=4)
    baseline, _ = run("log", proposer="baseline")
    assert len(evaluated) == 14 and [t.arch for t in second] != [t.arch for t in first]
    assert [t.arch for t in baseline] == [t.arch for t in first]  # the same seed and strategy, told apart by name
    assert run("log")[1] == run("log", search_id="t", seed=4)[1] == []
    kept = read_trials(tmp_path / "log")
    assert len(kept) == 42 and kept[:14] == first and kept[14:28] == second


def test_on_trial_sees_all_of_them_the_logged_ones_too(run):
    fresh, again = [], []
    run("log", on_trial=fresh.append)
    run("log", on_trial=again.append)
    assert fresh == again and [trial.index for trial in fresh] == list(range(14))


def test_a_log_of_other_settings_is_refused_and_kept(run, tmp_path):
    run("log")
    before = (tmp_path / "log").read_bytes()
    with pytest.raises(UserError, match="another network for trial 0 of search 's'"):
        run("log", seed=9)
    assert (tmp_path / "log").read_bytes() == before


def test_a_search_goes_on_for_longer(run):
    """From 10 evaluations to 15: whole rounds are found again."""
    first, _ = run("log", evaluations=10)
    longer, evaluated = run("log", evaluations=15)
    assert evaluated == list(range(10, 15)) and longer[:10] == first


def test_it_ends_when_the_strategy_knows_no_more(toys, name, tmp_path):
    strategy = toys.strategy(name, toys.twins, population=6)
    trials = search(
        strategy, lambda tasks: toys.evaluate(tasks, toys.twins), tmp_path / "log",
        evaluations=500, round_size=6, seed=0, search_id="s", proposer=name,
    )  # fmt: skip
    assert len(trials) == 18


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_become_failed_trials(toys, name, tmp_path, value):
    def evaluate(tasks):
        for trial in toys.evaluate(tasks, toys.ladder):
            yield replace(trial, quality={"score": value}) if trial.index % 4 == 1 else trial

    strategy = toys.strategy(name, toys.ladder, population=6)
    trials = search(strategy, evaluate, tmp_path / "log", **{**SETTINGS, "proposer": name})
    assert [t.index for t in trials if t.status == "failed"] == [1, 5, 9, 13]
    assert (
        trials[1].error == f"score is {value}"
        and trials[1].quality == {}
        and trials[1].costs["macs"] == Cost(trials[1].value("macs"), "counted")
    )
    assert read_trials(tmp_path / "log") == trials


def test_an_evaluator_that_forgets_or_repeats_is_our_own_mistake(toys, tmp_path):
    for wrong, message in ((lambda trials: trials[:-1], "left out"), (lambda trials: trials + trials[:1], "once")):
        strategy = toys.strategy("random", toys.ladder)

        def evaluate(tasks, wrong=wrong):
            return wrong(list(toys.evaluate(tasks, toys.ladder)))

        with pytest.raises(AssertionError, match=message):
            search(strategy, evaluate, tmp_path / message, **{**SETTINGS, "proposer": "random"})


def test_an_edited_log_names_its_line(run, tmp_path):
    run("log")
    text = (tmp_path / "log").read_text().splitlines(keepends=True)
    (tmp_path / "log").write_text("".join([*text[:3], "surprise\n", *text[3:]]))
    with pytest.raises(UserError, match=r"line 4 of .*log is not a trial"):
        read_trials(tmp_path / "log")
    assert read_trials(tmp_path / "none") == []
