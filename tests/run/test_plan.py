import shutil
from pathlib import Path

import pytest

from falconet.errors import UserError
from falconet.evaluate import InfeasibleBudget
from falconet.graph import Conv, Draft, NetSpec, PixelShuffle, PixelUnshuffle
from falconet.run import Recipe
from falconet.run.plan import Plan, check_feasible, describe, make_plan
from falconet.run.progress import Silent
from falconet.run.recipe import parse
from falconet.run.wanted import counter, main_cost, objectives, wanted
from falconet.spaces import Pick, Space, build, largest, smallest


@pytest.fixture(scope="module")
def planned(tiny: Recipe) -> Plan:
    return make_plan(tiny, Silent())


def test_the_plan_counts_the_space_and_its_costs(tiny: Recipe, planned: Plan) -> None:
    assert planned.space_size.count == 2 * 2 * 2
    assert planned.space_size.exact
    count = counter(tiny)
    macs = planned.costs["macs"]
    assert macs.min == count(build(tiny.space, smallest(tiny.space)))["macs"]
    assert macs.max == count(build(tiny.space, largest(tiny.space)))["macs"]
    assert macs.min < macs.median < macs.max
    assert set(planned.costs) == {"macs", "params", "peak_activation_bytes", "latency_ms"}


def test_the_plan_reads_back_equal(planned: Plan) -> None:
    assert Plan.model_validate_json(planned.text()) == planned


def test_steps_are_kept_and_minutes_become_steps_once(tiny: Recipe, tiny_text: str, planned: Plan) -> None:
    assert planned.steps == {"supernet": 6, "macs-3M": 5, "macs-8M": 5}
    timed = make_plan(parse(tiny_text, overrides=["supernet.minutes=0.5"]), Silent())
    assert timed.steps["supernet"] == round(30 / timed.seconds_per_step["supernet"])
    assert timed.minutes["supernet"] == pytest.approx(0.5, rel=0.01)


def test_a_search_on_a_trained_supernet_keeps_its_steps_and_latencies(tiny_text: str, planned: Plan) -> None:
    other = make_plan(parse(tiny_text, overrides=["supernet.steps=99", "final.at=[5M]"]), Silent(), earlier=planned)
    assert other.steps == {"supernet": 6, "macs-5M": 5}
    assert "supernet" not in other.minutes
    assert other.latency == planned.latency


@pytest.mark.parametrize("override", ["budget.macs=10K", "budget.params=100", "final.at=[10K]"])
def test_a_budget_nothing_can_meet_names_the_smallest_cost(tiny_text: str, override: str) -> None:
    with pytest.raises(InfeasibleBudget, match=r"(2\.65M|336)"):
        check_feasible(parse(tiny_text, overrides=[override]))


def test_a_latency_nothing_can_meet_is_told_after_timing(tiny_text: str) -> None:
    with pytest.raises(InfeasibleBudget, match="latency_ms"):
        make_plan(parse(tiny_text, overrides=["budget.latency_ms=0.000001"]), Silent())


def test_what_cannot_be_read_is_named_at_once_and_many_are_counted(
    tiny_text: str, small_photos: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]
    photos = Path(shutil.copytree(small_photos, tmp_path / "photos"))
    for name in ["broken.png", *(f"more{n:02}.jpg" for n in range(11))]:
        (photos / name).write_text("no picture")
    make_plan(parse(tiny_text, overrides=[f"data.train={photos}"]), progress)
    assert said[0] == f"left out {photos / 'broken.png'}: not a picture, or of an unknown format"
    assert said[10] == "... and 2 files more"
    assert said[11].startswith("planning")


def test_a_strategy_that_cannot_work_is_told_before_anything_is_trained(tiny_text: str) -> None:
    wrong = "search={strategy: regularized, alive: 5, contest: 9}"
    with pytest.raises(UserError, match="contest must be at most alive, 5, not 9"):
        make_plan(parse(tiny_text, overrides=[wrong]), Silent())


def test_an_empty_folder_is_told(tiny_text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UserError, match="holds no picture"):
        make_plan(parse(tiny_text, overrides=[f"data.train={empty}"]), Silent())


def test_a_missing_test_folder_is_told_before_anything_is_trained(tiny_text: str) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        make_plan(parse(tiny_text, overrides=["data.test.Set5=nowhere"]), Silent())


def wrong(scale: int = 2, channels: int = 1, fold: int = 1) -> Space:
    """A space for another scale, for other colours, or of networks that need sides of a multiple of `fold`."""

    def space(pick: Pick) -> NetSpec:
        d = Draft(x=channels)
        y = d.layer("fold", PixelUnshuffle(fold), "x") if fold > 1 else "x"
        y = d.layer("head", Conv(pick("width", (1, 2))), y)
        y = d.layer("tail", Conv(channels * (fold * scale) ** 2), y)
        return d.build(d.layer("up", PixelShuffle(fold * scale), y))

    return space


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            wrong(scale=3),
            r"of 1x16x16 a network of this space makes 1x48x48, but the task super_resolution wants 1x32x32",
        ),
        (wrong(channels=3), r"take x \(3 channels\), but the task super_resolution gives x \(1 channel\)"),
        (wrong(fold=2), "cannot take a picture of 47x61 pixels: layer 'fold'"),
    ],
)
def test_a_space_that_does_not_suit_the_task_is_told(tiny: Recipe, space: Space, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_plan(tiny.model_copy(update={"space": space}), Silent())


def test_the_plan_in_words(tiny: Recipe, planned: Plan) -> None:
    text = "\n".join(describe(tiny, planned))
    assert "holds 8 architectures" in text
    assert "The budget can be met." in text
    assert "supernet" in text


def test_a_space_far_above_the_budget_is_noted(tiny_text: str) -> None:
    planned = make_plan(parse(tiny_text, overrides=["budget.macs=3M", "final.at=[]"]), Silent())
    assert "times the budget of macs" in planned.notes[0]


def test_what_is_wanted(tiny_text: str) -> None:
    def names(*overrides: str) -> list[str]:
        return list(wanted(parse(tiny_text, overrides=list(overrides))))

    assert names() == ["macs-3M", "macs-8M"]
    assert names("final.at=[]") == ["macs-8M"]
    assert names("final.at=[5M, 20M]") == ["macs-5M", "macs-8M"]
    assert names("budget={params: 1K}", "final.at=[500]") == ["params-500"]
    assert names("budget={}", "final.at=[]") == ["best"]
    assert names("budget={at_output: 64x64}", "final.at=[5M]") == ["macs-5M"]


def test_what_is_improved(tiny_text: str) -> None:
    recipe = parse(tiny_text)
    assert [(goal.name, goal.maximize) for goal in objectives(recipe)] == [("psnr_y", True), ("macs", False)]
    assert main_cost(parse(tiny_text, overrides=["budget={params: 1K}"])) == "params"
    assert len(objectives(parse(tiny_text, overrides=["search.strategy=evolution"]))) == 1
