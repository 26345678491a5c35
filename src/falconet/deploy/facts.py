"""model.json: what a model folder says of its network, checked when it is read, since files come from strangers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from falconet.errors import UserError

SCHEMA = 1
FILE = "model.json"
MOST_BYTES = 64 * 1024**2  # of model.json

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class _Record(BaseModel):
    # A picture restored perfectly has an infinite PSNR; plain JSON has no word for it, so it is written as a string.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Training(_Record):
    """What made the weights. `recipe` is the digest of the recipe's text, `terms` those of the training pictures."""

    recipe: str = ""
    seed: int | None = None
    steps: int | None = None
    core_minutes: float | None = None
    date: str = ""
    pictures: int | None = None
    source: str = ""  # where the pictures come from, in words
    terms: str = ""
    notes: str = ""


class ParityFacts(_Record):
    """The largest difference between an exported file and PyTorch on real pictures; sizes are (height, width)."""

    target: str
    largest: float
    tolerance: float
    samples: int
    sizes: tuple[tuple[int, int], ...]


class Facts(_Record):
    """All of model.json. `spec` is the network as it ships, `trained_spec` as it was trained where that differs.

    `network` is the digest of the spec as trained, under which trials know it. `costs_at` names the (height, width) of
    each input that `costs` were counted for; `metrics` are figures by test set ("Set5"), by `protocol`.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME)]
    falconet: str = ""
    task: dict[str, Any]
    network: str
    arch: dict[str, Any] = {}
    spec: dict[str, Any]
    trained_spec: dict[str, Any] | None = None
    costs: dict[str, float] = {}
    costs_at: tuple[tuple[int, int], ...] = ()
    metrics: dict[str, dict[str, float]] = {}
    protocol: str = ""
    parity: tuple[ParityFacts, ...] = ()
    training: Training = Training()

    def text(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=1) + "\n"


def read_facts(folder: Path) -> Facts:
    """What `folder`/model.json says. UserError when it is missing, damaged, not sound, or of a newer Falconet."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{folder} is not a model folder: it has no {FILE}.{_inside(folder)}")
    if path.stat().st_size > MOST_BYTES:
        raise UserError(
            f"{path} holds {path.stat().st_size >> 20} MiB; a {FILE} is never larger than {MOST_BYTES >> 20}"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error})") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise UserError(
            f"{path} was written by a newer Falconet (schema {version}, this one reads {SCHEMA}): upgrade it"
        )
    try:
        return Facts.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path} is not sound: {place}: {first['msg']}") from None


def _inside(folder: Path) -> str:
    """A hint when `folder` is a run that holds models."""
    found = sorted(path.parent.as_posix() for path in folder.glob(f"models/*/{FILE}"))
    return f" Models inside it: {', '.join(found)}" if found else ""
