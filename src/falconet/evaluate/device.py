"""A device as a file: how long blocks of networks take on one runtime, and how well whole networks follow from them.

    ~/.config/falconet/devices/laptop.json          or $FALCONET_DEVICES/laptop.json, or any path
    {
      "schema_version": 1, "name": "laptop",
      "runtime": "onnxruntime", "version": "1.31.1", "threads": 1, "precision": "float32",
      "processor": "...", "system": "Linux x86_64", "date": "2026-11-01", "source": "measured", "terms": "",
      "empty_ms": 0.01,                           a call that computes nothing
      "scale": 1.02,                              found on a few whole networks
      "taken_apart": false,                       true: networks were taken apart into smaller ones
      "blocks": [{"key": "3f0c...", "title": "conv 3x3 16>16, relu", "spec": {...}, "inputs": [[16, 180, 320]],
                  "outer": [], "last": false, "ms": 1.93}, ...],
      "linear": {"weights": {"conv.gmacs": 4.1, ...}, "median_error": 0.12} or null,
      "check": {...} or null                      what the prediction was held against
    }

A network's time is `scale * (empty_ms + sum of its blocks)`. A block is known by its key alone (`blocks.block_of`):
the deployed sub-network and the shapes of its inputs. Blocks that are not in the table are priced by the linear model
on operator features (`linear.py`); `estimate.py` does both.

Writing a table from elsewhere, such as a published one: build each block as a NetSpec, take its Block from
`blocks.block_of(spec, inputs)`, give it milliseconds, and write the Device:

    block = block_of(mbconv(16, 24), [(16, 56, 56)])
    times = [BlockTime.of(block, ms=1.93)]
    write_device(Device(name="pixel3", runtime="tflite", source="published table", blocks=tuple(times)), path)

The file is plain JSON without anything that names a person or a computer, so it can be shared. Files of others are
data: sizes and types are checked, nothing in them is run. Left out: how it is measured (`measure.py`).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from falconet.errors import UserError
from falconet.evaluate.blocks import Block
from falconet.files import write_json
from falconet.graph import spec_to_json

SCHEMA = 1
FOLDER_VARIABLE = "FALCONET_DEVICES"
MOST_BYTES = 64 * 1024**2
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

Milliseconds = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, lt=1e9, allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BlockTime(_Record):
    """What one block costs inside a network, in milliseconds; `inputs` are (channels, height, width).

    `outer` lists the inputs that come from outside the network (its pictures), `last` says that the block makes an
    output: there the runtime may have to change the layout of values.
    """

    key: str
    title: str
    spec: dict[str, Any]
    inputs: tuple[tuple[int, int, int], ...]
    outer: tuple[int, ...] = ()
    last: bool = False
    ms: Milliseconds

    @staticmethod
    def of(block: Block, ms: float) -> BlockTime:
        """The time of a block, with all that a file says of it."""
        return BlockTime(
            key=block.key,
            title=block.title,
            spec=spec_to_json(block.spec),
            inputs=block.inputs,
            outer=block.outer,
            last=block.last,
            ms=ms,
        )


class Linear(_Record):
    """A non-negative linear model of a block's milliseconds: feature -> milliseconds a unit. Fitted to the table.

    `median_error` is the middle of the relative errors on blocks that were left out of the fit; None for a fit to a
    handful of blocks.
    """

    weights: dict[str, Milliseconds]
    median_error: float | None = Field(None, ge=0)


class Fetch(_Record):
    """What weights cost that no cache holds: milliseconds for each million beyond so many million of a network."""

    ms_per_mparam: Positive
    beyond_mparams: float = Field(ge=0)


class CheckedNet(_Record):
    """A random network that was held out: predicted, measured, and measured again in a second round."""

    network: str
    measured_ms: Positive
    again_ms: Positive
    predicted_ms: Milliseconds
    how: Literal["table", "linear"]
    macs: float
    params: float


class Check(_Record):
    """Held-out networks of one space, at (height, width) of each input."""

    space: str
    sizes: tuple[tuple[int, int], ...]
    seed: int
    nets: tuple[CheckedNet, ...]


class Device(_Record):
    """One runtime on one machine with so many threads; see the module."""

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    runtime: str
    version: str = ""
    threads: int = Field(1, ge=1, le=1024)
    precision: str = "float32"
    processor: str = ""
    system: str = ""
    date: str = ""
    falconet: str = ""
    source: str = "measured"
    terms: str = ""
    notes: tuple[str, ...] = ()
    empty_ms: Milliseconds = 0.0
    scale: Positive = 1.0
    taken_apart: bool = False
    blocks: tuple[BlockTime, ...] = ()
    linear: Linear | None = None
    fetch: Fetch | None = None
    checks: tuple[Check, ...] = ()


def devices_folder() -> Path:
    """Where devices are kept: $FALCONET_DEVICES, else ~/.config/falconet/devices."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path.home() / ".config" / "falconet" / "devices"


def device_path(name: str) -> Path:
    """The file of a device of that name in the folder of devices. UserError when it cannot be a name."""
    if not re.fullmatch(NAME, name):
        raise UserError(f"a device's name holds letters, digits, dots, - and _ only, not {name!r}")
    return devices_folder() / f"{name}.json"


def list_devices() -> list[str]:
    """The names of the devices there are, in order."""
    return sorted(path.stem for path in devices_folder().glob("*.json") if re.fullmatch(NAME, path.stem))


def write_device(device: Device, path: Path | None = None) -> Path:
    """Write a device to `path`, or under its name into the folder of devices; the path written."""
    target = path or device_path(device.name)
    write_json(target, device.model_dump(mode="json"))
    return target


def load_device(where: str | Path) -> Device:
    """The device of that name, or in that file (a path ends in .json). UserError says which there are."""
    text = str(where)
    path = Path(text) if text.endswith(".json") else device_path(text)
    if not path.is_file():
        known = ", ".join(list_devices()) or "none yet"
        raise UserError(
            f"there is no device {text!r} ({path}); there are: {known}. "
            "`falconet device add NAME` measures one, or give the path of a device's .json file"
        )
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} holds {path.stat().st_size >> 20} MiB; a device is never larger than 64")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: it is not JSON ({error})") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        raise UserError(f"{path} was written by a newer Falconet (schema {version}, this one reads {SCHEMA})")
    try:
        return Device.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{path} is not a device: {place}: {first['msg']}") from None
