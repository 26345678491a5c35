"""The pictures of a run: read anew by every process that works on it, and checked to be those it began with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from falconet.errors import UserError
from falconet.run.recipe import Recipe
from falconet.run.record import Json, Record, read_json

if TYPE_CHECKING:
    from falconet.tasks import Dataset

DATA_FILE = "data.json"
SHOWN = 10  # files that are named before the rest is counted


def read_pictures(record: Record, recipe: Recipe) -> Dataset:
    """The pictures of the recipe's folders. Raises UserError when they are not those that the run began with."""
    try:
        dataset = recipe.task.read(recipe.data, recipe.seed)
    except UserError as error:
        where = f"paths in a recipe are relative to the folder a command runs in, now {Path.cwd()}"
        raise UserError(f"{error} ({where})") from None
    facts, known = data_facts(dataset), read_json(record.path(DATA_FILE)) or {}
    if known.get("digest") != facts["digest"]:
        raise UserError(
            f"the pictures have changed since {record.folder} was begun{_difference(known, facts)}; "
            "put them back, or start another run"
        )
    return dataset


def left_out(dataset: Dataset) -> list[str]:
    """The files that are not used and why, in lines to show; the report lists them all."""
    lines, more = [str(one) for one in dataset.skipped[:SHOWN]], len(dataset.skipped) - SHOWN
    return [*lines, f"... and {more} file{'s' * (more > 1)} more"] if more > 0 else lines


def data_facts(dataset: Dataset) -> dict[str, Json]:
    """What data.json holds: names, what was left out and why, and a digest of every pixel."""
    return {
        "train": list(dataset.train_names),
        "validation": list(dataset.validation_names),
        "skipped": [{"path": str(one.path), "reason": one.reason} for one in dataset.skipped],
        "notes": list(dataset.notes),
        "digest": _digest(dataset),
    }


def _digest(dataset: Dataset) -> str:
    """The identity of all pixels, in order."""
    found = hashlib.sha256()
    for example in (*dataset.train, *dataset.validation, *dataset.holdout):
        for pixels in (*example.inputs, example.target):
            found.update(f"{example.name} {pixels.shape} {pixels.dtype}".encode())
            found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()


def _difference(known: dict[str, Json], facts: dict[str, Json]) -> str:
    """Which names came or went, in words."""
    before, after = (_names(one) for one in (known, facts))
    parts = [
        f"{len(found)} {what} ({', '.join(sorted(found)[:3])})"
        for what, found in (("missing", before - after), ("new", after - before))
        if found
    ]
    return f": {' and '.join(parts)}" if parts else ""


def _names(facts: dict[str, Json]) -> set[str]:
    found: set[str] = set()
    for key in ("train", "validation"):
        listed = facts.get(key)
        assert isinstance(listed, list), f"{DATA_FILE} holds no list of {key} pictures"
        found.update(str(name) for name in listed)
    return found
