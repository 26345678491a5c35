"""falconet bench and falconet device, as a newcomer calls them, with one mistake in every input."""

import json
import sys
from pathlib import Path

import pytest

from falconet.cli import main

SPACE = """
from falconet.spaces import Restoration

space = Restoration(width=(4, 8), depth=(1, 2, 3), kind=("plain",), activation=("relu", "prelu"))
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FALCONET_DEVICES", str(tmp_path / "devices"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(SPACE)
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output, messages."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    out = capsys.readouterr()
    return int(ended.value.code or 0), out.out, out.err


ADD = ("device", "add", "mine", "--space", "small.py", "--input", "1x16x24", "--minutes", "0.01", "--networks", "5")


def test_a_device_is_added_listed_shown_shared_and_benched_with(capsys, here):
    code, out, err = call(capsys, *ADD)
    assert code == 0, err
    assert "noise: measured again" in out and "MACs alone" in out and "prelu" in out
    assert "mine" in call(capsys, "device", "list")[1]
    shown = json.loads(call(capsys, "device", "show", "mine", "--json")[1])
    assert shown["num_blocks"] > 5 and {"spearman", "mape", "worst"} == set(shown["checks"][0]["table"])
    file = here / "devices" / "mine.json"
    assert str(here) not in file.read_text()
    assert call(capsys, "device", "import", str(file), "--name", "theirs")[0] == 0
    code, out, err = call(capsys, "bench", "plain_4x16", "espcn", "--input", "1x16x24", "--minutes", "0.01",
                          "--on", "theirs", "--json")  # fmt: skip
    rows = json.loads(out)
    assert code == 0 and len(rows) == 2 and all(row["predicted_ms"] > 0 and row["random_weights"] for row in rows)
    assert call(capsys, *ADD)[2].startswith("falconet: there is a device 'mine' already")


def test_the_same_over_a_command(capsys):
    code, out, err = call(capsys, *ADD, "--runtime", "ncnn", "--remote", f"{sys.executable} -I -")
    assert code == 0 and "mine: ncnn" in out, err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bench", "esspcn"), "no network 'esspcn'"),
        (("bench", "espcn", "--input", "3x16x16"), "takes 1 channels"),
        (("bench", "espcn", "--input", "16x16"), "CHANNELSxHEIGHTxWIDTH"),
        (("bench", "espcn", "--input", "1x16x16", "--runtime", "tensorrt"), "these can"),
        (("bench", "espcn", "--input", "1x16x16", "--on", "nobody"), "no device 'nobody'"),
        (("bench", "missing.onnx"), "no file missing.onnx"),
        (("device", "add", "a/b", "--space", "restoration"), "letters, digits"),
        (("device", "add", "mine"), "say what to measure"),
        (("device", "add", "mine", "--space", "restorations"), "no space 'restorations'; did you mean restoration"),
        (("device", "add", "mine", "--recipe", "none.yaml"), "no recipe none.yaml"),
        (("device", "add", "mine", "--space", "small.py", "--input", "1x8x8", "--remote", "nosuchcmd"), "cannot be"),
        (("device", "show", "nobody"), "falconet device add"),
        (("device", "import", "none.json"), "no file none.json"),
        (("device", "import", "small.py"), ".json file"),
    ],
)
def test_mistakes_are_one_message(capsys, words, told):
    code, out, err = call(capsys, *words)
    assert code == 2 and told in err and "Traceback" not in err and out == ""
