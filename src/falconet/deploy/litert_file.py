"""LiteRT (TensorFlow Lite) files from networks, written operator by operator, for pictures of one stated size.

LiteRT keeps channels last: the file takes and gives (1, height, width, channels), which is how phones hold pictures.
The form of the file comes from the flatbuffers schema inside the runtime's own package; no converter, no TensorFlow
(docs/decisions/0020). How operators are written is in litert_layers.py and litert_windows.py, into what in
litert_writer.py. Sizes are fixed, as LiteRT's fast kernels want them, so paddings are known and written down.

    data = to_litert(small.spec, small.weights(), ((360, 640),))      # small = deployed(network)

Pixel shuffle: LiteRT wants the channels of one output pixel together, torch those of one output channel. Where all that
makes these channels can be reordered for free (kernels, slopes, sums) it is; elsewhere they are transposed.
Left out: integers, and batches.
"""

from __future__ import annotations

from collections.abc import Mapping

from falconet.deploy.litert_layers import EMITTERS
from falconet.deploy.litert_windows import REORDERED
from falconet.deploy.litert_writer import File, Value
from falconet.deploy.plan import Plan, plan
from falconet.deploy.target import Sizes, Weights, imported, layers_for
from falconet.graph import (
    Add,
    Conv,
    DepthwiseConv,
    Flatten,
    Linear,
    Multiply,
    NetSpec,
    PixelShuffle,
    ReLU,
    Repeat,
    flatten,
    infer_shapes,
)
from falconet.graph.spec import input_shapes

FUSING = (Conv, DepthwiseConv, Linear, Add, Multiply)


def to_litert(spec: NetSpec, weights: Weights, sizes: Sizes, half: bool = False) -> bytes:
    """The network as a .tflite file for inputs of (height, width) `sizes`; `half` stores kernels in 16 bits.

    UserError names a layer that LiteRT cannot take, ValueError a weight that was not given or a size that does not fit.
    """
    flat = flatten(spec)
    schema = imported("ai_edge_litert.schema_py_generated", "LiteRT", "litert")
    shapes = infer_shapes(flat, input_shapes(flat, *sizes))
    file = File(schema, plan(flat, FUSING, lambda op: isinstance(op, ReLU) or None), weights, shapes, half)
    file.blocks = ordered_for_shuffles(flat, file.plan)
    for layer in flat.layers:
        if isinstance(layer.op, Flatten | Linear) or layer.inputs[0] in file.vectors:
            file.vectors.add(layer.name)
    inputs = [file.value(one.name) for one in flat.inputs]
    for layer, emit in layers_for(flat, EMITTERS, "LiteRT"):
        if layer.name not in file.plan.skipped:
            emit(file, layer, layer.op)
    outputs: list[Value] = []
    for number, name in enumerate(flat.outputs):
        found = file.value(name)
        if found in (*inputs, *outputs):
            copy = file.tensor(f"{name}.output{number}", file.shape(name))
            file.reshape(found, file.shape(name), copy)
            found = copy
        outputs.append(found)
    return file.bytes(inputs, outputs)


def ordered_for_shuffles(spec: NetSpec, plan: Plan) -> Mapping[str, int]:
    """Layer -> the factor of the pixel shuffle for which its channels are written in LiteRT's order."""
    makers = {layer.name: layer for layer in spec.layers}
    found: dict[str, int] = {}

    def reached(name: str, factor: int) -> list[str] | None:
        """The layers to reorder so that `name` is in order; None where one of them cannot be."""
        layer = makers.get(name)
        if layer is None or not isinstance(layer.op, REORDERED) or plan.uses.get(plan.value(name), 0) > 1:
            return None
        if isinstance(layer.op, Conv | Repeat):
            fits = layer.op.groups == 1 if isinstance(layer.op, Conv) else layer.op.times == factor**2
            return [name] if fits else None
        chains = [reached(one, factor) for one in layer.inputs]
        return None if None in chains else [name, *(one for chain in chains for one in chain or ())]

    for layer in spec.layers:
        if isinstance(layer.op, PixelShuffle) and layer.op.factor > 1:
            chain = reached(layer.inputs[0], layer.op.factor) or []
            found.update(dict.fromkeys(chain, layer.op.factor))
    return found
