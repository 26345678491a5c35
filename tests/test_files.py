import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from falconet import files

# Writes for ever, each time another letter and another length; says a word once it is under way.
WRITER = """
import sys
from falconet import files

letters = "abcdefgh"
number = 0
while True:
    number += 1
    {statement}
    if number == 3:
        print("writing", flush=True)
"""


def kill_in_the_middle(statement: str, path: Path, after: float) -> None:
    """Runs the statement over and over in another process, and kills that process without warning."""
    command = [sys.executable, "-c", WRITER.format(statement=statement), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"writing\n"
        time.sleep(after)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a signal of POSIX systems")
class TestKilled:
    # Long enough that no write of such a size happens at once by luck.
    WRITE = "letter = letters[number % 8]; files.write_text(sys.argv[1], letter * (200_000 + number % 8))"
    APPEND = "files.append_line(sys.argv[1], str(number) + ' ' + letters[number % 8] * (number % 5000))"

    def test_a_file_is_old_or_new_never_half(self, tmp_path: Path) -> None:
        rng = random.Random(0)
        for trial in range(4):
            path = tmp_path / f"{trial}.txt"
            kill_in_the_middle(self.WRITE, path, after=rng.uniform(0, 0.05))
            text = path.read_text()
            assert len(set(text)) == 1, "letters of two writes are mixed"
            assert len(text) == 200_000 + (ord(text[0]) - ord("a"))
            files.write_text(path, "after")  # a left-over partial file is in nobody's way
            assert path.read_text() == "after"

    def test_a_log_keeps_every_whole_line(self, tmp_path: Path) -> None:
        rng = random.Random(1)
        path = tmp_path / "log"
        for _ in range(4):
            path.unlink(missing_ok=True)
            kill_in_the_middle(self.APPEND, path, after=rng.uniform(0, 0.05))
            lines = files.read_lines(path)
            assert len(lines) >= 3
            for number, line in enumerate(lines, start=1):
                assert line == f"{number} " + "abcdefgh"[number % 8] * (number % 5000)
            files.append_line(path, "after")
            assert files.read_lines(path) == [*lines, "after"]


def test_text_comes_back_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "made" / "here" / "note.txt"
    files.write_text(path, "größer\r\nthan\n")
    assert path.read_bytes() == "größer\r\nthan\n".encode()


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "note.txt"
    files.write_text(path, "old")

    def full_disk(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["note.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    files.write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_readable_and_refuses_what_json_cannot_say(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    files.write_json(path, {"psnr_y": 37.1, "name": "größer"})
    assert path.read_text() == '{\n  "psnr_y": 37.1,\n  "name": "größer"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"psnr_y": float("inf")})
    assert json.loads(path.read_text())["psnr_y"] == 37.1


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "trials.jsonl"
    assert files.read_lines(path) == []
    lines = ["first", "", "größer", "a line\u2028separator is no line end", "last"]
    for line in lines:
        files.append_line(path, line)
    assert files.read_lines(path) == lines


@pytest.mark.parametrize("torn", ["s", "sec", "second whole but for its newline", "x" * 10_000])
def test_a_torn_line_is_ignored_then_removed(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + torn.encode())
    assert files.read_lines(path) == ["first"]
    files.append_line(path, "second")
    assert path.read_bytes() == b"first\nsecond\n"


def test_a_log_that_is_one_torn_line_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes("größer".encode()[:3])  # cut inside a letter
    assert files.read_lines(path) == []
    files.append_line(path, "first")
    assert path.read_bytes() == b"first\n"


def test_a_short_write_is_an_error_and_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    files.append_line(path, "first")
    whole_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole_write(file, data[:3]))
    with pytest.raises(OSError, match="3 of 7 bytes"):
        files.append_line(path, "second")
    assert path.read_bytes() == b"first\n"


def test_a_line_holds_no_newline(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        files.append_line(tmp_path / "log", "two\nlines")
