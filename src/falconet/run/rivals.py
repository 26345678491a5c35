"""The rivals: hand-designed networks trained by the same loop on the same pictures. Search has to earn its keep.

stages/rival.NAME.json       validation quality, costs, steps and core-minutes
stages/test.rival.NAME.json  figures of every test picture
checkpoints/rival.NAME/      where its training stands, and what it came to
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from falconet.graph import NetSpec, costs
from falconet.run.prepared import zoo_network
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.settings import RivalSettings
from falconet.run.side_by_side import Job, do_all
from falconet.run.supernet import keep, load_kept
from falconet.run.wanted import sizes

if TYPE_CHECKING:
    from falconet.graph.network import Network
    from falconet.tasks import Dataset


def rival_spec(recipe: Recipe, rival: RivalSettings) -> NetSpec:
    """The network of a rival, at the scale, or for the classes, of the recipe's task."""
    return zoo_network(rival.net, recipe.task, rival.options)


def train_rivals(
    record: Record, recipe: Recipe, dataset: Dataset, steps: Mapping[str, int], progress: Progress
) -> None:
    """Train every rival that is not trained yet, as many at once as the recipe has workers."""

    def job(rival: RivalSettings) -> Job:
        count = steps[stage_of(rival)]
        here = partial(train_rival, record, recipe, rival, dataset, count, progress)
        return Job(("rival", rival.title), stage_of(rival), count, here)

    missing = [rival for rival in recipe.rivals.nets if not record.done(stage_of(rival))]
    do_all(record, recipe, [job(rival) for rival in missing], progress)


def train_rival(
    record: Record, recipe: Recipe, rival: RivalSettings, dataset: Dataset, steps: int, progress: Progress
) -> Network:
    """The trained rival: trained now, trained on, or only read when it is done; always as its file has it."""
    from falconet.evaluate.quality import quality
    from falconet.graph.network import Network
    from falconet.train.fit import fit
    from falconet.train.init import fresh
    from falconet.train.paths import alone

    spec, stage = rival_spec(recipe, rival), stage_of(rival)
    folder = record.path("checkpoints", stage)
    if record.done(stage):
        return load_kept(Network(spec), folder)
    network = fresh(spec, recipe.seed + rival.seed)
    with record.stage(stage) as clock, progress.task(stage, steps) as update:

        def on_step(step: int, loss: float) -> None:
            clock.tick()
            update(step, loss=loss)

        fitted = fit(
            network, recipe.task, dataset, rival, alone(spec), steps, folder, recipe.seed + rival.seed, on_step
        )
        keep(network, folder)
        network = load_kept(Network(spec), folder)
        found = costs(spec, *sizes(recipe))
        clock.finish(
            {
                "steps": steps,
                "precision": fitted.precision,
                "core_minutes": fitted.core_seconds / 60,
                "final": dict(quality(network, recipe.task, dataset)),
                "costs": {
                    "macs": found.macs,
                    "params": found.params,
                    "peak_activation_bytes": found.peak_activation_bytes,
                },
            }
        )
    return network


def stage_of(rival: RivalSettings) -> str:
    """The name of the stage that trains a rival."""
    return f"rival.{rival.title}"
