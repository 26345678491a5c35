"""The program that makes a .pte file: python -m falconet.deploy.executorch_convert JOB, where JOB is a folder with

    network.json, weights.safetensors, inputs.json ([[channels, height, width], ...]); model.pte is written beside them.

A process of its own: torch.export and ExecuTorch print, warn, and change settings of the process they run in.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from falconet.graph import spec_from_json
from falconet.graph.network import from_weights


def convert(job: Path) -> None:
    """Write job/model.pte."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    spec = spec_from_json(json.loads((job / "network.json").read_text(encoding="utf-8")))
    network = from_weights(spec, load_file(job / "weights.safetensors"))
    shapes = json.loads((job / "inputs.json").read_text(encoding="utf-8"))
    with torch.no_grad():
        program = torch.export.export(network, (tuple(torch.rand(1, *shape) for shape in shapes),), strict=False)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    (job / "model.pte").write_bytes(lowered.to_executorch().buffer)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
