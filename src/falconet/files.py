"""Files that are whole or not there, and logs whose lines are whole or not there.

A run may be killed, or the machine may lose power, between any two instructions. Two habits make that harmless:

* a file is written beside its place under a name of its own, flushed to the disk, and renamed over the old one, so a
  reader sees all of the old content or all of the new (`write_text`, `write_bytes`, `write_json`);
* a log grows by one `write` per line, flushed to the disk; a last line without its newline was torn by a kill, readers
  ignore it and the next append removes it (`append_line`, `read_lines`).

Left out on purpose: locks. A file and a log have one writer at a time.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all; missing folders are made.

    A kill may leave `.NAME.<hex>.partial` beside the file; it may be deleted. Raises OSError as `open` does.
    """
    write_pieces(path, [data])


def write_pieces(path: Path | str, pieces: Iterable[bytes]) -> None:
    """Write a file that is made piece by piece, whole or not at all, as `write_bytes` does."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path | str, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all; line ends stay as they are."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: object) -> None:
    """Write `value` as indented JSON, whole or not at all.

    Infinity and NaN are no JSON: they raise ValueError, and the old file stays.

    >>> write_json("best.json", {"psnr_y": 37.1})       # {\\n  "psnr_y": 37.1\\n}\\n
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path | str, line: str) -> None:
    """Add one line to the log at `path` and flush it to the disk; a torn last line is removed first.

    `line` comes without its newline. The file and its folders are made when missing.

    >>> append_line("log", "second")                    # a log "first\\nsec" becomes "first\\nsecond\\n"
    """
    assert "\n" not in line, "a log line holds no newline"
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    data = line.encode() + b"\n"
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        end = _whole_end(file)
        os.ftruncate(file, end)
        os.lseek(file, end, os.SEEK_SET)
        written = os.write(file, data)
        if written != len(data):  # a full disk; leave no torn line behind
            os.ftruncate(file, end)
            raise OSError(f"{path}: {written} of {len(data)} bytes of a line could be written; is the disk full?")
        os.fsync(file)
    finally:
        os.close(file)
    if is_new:
        _sync_folder(path.parent)


def read_lines(path: Path | str) -> list[str]:
    """The whole lines of the log at `path`, without newlines; no lines when there is no log yet.

    >>> Path("log").write_text("first\\nsec")            # torn by a kill
    >>> read_lines("log")
    ['first']
    """
    path = Path(path)
    if not path.exists():
        return []
    *whole, _torn = path.read_bytes().split(b"\n")
    return [line.decode() for line in whole]


def _whole_end(file: int) -> int:
    """How many bytes of the open log belong to whole lines: the place just after its last newline."""
    end = os.lseek(file, 0, os.SEEK_END)
    step = 4096
    while end > 0:
        start = max(0, end - step)
        os.lseek(file, start, os.SEEK_SET)
        newline = os.read(file, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Flush the folder's list of names, so that a rename survives a power cut. Windows has no such call."""
    if os.name == "nt":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
