"""An ncnn network being written: the lines of its .param file, the bytes of its .bin file; see ncnn_file.py.

Values have the names of the layers, so `extractor.extract("up")` gives what the layer "up" computes. ncnn wants a value
to be read once: one that several layers read goes through a Split. An activation that ncnn's convolutions can apply
themselves is given to the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from falconet.deploy.plan import Plan
from falconet.deploy.target import Array, Weights, array_of
from falconet.graph import Clip, HardSwish, Layer, LeakyReLU, Op, ReLU, Sigmoid

Number: TypeAlias = int | float
Setting: TypeAlias = "Number | Sequence[Number] | str"
Params: TypeAlias = Mapping[int, Setting]
"""Settings of an ncnn layer by number; what each number means is in ncnn's documentation of its operators."""

FLOAT32, FLOAT16 = 0, 0x01306B47  # what the bytes of a kernel begin with
LIST = -23300  # less the number of a setting: its value is a list


@dataclass
class Net:
    """An ncnn network being written: lines of the .param file, bytes of the .bin file."""

    plan: Plan
    channels: Mapping[str, int]
    weights: Weights
    half: bool
    lines: list[str] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    num_values: int = 0
    copies: dict[str, list[str]] = field(default_factory=dict)  # of a value that is read often: those not read yet

    def add(self, kind: str, name: str, inputs: Sequence[str], output: str, params: Params | None = None) -> None:
        """Add an ncnn layer that reads the results `inputs` and makes the value `output`."""
        self._line(kind, name, [self._read(one) for one in inputs], [output], params or {})
        if (count := self.plan.uses.get(output, 1)) > 1:
            self.copies[output] = [f"{output}.copy{n}" for n in range(count)]
            self._line("Split", f"{output}.split", [output], self.copies[output], {})

    def layer(self, kind: str, layer: Layer, params: Params | None = None) -> None:
        """Add the ncnn layer that does the work of `layer`."""
        self.add(kind, layer.name, layer.inputs, self.plan.value(layer.name), params)

    def steps(self, layer: Layer, *steps: tuple[str, Params]) -> None:
        """Add ncnn layers one behind the other that together do the work of `layer`."""
        source = list(layer.inputs)
        for number, (kind, params) in enumerate(steps[:-1]):
            name = f"{layer.name}.step{number}"
            self.add(kind, name, source, name, params)
            source = [name]
        kind, params = steps[-1]
        self.add(kind, layer.name, source, self.plan.value(layer.name), params)

    def split(self, name: str, source: str, count: int) -> list[str]:
        """So many copies of the result `source`, for a layer that reads it several times itself."""
        copies = [f"{name}{n}" for n in range(count)]
        self._line("Split", name, [self._read(source)], copies, {})
        return copies

    def kernel(self, kind: str, layer: Layer, kernel: Array, bias: Array | None, params: Params) -> None:
        """Add a layer with a kernel and perhaps a bias, and the activation that the plan gives it."""
        activation = self.plan.activation.get(layer.name)
        self.layer(kind, layer, {**params, **((activation and activation_settings(activation)) or {})})
        values = kernel.astype(np.float16) if self.half else kernel
        self.data += np.array([FLOAT16 if self.half else FLOAT32], dtype="<u4").tobytes() + values.tobytes()
        self.data += bytes(-len(self.data) % 4)  # kernels end on whole words
        if bias is not None:
            self.data += bias.tobytes()

    def array(self, layer: Layer, name: str) -> Array:
        """A weight of the layer."""
        return array_of(self.weights, layer, name)

    def bias(self, layer: Layer, there: bool) -> Array | None:
        """The layer's bias, when it has one."""
        return self.array(layer, "bias") if there else None

    def _read(self, name: str) -> str:
        value = self.plan.value(name)
        return self.copies[value].pop(0) if value in self.copies else value

    def _line(self, kind: str, name: str, inputs: Sequence[str], outputs: Sequence[str], params: Params) -> None:
        settings = " ".join(_setting(key, value) for key, value in params.items())
        values = " ".join([*inputs, *outputs])
        self.lines.append(f"{kind:<20} {name:<20} {len(inputs)} {len(outputs)} {values} {settings}".rstrip())
        self.num_values += len(outputs)


def _setting(key: int, value: Setting) -> str:
    """A setting as text: whole numbers without a point, others with one, or ncnn reads the wrong kind.

    >>> _setting(0, 3), _setting(1, 0.5), _setting(9, (2, 4))
    ('0=3', '1=5.000000000e-01', '-23309=2,2,4')
    """
    if isinstance(value, int):
        return f"{key}={value}"
    if isinstance(value, float):
        return f"{key}={value:.9e}"
    if isinstance(value, str):
        return f'{key}="{value}"'
    words = [str(one) if isinstance(one, int) else f"{one:.9e}" for one in value]
    return f"{LIST - key}={','.join([str(len(words)), *words])}"


def activation_settings(op: Op) -> Params | None:
    """The settings that make a convolution apply `op` itself; None where ncnn cannot."""
    match op:
        case ReLU():
            return {9: 1}
        case LeakyReLU():
            return {9: 2, 10: [op.slope]}
        case Clip():
            return {9: 3, 10: [float(op.low), float(op.high)]}
        case Sigmoid():
            return {9: 4}
        case HardSwish():
            return {9: 6, 10: [1 / 6, 0.5]}
        case _:
            return None
