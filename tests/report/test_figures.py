from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from falconet.evaluate.score import Cost, Trial
from falconet.report import figures
from falconet.report.evidence import history_figures, prediction_figure, rank_figure, trust_figure
from falconet.report.figures import Figure, front_figure, latency_figure, set_figure
from falconet.report.reading import Run
from falconet.report.results import Results
from falconet.report.views import MAX_CLOUD


@pytest.fixture
def run(results: Results, trials: tuple[Trial, ...]) -> Run:
    return Run(Path("runs/x"), results, trials=trials)


def marks(figure: Figure, series: str) -> list[str]:
    """The first lines of the tips of one series, in both drawings, which must agree."""
    found = []
    for drawing in (figure.wide, figure.narrow):
        groups = [group for group in ElementTree.fromstring(drawing).iter("g") if group.get("data-series") == series]
        tips = [mark.get("data-tip", "") for group in groups for mark in group if mark.get("data-tip")]
        found.append([tip.splitlines()[0] for tip in tips])
    assert found[0] == found[1]
    return found[0]


def test_the_front_shows_search_random_chosen_and_baselines(run: Run) -> None:
    figure = front_figure(run)
    assert figure is not None
    assert marks(figure, "chosen") == ["medium", "large"]
    assert marks(figure, "baseline") == ["plain 4x16", "ECB 4x16"], "only these have a validation quality and a cost"
    assert 20 < len(marks(figure, "search")) <= 30
    assert 20 < len(marks(figure, "random")) <= 30
    assert [key.series for key in figure.legend] == ["chosen", "search", "front", "random", "baseline"]
    assert figure.table is not None
    qualities = [float(row[2].text) for row in figure.table.rows]
    assert qualities == sorted(qualities), "more cost buys more quality along a front"


def test_a_measured_cloud_is_drawn_against_latency_and_a_predicted_one_is_not(run: Run) -> None:
    assert front_figure(run, "latency_ms") is None
    measured = tuple(
        replace(trial, costs={**trial.costs, "latency_ms": Cost(trial.costs["latency_ms"].value, "measured")})
        for trial in run.trials
    )
    figure = front_figure(replace(run, trials=measured), "latency_ms")
    assert figure is not None and "ms" in figure.wide


def test_a_large_search_is_thinned_evenly_and_says_so(run: Run) -> None:
    many = tuple(replace(run.trials[i % 30], index=i) for i in range(3 * MAX_CLOUD))
    figure = front_figure(replace(run, trials=many))
    assert figure is not None
    assert len(marks(figure, "search")) <= MAX_CLOUD
    assert f"at most {MAX_CLOUD:,} are drawn" in figure.caption


def test_the_test_set_is_drawn_against_both_costs(run: Run) -> None:
    macs, latency = set_figure(run), latency_figure(run)
    assert macs is not None and latency is not None
    assert marks(macs, "baseline") == ["plain 4x16", "ECB 4x16", "FSRCNN", "VDSR"]
    assert marks(latency, "baseline") == ["plain 4x16", "ECB 4x16"], "only what was timed"
    assert "Far below lies bicubic, at 33.66 dB." in macs.caption


def test_interpolation_near_the_others_is_a_line_with_its_name(run: Run) -> None:
    base = run.results.baselines[0]
    near = base.model_copy(
        update={"test": {"Set5": base.test["Set5"].model_copy(update={"metrics": {"psnr_y": 37.2}})}}
    )
    baselines = (near, *run.results.baselines[1:])
    figure = set_figure(replace(run, results=run.results.model_copy(update={"baselines": baselines})))
    assert figure is not None
    assert ">bicubic 37.20 dB<" in figure.wide and "Far" not in figure.caption


def test_the_search_over_time_never_falls(run: Run) -> None:
    found = history_figures(run)
    assert [figure.title for figure in found] == ["Best so far, ≤ 2.5 GMACs", "Best so far, ≤ 6.1 GMACs"]
    for figure in found:
        assert figure.table is not None
        for name in ("search", "random"):
            rows = [row for row in figure.table.rows if row[0].text == name]
            values = [float(row[2].text) for row in rows]
            assert values == sorted(values)
            assert rows[-1][1].text == "30", "the line goes on to the last evaluation"


def test_ranks_predictions_and_pairs_are_drawn(run: Run) -> None:
    rank, trust, prediction = rank_figure(run), trust_figure(run), prediction_figure(run)
    assert rank is not None and trust is not None and prediction is not None
    assert marks(rank, "search") == ["shared weights, all networks", "shared weights, MACs ±10 %"]
    assert marks(rank, "random") == ["MACs alone, all networks", "MACs alone, MACs ±10 %"]
    assert len(marks(trust, "search")) == 24
    assert marks(prediction, "chosen") == ["net0", "net1"]
    assert "median error is 4%" in prediction.caption


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_values_that_cannot_be_drawn_cost_only_their_own_mark(run: Run, value: float) -> None:
    large = run.results.models[1].model_copy(update={"costs": {"macs": value}})
    trial = replace(run.trials[0], costs={"macs": Cost(value, "counted")})
    odd = run.results.model_copy(update={"models": (run.results.models[0], large)})
    figure = front_figure(replace(run, results=odd, trials=(trial, *run.trials[1:])))
    assert figure is not None
    assert marks(figure, "chosen") == ["medium"]
    assert "nan" not in figure.wide.lower()


def test_an_empty_run_has_no_figures() -> None:
    run = Run(Path("runs/x"))
    assert history_figures(run) == []
    for draw in (front_figure, set_figure, latency_figure, rank_figure, trust_figure, prediction_figure):
        assert draw(run) is None


def test_quality_ticks_have_as_few_digits_as_tell_them_apart(run: Run) -> None:
    assert [words for _, words in figures.quality_axis(run, [36.2, 37.0]).ticks] == [
        "36.2",
        "36.4",
        "36.6",
        "36.8",
        "37.0",
    ]
    assert all(len(words) == 5 for _, words in figures.quality_axis(run, [36.91, 36.97]).ticks)
    narrow = figures.quality_axis(run, [36.900, 36.903])
    assert narrow.high - narrow.low > 0.1, "three thousandths of a dB must not look like a difference"
