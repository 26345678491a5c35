"""Folders that appear whole or not at all, as files do in `falconet.files`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` when the block ends well.

    Otherwise `folder` stays as it was. A kill leaves none, the old or the new, never half of one.
    """
    partial = _beside(folder, "partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        put(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put(partial: Path, folder: Path) -> None:
    """Rename `partial` to `folder`. An old one steps aside first: a kill in between leaves none, never half a one."""
    old = _beside(folder, "old")
    if folder.exists():
        folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path, what: str) -> Path:
    """A path of its own beside `folder`; what an earlier, killed export left there is removed."""
    for left in folder.parent.glob(f".{folder.name}.{'[0-9a-f]' * 32}.{what}"):
        shutil.rmtree(left, ignore_errors=True)
    return folder.parent / f".{folder.name}.{uuid4().hex}.{what}"
