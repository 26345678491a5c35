"""LiteRT (TensorFlow Lite) as a target: one .tflite file for each picture size, run by the LiteRT package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from falconet.deploy.litert_file import to_litert
from falconet.deploy.target import Array, ArrayRun, Precision, Sample, Sizes, Weights, imported, version_of
from falconet.errors import UserError
from falconet.files import write_bytes
from falconet.graph import NetSpec


class LiteRt:
    """LiteRT (TensorFlow Lite): one file for each picture size; Android, and chips that read no other format."""

    extra: ClassVar[str] = "litert"
    packages: ClassVar[tuple[str, ...]] = ("ai-edge-litert",)
    good_for: ClassVar[str] = "Android apps that have LiteRT already, and accelerators that read .tflite"
    any_size: ClassVar[bool] = False
    tolerances: ClassVar[Mapping[Precision, float | None]] = {"float32": 1e-4, "float16": 4e-3}
    runs: ClassVar[bool] = True
    python: ClassVar[str] = """\
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(str(folder / "FILE"))
interpreter.allocate_tensors()


def network(*arrays):  # LiteRT keeps channels last
    for one, array in zip(interpreter.get_input_details(), arrays):
        interpreter.set_tensor(one["index"], np.ascontiguousarray(array.transpose(0, 2, 3, 1)))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found
"""
    snippets: ClassVar[Mapping[str, str]] = {
        "Kotlin": """\
// build.gradle: implementation("com.google.ai.edge.litert:litert:VERSION")
val model = CompiledModel.create(assets, "FILE", CompiledModel.Options(Accelerator.CPU))    // once
val inputs = model.createInputBuffers()
val outputs = model.createOutputBuffers()

inputs[0].writeFloat(pixels)                    // height x width x channels, 0 to 1
model.run(inputs, outputs)
val values: FloatArray = outputs[0].readFloat()
"""
    }

    def version(self) -> str:
        """The version of LiteRT."""
        return version_of("ai-edge-litert", "LiteRT", self.extra)

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
        """Write model-WIDTHxHEIGHT.tflite for inputs of `sizes`."""
        assert sizes, "LiteRT files are for stated sizes"
        height, width = sizes[0]
        path = folder / f"model-{width}x{height}.tflite"
        write_bytes(path, to_litert(spec, weights, sizes, half=precision == "float16"))
        return path

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """The file, run by LiteRT's fast kernels for processors (XNNPACK)."""
        interpreter = imported("ai_edge_litert.interpreter", "LiteRT", self.extra)
        if not path.is_file():
            raise UserError(f"there is no file {path}")
        try:
            loaded = interpreter.Interpreter(str(path), num_threads=threads)
            loaded.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path} is not a network that LiteRT can run: {str(error)[:300]}") from None
        inputs, outputs = loaded.get_input_details(), loaded.get_output_details()

        def one(xs: Sequence[Array]) -> list[Array]:
            for given, x in zip(inputs, xs, strict=True):
                value = np.ascontiguousarray(x.transpose(0, 2, 3, 1), dtype=np.float32)
                if value.shape != tuple(given["shape"]):
                    wanted, came = (f"{s[2]}x{s[1]} pixels of {s[3]}" for s in (given["shape"], value.shape))
                    raise UserError(f"{path} is for pictures of {wanted} channels, not of {came}")
                loaded.set_tensor(given["index"], value)
            loaded.invoke()
            found = [loaded.get_tensor(given["index"]) for given in outputs]
            return [y.transpose(0, 3, 1, 2) if y.ndim == 4 else y for y in found]

        def run(xs: Sequence[Array]) -> tuple[Array, ...]:
            if len(xs) != len(inputs):
                raise UserError(f"{path} takes {len(inputs)} inputs, got {len(xs)}")
            pictures = [one([x[n : n + 1] for x in xs]) for n in range(len(xs[0]))]
            return tuple(np.concatenate(values) for values in zip(*pictures, strict=True))

        return run
