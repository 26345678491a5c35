"""Where a network can go: one entry for each runtime. A target writes its file and reads it back to be checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from falconet.deploy.parity import ArrayRun
from falconet.deploy.runtime import OnnxRun
from falconet.files import write_bytes
from falconet.graph import NetSpec

if TYPE_CHECKING:
    from falconet.deploy.onnx import Weights


class Target(Protocol):
    """A runtime. Adding one: a class with these two methods, one line in TARGETS, one case in the contract test."""

    def export(self, spec: NetSpec, weights: Weights, folder: Path) -> Path:
        """Write the fused network into `folder`; the path of the file written."""

    def load(self, path: Path) -> ArrayRun:
        """What that file computes, run by this runtime with one thread."""


class OnnxRuntime:
    """ONNX Runtime: one file, model.onnx, for pictures of any size; desktop, Android, iOS, web."""

    def export(self, spec: NetSpec, weights: Weights, folder: Path) -> Path:
        """Write model.onnx."""
        from falconet.deploy.onnx import to_onnx

        path = folder / "model.onnx"
        write_bytes(path, to_onnx(spec, weights))
        return path

    def load(self, path: Path) -> ArrayRun:
        """The file, run by ONNX Runtime."""
        return OnnxRun(path).arrays


TARGETS: Mapping[str, type[Target]] = {"onnxruntime": OnnxRuntime}
