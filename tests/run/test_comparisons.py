"""Rivals trained beside the search, and networks trained alone to see how far the supernet's ranking can be trusted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from falconet.errors import UserError
from falconet.report import read_results
from falconet.run import pipeline
from falconet.run.recipe import dump, parse

MORE = """
trust: {networks: 4, steps: 3, batch: 2, precision: float32}
rivals:
  random: true
  nets:
    - {net: plain_sr, options: {depth: 1, width: 4}, steps: 3, batch: 2, precision: float32}
    - {net: ecbsr, options: {blocks: 1, width: 4, activation: relu}, steps: 3, batch: 2, precision: float32}
"""


@pytest.fixture(scope="module")
def compared(tiny_text: str, small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "compared"
    pipeline.run(parse(tiny_text + MORE, overrides=[_test_set(small_photos)]), folder)
    return folder


def test_rivals_stand_beside_the_searched_networks(compared: Path) -> None:
    baselines = {one.name: one for one in read_results(compared).baselines}
    plain, ecb = baselines["plain_sr-1-4"], baselines["ecbsr-1-4-relu"]
    assert (plain.kind, ecb.kind) == ("plain", "ecb")
    assert plain.costs["macs"] == ecb.costs["macs"] == (9 * 4 + 9 * 16 + 9 * 16) * 128 * 64
    assert plain.final["psnr_y"] > 10
    assert "plain_sr-1-4" in (compared / "report.html").read_text()


def test_the_best_of_the_random_search_is_trained_too(compared: Path) -> None:
    results = read_results(compared)
    drawn = [one for one in results.baselines if one.kind == "random_search"]
    same = [note for note in results.notes if "which the search found too" in note]
    assert len(drawn) + len(same) == len(results.models)
    for one in drawn:
        assert one.final["psnr_y"] > 10
        assert one.costs["macs"] <= max(model.budget["macs"] for model in results.models)
        assert one.title in (compared / "report.html").read_text()


def test_trust_is_measured_on_networks_trained_alone(compared: Path) -> None:
    found = read_results(compared).rank_correlation
    assert found is not None
    assert len(found.points) == len({point.network for point in found.points}) == 4
    assert {row.predictor for row in found.rows} == {"inherited quality", "MACs alone"}
    assert all(-1 <= row.value <= 1 for row in found.rows)


def test_side_by_side_they_come_out_the_same(compared: Path, tmp_path: Path) -> None:
    """Rivals and networks for trust in processes of their own; kept networks have a test in test_pipeline."""
    folder = tmp_path / "two"
    shutil.copytree(compared, folder)
    for name in ("rival.plain_sr-1-4", "rival.ecbsr-1-4-relu", "trust.2", "trust.3"):
        (folder / "stages" / f"{name}.json").unlink()
        shutil.rmtree(folder / "checkpoints" / name)
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("workers: 1", "workers: 2"))
    pipeline.resume(folder)
    for name in ("rival.plain_sr-1-4", "rival.ecbsr-1-4-relu"):
        kept = f"checkpoints/{name}/kept.safetensors"
        assert (folder / kept).read_bytes() == (compared / kept).read_bytes()
    assert read_results(folder).rank_correlation == read_results(compared).rank_correlation


def test_seeds_are_compared_picture_by_picture(
    compared: Path, tiny_text: str, small_photos: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    pipeline.run(parse(tiny_text + MORE, overrides=[_test_set(small_photos), "seed=7", "trust.networks=0"]), other)
    done = _compare(compared, other, "--out", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    runs, rows = [read_results(folder) for folder in (compared, other)], found["differences"]
    assert {"bicubic", "plain_sr-1-4", "ecbsr-1-4-relu"} <= {row["rival"] for row in rows}
    row = next(row for row in rows if row["rival"] == "bicubic" and row["model"] == runs[0].models[0].name)
    means = [one.test[row["data"]].metrics["psnr_y"] for run in runs for one in (run.models[0], run.baselines[0])]
    assert row["mean"] == pytest.approx((means[0] - means[1] + means[2] - means[3]) / 2)
    again = _compare(compared, compared, "--out", tmp_path / "twice.json")
    assert again.returncode == 1 and "different seeds" in again.stderr


def _test_set(folder: Path) -> str:
    return f"data.test.Photos={folder}"


def _compare(*arguments: object) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "scripts" / "compare_seeds.py"
    return subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True)


def test_a_finished_run_trains_nothing_again(compared: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (compared / "checkpoints").rglob("*.safetensors")}
    pipeline.resume(compared)
    assert before == {path: path.stat().st_mtime_ns for path in (compared / "checkpoints").rglob("*.safetensors")}


def test_the_plan_counts_comparisons(compared: Path) -> None:
    plan = (compared / "plan.json").read_text()
    assert '"rival.plain_sr-1-4": 3' in plan
    assert '"trust"' in plan


def test_comparisons_are_written_back_as_they_were_read(tiny_text: str) -> None:
    recipe = parse(tiny_text + MORE)
    assert parse(dump(recipe)) == recipe


def test_an_unknown_rival_is_refused_with_the_nearest_name(tiny_text: str) -> None:
    with pytest.raises(UserError, match="did you mean plain_sr"):
        parse(tiny_text + "\nrivals: {nets: [{net: plain_rs, steps: 1}]}\n")
