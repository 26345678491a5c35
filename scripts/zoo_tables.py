"""Write the tables of docs/zoo.md: every network of the zoo, its published figures beside those that Falconet counts.

python scripts/zoo_tables.py
"""

from __future__ import annotations

from pathlib import Path

from falconet.graph import Costs, costs
from falconet.zoo import GROUPS, PUBLISHED, PUBLISHED_X2, ZOO, Published

PAGE = Path(__file__).resolve().parent.parent / "docs" / "zoo.md"
HEAD = "| network | published MACs | counted | published parameters | counted | source, and how it counts |"
HD = (720, 1280)


def written(value: float | None) -> str:
    """A number in millions with three digits: 4089184256 / 1e6 is "4.09 G"."""
    if value is None:
        return ""
    for unit, size in ((" G", 1e3), (" M", 1.0), (" K", 1e-3)):
        if value >= size * 0.9995:
            return f"{value / size:.3g}{unit}" if value < 999.5 * size else f"{value / size:.0f}{unit}"
    return f"{value * 1e6:.0f}"


def line(name: str, ours: Costs, published: Published | None) -> str:
    """One row of a table."""
    macs, params = (published.mega_macs, published.mega_params) if published else (None, None)
    source = "; ".join(filter(None, (published.source, published.note))) if published else ""
    cells = [f"`{name}`", written(macs), written(ours.macs / 1e6), written(params), written(ours.params / 1e6), source]
    return f"| {' | '.join(cells)} |".replace("  ", " ")


def tables() -> dict[str, str]:
    """The table of each group, by the group's name."""
    found = {}
    for group, networks in GROUPS.items():
        rows = [HEAD, "|" + "---|" * 6]
        for name in networks:
            published = PUBLISHED.get(name) or PUBLISHED_X2.get(name)
            size = published.size if published else {"super_resolution": (360, 640)}.get(group, HD)
            rows.append(line(name, costs(ZOO[name](), size), published))
        found[group] = "\n".join(rows)
    return found


def filled(page: str) -> str:
    """The page with the tables of today between its marks."""
    for group, table in tables().items():
        begin, end = f"<!-- {group} -->", f"<!-- end of {group} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise SystemExit(f"{PAGE} needs the marks {begin} and {end}, once each")
        page = f"{page.partition(begin)[0]}{begin}\n\n{table}\n\n{end}{page.partition(end)[2]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
