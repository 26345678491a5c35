"""Proxy training: a network of the search is trained from scratch for a few steps, and judged by what that came to.

An alternative to a supernet (`search.proxy`, with `supernet: {steps: 0}`), for spaces too large to share weights or to
know how much sharing cost. What a kept network then begins its final training with are the weights of its proxy.

    checkpoints/proxy-VERSION/NETWORK/kept.safetensors     once a network has been trained, whoever proposed it
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from falconet.graph import NetSpec
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.supernet import Supernet, keep, load_kept
from falconet.search.strategy import ProxySettings

if TYPE_CHECKING:
    from falconet.graph.network import Network
    from falconet.tasks import Dataset


def judged_with(record: Record, recipe: Recipe, supernet: Supernet, dataset: Dataset, spec: NetSpec) -> Network:
    """`spec` with the weights that the search judges it by: of its proxy training, or inherited from the supernet.

    Raises FloatingPointError when its proxy training diverges.
    """
    from falconet.train.recalibrate import inherited

    proxy = recipe.search.proxy
    if proxy is None:
        return inherited(supernet.network, spec, recipe.task, dataset, recipe.supernet.recalibrate).eval()
    return train_proxy(record, recipe, proxy, dataset, spec)


def train_proxy(record: Record, recipe: Recipe, proxy: ProxySettings, dataset: Dataset, spec: NetSpec) -> Network:
    """`spec` after its proxy training: trained now, trained on, or only read; always as its file has it."""
    from falconet.graph.network import Network
    from falconet.train.checkpoint import sweep
    from falconet.train.fit import fit
    from falconet.train.init import fresh
    from falconet.train.paths import alone

    folder = record.path("checkpoints", version(recipe, proxy), spec.digest)
    if not (folder / "kept.safetensors").is_file():
        network = fresh(spec, recipe.seed)
        fit(network, recipe.task, dataset, proxy, alone(spec), proxy.steps, folder, recipe.seed)
        keep(network, folder)
        sweep(folder, folder / "kept.safetensors")  # hundreds of networks: the state of the optimizers is not kept
    return load_kept(Network(spec), folder)


def version(recipe: Recipe, proxy: ProxySettings) -> str:
    """What the weights of a proxy depend on beside the network: "proxy-" and eight digits of a hash."""
    text = f"{recipe.seed} {proxy.model_dump_json()}"
    return f"proxy-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def fidelity(recipe: Recipe) -> str:
    """How the search judges networks, as its trials say: "inherited", or "proxy of 300 steps"."""
    return "inherited" if recipe.search.proxy is None else f"proxy of {recipe.search.proxy.steps} steps"
