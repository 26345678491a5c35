"""The program that makes a Core ML package of a job (see convert.py): torch's trace, converted by coremltools."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from falconet.deploy.convert import Job, read_job


class Separate(nn.Module):
    """The network with its inputs as separate arguments, as tracing wants them, and always a tuple of outputs."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.network = job.network

    def forward(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""
        found = self.network(xs)
        return found if isinstance(found, tuple) else (found,)


def convert(folder: Path) -> None:
    """Write folder/model.mlpackage."""
    import coremltools

    job = read_job(folder)
    assert job.network.spec is not None
    with torch.no_grad():
        examples = tuple(job.examples.values())
        traced = torch.jit.trace(Separate(job).eval(), examples, check_trace=False)
    kinds = {"float32": coremltools.precision.FLOAT32, "float16": coremltools.precision.FLOAT16}
    model = coremltools.convert(
        traced,
        inputs=[coremltools.TensorType(name, tuple(x.shape)) for name, x in job.examples.items()],
        outputs=[coremltools.TensorType(name) for name in job.network.spec.outputs],
        convert_to="mlprogram",
        compute_precision=kinds[job.precision],
        minimum_deployment_target=coremltools.target.iOS16,
        skip_model_load=True,  # only Apple's systems can
    )
    model.save(str(folder / "model.mlpackage"))


if __name__ == "__main__":
    convert(Path(sys.argv[1]))
