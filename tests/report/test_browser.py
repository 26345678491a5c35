"""The page in a real browser: no error, no request, and the controls do what they say."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from falconet.report.page import write_report

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (apt-get install chromium)"),
    pytest.mark.timeout(300),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)

# Works the controls as a person would and writes what came of it into the title, which --dump-dom prints.
PROBE = """
<script>
const found = {};
const note = (name, value) => { found[name] = value; };
addEventListener("error", (event) => note("error", event.message));
addEventListener("load", () => {
  const box = document.querySelector(".compare"), range = box.querySelector("input");
  note("start", box.style.getPropertyValue("--at"));
  note("focusable", (range.focus(), document.activeElement === range));
  range.value = 80;
  range.dispatchEvent(new Event("input"));
  note("moved", box.style.getPropertyValue("--at"));
  note("clipped", getComputedStyle(box.querySelector(".after")).clipPath);
  box.closest("figure").querySelector('.sides input[value="truth"]').click();
  note("truth", getComputedStyle(box.querySelector(".truth")).display);
  const figure = document.getElementById("chart-front-macs");
  const cloud = figure.querySelector('.wide .series[data-series="random"]');
  note("before", getComputedStyle(cloud).display);
  figure.querySelector('.legend button[data-series="random"]').click();
  note("after", getComputedStyle(cloud).display);
  const mark = figure.querySelector('.wide .series-chosen [data-tip]');
  mark.scrollIntoView({block: "center", behavior: "instant"});
  const at = mark.getBoundingClientRect();
  const where = {clientX: at.left + at.width / 2, clientY: at.top + at.height / 2, bubbles: true};
  mark.dispatchEvent(new PointerEvent("pointermove", where));
  note("tip", document.getElementById("tip").textContent);
  note("wide", getComputedStyle(figure.querySelector(".wide")).display);
  note("overflow", document.documentElement.scrollWidth > innerWidth);
  note("broken", [...document.images].filter((image) => !image.naturalWidth).length);
  const loaded = performance.getEntriesByType("resource").map((one) => one.name);
  note("requests", loaded.filter((name) => !name.startsWith("data:")));
  document.title = JSON.stringify(found);
});
</script>
"""


def browse(page: Path, profile: Path, width: int = 1280) -> tuple[str, str]:
    """The page after its script ran, and what the browser logged."""
    assert CHROMIUM is not None
    flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},900", "--dump-dom", page.as_uri()]
    done = subprocess.run([CHROMIUM, *flags], capture_output=True, text=True, timeout=240, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.fixture(scope="module")
def page(finished_run: Path) -> Path:
    return write_report(finished_run)


def test_the_page_runs_its_own_script_without_a_word_of_complaint(page: Path, tmp_path: Path) -> None:
    dom, log = browse(page, tmp_path / "profile")
    assert log == ""
    assert re.search(r'<div class="compare"[^>]*--at: 50%', dom), "the policy let the script run"


@pytest.mark.parametrize(("width", "wide"), [(1280, "block"), (500, "none")])
def test_controls_work(page: Path, tmp_path: Path, width: int, wide: str) -> None:
    text = page.read_text(encoding="utf-8")
    open_text = re.sub(r"script-src 'sha256-[^']*'", "script-src 'unsafe-inline'", text)
    open_text = open_text.replace("</body>", PROBE + "</body>")
    if wide == "none":  # tips are tried on the drawing that is shown
        open_text = open_text.replace("'.wide .series", "'.narrow .series")
    probed = tmp_path / "probed.html"
    probed.write_text(open_text, encoding="utf-8")
    dom, log = browse(probed, tmp_path / "profile", width)
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None
    found = json.loads(title[1].replace("&amp;", "&").replace("&gt;", ">").replace("&lt;", "<"))
    assert log == ""
    assert found == {
        "start": "50%",
        "focusable": True,
        "moved": "80%",
        "clipped": "inset(0px 0px 0px 80%)",
        "truth": "block",
        "before": "inline",
        "after": "none",
        "tip": "medium\n36.97 dB on validation\n2.4 GMACs\n10.4 K parameters\n29.5 MB\n53 ms",
        "wide": wide,
        "overflow": False,
        "broken": 0,
        "requests": [],
    }
