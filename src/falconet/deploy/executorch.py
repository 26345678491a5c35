"""ExecuTorch as a target: one .pte file for each picture size, lowered to XNNPACK, PyTorch's kernels for phones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from falconet.deploy.convert import converted
from falconet.deploy.target import Array, ArrayRun, Precision, Sample, Sizes, Weights, imported, version_of
from falconet.errors import UserError
from falconet.files import write_bytes
from falconet.graph import NetSpec


class ExecuTorch:
    """ExecuTorch (XNNPACK): one file for each picture size; Android and iOS apps that use PyTorch's own runtime."""

    extra: ClassVar[str] = "executorch"
    packages: ClassVar[tuple[str, ...]] = ("executorch", "torch")
    good_for: ClassVar[str] = "Android and iOS apps that have ExecuTorch already"
    any_size: ClassVar[bool] = False
    tolerances: ClassVar[Mapping[Precision, float | None]] = {"float32": 1e-4}
    runs: ClassVar[bool] = True
    python: ClassVar[str] = """\
import torch
from executorch.extension.pybindings import portable_lib

module = portable_lib._load_for_executorch(str(folder / "FILE"))


def network(*arrays):
    return module.forward([torch.from_numpy(np.ascontiguousarray(array)) for array in arrays])[0].numpy()
"""
    snippets: ClassVar[Mapping[str, str]] = {
        "Kotlin": """\
// build.gradle: implementation("org.pytorch:executorch-android:VERSION")
val module = Module.load(path)                                             // once; the path of FILE on the phone

val input = Tensor.fromBlob(pixels, longArrayOf(1, channels, height, width))    // float32, 0 to 1
val values: FloatArray = module.forward(EValue.from(input))[0].toTensor().dataAsFloatArray
""",
        "C++": """\
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
using namespace executorch::extension;

Module module("FILE");                                                     // once

auto input = from_blob(pixels.data(), {1, channels, height, width});       // float32, 0 to 1
const auto result = module.forward(input);
const float *values = result->at(0).toTensor().const_data_ptr<float>();
""",
    }

    def version(self) -> str:
        """The version of ExecuTorch."""
        return version_of("executorch", "ExecuTorch", self.extra)

    def export(
        self,
        spec: NetSpec,
        weights: Weights,
        folder: Path,
        *,
        precision: Precision = "float32",
        sizes: Sizes = (),
        samples: Sequence[Sample] = (),
    ) -> Path:
        """Write model-WIDTHxHEIGHT.pte for inputs of `sizes`, in a process of its own. ExportRefused when it fails."""
        self.version()
        with converted("executorch_convert", "ExecuTorch", spec, weights, sizes, precision, "model.pte") as found:
            height, width = sizes[0]
            path = folder / f"model-{width}x{height}.pte"
            write_bytes(path, found.read_bytes())
        return path

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """The file, run by ExecuTorch. The number of threads is that of the whole process."""
        portable = imported("executorch.extension.pybindings.portable_lib", "ExecuTorch", self.extra)
        import torch

        if not path.is_file():
            raise UserError(f"there is no file {path}")
        portable._unsafe_reset_threadpool(threads)
        try:
            module = portable._load_for_executorch(str(path))
            module.method_meta("forward")  # nothing is read before something is asked for
        except RuntimeError as error:
            raise UserError(f"{path} is not a network that ExecuTorch can run: {str(error)[:300]}") from None

        def one(xs: Sequence[Array]) -> list[Array]:
            tensors = [torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)) for x in xs]
            try:
                return [y.numpy().copy() for y in module.forward(tensors)]
            except RuntimeError as error:
                came = ", ".join("x".join(map(str, x.shape)) for x in xs)
                raise UserError(f"{path} is not for an input of {came}: {str(error)[:300]}") from None

        def run(xs: Sequence[Array]) -> tuple[Array, ...]:
            pictures = [one([x[n : n + 1] for x in xs]) for n in range(len(xs[0]))]
            return tuple(np.concatenate(values) for values in zip(*pictures, strict=True))

        return run
