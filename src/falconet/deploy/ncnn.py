"""ncnn as a target: two small files, model.param (text) and model.bin (weights), run by the ncnn package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from falconet.deploy.ncnn_file import to_ncnn
from falconet.deploy.target import Array, ArrayRun, Precision, Sample, Sizes, Weights, imported, version_of
from falconet.errors import UserError
from falconet.files import write_bytes, write_text
from falconet.graph import Input, NetSpec

if TYPE_CHECKING:
    from torch import Tensor


class Ncnn:
    """ncnn: two small files, model.param and model.bin, for pictures of any size; Android, iOS, Linux boards."""

    extra: ClassVar[str] = "ncnn"
    packages: ClassVar[tuple[str, ...]] = ("ncnn",)
    good_for: ClassVar[str] = "apps for Android and iOS: a small library in C++ without dependencies, fast on ARM"
    any_size: ClassVar[bool] = True
    tolerances: ClassVar[Mapping[Precision, float | None]] = {"float32": 1e-4, "float16": 4e-3}
    runs: ClassVar[bool] = True
    python: ClassVar[str] = """\
import ncnn

net = ncnn.Net()
net.load_param(str(folder / "FILE"))
net.load_model(str(folder / "FILE").replace(".param", ".bin"))


def network(*arrays):
    extractor = net.create_extractor()
    for name, array in zip(net.input_names(), arrays):
        extractor.input(name, ncnn.Mat(np.ascontiguousarray(array[0])).clone())
    return np.array(extractor.extract(net.output_names()[0])[1])[None]
"""
    snippets: ClassVar[Mapping[str, str]] = {
        "C++": """\
#include <ncnn/net.h>

ncnn::Net net;                                    // once
net.load_param("FILE");
net.load_model("STEM.bin");

ncnn::Extractor extractor = net.create_extractor();
extractor.input("INPUT", in);                     // ncnn::Mat in(width, height, channels), float32, 0 to 1
ncnn::Mat out;
extractor.extract("OUTPUT", out);
"""
    }

    def version(self) -> str:
        """The version of ncnn."""
        return version_of("ncnn", "ncnn", self.extra)

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
        """Write model.param and model.bin; the path of the first."""
        param, data = to_ncnn(spec, weights, half=precision == "float16")
        write_bytes(folder / "model.bin", data)
        write_text(folder / "model.param", param)
        return folder / "model.param"

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """The files, run by ncnn in float32."""
        return NcnnRun(path, threads)


class NcnnRun:
    """A model.param and the model.bin beside it, loaded; called with arrays. A batch is run one by one."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        ncnn = imported("ncnn", "ncnn", Ncnn.extra)
        self._mat, self._title = ncnn.Mat, str(path)
        for one in (path, path.with_suffix(".bin")):
            if not one.is_file():
                raise UserError(f"there is no file {one}: a network for ncnn is a .param and a .bin of the same name")
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads, options.use_vulkan_compute = threads, False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        if self._net.load_param(str(path)) or self._net.load_model(str(path.with_suffix(".bin"))):
            raise UserError(f"{path} is not a network that ncnn can run")

    def __call__(self, xs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs for float32 inputs bchw. UserError when they do not fit the file."""
        names = self._net.input_names()
        if len(xs) != len(names):
            raise UserError(f"{self._title} takes {len(names)} inputs, got {len(xs)}")
        pictures = [self._run(names, [x[n] for x in xs]) for n in range(len(xs[0]))]
        return tuple(np.stack(values) for values in zip(*pictures, strict=True))

    def _run(self, names: Sequence[str], xs: Sequence[Array]) -> list[Array]:
        extractor = self._net.create_extractor()
        mats = [self._mat(np.ascontiguousarray(x, dtype=np.float32)).clone() for x in xs]
        for name, mat in zip(names, mats, strict=True):
            extractor.input(name, mat)
        found = []
        for name in self._net.output_names():
            code, value = extractor.extract(name)
            if code:
                raise UserError(f"{self._title} does not take an input of {'x'.join(map(str, xs[0].shape))}")
            found.append(np.array(value))
        return found


class NcnnFile:
    """An ncnn network of any origin with one input, ready to be judged by a task: tensors in, the first output out."""

    def __init__(self, path: Path) -> None:
        self._run = NcnnRun(path)
        self.inputs = (Input("x", _first_channels(path)),)

    def __call__(self, xs: tuple[Tensor, ...]) -> Tensor:
        """The first output, as a tensor."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(self._run([x.detach().cpu().numpy() for x in xs])[0]))


def _first_channels(path: Path) -> int:
    """The channels of the input, which the file does not say: those that its first convolution reads."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *words = line.split() or [""]
        values = dict(word.split("=", 1) for word in words if "=" in word)
        if kind == "Convolution" and {"0", "1", "6"} <= values.keys():
            width = int(values["1"])
            return int(values["6"]) // (int(values["0"]) * width * int(values.get("11", width)))
    raise UserError(f"{path}: its first layers do not tell how many channels it takes; judge the network it came from")
