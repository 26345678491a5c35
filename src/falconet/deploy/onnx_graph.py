"""An ONNX graph being written: what to_onnx fills node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from falconet.deploy.target import Array, Weights, array_of
from falconet.graph import Layer, NetSpec

PICTURE, VECTOR = 4, 2  # ranks: (batch, channels, height, width) and (batch, channels)


@dataclass
class Graph:
    """An ONNX graph being written: nodes in order, constants by name, channels and rank of each value."""

    weights: Weights
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)

    def node(self, kind: str, layer: Layer, inputs: Sequence[str], **attributes: Any) -> None:
        """Add the node that computes `layer`; its attributes go to ONNX as they are."""
        self.nodes.append(helper.make_node(kind, inputs, [layer.name], layer.name, **attributes))

    def step(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> None:
        """Add a node that computes a value in between, `name`, which belongs to no layer."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))

    def array(self, layer: Layer, name: str) -> Array:
        """The weight `name` of the layer, float32."""
        return array_of(self.weights, layer, name)

    def weight(self, layer: Layer, name: str, shape: tuple[int, ...] | None = None) -> str:
        """Put the weight into the file and return its name there; layers that share weights share the entry."""
        array = self.array(layer, name)
        return self.constant(f"{layer.slot}.{name}", array if shape is None else array.reshape(shape), layer)

    def constant(self, name: str, array: Array, layer: Layer) -> str:
        """Put `array` into the file as `name`; under the layer's own name where another form of it has that name."""
        tensor = numpy_helper.from_array(array, name)
        if name in self.tensors and self.tensors[name] != tensor:
            name = f"{layer.name}.own_{name.rpartition('.')[2]}"
            tensor = numpy_helper.from_array(array, name)
        self.tensors[name] = tensor
        return name

    def kernel(self, layer: Layer, bias: bool) -> list[str]:
        """The layer's input, kernel and bias, as convolutions take them."""
        names = [layer.inputs[0], self.weight(layer, "weight")]
        return [*names, self.weight(layer, "bias")] if bias else names

    def value(self, name: str, prefix: str) -> onnx.ValueInfoProto:
        """The declaration of an input or output, all but its channels free."""
        sides = [f"{prefix}height", f"{prefix}width"] if self.ranks[name] == PICTURE else []
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", self.channels[name], *sides])

    def outputs(self, spec: NetSpec) -> list[str]:
        """Names of the outputs; one that is an input, or is given twice, is copied under a name of its own."""
        names: list[str] = []
        for name in spec.outputs:
            if name in names or name in {i.name for i in spec.inputs}:
                copy = f"{name}.output{len(names)}"
                self.nodes.append(helper.make_node("Identity", [name], [copy], copy))
                self.ranks[copy], self.channels[copy] = self.ranks[name], self.channels[name]
                name = copy
            names.append(name)
        return names
