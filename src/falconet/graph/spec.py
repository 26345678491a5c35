"""NetSpec: a network as a value. Named layers, the operator of each, which layers feed them. No module is built.

A NetSpec is itself an operator, so specs nest: a block is a cached function of plain arguments that returns a NetSpec.

>>> from falconet.graph.ops import Conv, PixelShuffle, ReLU
>>> d = Draft(x=1)
>>> y = d.layer("head", Conv(16), "x")
>>> y = d.layer("act", ReLU(), y)
>>> y = d.layer("tail", Conv(4), y)
>>> net = d.build(d.layer("up", PixelShuffle(2), y))
>>> net.layers[2].op.out, net.outputs
(4, ('up',))

Left out on purpose: loops and control flow. A layer runs once; sharing weights between layers is `Layer.weights`.
"""

from __future__ import annotations

import hashlib
import json
import keyword
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, wraps
from typing import Any, TypeVar, TypeVarTuple, cast

from falconet.graph.ops import Concat, Op
from falconet.graph.shape import Parts, Shape, Size, plain, total

RESERVED = frozenset(
    """
    T_destination add_module apply bfloat16 bias buffers call_super_init children compile cpu cuda double dump_patches
    eval extra_repr extract float forward get_buffer get_extra_state get_parameter get_submodule half ipu
    load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters plan
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
    register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
    running_mean running_var set_extra_state set_submodule share_memory spec state_dict store to to_empty train training
    type weight weights xpu zero_grad
    """.split()  # noqa: SIM905
)
"""Names that would collide with attributes of a torch module."""
MAX_NAME = 200
SCHEMA = 1
"""Of networks as JSON."""
REMEMBERED = 1024
"""How many answers of one function a spec keeps at most."""
ITSELF = object()
"""Kept where the answer is the spec, which else would hold itself and wait for the garbage collector."""

Args = TypeVarTuple("Args")
R = TypeVar("R")


def remembered(function: Callable[[NetSpec, *Args], R]) -> Callable[[NetSpec, *Args], R]:
    """`function` of a spec (and hashable values), with its answers kept on the spec itself.

    So blocks, which live as long as the cache of the function that makes them, are worked out once, and a network that
    is met once leaves nothing behind.
    """
    key = f"_{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def answer(spec: NetSpec, *args: *Args) -> R:
        known: dict[object, object] | None = spec.__dict__.get(key)
        if known is None:
            known = spec.__dict__[key] = {}
        found = known.get(args, known)  # itself: nothing known
        if found is known:
            if len(known) >= REMEMBERED:
                known.clear()
            found = function(spec, *args)
            known[args] = ITSELF if found is spec else found
        return cast(R, spec if found is ITSELF else found)

    return answer


@dataclass(frozen=True, slots=True)
class Input:
    """A named input of a network and its number of channels."""

    name: str
    channels: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a network.

    `weights` names another layer whose weights it reuses ("": its own). A `training_only` layer exists while weights
    are trained: deployed networks read its first input instead, or lose the output that it fed.
    """

    name: str
    op: Op | NetSpec
    inputs: tuple[str, ...]
    weights: str = ""
    training_only: bool = False

    @property
    def slot(self) -> str:
        """The name under which its weights are kept."""
        return self.weights or self.name


@dataclass(frozen=True)
class NetSpec:
    """Layers in the order they run, with named inputs and outputs (one or several).

    Raises ValueError when names clash, a layer reads what is not there yet, or channels do not fit.
    """

    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        known = {i.name for i in self.inputs}
        if not self.inputs or len(known) != len(self.inputs):
            names = [i.name for i in self.inputs]
            raise ValueError(f"a network needs one or more inputs with different names, got {names}")
        for one in self.inputs:
            _check_name(one.name)
            if one.channels < 1:
                raise ValueError(f"input {one.name!r} needs at least one channel, got {one.channels}")
        for layer in self.layers:
            _check_layer(layer, known)
            known.add(layer.name)
        missing = [name for name in self.outputs if name not in known]
        if missing or not self.outputs:
            raise ValueError(f"outputs must name layers of the network, got {list(self.outputs)}; unknown: {missing}")
        infer_parts(self, tuple(plain(i.channels) for i in self.inputs))

    def __hash__(self) -> int:
        stored = self.__dict__.get("_hash")
        if stored is None:
            stored = hash((self.inputs, self.layers, self.outputs))
            self.__dict__["_hash"] = stored
        return int(stored)

    @classmethod
    def unchecked(cls, inputs: tuple[Input, ...], layers: tuple[Layer, ...], outputs: tuple[str, ...]) -> NetSpec:
        """A spec that is known to be sound, without the checks: for rewrites of sound ones."""
        spec = object.__new__(cls)
        spec.__dict__.update(inputs=inputs, layers=layers, outputs=outputs)
        return spec

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def digest(self) -> str:
        """The identity of the network: SHA-256 of its flat JSON, in hexadecimal. Two Archs may mean one network."""
        stored = self.__dict__.get("_digest")
        if stored is None:
            stored = hashlib.sha256(spec_to_text(self).encode()).hexdigest()
            self.__dict__["_digest"] = stored
        return str(stored)

    @property
    def is_flat(self) -> bool:
        """Whether no layer is itself a NetSpec."""
        return not any(isinstance(layer.op, NetSpec) for layer in self.layers)


def _check_layer(layer: Layer, known: set[str]) -> None:
    _check_name(layer.name)
    if layer.weights:
        _check_name(layer.weights)
    if layer.name in known:
        raise ValueError(f"layer name {layer.name!r} is used twice")
    for name in layer.inputs:
        if name not in known:
            raise ValueError(f"layer {layer.name!r} reads {name!r}, which no earlier layer or input is called")
    op = layer.op
    needed = len(op.inputs) if isinstance(op, NetSpec) else op.num_inputs
    if not layer.inputs or (needed is not None and len(layer.inputs) != needed):
        wanted = needed or "one or more"
        raise ValueError(f"layer {layer.name!r} ({type(op).__name__}) takes {wanted} inputs, got {len(layer.inputs)}")
    if isinstance(op, NetSpec):
        try:
            _check_block(op, layer.training_only)
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None


@remembered
def _check_block(block: NetSpec, training_only: bool) -> None:
    """A block has one output; what exists only in training must be left out alike whether nested or flat."""
    if len(block.outputs) != 1:
        raise ValueError(f"a nested network must have one output, it has {len(block.outputs)}")
    if training_only and len(block.inputs) > 1:
        raise ValueError("a block that exists only in training must have one input")
    if any(inner.training_only and inner.name == block.outputs[0] for inner in block.layers):
        raise ValueError("the output of its block exists only in training; mark the layer that holds the block instead")


@lru_cache(maxsize=65536)
def _check_name(name: str) -> None:
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise ValueError(f"a name must be text of at most {MAX_NAME} characters, got {str(name)[:40]!r}")
    for part in name.split("."):
        usable = part.isidentifier() or part.isdigit()
        if not usable or keyword.iskeyword(part) or part in RESERVED or part.startswith("_"):
            raise ValueError(
                f"name {name!r}: {part!r} cannot name a layer or input "
                "(letters, digits, _; not a word that torch modules use)"
            )


@remembered
def infer_parts(spec: NetSpec, inputs: tuple[Parts, ...]) -> dict[str, Parts]:
    """The channels, in parts, of every input and layer of `spec` when fed `inputs`. Treat the result as read-only."""
    found = {i.name: parts for i, parts in zip(spec.inputs, inputs, strict=True)}
    for i in spec.inputs:
        if total(found[i.name]) != i.channels:
            raise ValueError(f"input {i.name!r} was built for {i.channels} channels, gets {found[i.name]}")
    for layer in spec.layers:
        xs = tuple([found[name] for name in layer.inputs])
        try:
            if isinstance(layer.op, NetSpec):
                found[layer.name] = infer_parts(layer.op, xs)[layer.op.outputs[0]]
            else:
                found[layer.name] = layer.op.parts(*xs)
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None
    return found


@remembered
def infer_shapes(spec: NetSpec, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
    """The shape of every input and layer of `spec` when fed `inputs`. Treat the result as read-only."""
    parts = infer_parts(spec, tuple(shape.parts for shape in inputs))
    found = {i.name: shape for i, shape in zip(spec.inputs, inputs, strict=True)}
    for layer in spec.layers:
        xs = tuple(found[name] for name in layer.inputs)
        if isinstance(layer.op, NetSpec):
            found[layer.name] = infer_shapes(layer.op, xs)[layer.op.outputs[0]]
            continue
        try:
            height, width = layer.op.size(*(x.size for x in xs))
        except ValueError as error:
            raise ValueError(f"layer {layer.name!r}: {error}") from None
        found[layer.name] = Shape(parts[layer.name], height, width)
    return found


def input_shapes(spec: NetSpec, *sizes: Size) -> tuple[Shape, ...]:
    """The shapes of `spec`'s inputs at (height, width) `sizes`: one size for each input, or one for all."""
    if len(sizes) == 1:
        sizes = sizes * len(spec.inputs)
    if len(sizes) != len(spec.inputs):
        raise ValueError(f"give one (height, width), or one for each of {len(spec.inputs)} inputs, got {len(sizes)}")
    return tuple(Shape(plain(i.channels), *size) for i, size in zip(spec.inputs, sizes, strict=True))


@remembered
def flatten(spec: NetSpec) -> NetSpec:
    """The same network without nesting, under dotted names: layer `dw` of block `b3` is called `b3.dw`."""
    if spec.is_flat:
        return spec
    layers: list[Layer] = []
    renamed: dict[str, str] = {i.name: i.name for i in spec.inputs}
    _flatten_into(layers, spec, "", "", renamed, training_only=False)
    return NetSpec(spec.inputs, tuple(layers), tuple(renamed[name] for name in spec.outputs))


def _flatten_into(
    layers: list[Layer], spec: NetSpec, path: str, slots: str, renamed: dict[str, str], training_only: bool
) -> None:
    """Append `spec`'s layers under `path`, weights under `slots`; `renamed` maps its local names to flat ones."""
    for layer in spec.layers:
        name, inputs = path + layer.name, tuple(renamed[one] for one in layer.inputs)
        only = training_only or layer.training_only
        if isinstance(layer.op, NetSpec):
            inner = dict(zip((i.name for i in layer.op.inputs), inputs, strict=True))
            _flatten_into(layers, layer.op, name + ".", f"{slots}{layer.slot}.", inner, only)
            renamed[layer.name] = inner[layer.op.outputs[0]]
            continue
        slot = slots + layer.slot
        layers.append(Layer(name, layer.op, inputs, "" if slot == name else slot, only))
        renamed[layer.name] = name


class Draft:
    """A spec being written: `layer` and `concat` return the new layer's name, `build` the frozen NetSpec."""

    def __init__(self, **channels: int) -> None:
        self._inputs = tuple(Input(name, count) for name, count in channels.items())
        self._layers: list[Layer] = []

    def layer(self, name: str, op: Op | NetSpec, *inputs: str, weights: str = "", training_only: bool = False) -> str:
        """Add a layer and return its name."""
        self._layers.append(Layer(name, op, inputs, weights, training_only))
        return name

    def concat(self, name: str, **parts: str) -> str:
        """Add a Concat whose parts carry the given keys: ``d.concat("cat", left=a, right=b)``."""
        return self.layer(name, Concat(tuple(parts)), *parts.values())

    def chain(self, steps: Sequence[tuple[str, Op | NetSpec]], start: str) -> str:
        """Add one-input layers one behind the other and return the last name."""
        for name, op in steps:
            start = self.layer(name, op, start)
        return start

    def build(self, *outputs: str) -> NetSpec:
        """The finished NetSpec. Raises ValueError when it is not sound."""
        return NetSpec(self._inputs, tuple(self._layers), outputs)


def spec_to_json(spec: NetSpec) -> dict[str, Any]:
    """The flat form of `spec` as plain JSON values."""
    flat = flatten(spec)
    return {
        "schema": SCHEMA,
        "inputs": [[i.name, i.channels] for i in flat.inputs],
        "layers": [layer_to_json(layer) for layer in flat.layers],
        "outputs": list(flat.outputs),
    }


def spec_to_text(spec: NetSpec) -> str:
    """The flat JSON in one canonical line; its hash is the identity of the network."""
    return json.dumps(spec_to_json(spec), sort_keys=True, separators=(",", ":"))


def layer_to_json(layer: Layer) -> dict[str, Any]:
    """One layer of a flat network as plain JSON values."""
    assert isinstance(layer.op, Op), "files hold flat networks"
    op: dict[str, Any] = {"type": type(layer.op).__name__}
    for field in fields(layer.op):  # type: ignore[arg-type]  # every operator is a dataclass
        value = getattr(layer.op, field.name)
        op[field.name] = list(value) if isinstance(value, tuple) else value
    found: dict[str, Any] = {"name": layer.name, "op": op, "inputs": list(layer.inputs)}
    if layer.weights:
        found["weights"] = layer.weights
    if layer.training_only:
        found["training_only"] = True
    return found
