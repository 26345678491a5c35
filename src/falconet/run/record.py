"""The run folder: everything a run knows, and all that is needed to go on after a crash.

    runs/NAME/
      recipe.yaml        the resolved recipe (reads back equal)
      environment.json   versions, machine, command line, date
      stages/NAME.json   one per stage: done or not, what it found, minutes spent (kept over resumes)
      clock.json         minutes spent by all processes together, what lies between the stages included
      log.txt            one dated line per event, for people
      lock               held by the process that works here

Files are written beside and renamed, so a kill at any instant leaves the old file or the new one. The folder itself
appears whole too: it is filled under another name and renamed. Two processes never work in one folder: the lock belongs
to the operating system and dies with the process, so there is nothing to clean up after a crash.

Left out on purpose: what the stages write (their own modules say), any database, and the lock on Windows, which has
another kind.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, TypeAlias

from falconet.errors import UserError
from falconet.files import append_line, write_bytes, write_json

if sys.platform != "win32":
    import fcntl
    import resource

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

SECONDS_BETWEEN_TICKS = 10.0
SECONDS_OF_PATIENCE = 3.0


@dataclass(frozen=True)
class Record:
    """An open run folder, made by `opened`. Helpers in processes of their own make one without lock and log."""

    folder: Path
    lock: int | None = None  # the file descriptor that holds the lock
    keeps_log: bool = True
    whole: Clock | None = None  # of all the process does here

    def path(self, *parts: str) -> Path:
        """The path of a file of this run: record.path("models", "small")."""
        return self.folder.joinpath(*parts)

    def log(self, text: str) -> None:
        """Append one dated line to log.txt."""
        if self.keeps_log:
            append_line(self.path("log.txt"), f"{now()} {text}")

    def done(self, stage: str) -> bool:
        """Whether the stage has finished, in this process or in an earlier one."""
        return bool(self.state(stage).get("done"))

    def state(self, stage: str) -> dict[str, Json]:
        """What stages/STAGE.json says; empty when the stage never began."""
        return read_json(self.path("stages", f"{stage}.json")) or {}

    def facts(self, stage: str) -> dict[str, Json]:
        """What a finished stage wrote down with `Clock.finish`."""
        facts = self.state(stage).get("facts")
        assert isinstance(facts, dict), f"stage {stage} has not finished"
        return facts

    @contextmanager
    def stage(self, name: str) -> Iterator[Clock]:
        """Keep the time of one stage while the block runs.

        The block calls `clock.finish(facts)` when its results are on disk; a block that ends without it (an error, a
        kill) leaves the stage to be taken up again, with the minutes spent so far.
        """
        clock = Clock(self.path("stages", f"{name}.json"), self.state(name), self.whole)
        self.log(f"{name}: begins" if clock.starts == 1 else f"{name}: goes on")
        try:
            yield clock
        finally:
            clock.write()
        if clock.done:
            self.log(f"{name}: done after {clock.wall_minutes:.1f} min ({clock.core_minutes:.1f} core-minutes)")


class Clock:
    """The time one stage has taken, added up over every process that worked on it.

    Written to disk every ten seconds from `tick`, so that a killed run loses at most that much of its bookkeeping.
    """

    def __init__(self, path: Path, state: Mapping[str, Json], whole: Clock | None = None) -> None:
        self._path = path
        self._whole = whole
        self._facts: Mapping[str, Json] = {}
        self.done = False
        self.starts = _number(state, "starts", 0) + 1
        self._wall_before = float(_number(state, "wall_minutes", 0)) * 60
        self._core_before = float(_number(state, "core_minutes", 0)) * 60
        self._wall_start = time.monotonic()
        self._core_start = core_seconds()
        self._written = -SECONDS_BETWEEN_TICKS
        self.write()

    @property
    def wall_minutes(self) -> float:
        """Minutes on the wall, over every process that worked on the stage."""
        return (self._wall_before + time.monotonic() - self._wall_start) / 60

    @property
    def core_minutes(self) -> float:
        """Processor minutes, children that have ended included."""
        return (self._core_before + core_seconds() - self._core_start) / 60

    def tick(self) -> None:
        """Write the time down if ten seconds have passed. Cheap: call it every step."""
        if time.monotonic() - self._written >= SECONDS_BETWEEN_TICKS:
            self.write()

    def finish(self, facts: Mapping[str, Json] | None = None) -> None:
        """Say that the stage's results are on disk, and what is worth knowing about them."""
        self.done = True
        self._facts = facts or {}
        self.write()

    def write(self) -> None:
        """Write stages/NAME.json, and clock.json with it."""
        self._written = time.monotonic()
        minutes = {"wall_minutes": round(self.wall_minutes, 4), "core_minutes": round(self.core_minutes, 4)}
        write_json(self._path, {"done": self.done, "starts": self.starts, **minutes, "facts": dict(self._facts)})
        if self._whole is not None:
            self._whole.write()


def create(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a new run folder that holds the files and the environment.

    Raises UserError when there is something at that path already: a run is never written over.
    """
    refuse_existing(folder)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for name, content in files.items():
            write_bytes(beside / name, content)
        write_json(beside / "environment.json", environment())
        beside.rename(folder)
    except OSError:
        refuse_existing(folder)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def refuse_existing(folder: Path) -> None:
    """Raise UserError when the folder is there already."""
    if (folder / "recipe.yaml").exists():
        raise UserError(
            f"{folder} holds a run already: continue it with `falconet resume {folder}`, "
            "or choose another folder with --out"
        )
    if folder.exists():
        raise UserError(f"{folder} exists already and is not a run folder: choose another one with --out")


@contextmanager
def opened(folder: Path) -> Iterator[Record]:
    """The run folder, held by this process and its helpers alone until the block ends.

    Waits a few seconds for one that has just been killed to let go. Raises UserError when it is no run folder, or when
    another process works in it.
    """
    require_run(folder)
    with (folder / "lock").open("a+", encoding="utf-8") as lock:
        _hold(lock, folder)
        _sweep(folder)
        clock = folder / "clock.json"
        whole = Clock(clock, read_json(clock) or {})
        try:
            yield Record(folder, lock.fileno(), whole=whole)
        finally:
            whole.write()


def require_run(folder: Path) -> None:
    """Raise UserError unless the folder holds a run."""
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}; `falconet run RECIPE` makes a run folder, under runs/ by default"
        )
    if not (folder / "recipe.yaml").is_file():
        raise UserError(f"{folder} is not a run folder: it has no recipe.yaml")


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half written; whoever holds the lock may."""
    for path in folder.rglob(".*.partial"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _hold(lock: IO[str], folder: Path) -> None:
    if sys.platform == "win32":
        return
    patience = time.monotonic() + SECONDS_OF_PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < patience:
                time.sleep(0.1)
                continue
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UserError(
                f"{folder} is being worked on by process {holder}: wait for it to end, or stop it"
            ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()


def to_json(value: Json) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Json] | None:
    """The JSON object in a file, or None when there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    assert isinstance(content, dict), f"{path} does not hold a JSON object"
    return content


PACKAGES = ("falconet", "torch", "numpy", "pillow", "onnx", "onnxruntime", "pydantic", "safetensors", "moocore")


def environment(*program: str) -> dict[str, Json]:
    """Where and with what a run was made: enough to judge its figures, nothing that names a person or a computer.

    `program` is what was run, if not the command line: ("python", sys.argv[0]).
    """
    return {
        "date": now(),
        "command": shlex.join([*(program or ("falconet",)), *sys.argv[1:]]),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def commit() -> str | None:
    """The commit of Falconet's own source, with "+" when it has changes; None when it is installed as a package.

    Result files do not count: a benchmark that writes one row after another would call itself changed.
    """
    source = Path(__file__).resolve().parents[3]
    if not (source / ".git").exists():
        return None
    try:
        head = _git(source, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(source, "status", "--porcelain", "-uno", "--", ".", ":!results") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(source: Path, *arguments: str) -> str:
    command = ["git", "-C", str(source), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def now() -> str:
    """The time, in UTC, to the second: 2026-01-31T12:00:00Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def core_seconds() -> float:
    """Processor seconds of this process and of its children that have ended (on Windows, without them)."""
    if sys.platform == "win32":
        return time.process_time()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _number(state: Mapping[str, Json], key: str, default: int) -> int | float:
    value = state.get(key, default)
    assert isinstance(value, int | float)
    return value
