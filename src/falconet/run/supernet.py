"""The supernet stage: the weights that all networks of the space share, trained once.

checkpoints/supernet/store.json            which weights there are
checkpoints/supernet/one_kind/step-N/      where the training of one kind of block stands (supernet.one_kind)
checkpoints/supernet/step-N/               where the training stands
checkpoints/supernet/kept.safetensors      what it came to
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from falconet.errors import UserError
from falconet.files import write_bytes, write_json
from falconet.graph import NetSpec, Store
from falconet.run.model_space import ModelSpace
from falconet.run.prepared import prepared, unwrapped
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.teacher import taught
from falconet.run.wanted import shares_weights, sizes
from falconet.spaces import Kinds, Space, draw, union

if TYPE_CHECKING:
    from falconet.graph.network import Network
    from falconet.tasks import Dataset

STAGE = "supernet"
DRAWS = 50


@dataclass(frozen=True)
class Supernet:
    """The trained supernet, and the version of its weights: "supernet@" and eight digits of their hash."""

    network: Network
    version: str


def train_supernet(record: Record, recipe: Recipe, dataset: Dataset, steps: int, progress: Progress) -> Supernet:
    """The trained supernet: trained now, trained on, or only read when it is done.

    It is always read back from its file, so that what comes next computes with the same bits in the same order of
    memory, whether this process trained it or found it.
    """
    from falconet.graph.network import Network

    folder = record.path("checkpoints", "supernet")
    if not shares_weights(recipe):
        return _nothing_shared(record)
    store = _store(folder / "store.json", recipe)
    if not record.done(STAGE):
        _train(record, recipe, dataset, store, steps, folder, progress)
    return Supernet(load_kept(Network(store=store), folder), str(record.facts(STAGE)["version"]))


def _nothing_shared(record: Record) -> Supernet:
    """A supernet of no weights: networks are judged by proxy trainings alone."""
    from falconet.graph.network import Network

    if not record.done(STAGE):
        with record.stage(STAGE) as clock:
            clock.finish({"version": "none", "steps": 0})
    return Supernet(Network(store=Store({})), "none")


def _train(
    record: Record, recipe: Recipe, dataset: Dataset, store: Store, steps: int, folder: Path, progress: Progress
) -> None:
    """Train the store's weights, or train them on, and write what they came to."""
    import torch

    from falconet.graph.network import Network
    from falconet.train.fit import Fitted, fit
    from falconet.train.init import msra
    from falconet.train.paths import paths
    from falconet.train.spread import spread

    torch.manual_seed(recipe.seed)
    network = Network(store=store)
    msra(network, _some_networks(recipe))
    if isinstance(space := unwrapped(recipe.space), ModelSpace):
        space.give_weights(network)
    with record.stage(STAGE) as clock, progress.task("supernet", steps) as update:

        def train(space: Space, count: int, where: Path, seed: int, before: int) -> Fitted:
            def on_step(step: int, loss: float) -> None:
                clock.tick()
                update(before + step, loss=loss)

            sharing = paths(space, recipe.supernet.paths, sizes(recipe))
            return fit(network, task, dataset, recipe.supernet, sharing, count, where, seed, on_step)

        task = taught(recipe.teacher, recipe.task)
        alone = round(steps * recipe.supernet.one_kind)
        if alone:
            kinds = kinds_of(recipe)
            train(prepared(kinds.one_kind(), recipe.task), alone, folder / "one_kind", recipe.seed + 1, 0)
            spread(network, kinds.begins_as)
        fitted = train(recipe.space, steps - alone, folder, recipe.seed, alone)
        version = f"supernet@{keep(network, folder)[:8]}"
        clock.finish({"version": version, "steps": steps, "loss": fitted.loss, "precision": fitted.precision})


def kinds_of(recipe: Recipe) -> Kinds:
    """The recipe's space, which can begin with one kind of block. UserError when it cannot."""
    space = unwrapped(recipe.space)
    if not isinstance(space, Kinds):
        raise UserError(
            "supernet.one_kind: this space does not say how one kind of block begins as another, as the space shuffle "
            "does; leave the setting out"
        )
    space.one_kind()  # says what it lacks
    return space


def _some_networks(recipe: Recipe) -> list[NetSpec]:
    """Networks of the space, by a fixed seed: they tell which layers end a network."""
    rng = Random(recipe.seed)
    return [draw(recipe.space, rng)[1] for _ in range(DRAWS)]


def _store(path: Path, recipe: Recipe) -> Store:
    """The store of the recipe's space, gathered once and read back ever after."""
    if not path.is_file():
        write_json(path, union(recipe.space, Random(recipe.seed)).to_json())
    return Store.from_json(json.loads(path.read_text(encoding="utf-8")))


def keep(network: Network, folder: Path) -> str:
    """Write what a training came to, and return the hash of the file."""
    from safetensors.torch import save

    data = save({name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()})
    write_bytes(folder / "kept.safetensors", data)
    return hashlib.sha256(data).hexdigest()


def load_kept(network: Network, folder: Path) -> Network:
    """The network with the weights that `keep` wrote, in evaluation mode."""
    from safetensors.torch import load

    network.load_state_dict(load((folder / "kept.safetensors").read_bytes()))
    return network.eval()
