"""Core ML as a target: a package for each picture size, written by coremltools and never run here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from falconet.deploy.convert import converted
from falconet.deploy.target import ArrayRun, Precision, Sample, Sizes, Weights, version_of
from falconet.errors import UserError
from falconet.graph import NetSpec


class CoreMl:
    """Core ML: a package for each picture size; Apple's systems alone run it, so its files are NOT proved."""

    extra: ClassVar[str] = "coreml"
    packages: ClassVar[tuple[str, ...]] = ("coremltools",)
    good_for: ClassVar[str] = "apps for iPhone, iPad and Mac, by their neural engine"
    any_size: ClassVar[bool] = False
    tolerances: ClassVar[Mapping[Precision, float | None]] = {"float32": 1e-4, "float16": 4e-3}
    runs: ClassVar[bool] = False
    python: ClassVar[str] = """\
import coremltools  # predicts on macOS alone

model = coremltools.models.MLModel(str(folder / "FILE"))
names = [one.name for one in model.get_spec().description.input]
result = model.get_spec().description.output[0].name


def network(*arrays):
    return model.predict(dict(zip(names, arrays)))[result]
"""
    snippets: ClassVar[Mapping[str, str]] = {
        "Swift": """\
// add FILE to the project
let model = try MLModel(contentsOf: Bundle.main.url(forResource: "STEM", withExtension: "mlmodelc")!)     // once

let input = try MLMultiArray(shape: [1, channels, height, width], dataType: .float32)     // 0 to 1
let features = try MLDictionaryFeatureProvider(dictionary: ["INPUT": input])
let values = try model.prediction(from: features).featureValue(for: "OUTPUT")!.multiArrayValue!
"""
    }

    def version(self) -> str:
        """The version of coremltools."""
        return version_of("coremltools", "Core ML's converter", self.extra)

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
        """Write model-WIDTHxHEIGHT.mlpackage for inputs of `sizes`; `precision` is what it computes in."""
        self.version()
        with converted("coreml_convert", "Core ML", spec, weights, sizes, precision, "model.mlpackage") as found:
            height, width = sizes[0]
            return Path(shutil.copytree(found, folder / f"model-{width}x{height}.mlpackage"))

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """Nothing: always a UserError."""
        raise UserError(f"{path} cannot be run by Falconet: Core ML runs on Apple's systems alone")
