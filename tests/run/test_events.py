"""What the progress bars show, as TensorBoard reads it."""

from pathlib import Path

import pytest

from falconet.run import events
from falconet.run.progress import Silent


def test_the_figures_of_a_task_become_curves(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    progress = events.with_events(Silent(), tmp_path)
    with progress.task("search (nsga2)", total=3) as update:
        update(1, psnr_y=30.0, front=1)
        update(3, psnr_y=31.0, front=2)
    read = EventAccumulator(str(tmp_path / "events"))
    read.Reload()
    assert [(point.step, point.value) for point in read.Scalars("search (nsga2)/psnr_y")] == [(1, 30.0), (3, 31.0)]
    assert [point.value for point in read.Scalars("search (nsga2)/front")] == [1, 2]


def test_without_tensorboard_progress_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    progress = Silent()
    assert events.with_events(progress, tmp_path) is progress
    assert not list(tmp_path.iterdir())
