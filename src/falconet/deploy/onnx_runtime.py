"""ONNX Runtime as a target: one file, model.onnx, which other runtimes and converters read too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from falconet.deploy.runtime import OnnxRun
from falconet.deploy.target import ArrayRun, Precision, Sample, Sizes, Weights, version_of
from falconet.files import write_bytes
from falconet.graph import NetSpec


class OnnxRuntime:
    """ONNX Runtime: one file, model.onnx, for pictures of any size; desktop, servers, Android, iOS, web."""

    extra: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    good_for: ClassVar[str] = "desktop, servers and the web; phones where 20 MB more in the app do not matter"
    any_size: ClassVar[bool] = True
    tolerances: ClassVar[Mapping[Precision, float | None]] = {"float32": 1e-4, "int8": None}
    runs: ClassVar[bool] = True
    python: ClassVar[str] = """\
import onnxruntime

session = onnxruntime.InferenceSession(str(folder / "FILE"), providers=["CPUExecutionProvider"])


def network(*arrays):
    return session.run(None, {i.name: array for i, array in zip(session.get_inputs(), arrays)})[0]
"""
    snippets: ClassVar[Mapping[str, str]] = {
        "Kotlin": """\
// build.gradle: implementation("com.microsoft.onnxruntime:onnxruntime-android:VERSION")
val environment = OrtEnvironment.getEnvironment()                          // once
val session = environment.createSession(assets.open("FILE").readBytes())   // once

val shape = longArrayOf(1, channels, height, width)
OnnxTensor.createTensor(environment, FloatBuffer.wrap(pixels), shape).use { input ->    // float32, 0 to 1
    session.run(mapOf("INPUT" to input)).use { result ->
        val output = (result["OUTPUT"].get() as OnnxTensor).floatBuffer
    }
}
""",
        "C++": """\
#include <onnxruntime_cxx_api.h>

Ort::Env environment;                                                      // once
Ort::Session session(environment, "FILE", Ort::SessionOptions());

int64_t shape[] = {1, channels, height, width};
auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
auto input = Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), shape, 4);   // 0 to 1
const char *inputs[] = {"INPUT"}, *outputs[] = {"OUTPUT"};
auto result = session.Run(Ort::RunOptions(), inputs, &input, 1, outputs, 1);
const float *values = result[0].GetTensorData<float>();
""",
    }

    def version(self) -> str:
        """The version of ONNX Runtime."""
        return version_of("onnxruntime", "ONNX Runtime", self.extra)

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
        """Write model.onnx. int8 is calibrated on the samples."""
        from falconet.deploy.onnx import to_onnx
        from falconet.deploy.quantize import quantized

        path = folder / "model.onnx"
        data = to_onnx(spec, weights)
        write_bytes(path, quantized(data, samples) if precision == "int8" else data)
        return path

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """The file, run by ONNX Runtime."""
        return OnnxRun(path, threads).arrays
