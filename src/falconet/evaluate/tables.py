"""Published tables of networks, read from the user's own copy: accuracies to search in, latencies to learn from.

    table = read_table(Path("nb201.csv.gz"))
    table.column("c10_val")[table.place(arch)]

A table is a CSV, plain or gzipped: a column `ops` with six digits a network (`spaces/nb201.py`), other columns numbers.
Nothing of it ships. `search/in_table.py` makes it the judge of a search, `evaluate/published.py` makes
devices of its latencies.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from falconet.errors import UserError
from falconet.evaluate.describe import Floats
from falconet.spaces import Arch
from falconet.spaces.nb201 import from_digits, to_digits

MOST_BYTES = 1 << 28
KEY = "ops"


@dataclass(frozen=True)
class Table:
    """The rows of a table: the digits of each network, and columns of numbers."""

    path: Path
    digits: tuple[str, ...]
    columns: Mapping[str, Floats]
    places: Mapping[str, int]

    def column(self, name: str) -> Floats:
        """The numbers of a column. UserError names the columns there are."""
        if name not in self.columns:
            raise UserError(f"{self.path} has no column {name!r}; there are: {', '.join(self.columns)}")
        return self.columns[name]

    def place(self, arch: Mapping[str, object]) -> int:
        """The row of an architecture. UserError when the table does not hold it."""
        digits = to_digits(Arch(arch))  # type: ignore[arg-type]
        if digits not in self.places:
            raise UserError(f"{self.path} holds no network {digits}")
        return self.places[digits]

    def archs(self) -> list[Arch]:
        """The architectures, row by row."""
        return [from_digits(digits) for digits in self.digits]


def read_table(path: Path) -> Table:
    """The table in a CSV file. UserError names the line of what is wrong."""
    header, rows = _rows(path)
    if KEY not in header:
        raise UserError(f"{path} must have a column {KEY!r} (six digits a network); its columns: {', '.join(header)}")
    names = [name for name in header if name not in (KEY, "idx")]
    digits, values = [], np.empty((len(rows), len(names)))
    for number, row in enumerate(rows):
        line = number + 2
        try:
            digits.append(to_digits(from_digits(row[KEY] or "")))
            values[number] = [float(row[name] or "nan") for name in names]
        except (UserError, ValueError, TypeError) as error:
            raise UserError(f"line {line} of {path}: {error}") from None
        if not np.all(np.isfinite(values[number])):
            wrong = next(n for n, v in zip(names, values[number], strict=True) if not math.isfinite(v))
            raise UserError(f"line {line} of {path}: {wrong} must be a number, not {row[wrong]!r}")
    places = {name: number for number, name in enumerate(digits)}
    if len(places) < len(digits):
        twice = next(name for number, name in enumerate(digits) if places[name] != number)
        raise UserError(f"{path} holds the network {twice} twice")
    if not rows:
        raise UserError(f"{path} holds no networks")
    return Table(path, tuple(digits), dict(zip(names, values.T, strict=True)), places)


def _rows(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Header and rows of a CSV file, gzipped or not."""
    if not path.is_file():
        raise UserError(f"there is no table {path}; give the path of your copy, such as nb201.csv.gz")
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV file, plain or gzipped: {error}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path} holds more than {MOST_BYTES >> 20} MiB; tables of networks are never that large")
    reader = csv.DictReader(io.StringIO(text))
    try:
        return list(reader.fieldnames or []), list(reader)
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file: {error}") from None
