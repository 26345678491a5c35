"""export.json: what the folder of an exported network says of its files."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from falconet.deploy.compare import Against
from falconet.deploy.target import Precision, Sizes


class Proof(BaseModel):
    """How nearly the runtime agreed with PyTorch: the largest difference on `samples` real inputs of those sizes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    largest: float
    tolerance: float
    samples: int
    sizes: tuple[tuple[int, int], ...]


class ExportFacts(BaseModel):
    """All of export.json. `files` are bytes by name; `sizes` (height, width) of each input, one entry for each file
    that takes one size only, none where any size goes. `proof` is None where a target cannot run here, and for int8,
    which is judged by its task (`against`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    schema_version: Literal[1] = 1
    model: str
    network: str
    falconet: str
    target: str
    runtime: str
    precision: Precision
    files: dict[str, int]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sizes: tuple[Sizes, ...] = ()
    convert_seconds: float
    proof: Proof | None = None
    against: Against | None = None
    date: str
