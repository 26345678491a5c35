"""ncnn files from networks: the text of a .param file and the bytes of a .bin file, for pictures of any size.

Both are written from the spec itself, operator by operator (docs/decisions/0020): no converter, milliseconds. How the
operators are written: ncnn_layers.py; into what: ncnn_writer.py.

    param, data = to_ncnn(small.spec, small.weights())      # small = deployed(network)

Half precision stores kernels in 16 bits, which halves the file; what it computes in is up to the phone.
Left out: integers, which the ncnn package has no tool for.
"""

from __future__ import annotations

from falconet.deploy.ncnn_layers import EMITTERS
from falconet.deploy.ncnn_writer import Net, activation_settings
from falconet.deploy.plan import channels_of, plan
from falconet.deploy.target import Weights, layers_for
from falconet.graph import Conv, DepthwiseConv, EdgeConv, Linear, NetSpec, TransposedConv, flatten

MAGIC = 7767517
FUSING = (Conv, DepthwiseConv, EdgeConv, TransposedConv, Linear)  # can apply an activation themselves


def to_ncnn(spec: NetSpec, weights: Weights, half: bool = False) -> tuple[str, bytes]:
    """The .param file's text and the .bin file's bytes; `half` stores kernels in 16 bits.

    UserError names a layer that ncnn cannot take, ValueError a weight that was not given.
    """
    flat = flatten(spec)
    net = Net(plan(flat, FUSING, activation_settings), channels_of(flat), weights, half)
    for one in flat.inputs:
        net.add("Input", one.name, [], one.name)
    for layer, emit in layers_for(flat, EMITTERS, "ncnn"):
        if layer.name not in net.plan.skipped:
            emit(net, layer, layer.op)
    if net.plan.copied:
        for number, name in enumerate(flat.outputs):
            net.add("Split", f"{name}.output{number}", [name], f"{name}.output{number}")
    head = [str(MAGIC), f"{len(net.lines)} {net.num_values}"]
    return "\n".join([*head, *net.lines]) + "\n", bytes(net.data)
