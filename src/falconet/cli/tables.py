"""`falconet list`: what there is to name in recipes and commands."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import typer

from falconet.cli.show import print_json, print_rows


class Table(StrEnum):
    """The tables that can be listed."""

    SPACES = "spaces"
    TASKS = "tasks"
    STRATEGIES = "strategies"
    ZOO = "zoo"
    MODELS = "models"
    TARGETS = "targets"


def list_table(
    table: Annotated[Table, typer.Argument(help="What to list.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the spaces, tasks, strategies, zoo networks, trained models or export targets there are."""
    rows = [{"name": name, "summary": summary} for name, summary in summaries(table).items()]
    if table is Table.ZOO:
        from falconet.zoo import GROUPS

        purpose = {name: group for group, networks in GROUPS.items() for name in networks}
        rows = [{"for": purpose[row["name"]], **row} for row in rows]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)


def summaries(table: Table) -> dict[str, str]:
    """Name -> one line about it."""
    match table:
        case Table.SPACES:
            from falconet.spaces import SPACES

            return _first_lines(SPACES)
        case Table.TASKS:
            from falconet.tasks import TASKS

            return _first_lines(TASKS)
        case Table.STRATEGIES:
            from falconet.search import STRATEGIES

            return _first_lines(STRATEGIES)
        case Table.ZOO:
            from falconet.zoo import ZOO

            return _first_lines(ZOO)
        case Table.MODELS:
            from falconet.deploy import shipped_models

            return shipped_models()
        case Table.TARGETS:
            from falconet.deploy import TARGETS

            return _first_lines(TARGETS)


def _first_lines(table: Mapping[str, object]) -> dict[str, str]:
    return {name: (inspect.getdoc(entry) or "").partition("\n")[0] for name, entry in table.items()}
