"""ONNX files run by ONNX Runtime: as numbers in and out (numpy), or as tasks call networks (torch tensors).

    run = OnnxRun(Path("model.onnx"))            # or its bytes
    (y,) = run.arrays([x_bchw])                  # numpy
    y = run((tensor_bchw,))                      # torch; what a task's `test` takes

Left out: processors other than the CPU. One thread unless told otherwise, so that timings mean something.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.graph import Input

if TYPE_CHECKING:
    from torch import Tensor

Array: TypeAlias = npt.NDArray[Any]

MOST_BYTES = 2**31  # what a protobuf file can hold


class OnnxRun:
    """An ONNX file, loaded. `inputs` are its inputs by name and channels, `outputs` the names of its outputs."""

    def __init__(self, model: bytes | Path, threads: int = 1) -> None:
        import onnxruntime

        self._title = str(model) if isinstance(model, Path) else "the ONNX file"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only; they are raised as well
        data = _read(model) if isinstance(model, Path) else model
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except _runtime_errors() as error:
            raise UserError(f"{self._title} is not a network that ONNX Runtime can run: {_short(error)}") from None
        self.inputs = tuple(self._input(one) for one in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(one.name for one in self._session.get_outputs())

    def _input(self, given: Any) -> Input:
        channels = given.shape[1] if len(given.shape) == 4 else None
        if given.type != "tensor(float)" or not isinstance(channels, int):
            raise UserError(
                f"{self._title}: its inputs must be float32 pictures (batch, channels, height, width) with a fixed "
                f"number of channels; {given.name!r} is {given.type} of shape {given.shape}"
            )
        return Input(given.name, channels)

    def arrays(self, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs for float32 inputs bchw, in the order of `inputs`. UserError when they do not fit the file."""
        if len(xs) != len(self.inputs):
            raise UserError(f"{self._title} takes {len(self.inputs)} inputs, got {len(xs)}")
        feed = {i.name: np.ascontiguousarray(x, dtype=np.float32) for i, x in zip(self.inputs, xs, strict=True)}
        try:
            return tuple(self._session.run(None, feed))
        except _runtime_errors() as error:
            shapes = ", ".join("x".join(map(str, x.shape)) for x in xs)
            raise UserError(f"{self._title} does not take an input of {shapes}: {_short(error)}") from None

    def __call__(self, xs: tuple[Tensor, ...]) -> Tensor:
        """The first output, as a tensor."""
        import torch

        return torch.from_numpy(self.arrays([x.detach().cpu().numpy() for x in xs])[0])


def run_onnx(path: Path | str) -> OnnxRun:
    """The network in an ONNX file of any origin, ready to be judged by a task. UserError when it cannot be run."""
    return OnnxRun(Path(path))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    if path.stat().st_size >= MOST_BYTES:
        raise UserError(f"{path} holds {path.stat().st_size >> 20} MiB; an ONNX file is smaller than 2048")
    return path.read_bytes()


def _runtime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's errors, which have no class of their own in common."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (getattr(state, name) for name in dir(state))
    return (*(k for k in kinds if isinstance(k, type) and issubclass(k, Exception)), RuntimeError)


def _short(error: Exception) -> str:
    """The first line of a message, cut to a length that can be read."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
