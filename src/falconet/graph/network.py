"""Network: torch modules that hold a store of weights, and run any spec on slices of them.

`Network(spec)` is an ordinary nn.Module: nn.Conv2d and friends under the layers' dotted names. `network(x)` runs its
own spec, `network(x, sub)` another one on slices of the same weights: fewer layers, another branch, fewer channels, a
smaller kernel. A supernet is a Network over a larger store (`Network(store=union(space, rng))`), not a second kind of
thing.

Two laws, tested: ``network.extract(sub)(x)`` equals ``network(x, sub)`` exactly, gradients too; leaving a block out
equals zeroing its slice in whatever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from falconet.graph.plan import Plan, compile_plan
from falconet.graph.shape import Parts
from falconet.graph.spec import NetSpec, remembered
from falconet.graph.store import Store, store_of

Inputs: TypeAlias = Tensor | tuple[Tensor, ...]
Outputs: TypeAlias = Tensor | tuple[Tensor, ...]
M = TypeVar("M", bound=nn.Module)


class Network(nn.Module):
    """The torch module of a spec, or of a store that several specs share.

    Give `spec`, `store`, or both (a supernet that runs `spec` when no other is named). Weights are freshly initialised.
    """

    def __init__(self, spec: NetSpec | None = None, store: Store | None = None) -> None:
        super().__init__()
        if spec is None and store is None:
            raise ValueError("a network needs a spec, or a store of weights")
        self.spec = spec
        self.store = store if store is not None else store_of(_given(spec))
        for name, slot in self.store.slots.items():
            module = slot.op.module(*slot.inputs)
            assert module is not None
            self._put(name, module)
        self._plans: dict[tuple[NetSpec, tuple[Parts, ...]], Plan] = {}

    def _put(self, name: str, module: nn.Module) -> None:
        parent: nn.Module = self
        *path, last = name.split(".")
        for step in path:
            if step not in parent._modules:
                parent.add_module(step, nn.Module())
            child = parent._modules[step]
            assert child is not None
            parent = child
        parent.add_module(last, module)

    def forward(self, x: Inputs, sub: NetSpec | None = None) -> Outputs:
        """Run the network, or `sub` on its weights. `x`: one tensor (batch, channels, height, width), or a tuple."""
        plan = self.plan(sub if sub is not None else _given(self.spec))
        return self._run(plan, x if isinstance(x, tuple) else (x,))

    def _run(self, plan: Plan, xs: tuple[Tensor, ...]) -> Outputs:
        return plan.run([self.get_submodule(name) for name in plan.slots], xs, self.training)

    def plan(self, spec: NetSpec, inputs: tuple[Parts, ...] = ()) -> Plan:
        """How `spec` runs on this store; see `compile_plan`. Raises ValueError when it does not fit."""
        plan = self._plans.get((spec, inputs))
        if plan is None:
            if len(self._plans) > 4096:
                self._plans.clear()
            plan = self._plans[spec, inputs] = compile_plan(spec, self.store, inputs)
        return plan

    def weights(self, sub: NetSpec | None = None) -> dict[str, Tensor]:
        """The weight tensors of the network, or those that `sub` reads, by "slot.name"; live, with gradients."""
        plan = self.plan(sub if sub is not None else _given(self.spec))
        return plan.weights([self.get_submodule(name) for name in plan.slots])

    def extract(self, sub: NetSpec) -> Network:
        """A stand-alone network of `sub` with a copy of the weights that it reads here."""
        alone = Network(sub)
        like = next(self.parameters(), None)
        if like is not None:
            alone.to(like.device, like.dtype)
        alone.load_state_dict({key: value.detach().clone() for key, value in self.weights(sub).items()}, strict=False)
        return alone.train(self.training)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plans": {}}


def _given(spec: NetSpec | None) -> NetSpec:
    if spec is None:
        raise ValueError("this network is a bare store of weights: say which sub-network to run, network(x, sub)")
    return spec


def piece(network: Network, spec: NetSpec, reads: Parts, x: Tensor) -> Outputs:
    """Run layers from the middle of a larger network: a spec of its own, with one input of the parts `reads`."""
    return network._run(network.plan(spec, (reads,)), (x,))


def run(spec: NetSpec, weights: Mapping[str, Tensor], xs: Sequence[Tensor], training: bool = False) -> Outputs:
    """Run `spec` on loose weights by "slot.name", which may be differentiable functions of others."""
    plan = _own_plan(spec)
    holders = [_Holder({name: weights[f"{slot}.{name}"] for name, _ in cuts}) for slot, cuts in plan.slots.items()]
    return plan.run(holders, tuple(xs), training)


class _Holder:
    """Tensors as attributes, as a module has them."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.__dict__.update(tensors)


@remembered
def _own_plan(spec: NetSpec) -> Plan:
    return compile_plan(spec, store_of(spec))


def from_weights(spec: NetSpec, weights: Mapping[str, Tensor]) -> Network:
    """A network of `spec` holding `weights`. Raises ValueError naming what is missing, left over or misshapen."""
    network = Network(spec)
    if weights:
        like = next(iter(weights.values()))
        network.to(like.device, like.dtype)
    wanted = {key: tuple(value.shape) for key, value in network.weights().items()}
    came = {key: tuple(value.shape) for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    if wanted != came:
        odd = sorted(key for key in wanted.keys() | came.keys() if wanted.get(key) != came.get(key))
        first = odd[0]
        raise ValueError(
            f"{len(odd)} weights do not fit the network; the first is {first}: "
            f"it needs shape {wanted.get(first, 'none')}, the file has {came.get(first, 'none')}"
        )
    with torch.no_grad():
        for key, value in network.weights().items():
            value.copy_(weights[key])
    return network.eval()


def channels_last(module: M) -> M:
    """`module` itself, its weights laid out with channels last: the fastest layout on processors."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def deployed(network: Network, sub: NetSpec | None = None) -> Network:
    """The fused, flat network of `network` (or of `sub` on its weights): what ships."""
    from falconet.graph.rewrite import deploy

    spec = sub if sub is not None else _given(network.spec)
    with torch.no_grad():
        small, weights = deploy(spec, network.weights(spec))
        return from_weights(small, {key: value.detach().clone() for key, value in weights.items()})
