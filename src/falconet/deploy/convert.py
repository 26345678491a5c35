"""Networks handed to a converter that is not ours, in a process of its own: converters print, warn, change settings.

    python -m falconet.deploy.executorch_convert JOB          # or coreml_convert

JOB is a folder with network.json, weights.safetensors and job.json: the inputs' names, their shapes (channels, height,
width), and the precision. The program writes its result beside them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from safetensors.numpy import save_file

from falconet.deploy.parity import ExportRefused
from falconet.deploy.target import Precision, Sizes, Weights, as_array
from falconet.graph import NetSpec, spec_from_json, spec_to_json

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph.network import Network

MOST_SECONDS = 1800  # a conversion takes some ten on an idle machine


@contextmanager
def converted(
    program: str, title: str, spec: NetSpec, weights: Weights, sizes: Sizes, precision: Precision, result: str
) -> Iterator[Path]:
    """What the module `program` of this package wrote as `result`. ExportRefused, with its last line, if it failed."""
    assert sizes, f"{title} files are for stated sizes"
    inputs = {one.name: (one.channels, *size) for one, size in zip(spec.inputs, sizes, strict=True)}
    with TemporaryDirectory() as place:
        job = Path(place)
        (job / "network.json").write_text(json.dumps(spec_to_json(spec)), encoding="utf-8")
        (job / "job.json").write_text(json.dumps({"inputs": inputs, "precision": precision}), encoding="utf-8")
        save_file({key: as_array(value) for key, value in weights.items()}, job / "weights.safetensors")
        command = [sys.executable, "-m", f"falconet.deploy.{program}", place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
        if done.returncode or not (job / result).exists():
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ExportRefused(f"{title} cannot take this network: {last[:500]}")
        yield job / result


@dataclass(frozen=True)
class Job:
    """What a converting program is given: the network, and an example of each input by name."""

    network: Network
    examples: dict[str, Tensor]
    precision: str


def read_job(folder: Path) -> Job:
    """The job in a folder."""
    import torch
    from safetensors.torch import load_file

    from falconet.graph.network import from_weights

    spec = spec_from_json(json.loads((folder / "network.json").read_text(encoding="utf-8")))
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    network = from_weights(spec, load_file(folder / "weights.safetensors"))
    return Job(network, {name: torch.rand(1, *shape) for name, shape in job["inputs"].items()}, job["precision"])
