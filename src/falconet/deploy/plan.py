"""What has to be written of a network, for formats that are written layer by layer.

Layers that do nothing, or whose result nobody needs, are not written; an activation goes into the convolution before
it where the format has a place for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from falconet.graph import Dropout, Identity, NetSpec, Op, infer_parts
from falconet.graph.shape import plain, total

NO_WORK = (Identity, Dropout)


@dataclass(frozen=True)
class Plan:
    """What becomes of a network's layers: `same` names the value that holds a layer's result where it is not its own.

    `skipped` layers are not written: they do nothing, nothing reads them, or the layer before does their work
    (`activation`, by that layer's name). `uses` counts how often a value is read, outputs included. `copied` outputs
    get a value of their own, where a format knows outputs by nobody reading them.
    """

    same: Mapping[str, str]
    skipped: frozenset[str]
    activation: Mapping[str, Op]
    uses: Mapping[str, int]
    copied: bool

    def value(self, name: str) -> str:
        """The value that holds the result of the layer `name`."""
        while name in self.same:
            name = self.same[name]
        return name


def plan(spec: NetSpec, fusing: tuple[type[Op], ...], settings: Callable[[Op], object | None]) -> Plan:
    """The plan of a flat network, for a format whose `fusing` operators can apply an activation themselves.

    `settings` gives None for an activation that they cannot apply.

    >>> d = Draft(x=1)
    >>> spec = d.build(d.layer("act", ReLU(), d.layer("same", Identity(), d.layer("conv", Conv(1), "x"))))
    >>> found = plan(spec, (Conv,), lambda op: isinstance(op, ReLU) or None)
    >>> found.value("conv"), sorted(found.skipped), found.activation
    ('act', ['act', 'same'], {'conv': ReLU()})
    """
    needed = set(spec.outputs)
    for layer in reversed(spec.layers):
        needed.update(layer.inputs if layer.name in needed else ())
    same: dict[str, str] = {}
    for layer in spec.layers:
        if isinstance(layer.op, NO_WORK):
            same[layer.name] = same.get(layer.inputs[0], layer.inputs[0])
    working = [layer for layer in spec.layers if layer.name in needed and layer.name not in same]
    outputs = [same.get(name, name) for name in spec.outputs]
    uses = Counter([same.get(name, name) for layer in working for name in layer.inputs] + outputs)
    copied = len(outputs) > 1 or uses[outputs[0]] > 1 or outputs[0] in {i.name for i in spec.inputs}
    activation: dict[str, Op] = {}
    found = {layer.name: layer for layer in working}
    for layer in working:
        before = found.get(same.get(layer.inputs[0], layer.inputs[0]))
        assert isinstance(layer.op, Op), "the network is flat"
        if before is None or not isinstance(before.op, fusing) or settings(layer.op) is None:
            continue
        if uses[before.name] == 1 and before.name not in activation:
            activation[before.name], same[before.name] = layer.op, layer.name
    skipped = {layer.name for layer in spec.layers if layer.name not in found}
    fused = {same[name] for name in activation}
    return Plan(same, frozenset(skipped | fused), activation, uses, copied)


def channels_of(spec: NetSpec) -> dict[str, int]:
    """The channels of every input and layer of a flat network."""
    parts = infer_parts(spec, tuple(plain(i.channels) for i in spec.inputs))
    return {name: total(one) for name, one in parts.items()}
