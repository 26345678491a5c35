"""What commands print: JSON, tables of plain text, and remarks on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence


def print_json(value: object) -> None:
    """Print JSON to stdout, and nothing else ever goes there with --json."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows in columns as wide as their longest cell; numbers to the right.

    >>> print_rows([{"name": "espcn", "params": 21284}, {"name": "vdsr", "params": 665921}])
    name   params
    espcn   21284
    vdsr   665921
    """
    if not rows:
        return
    keys = list(rows[0])
    cells = [keys, *([str(row[key]) for key in keys] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(keys))]
    right = [isinstance(rows[0][key], int | float) for key in keys]
    for line in cells:
        padded = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        print("  ".join(padded).rstrip())


def remark(text: str) -> None:
    """Print a line for the person to stderr."""
    print(text, file=sys.stderr, flush=True)
