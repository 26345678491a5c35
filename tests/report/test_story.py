"""Sentences and tables, from made-up results."""

from dataclasses import replace
from pathlib import Path

import pytest

from falconet.evaluate.score import Trial
from falconet.report import tables, views
from falconet.report.commands import next_commands, usage
from falconet.report.reading import Run
from falconet.report.results import Comparison, Interval, Results, SearchResult, SetScore, Stage
from falconet.report.story import headline, model_words, tiles, unfinished, unmeasured
from falconet.report.verdict import rank_words, search_verdict


@pytest.fixture
def run(results: Results, trials: tuple[Trial, ...]) -> Run:
    return Run(Path("runs/x"), results, trials=trials, stages=results.stages, data={"validation": ["a", "b"]})


def changed(run: Run, **update: object) -> Run:
    return replace(run, results=run.results.model_copy(update=update))


def test_the_headline_says_what_was_found_and_against_what(run: Run) -> None:
    found = headline(run)
    assert found.title == "A 2.4 GMACs network that scores 37.1 dB on Set5"
    assert found.lead == (
        "That is 3.44 dB above bicubic enlargement. "
        "It is 255 times cheaper than VDSR, counted in multiply-accumulates, and 0.43 dB below it."
    )


def test_the_headline_without_test_sets_speaks_of_validation(run: Run) -> None:
    model = run.results.models[0].model_copy(update={"test": {}})
    assert headline(changed(run, models=(model,))).title.endswith("scores 37.0 dB on 2 validation pictures")
    inherited = model.model_copy(update={"final": {}, "weights": ""})
    found = headline(changed(run, models=(inherited,)))
    assert found.title.endswith("scores 36.4 dB on 2 validation pictures")
    assert "the weights it inherited; it has not had its final training yet" in found.lead
    brief = headline(changed(run, models=(inherited,), judged_with="proxy"))
    assert "Measured with a short training of its own" in brief.lead


def test_the_headline_of_a_search_in_progress_says_so_far(run: Run) -> None:
    best = max(trial.quality["psnr_y"] for trial in run.trials if trial.proposer == "nsga2")
    found = headline(changed(run, models=()))
    assert found.title.startswith("Best of 30 networks so far") and f"{best:.2f} dB" in found.title
    assert "nothing has been measured" in headline(Run(Path("runs/x"))).title


def test_a_network_no_better_than_interpolation_is_not_praised(run: Run) -> None:
    same = run.results.models[0].model_copy(
        update={"test": {"Set5": SetScore(metrics={"psnr_y": 33.66}, num_images=5)}}
    )
    assert "That is what bicubic enlargement gives." in headline(changed(run, models=(same,))).lead
    worse = same.model_copy(update={"test": {"Set5": SetScore(metrics={"psnr_y": 33.16}, num_images=5)}})
    assert "0.50 dB below bicubic" in headline(changed(run, models=(worse,))).lead


def test_an_article_fits_its_number(run: Run) -> None:
    model = run.results.models[0].model_copy(update={"costs": {"macs": 8.1e9}})
    assert headline(changed(run, models=(model,))).title.startswith("An 8.1 GMACs")


def test_tiles_show_cost_quality_and_time(run: Run) -> None:
    assert [tile.value for tile in tiles(run)] == ["2.4 GMACs", "10.4 K", "53 ms", "37.10 dB", "60", "1 h 50 min"]


def test_a_search_ahead_in_one_run_is_not_called_a_winner(run: Run) -> None:
    verdict = search_verdict(run)
    assert verdict is not None and verdict.word == "Ahead, in this run"
    text = " ".join(verdict.sentences)
    assert (
        "With at most 2.5 GMACs, the best network found scores 36.97 dB; random search found 36.93 dB (+0.04 dB)."
        in text
    )
    assert "cannot tell skill from luck" in text


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [(0.01, 0.05, "The search won"), (-0.02, 0.03, "A tie"), (-0.05, -0.01, "Random search won")],
)
def test_a_measured_interval_decides_who_won(run: Run, low: float, high: float, word: str) -> None:
    interval = Interval(low=low, high=high)
    one = Comparison(
        left="search", right="random", difference=(low + high) / 2, interval=interval, about="search_vs_random"
    )
    verdict = search_verdict(changed(run, comparisons=(one,)))
    assert verdict is not None and verdict.word == word


def test_equal_searches_are_a_tie_and_one_alone_is_no_contest(run: Run) -> None:
    ours, random = run.results.searches
    tie = random.model_copy(update={"best": ours.best, "hypervolume": ours.hypervolume})
    verdict = search_verdict(changed(run, searches=(ours, tie)))
    assert verdict is not None and verdict.word == "A tie"
    assert search_verdict(changed(run, searches=(ours,))) is None


def test_ranking_is_said_in_cases_out_of_a_hundred(run: Run) -> None:
    assert run.results.rank_correlation is not None
    text = rank_words(run.results.rank_correlation)
    assert "name the better one in 89 of 100 cases (MACs alone: 83)" in text  # (1 + 0.78) / 2, (1 + 0.66) / 2
    assert "0.41: better than chance" in text


def test_a_finished_run_lacks_nothing(run: Run) -> None:
    assert unfinished(run) == []
    assert unmeasured(run) == []


def test_the_stage_that_writes_the_report_does_not_count_as_unfinished(run: Run) -> None:
    assert unfinished(replace(run, stages=(Stage(name="report", done=False),))) == []


def test_what_is_missing_is_said(run: Run) -> None:
    stages = (Stage(name="supernet", done=False, steps=1200, planned_steps=4000),)
    searches = (SearchResult(id="search-1", strategy="nsga2", evaluations=120, planned_evaluations=300),)
    waiting = run.results.models[0].model_copy(update={"final": {}, "weights": ""})
    found = unfinished(replace(changed(run, searches=searches, models=(waiting,)), stages=stages))
    assert found == [
        "Stage “supernet” has done 1,200 of 4,000 steps.",
        "Search “search-1” (nsga2) has made 120 of 300 evaluations.",
        "No training of its own yet: medium.",
    ]
    small_space = replace(changed(run, searches=searches), stages=(Stage(name="search-1.nsga2"),))
    assert unfinished(small_space) == [], "a space may hold fewer networks than the search was allowed"
    assert next_commands(run)[0].text == f"falconet resume {run.folder.resolve().parent.name}/x"


def test_what_was_not_measured_is_said(run: Run) -> None:
    models = tuple(model.model_copy(update={"test": {}, "latency": None}) for model in run.results.models)
    found = " ".join(unmeasured(changed(run, models=models, rank_correlation=None, cost_prediction=None)))
    assert all(words in found for words in ("test set", "latency on a runtime", "shared weights rank", "predicted"))
    alone = tuple(trial for trial in run.trials if trial.proposer == "nsga2")
    assert "random search of equal budget" in " ".join(unmeasured(replace(run, trials=alone)))


def test_trials_belong_to_the_search_or_to_its_baseline(run: Run) -> None:
    for known in (run, changed(run, searches=(), search="")):
        assert {trial.proposer for trial in views.trials_of(known, "search")} == {"nsga2"}
        assert {trial.proposer for trial in views.trials_of(known, "random_baseline")} == {"random"}
    only_random = tuple(trial for trial in run.trials if trial.proposer == "random")
    alone = changed(replace(run, trials=only_random), searches=())
    assert len(views.trials_of(alone, "search")) == 30, "a search that draws at random is no baseline of itself"


def test_failed_and_infinite_trials_are_left_out_and_counted(run: Run) -> None:
    trials = [*run.trials]
    trials[0] = replace(trials[0], status="failed", error="diverged")
    trials[1] = replace(trials[1], status="infeasible")
    trials[2] = replace(trials[2], quality={"psnr_y": float("nan")})
    odd = replace(run, trials=tuple(trials))
    assert len(views.trials_of(odd, "search")) == 27
    table = tables.search_table(odd)
    assert table is not None
    assert table.rows[0][table.headers.index("Set aside")].text == "1 over budget, 1 failed"


def test_commands_name_the_folder_without_its_home_and_quote_it() -> None:
    run = Run(Path("/somewhere/runs/my run; rm -rf x"), recipe_text="seed: 0")
    texts = [command.text for command in (*usage(run), *next_commands(run))]
    assert all("somewhere" not in text for text in texts)
    assert "falconet report 'runs/my run; rm -rf x'" in texts


def test_a_card_says_what_training_added(run: Run) -> None:
    words = model_words(run, run.results.models[0])
    assert words == (
        "2.4 GMACs, 10.4 K parameters and 29.5 MB; chosen for ≤ 2.5 GMACs; "
        "its final training added +0.56 dB to the weights it inherited."
    )


def test_columns_in_which_nothing_stands_are_left_out(run: Run) -> None:
    full = tables.score_table(run)
    assert full is not None and "Latency" in full.headers
    strip = {"latency": None, "core_minutes": None}
    bare = changed(
        run,
        models=tuple(one.model_copy(update=strip) for one in run.results.models),
        baselines=tuple(one.model_copy(update=strip) for one in run.results.baselines),
    )
    table = tables.score_table(bare)
    assert table is not None
    assert "Latency" not in table.headers and "Training" not in table.headers
    assert {len(row) for row in table.rows} == {len(table.headers)}
    assert tables.score_table(Run(Path("x"))) is None


def test_a_comparison_prints_its_interval_and_verdict(run: Run) -> None:
    table = tables.comparison_table(run)
    assert table is not None
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[0] == ["medium against ECB 4x16", "BSD100", "+0.031 dB", "+0.012 … +0.050 (95%)", "100", "3", "ahead"]
    assert texts[1][-1] == "tie"


def test_facts_are_flattened_whole() -> None:
    facts = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": "f"}], "g": None, "h": False}
    assert tables.flat_facts(facts) == [("a.b", "1"), ("a.c", "1, 2"), ("d.0.e", "f"), ("h", "False")]


def test_fronts_and_running_bests_by_hand() -> None:
    assert views.staircase([(2, 5), (1, 4), (3, 5), (4, 7), (2, 3)]) == [(1, 4), (2, 5), (4, 7)]
    assert views.best_so_far([(1, 30.0), (2, 29.0), (3, 31.0), (4, 31.0)]) == [(1, 30.0), (3, 31.0)]
