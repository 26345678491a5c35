import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.report import Results, read_results, write_results
from falconet.report.results import BaselineResult, Comparison, Interval, ModelResult, SetScore, with_model


def test_what_is_written_reads_back_equal(tmp_path: Path, results: Results) -> None:
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results


def test_a_folder_without_results_has_empty_ones(tmp_path: Path) -> None:
    assert read_results(tmp_path) == Results()


def test_a_perfect_picture_survives_the_file(tmp_path: Path) -> None:
    score = SetScore(metrics={"psnr_y": float("inf")}, num_images=1)
    results = Results(baselines=(BaselineResult(name="same", test={"Set": score}),))
    write_results(tmp_path, results)
    assert read_results(tmp_path) == results
    json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)  # plain JSON has no Infinity


def test_a_file_of_another_kind_is_named_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"models": [{"nam": "x"}]}')
    with pytest.raises(UserError, match=r"results\.json .* at models\.0\.name"):
        read_results(tmp_path)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Results.model_validate({"modells": []})


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.03, "ahead"), (-0.03, -0.01, "behind"), (-0.01, 0.02, "tie"), (0.0, 0.02, "tie")],
)
def test_the_interval_decides(low: float, high: float, verdict: str) -> None:
    interval = Interval(low=low, high=high)
    assert Comparison(left="a", right="b", difference=(low + high) / 2, interval=interval).verdict == verdict


def test_without_an_interval_nothing_is_decided() -> None:
    assert Comparison(left="a", right="b", difference=3.0).verdict == "open"


def test_a_model_takes_the_place_of_its_name(results: Results) -> None:
    changed = with_model(results, ModelResult(name="medium", steps=7))
    assert [model.name for model in changed.models] == ["medium", "large"]
    assert changed.models[0].steps == 7
    assert [model.name for model in with_model(results, ModelResult(name="new")).models] == ["medium", "large", "new"]
