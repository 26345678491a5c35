"""OpenVINO as a target: model.xml and model.bin, read by OpenVINO from our ONNX file and saved in its own form.

OpenVINO's package reports every import to its makers unless a part of it cannot be found; here that part is hidden
while the package is imported. On processors with bf16 units OpenVINO computes in bf16 unless told otherwise, which
costs three digits: float32 is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from falconet.deploy.target import Array, ArrayRun, Precision, Sample, Sizes, Weights, imported, version_of
from falconet.errors import UserError
from falconet.files import write_bytes
from falconet.graph import NetSpec

REPORTER = "openvino_telemetry"


class OpenVino:
    """OpenVINO: model.xml and model.bin, for pictures of any size; Intel processors."""

    extra: ClassVar[str] = "openvino"
    packages: ClassVar[tuple[str, ...]] = ("openvino",)
    good_for: ClassVar[str] = "servers, desktops and small computers with an Intel processor"
    any_size: ClassVar[bool] = True
    tolerances: ClassVar[Mapping[Precision, float | None]] = {"float32": 1e-4, "float16": 4e-3}
    runs: ClassVar[bool] = True
    python: ClassVar[str] = """\
sys.modules["openvino_telemetry"] = None  # or importing OpenVINO reports it to its makers
import openvino

settings = {"INFERENCE_PRECISION_HINT": "f32"}  # or it computes in bf16 where it can
model = openvino.Core().compile_model(folder / "FILE", "CPU", settings)


def network(*arrays):
    return model(list(arrays))[0]
"""
    snippets: ClassVar[Mapping[str, str]] = {
        "C++": """\
#include <openvino/openvino.hpp>

ov::Core core;                                    // once
auto model = core.compile_model("FILE", "CPU", ov::hint::inference_precision(ov::element::f32));
auto request = model.create_infer_request();

ov::Tensor input(ov::element::f32, {1, channels, height, width}, pixels.data());    // 0 to 1
request.set_tensor("INPUT", input);
request.infer();
const float *values = request.get_tensor("OUTPUT").data<float>();
"""
    }

    def version(self) -> str:
        """The version of OpenVINO."""
        return version_of("openvino", "OpenVINO", self.extra)

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
        """Write model.xml and model.bin; the path of the first. float16 is how weights are stored."""
        from falconet.deploy.onnx import to_onnx

        openvino = _openvino()
        model = openvino.Core().read_model(to_onnx(spec, weights), b"")
        beside = folder / ".openvino"
        beside.mkdir()
        openvino.save_model(model, beside / "model.xml", compress_to_fp16=precision == "float16")
        for name in ("model.bin", "model.xml"):
            write_bytes(folder / name, (beside / name).read_bytes())
            (beside / name).unlink()
        beside.rmdir()
        return folder / "model.xml"

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """The files, run by OpenVINO in float32."""
        openvino = _openvino()
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        try:
            model = openvino.Core().compile_model(path, "CPU", settings)
        except RuntimeError as error:
            raise UserError(f"{path} is not a network that OpenVINO can run: {_last(error)}") from None

        def run(xs: Sequence[Array]) -> tuple[Array, ...]:
            try:
                found = model([np.ascontiguousarray(x, dtype=np.float32) for x in xs])
            except RuntimeError as error:
                shapes = ", ".join("x".join(map(str, x.shape)) for x in xs)
                raise UserError(f"{path} does not take an input of {shapes}: {_last(error)}") from None
            return tuple(found[number].copy() for number in range(len(model.outputs)))

        return run


def _openvino() -> Any:
    """The package, imported so that it reports to nobody. UserError when it is not installed."""
    if loaded := sys.modules.get("openvino"):
        return loaded
    before = sys.modules.get(REPORTER)
    sys.modules[REPORTER] = None  # type: ignore[assignment]  # what is None here cannot be imported
    try:
        return imported("openvino", "OpenVINO", OpenVino.extra)
    finally:
        del sys.modules[REPORTER]
        if before is not None:
            sys.modules[REPORTER] = before


def _last(error: RuntimeError) -> str:
    """The last line of a message, which says what is wrong; those before say where in OpenVINO."""
    return ([line for line in str(error).splitlines() if line.strip()] or ["no reason given"])[-1][:300]
