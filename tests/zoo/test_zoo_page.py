"""docs/zoo.md shows what is counted today, and published figures of networks that enlarge hold."""

import runpy
from pathlib import Path

import pytest

from falconet.graph import costs
from falconet.zoo import PUBLISHED_X2, SUPER_RESOLUTION, ZOO

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "zoo_tables.py"))


def test_the_page_is_what_the_script_writes() -> None:
    page = SCRIPT["PAGE"].read_text(encoding="utf-8")
    assert SCRIPT["filled"](page) == page, "run python scripts/zoo_tables.py"
    assert all(f"| `{name}` |" in page for name in ZOO)


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="needs the marks"):
        SCRIPT["filled"]("# The zoo")


def test_numbers_are_written_with_three_digits() -> None:
    written = SCRIPT["written"]
    assert [written(x) for x in (4089.18, 0.0101, 58.9, 999.9, 0.0004, None)] == [
        "4.09 G", "10.1 K", "58.9 M", "1 G", "400", "",
    ]  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED_X2)
def test_networks_that_enlarge_cost_what_was_published(name: str) -> None:
    published = PUBLISHED_X2[name]
    ours = costs(SUPER_RESOLUTION[name](scale=2), published.size)
    assert published.mega_macs is not None
    assert published.mega_params is not None
    assert ours.macs / 1e6 == pytest.approx(published.mega_macs, rel=published.macs_within)
    assert ours.params / 1e6 == pytest.approx(published.mega_params, rel=published.params_within)
