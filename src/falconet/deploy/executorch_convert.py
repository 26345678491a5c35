"""The program that makes a .pte file of a job (see convert.py): torch.export, lowered to XNNPACK."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from falconet.deploy.convert import read_job


def convert(folder: Path) -> None:
    """Write folder/model.pte."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    job = read_job(folder)
    with torch.no_grad():
        # The inputs are one argument, a tuple; as separate ones Network would take the second for a sub-network.
        program = torch.export.export(job.network, (tuple(job.examples.values()),), strict=False)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    (folder / "model.pte").write_bytes(lowered.to_executorch().buffer)


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
