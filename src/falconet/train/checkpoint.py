"""Checkpoints: tensors in safetensors, the rest in JSON, a whole folder at a time. Killed while writing is not lost.

A checkpoint is a folder `step-N` written beside and renamed; the one before it is removed afterwards. Reading takes the
newest whole one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from falconet.errors import UserError


def save(folder: Path, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
    """Write the checkpoint of `step`: one safetensors file for each group of `tensors`, `state` as JSON."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    target, beside = folder / f"step-{step:08d}", folder / f".writing-{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    for name, group in tensors.items():
        save_file({key: value.detach().contiguous() for key, value in group.items()}, beside / f"{name}.safetensors")
    (beside / "state.json").write_text(json.dumps({**state, "step": step}, indent=1))
    for path in beside.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if target.exists():
        shutil.rmtree(target)
    beside.rename(target)
    sweep(folder, target)


def sweep(folder: Path, kept: Path) -> None:
    """Remove every checkpoint but `kept`, and what a kill left half-written."""
    for path in folder.iterdir():
        if path.name != kept.name and path.name.startswith(("step-", ".writing-")):
            shutil.rmtree(path, ignore_errors=True)


def newest(folder: Path) -> Path | None:
    """The newest checkpoint in `folder`, or None."""
    found = sorted(path for path in folder.glob("step-*") if (path / "state.json").exists())
    return found[-1] if found else None


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The JSON part of a checkpoint."""
    try:
        state = json.loads((checkpoint / "state.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{checkpoint} is no checkpoint: {error}. Remove it to train this stage again.") from None
    if not isinstance(state, dict) or not isinstance(state.get("step"), int):
        raise UserError(f"{checkpoint}/state.json must hold a step. Remove the folder to train this stage again.")
    return state


def read_tensors(checkpoint: Path, group: str) -> dict[str, Tensor]:
    """One group of tensors of a checkpoint."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = checkpoint / f"{group}.safetensors"
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}). Remove {checkpoint} to train this stage again.") from None
