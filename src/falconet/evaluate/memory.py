"""How much memory a network takes on a runtime: `python -m falconet.evaluate.memory RUNTIME FILE 1x1x360x640 ...`.

Measured in a process of its own: by how much its memory at the peak exceeds what it held with the runtime loaded and a
small network run. Weights, activations and the runtime's workspaces are in it, the runtime itself is not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
SECONDS_OF_PATIENCE = 300.0


def peak_bytes(runtime: str, path: Path, shapes: Sequence[Sequence[int]]) -> int | None:
    """The bytes that the file takes at the peak, run once; None where the system does not tell (only Linux does)."""
    if not RESET.exists():
        return None
    words = ["x".join(map(str, shape)) for shape in shapes]
    command = [sys.executable, "-m", "falconet.evaluate.memory", runtime, str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_OF_PATIENCE)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    return int(last) if done.returncode == 0 and last.isdigit() else None


def _peak() -> int:
    """The largest memory this process has held since RESET was last written, in bytes."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main(runtime: str, path: Path, shapes: Sequence[tuple[int, ...]]) -> int:
    """The bytes by which running the file raises the memory of this process."""
    from falconet.deploy import TARGETS
    from falconet.evaluate.meter import item_of
    from falconet.evaluate.survey import empty

    target = TARGETS[runtime]()
    with tempfile.TemporaryDirectory() as folder:
        small = item_of("empty", empty(), ((8, 8),))
        target.load(small.write(runtime, Path(folder)))([np.zeros(small.shapes[0], np.float32)])
    xs = [np.random.default_rng(0).random(shape, dtype=np.float32) for shape in shapes]
    RESET.write_text("5", encoding="ascii")  # the peak begins anew
    before = _peak()
    target.load(path)(xs)
    return _peak() - before


if __name__ == "__main__":
    given = [tuple(map(int, word.split("x"))) for word in sys.argv[3:]]
    print(main(sys.argv[1], Path(sys.argv[2]), given))
