"""`falconet data check`: what is wrong with pictures, before anything is trained on them."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from falconet.cli.show import print_json, print_rows, remark

app = typer.Typer(help="Look at pictures before training on them.", no_args_is_help=True, rich_markup_mode=None)


class Kind(StrEnum):
    """What the pictures are for."""

    CLASSIFICATION = "classification"
    PIXELS = "pixels"


@app.callback()
def _group() -> None:
    """Look at pictures before training on them."""


@app.command("check")
def check(
    path: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A folder of pictures, an .npz or a .csv.")],
    against: Annotated[
        Path | None, typer.Option("--against", help="Other pictures, such as a test set, that must not be the same.")
    ] = None,
    task: Annotated[
        Kind | None, typer.Option("--task", help="Whether folders are classes; found out unless told.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find pictures that cannot be read or come twice, small classes, odd sizes and modes.

    Exit code 0 when nothing spoils a training, 2 when something does: unreadable pictures, one picture with two labels,
    pictures that are in both sets.
    """
    from falconet.tasks import check as checking

    found = checking.check(path, against, None if task is None else task is Kind.CLASSIFICATION)
    if as_json:
        print_json(asdict(found))
    else:
        print(f"{found.pictures:,} pictures in {path}")
        for title, counts in (("class", found.classes), ("size", found.sizes), ("mode", found.modes)):
            if counts:
                rows = [{title: name, "pictures": count} for name, count in counts.items()]
                print()
                print_rows(rows[: checking.SHOWN])
                print(f"... and {len(rows) - checking.SHOWN} more" if len(rows) > checking.SHOWN else "", end="")
        for title, pairs in (
            ("cannot be read", found.unreadable),
            ("look alike", found.duplicates),
            (f"look alike, the second in {against}", found.across),
        ):
            if pairs:
                print(f"\n{title}:")
                print("\n".join(f"  {first}  {second}" for first, second in pairs[: checking.SHOWN]))
                print(f"  ... and {len(pairs) - checking.SHOWN} more\n" if len(pairs) > checking.SHOWN else "", end="")
    for sentence in found.remarks:
        remark(f"note: {sentence}")
    for sentence in found.problems:
        remark(f"problem: {sentence}")
    if found.problems:
        raise typer.Exit(2)
