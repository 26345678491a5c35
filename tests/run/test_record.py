import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from falconet.errors import UserError
from falconet.run import record as records
from falconet.run.record import Record, create, environment, opened, refuse_existing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create(tmp_path / "run", {"recipe.yaml": b"task: x\n"})
    return tmp_path / "run"


def test_a_new_run_folder_is_whole_and_alone(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["environment.json", "recipe.yaml"]
    assert [path.name for path in folder.parent.iterdir()] == ["run"]


def test_an_existing_run_is_refused_with_the_way_on(folder: Path) -> None:
    with pytest.raises(UserError, match=f"falconet resume {folder}"):
        create(folder, {"recipe.yaml": b"other"})
    assert (folder / "recipe.yaml").read_bytes() == b"task: x\n"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="not a run folder"):
        refuse_existing(tmp_path / "photos")
    with pytest.raises(UserError, match=r"has no recipe\.yaml"), opened(tmp_path / "photos"):
        pass
    with pytest.raises(UserError, match="there is no folder"), opened(tmp_path / "nowhere"):
        pass


def test_a_failed_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(records, "write_json", fail)
    with pytest.raises(OSError, match="disk full"):
        create(tmp_path / "run", {"recipe.yaml": b""})
    assert list(tmp_path.iterdir()) == []


def test_two_processes_never_work_in_one_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SECONDS_OF_PATIENCE", 0.2)
    script = (
        "import sys, time; from pathlib import Path; from falconet.run.record import opened\n"
        "with opened(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"being worked on by process {other.pid}"), opened(folder):
            pass
        os.kill(other.pid, signal.SIGKILL)
    with opened(folder) as record:  # the lock died with its process
        assert record.folder == folder


def test_half_written_files_are_swept(folder: Path) -> None:
    (folder / "stages").mkdir()
    (folder / "stages" / ".one.json.0123.partial").write_text("{")
    with opened(folder):
        assert list((folder / "stages").iterdir()) == []


def test_a_stage_is_done_when_it_says_so(folder: Path) -> None:
    with opened(folder) as record:
        assert not record.done("one")
        with pytest.raises(RuntimeError), record.stage("one"):
            raise RuntimeError
        assert not record.done("one")
        with record.stage("one") as clock:
            clock.finish({"psnr_y": 37.1})
        assert record.done("one")
        assert record.facts("one") == {"psnr_y": 37.1}
        assert record.state("one")["starts"] == 2
    lines = (folder / "log.txt").read_text().splitlines()
    assert [line.partition(" ")[2].partition(" after")[0] for line in lines] == [
        "one: begins",
        "one: goes on",
        "one: done",
    ]


def test_time_adds_up_over_processes(folder: Path) -> None:
    record = Record(folder)
    for _ in range(2):
        with record.stage("busy"):
            until = time.process_time() + 0.1
            while time.process_time() < until:
                pass
    state = record.state("busy")
    assert 0.2 / 60 <= float(str(state["core_minutes"])) < 2 / 60
    assert float(str(state["wall_minutes"])) >= 0.2 / 60


def _stage_until_killed(folder: Path) -> None:
    with Record(folder).stage("long") as clock:
        while True:
            clock.tick()
            time.sleep(0.01)


def test_time_up_to_a_kill_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SECONDS_BETWEEN_TICKS", 0.05)
    process = multiprocessing.get_context("fork").Process(target=_stage_until_killed, args=(folder,))
    process.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and float(str(Record(folder).state("long").get("wall_minutes", 0))) < 0.2 / 60:
        time.sleep(0.02)
    process.kill()
    process.join()
    state = Record(folder).state("long")
    assert not state["done"]
    assert float(str(state["wall_minutes"])) >= 0.2 / 60


def test_the_environment_says_where_and_with_what() -> None:
    found = environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    packages = found["packages"]
    assert isinstance(packages, dict) and packages["torch"]
    assert str(found["command"]).startswith("falconet")
    assert str(environment("python", "scripts/front.py")["command"]).startswith("python scripts/front.py")
    assert os.uname().nodename not in json.dumps(found).split('"')


def test_the_commit_says_when_the_source_has_changes_but_not_that_results_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, result = tmp_path / "src/falconet/run/record.py", tmp_path / "results/times.json"
    monkeypatch.setattr(records, "__file__", str(source))
    for file in (source, result):
        file.parent.mkdir(parents=True)
        file.write_text("old")
    assert records.commit() is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], check=True)
    clean = records.commit()
    assert clean and len(clean) == 12
    result.write_text("new")
    assert records.commit() == clean
    source.write_text("new")
    assert records.commit() == f"{clean}+"
