"""Rewrites: from a network as trained to a smaller, equal one. On specs alone, or on specs and their weights.

`merged(spec)` drops what exists only in training and merges linear branches (a 3x3 beside 1x1-to-3x3 chains beside edge
filters, as in ECB: Zhang et al. 2021, eq. 3 to 9) where the merged convolution costs no more. `deploy` folds batch norm
as well. Weights may be live parameters: the result is then a differentiable function of them, so a re-parameterized
network can be trained at the price of its merged form. A spec is rewritten once; its weights as often as they change.

Exact at borders: in a merged chain the 1x1 carries the padding and the k x k none (the padding then equals the 1x1's
bias, as zeros into the 1x1 give). A chain padded in the middle after a bias is left as it is. Only layers of one block
(equal dotted prefix) are merged, so that nested and flat forms of a network agree.

Left out: batch norm inside branches (RepVGG). It folds only once statistics are fixed, and costs must be known before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import is_ as _is
from typing import TYPE_CHECKING, TypeAlias

from falconet.graph.kernels import Action, Fixed, FoldNorm, Merge
from falconet.graph.ops import (
    Add,
    BatchNorm,
    Conv,
    DepthwiseConv,
    Dropout,
    EdgeConv,
    Identity,
    Linear,
    Normalize,
    TransposedConv,
)
from falconet.graph.ops.base import same_pad
from falconet.graph.shape import Parts, plain, total
from falconet.graph.spec import Layer, NetSpec, flatten, infer_parts, remembered
from falconet.graph.store import store_of

if TYPE_CHECKING:
    from torch import Tensor

Weights: TypeAlias = "dict[str, Tensor]"
"""Weight tensors by "slot.name": ``{"head.weight": ..., "head.bias": ...}``."""

LINEAR = (Conv, EdgeConv, DepthwiseConv)
"""What merges with its like."""
NO_OPS = (Identity, Dropout)


@remembered
def merged(spec: NetSpec) -> NetSpec:
    """`spec` as it will run: training-only layers and no-ops dropped, linear branches merged. Nesting is kept.

    Raises ValueError when every output exists only in training.
    """
    spec = _lean(spec)
    if not _may_merge(spec):
        return spec
    graph = _Graph(spec)
    graph.merge()
    return graph.spec() if graph.actions else spec


def deploy(spec: NetSpec, weights: Mapping[str, Tensor]) -> tuple[NetSpec, Weights]:
    """The flat network that ships and its weights: everything `merged` does, batch norm folded, constants written out.

    Equal to the network in evaluation mode (up to rounding); differentiable in `weights`.
    """
    small, actions = _deployment(spec)
    found = dict(weights)
    for action in actions:
        action.apply(found)
    return small, {key: found[key] for key in _weight_names(small)}


def deployed_spec(spec: NetSpec) -> NetSpec:
    """The flat network that ships, without its weights: what `deploy` makes of `spec`."""
    return _deployment(spec)[0]


@remembered
def _deployment(spec: NetSpec) -> tuple[NetSpec, tuple[Action, ...]]:
    """The deployed spec, and what makes its weights from those of `spec`."""
    graph = _Graph(_lean(flatten(spec)))
    graph.merge()
    graph.fold_batch_norm()
    graph.write_fixed()
    return graph.spec(), tuple(graph.actions)


@remembered
def _weight_names(spec: NetSpec) -> tuple[str, ...]:
    """The weights of a network, by "slot.name"."""
    return tuple(f"{name}.{weight}" for name, slot in store_of(spec).slots.items() for weight in slot.weights)


def _lean(spec: NetSpec) -> NetSpec:
    """`spec` with its blocks merged, without training-only layers and outputs, no-ops, and what nothing reads."""
    passed_on: dict[str, str] = {}
    layers: list[Layer] = []
    for layer in spec.layers:
        op, inputs = layer.op, layer.inputs
        if passed_on:
            inputs = tuple([passed_on.get(name, name) for name in inputs])
        if layer.training_only or isinstance(op, NO_OPS):
            passed_on[layer.name] = inputs[0]
            continue
        if isinstance(op, NetSpec):
            op = merged(op if len(set(inputs)) == len(inputs) else _tied(op, tuple(map(inputs.index, inputs))))
            if not op.layers:
                passed_on[layer.name] = inputs[[i.name for i in op.inputs].index(op.outputs[0])]
                continue
        same = op is layer.op and inputs == layer.inputs
        layers.append(layer if same else Layer(layer.name, op, inputs, layer.weights))
    training = {layer.name for layer in spec.layers if layer.training_only}
    outputs = tuple([passed_on.get(name, name) for name in spec.outputs if name not in training])
    if not outputs:
        raise ValueError("every output of the network exists only in training: nothing is left to deploy")
    layers = _read(layers, outputs)
    if outputs == spec.outputs and len(layers) == len(spec.layers) and all(map(_is, layers, spec.layers)):
        return spec
    make = NetSpec if training else NetSpec.unchecked  # a layer that is left out may have changed the channels
    return make(spec.inputs, tuple(layers), outputs)


@remembered
def _tied(block: NetSpec, first: tuple[int, ...]) -> NetSpec:
    """`block` with some inputs the same value: all of its layers read the `first` of them."""
    names = {i.name: block.inputs[place].name for i, place in zip(block.inputs, first, strict=True)}
    layers = [replace(one, inputs=tuple(names.get(name, name) for name in one.inputs)) for one in block.layers]
    return NetSpec.unchecked(block.inputs, tuple(layers), tuple(names.get(name, name) for name in block.outputs))


def _read(layers: Iterable[Layer], outputs: Iterable[str]) -> list[Layer]:
    """The layers that something reads, down to the outputs."""
    needed = set(outputs)
    kept: list[Layer] = []
    for layer in reversed(list(layers)):
        if layer.name in needed:
            kept.append(layer)
            needed.update(layer.inputs)
    return kept[::-1]


def _may_merge(spec: NetSpec) -> bool:
    """Whether `spec` has what could be merged, at a glance (most networks of most spaces have nothing).

    A sum whose terms may come from one place, or a convolution that costs less when the 1x1 before it is merged in.
    """
    starts: dict[str, tuple[str, ...]] = {}  # where the linear path that ends in a convolution may begin
    pointwise: dict[str, Layer] = {}
    for layer in spec.layers:
        op = layer.op
        if isinstance(op, Add) and not starts.keys().isdisjoint(layer.inputs):
            terms = [{name, *starts.get(name, ())} for name in layer.inputs]
            if set.intersection(*terms):
                return True
        if isinstance(op, LINEAR):
            before = pointwise.get(layer.inputs[0])
            starts[layer.name] = layer.inputs if before is None else (*layer.inputs, *before.inputs)
            if before is not None and not _costs_more(spec, before, layer):
                return True
            if isinstance(op, Conv) and op.kernel == 1:
                pointwise[layer.name] = layer
    return False


def _costs_more(spec: NetSpec, first: Layer, second: Layer) -> bool:
    """Whether one convolution in the place of a 1x1 and what follows it has more multiply-accumulates than the two."""
    parts = infer_parts(spec, tuple([plain(i.channels) for i in spec.inputs]))
    inp, middle, out = (total(parts[name]) for name in (first.inputs[0], first.name, second.name))
    kernel, _, _, work = _geometry(second, parts)
    return kernel**2 * inp * out > inp * middle + work


def _geometry(layer: Layer, parts: Mapping[str, Parts]) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and multiply-accumulates a pixel of a linear layer."""
    op, channels = layer.op, total(parts[layer.inputs[0]])
    if isinstance(op, EdgeConv):
        return 3, 1, 0, 9 * channels
    if isinstance(op, DepthwiseConv):
        return op.kernel, op.stride, same_pad(op.kernel, op.pad), op.kernel**2 * channels
    assert isinstance(op, Conv)
    return op.kernel, op.stride, same_pad(op.kernel, op.pad), op.kernel**2 * channels * op.out


@dataclass(frozen=True, slots=True)
class _Branch:
    """A linear path from `source`: nothing, a convolution, or a 1x1 convolution and what follows it."""

    source: str
    steps: tuple[Layer, ...]
    kernel: int = 1
    stride: int = 1
    pad: int = 0
    work: int = 0  # multiply-accumulates a pixel


class _Graph:
    """A spec being rewritten, and the `actions` that make the new weights from the old ones."""

    def __init__(self, spec: NetSpec) -> None:
        self.inputs = spec.inputs
        self.outputs = list(spec.outputs)
        self.layers = {layer.name: layer for layer in spec.layers}
        self.parts = infer_parts(spec, tuple(plain(i.channels) for i in spec.inputs))
        self.actions: list[Action] = []
        self._counted: tuple[int, tuple[Counter[str], Counter[str]]] | None = None

    def spec(self) -> NetSpec:
        """The rewritten spec."""
        return NetSpec.unchecked(self.inputs, tuple(_read(self.layers.values(), self.outputs)), tuple(self.outputs))

    def merge(self) -> None:
        """Merge branches and chains until there is nothing left to merge."""
        before = -1
        while len(self.layers) > 1 and before != len(self.actions):
            before = len(self.actions)
            self.merge_branches()
            self.merge_chains()

    def merge_branches(self) -> None:
        """Replace each sum of linear branches of one source by one convolution, where that costs no more."""
        for layer in list(self.layers.values()):
            if isinstance(layer.op, Add) and len(layer.inputs) > 1:
                branches = self._branches(layer)
                if branches:
                    self._merge(layer, branches)

    def merge_chains(self) -> None:
        """Replace each 1x1 convolution and the convolution behind it by one, where that costs no more."""
        for name in list(self.layers):
            if name in self.layers and isinstance(self.layers[name].op, LINEAR):
                branch = self._branch(name, name)
                if branch is not None and len(branch.steps) == 2:
                    self._merge(self.layers[name], [branch])

    def fold_batch_norm(self) -> None:
        """Fold each batch norm behind a convolution or linear layer that nothing else reads into its weights."""
        for name in list(self.layers):
            layer = self.layers[name]
            before = self.layers.get(layer.inputs[0])
            if before is None or not isinstance(layer.op, BatchNorm):
                continue
            if not isinstance(before.op, Conv | DepthwiseConv | TransposedConv | Linear):
                continue
            if not self._private(before) or self._uses(before.slot) > 1:
                continue
            self.actions.append(FoldNorm(before, layer, layer.op.epsilon))
            self.layers[before.name] = replace(before, op=replace(before.op, bias=True))
            self._alias(name, before.name)

    def write_fixed(self) -> None:
        """Write each normalization of the input as a depthwise 1x1 convolution."""
        for name, layer in self.layers.items():
            if isinstance(layer.op, Normalize):
                self.actions.append(Fixed(name, layer.op.gains, layer.op.shifts))
                self.layers[name] = replace(layer, op=DepthwiseConv(1))

    def _alias(self, name: str, target: str) -> None:
        """Drop layer `name`; whoever read it reads `target`."""
        del self.layers[name]
        self.outputs = [target if one == name else one for one in self.outputs]
        for layer in list(self.layers.values()):
            if name in layer.inputs:
                inputs = tuple(target if one == name else one for one in layer.inputs)
                self.layers[layer.name] = replace(layer, inputs=inputs)

    def _private(self, layer: Layer) -> bool:
        """Whether exactly one layer reads `layer`, and no output is it."""
        return self._counts()[0][layer.name] == 1 and layer.name not in self.outputs

    def _uses(self, slot: str) -> int:
        """How many layers have these weights."""
        return self._counts()[1][slot]

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        """How often each layer is read and each slot is used; counted again after each action."""
        if self._counted is None or self._counted[0] != len(self.actions):
            layers = self.layers.values()
            read = Counter([name for one in layers for name in one.inputs])
            self._counted = len(self.actions), (read, Counter([one.slot for one in layers]))
        return self._counted[1]

    def _branches(self, add: Layer) -> list[_Branch]:
        """The branches of a sum when all are linear paths from one source of fitting geometry; else none."""
        found = [self._branch(name, add.name) for name in add.inputs]
        sources = Counter(b.source for b in found if b is not None)
        if not sources:
            return []
        source = sources.most_common(1)[0][0]
        branches = []
        for name, branch in zip(add.inputs, found, strict=True):
            if name == source:
                branches.append(_Branch(source, ()))
            elif branch is not None and branch.source == source:
                branches.append(branch)
            else:
                return []
        same_offset = len({2 * b.pad - b.kernel for b in branches}) == 1
        return branches if same_offset and {b.stride for b in branches} == {branches[0].stride} else []

    def _branch(self, name: str, reader: str) -> _Branch | None:
        """The linear path that ends in layer `name`; None when it is no convolution that only `reader` reads."""
        layer = self.layers.get(name)
        if layer is None or not self._mergeable(layer, reader):
            return None
        before = self.layers.get(layer.inputs[0])
        kernel, stride, pad, work = _geometry(layer, self.parts)
        if before is not None and self._mergeable(before, name) and self._private(before):
            op = before.op
            if isinstance(op, Conv) and op.kernel == 1 and op.stride == 1:
                first_pad = same_pad(1, op.pad)
                if pad == 0 or (first_pad == 0 and not op.bias):
                    more = total(self.parts[before.inputs[0]]) * op.out
                    return _Branch(before.inputs[0], (before, layer), kernel, stride, pad + first_pad, work + more)
        if not isinstance(layer.op, Conv):
            return None
        return _Branch(layer.inputs[0], (layer,), kernel, stride, pad, work)

    def _mergeable(self, layer: Layer, reader: str) -> bool:
        op = layer.op
        dense = isinstance(op, Conv) and op.groups == 1
        if not dense and not isinstance(op, EdgeConv | DepthwiseConv):
            return False
        alone = reader == layer.name or self._private(layer)
        same_block = layer.name.rpartition(".")[0] == reader.rpartition(".")[0]
        return alone and same_block and self._uses(layer.slot) == 1

    def _merge(self, layer: Layer, branches: list[_Branch]) -> None:
        """Put one convolution in the place of `layer`, the end of all `branches`, unless it would cost more."""
        out, channels = total(self.parts[layer.name]), total(self.parts[branches[0].source])
        widest = max(branches, key=lambda b: b.kernel)
        steps = [step for b in branches for step in b.steps]
        costs_more = widest.kernel**2 * channels * out > sum(b.work for b in branches)
        name_taken = any(one.weights == layer.name for one in self.layers.values())
        if not steps or costs_more or name_taken:
            return
        bias = any(isinstance(s.op, EdgeConv) or getattr(s.op, "bias", False) for s in steps)
        pad = None if widest.pad == widest.kernel // 2 else widest.pad
        self.actions.append(Merge(layer.name, tuple(b.steps for b in branches), widest.kernel, channels, bias))
        for step in steps:
            if step.name != layer.name:
                del self.layers[step.name]
        self.layers[layer.name] = Layer(
            layer.name, Conv(out, widest.kernel, widest.stride, 1, bias, pad), (branches[0].source,)
        )
