"""A LiteRT file being written: its tensors, operators and constants; see litert_file.py."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from falconet.deploy.plan import Plan
from falconet.deploy.target import Array, Weights, array_of, imported
from falconet.graph import Layer, Shape

Value: TypeAlias = int
"""The number of a tensor in the file."""

Ends: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Pixels before and behind, in height and in width."""

VERSION = 3  # of the file format: TFL3
SAME, VALID = 0, 1
OLD_CODES = 127  # operators above are named in a newer field alone


@dataclass
class File:
    """A .tflite file being written: tensors, operators, and the constants behind them."""

    schema: Any
    plan: Plan
    weights: Weights
    shapes: Mapping[str, Shape]
    half: bool
    blocks: Mapping[str, int] = field(default_factory=dict)
    vectors: set[str] = field(default_factory=set)
    tensors: list[Any] = field(default_factory=list)
    operators: list[Any] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    buffers: list[Any] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buffers.append(self.schema.BufferT())  # the first stands for "no constant"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a layer's result in the file: (1, h, w, c), or (1, c) once it is flat."""
        one = self.shapes[name]
        return (1, one.channels) if name in self.vectors else (1, one.height, one.width, one.channels)

    def value(self, name: str) -> Value:
        """The tensor that holds the result of the layer or input `name`."""
        kept = self.plan.value(name)
        if kept not in self.values:
            self.values[kept] = self.tensor(kept, self.shape(kept))
        return self.values[kept]

    def tensor(self, name: str, shape: Sequence[int], array: Array | None = None) -> Value:
        """A new tensor; with `array`, a constant."""
        one = self.schema.TensorT()
        one.name, one.shape, one.buffer, one.hasRank = name, list(shape), 0, True
        one.type = self.schema.TensorType.FLOAT32
        if array is not None:
            kinds = {"float32": "FLOAT32", "float16": "FLOAT16", "int32": "INT32"}
            one.type = getattr(self.schema.TensorType, kinds[str(array.dtype)])
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), dtype=np.uint8)
            one.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(one)
        return len(self.tensors) - 1

    def ints(self, numbers: Sequence[int]) -> Value:
        """A constant of whole numbers: shapes, axes, places."""
        return self.tensor(f"ints{len(self.tensors)}", (len(numbers),), np.array(numbers, dtype=np.int32))

    def floats(self, name: str, array: Array) -> Value:
        """A constant of float32, whatever the file's precision."""
        return self.tensor(name, array.shape, np.asarray(array, dtype=np.float32))

    def kernel(self, name: str, array: Array) -> Value:
        """A kernel in the file's precision, and the tensor of it as float32."""
        if not self.half:
            return self.floats(name, array)
        stored = self.tensor(f"{name}.half", array.shape, array.astype(np.float16))
        found = self.tensor(name, array.shape)
        self.op("DEQUANTIZE", [stored], found)
        return found

    def array(self, layer: Layer, name: str) -> Array:
        """A weight of the layer, as torch keeps it."""
        return array_of(self.weights, layer, name)

    def op(self, kind: str, inputs: Sequence[Value], output: Value, options: str = "", **settings: object) -> None:
        """Add an operator; `options` names the kind of settings that LiteRT has for it."""
        one = self.schema.OperatorT()
        one.opcodeIndex = self.codes.setdefault(kind, len(self.codes))
        one.inputs, one.outputs = list(inputs), [output]
        if options:
            values = getattr(self.schema, f"{options}T")()
            for key, value in settings.items():
                assert hasattr(values, key), f"{options} has no {key}"
                setattr(values, key, value)
            one.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            one.builtinOptions = values
        self.operators.append(one)

    def step(self, layer: Layer, what: str, shape: Sequence[int]) -> Value:
        """A tensor for a value in between, `what`, which belongs to no layer."""
        return self.tensor(f"{layer.name}.{what}", shape)

    def combine(self, kind: str, a: Value, b: Value, out: Value, activation: int = 0) -> None:
        """Add ADD, SUB or MUL of two values."""
        self.op(kind, [a, b], out, f"{kind.title()}Options", fusedActivationFunction=activation)

    def cut(self, x: Value, start: Sequence[int], shape: Sequence[int], out: Value) -> None:
        """Add what cuts a part of that shape out of a value."""
        self.op("SLICE", [x, self.ints(start), self.ints(shape)], out, "SliceOptions")

    def reshape(self, x: Value, shape: Sequence[int], out: Value) -> None:
        """Add what reads the same numbers as another shape."""
        self.op("RESHAPE", [x, self.ints(shape)], out)

    def interleave(self, layer: Layer, x: Value, rows: int, shape: Sequence[int], out: Value) -> None:
        """Add what takes channels as a matrix of so many rows, and transposes it."""
        pixels, columns = math.prod(shape[:-1]), shape[-1] // rows
        matrix, turned = (
            self.step(layer, "matrix", (pixels, rows, columns)),
            self.step(layer, "turned", (pixels, columns, rows)),
        )
        self.reshape(x, (pixels, rows, columns), matrix)
        self.op("TRANSPOSE", [matrix, self.ints((0, 2, 1))], turned, "TransposeOptions")
        self.reshape(turned, shape, out)

    def border(self, layer: Layer, x: Value, shape: Sequence[int], ends: Ends, fill: float | None, what: str) -> Value:
        """Add pixels around a value of that shape: `ends` before and behind in height and width; None repeats the
        outermost ones, which takes ends of at most 1."""
        (top, below), (left, right) = ends
        grown = self.step(layer, what, (shape[0], shape[1] + top + below, shape[2] + left + right, shape[3]))
        amounts = np.array([(0, 0), *ends, (0, 0)], dtype=np.int32)
        inputs = [x, self.tensor(f"{layer.name}.{what}.pads", (4, 2), amounts)]
        if fill is None:  # mirrored at the edge: the same for one pixel
            assert max(top, below, left, right) <= 1
            mode = self.schema.MirrorPadMode.SYMMETRIC
            self.op("MIRROR_PAD", inputs, grown, "MirrorPadOptions", mode=mode)
        elif fill:
            inputs.append(self.floats(f"{layer.name}.{what}.fill", np.array([fill])))
            self.op("PADV2", inputs, grown, "PadV2Options")
        else:
            self.op("PAD", inputs, grown, "PadOptions")
        return grown

    def mean(self, x: Value, out: Value) -> None:
        """Add the mean over all pixels."""
        self.op("MEAN", [x, self.ints((1, 2))], out, "ReducerOptions", keepDims=True)

    def activation(self, layer: Layer) -> int:
        """The activation that the layer's operator applies itself."""
        kinds = self.schema.ActivationFunctionType
        return int(kinds.RELU if layer.name in self.plan.activation else kinds.NONE)

    def bytes(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> bytes:
        """The whole file."""
        flatbuffers = imported("flatbuffers", "LiteRT", "litert")

        graph, model = self.schema.SubGraphT(), self.schema.ModelT()
        graph.name, graph.tensors, graph.operators = "network", self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.version, model.description = VERSION, "falconet"
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = [self._code(kind) for kind in self.codes]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, kind: str) -> Any:
        one = self.schema.OperatorCodeT()
        one.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        one.deprecatedBuiltinCode = min(one.builtinCode, OLD_CODES)
        one.version = OPERATOR_VERSIONS.get(kind, 1)
        return one


# Operators whose first version cannot do what is asked of it here.
OPERATOR_VERSIONS = {"RESIZE_BILINEAR": 3, "RESIZE_NEAREST_NEIGHBOR": 3, "TRANSPOSE_CONV": 3, "DEQUANTIZE": 3}


def fits_same(size: int, kernel: int, stride: int, pad: int) -> bool:
    """Whether LiteRT's "same" padding is `pad` on both sides at this size, as far as windows reach.

    >>> fits_same(7, 3, 2, 1), fits_same(8, 3, 2, 1)
    (True, False)
    """
    out = -(-size // stride)
    missing = max((out - 1) * stride + kernel - size, 0)
    return (size + 2 * pad - kernel) // stride + 1 == out and missing // 2 == pad
