"""What a classifier takes for what: a matrix of shades, and how right it is on each class.

A row is a true class, a column what its pictures were called; a cell is as dark as its share of the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from falconet.report.results import ModelResult, SetScore
from falconet.report.tables import Cell, Table, make_table, number

SIDE = 380  # pixels of the whole matrix
MOST_NAMED = 50  # classes whose names fit beside the rows
MOST_COUNTED = 14  # classes whose counts fit into the cells
MOST_SHOWN = 400  # classes that are drawn at all
LONGEST = 18  # letters of a name


@dataclass(frozen=True)
class Confusion:
    """The matrix of one test set, drawn, and the figures of each class as a table."""

    where: str
    drawing: Markup
    table: Table | None


def confusions(model: ModelResult, classes: Sequence[str]) -> tuple[Confusion, ...]:
    """One for each test set of a model that has a matrix."""
    return tuple(
        Confusion(where, draw(score.confusion, classes), class_table(where, score, classes))
        for where, score in model.test.items()
        if 0 < len(score.confusion) == len(classes) <= MOST_SHOWN
    )


def draw(counts_kk: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """The matrix as SVG; each cell says in words what it counts when pointed at."""
    k = len(classes)
    side = SIDE / k
    left = 8 + 7 * min(LONGEST, max(len(name) for name in classes)) if k <= MOST_NAMED else 4
    parts = []
    for row, (name, counts) in enumerate(zip(classes, counts_kk, strict=True)):
        total = sum(counts)
        y = 4 + row * side
        if k <= MOST_NAMED:
            parts.append(
                Markup(
                    '<text x="{}" y="{:.1f}" text-anchor="end" font-size="{:.1f}" fill="currentColor">{}</text>'
                ).format(left - 6, y + side / 2 + 4, min(12.0, side + 2), shortened(name))
            )
        for column, count in enumerate(counts):
            if count:
                parts.append(
                    _cell(left + column * side, y, side, count, total, name, classes[column], row == column, k)
                )
    frame = Markup('<rect x="{}" y="4" width="{}" height="{}" fill="none" stroke="currentColor" stroke-opacity="0.3"/>')
    return Markup(
        '<svg viewBox="0 0 {0} {1}" width="{0}" style="max-width:100%;height:auto" role="img" '
        'aria-label="Rows are true classes, columns what they were called">{2}{3}</svg>'
    ).format(left + SIDE + 4, SIDE + 8, frame.format(left, SIDE, SIDE), Markup("").join(parts))


def _cell(
    x: float, y: float, side: float, count: int, total: int, name: str, called: str, is_right: bool, k: int
) -> Markup:
    share = count / total
    words = f"{count} of {total} {name} called {called}" if not is_right else f"{count} of {total} {name} right"
    colour = "#2b7a5a" if is_right else "#b5482f"
    found = Markup(
        "<g><title>{}</title>"
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}" fill-opacity="{:.2f}"/>'
    ).format(words, x, y, max(side - 0.6, 0.5), max(side - 0.6, 0.5), colour, 0.15 + 0.85 * share)
    if k <= MOST_COUNTED:
        found += Markup(
            '<text x="{:.1f}" y="{:.1f}" text-anchor="middle" font-size="{:.1f}" fill="currentColor">{}</text>'
        ).format(x + side / 2, y + side / 2 + 4, min(12.0, side / 2.6), count)
    return found + Markup("</g>")


def shortened(name: str) -> str:
    """At most LONGEST letters of a name."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def class_table(where: str, score: SetScore, classes: Sequence[str]) -> Table | None:
    """Each class with the share of its pictures that were called by their name, and what they were called instead."""
    rows = []
    for index, (name, counts) in enumerate(zip(classes, score.confusion, strict=True)):
        total = sum(counts)
        if not total:
            continue
        wrong = sorted(((count, j) for j, count in enumerate(counts) if j != index and count), key=lambda one: -one[0])
        taken = ", ".join(f"{classes[j]} ({count})" for count, j in wrong[:3])
        rows.append([Cell(name), number(str(total)), number(f"{100 * counts[index] / total:.1f} %"), Cell(taken)])
    return make_table(f"Each class on {where}", ["Class", "Pictures", "Right", "Taken for"], rows)
