"""The final trainings: each network that is kept learns on by itself, from the weights it inherits.

    checkpoints/NAME/step-N/               where its training stands
    checkpoints/NAME/kept.safetensors      what it came to
    stages/final.NAME.json                 its figures before and after, and which of the two weights are better

A network that two searches keep, to be trained alike, is trained once: the second takes the first one's weights.
With several workers the networks train side by side (`side_by_side`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from falconet.files import write_bytes
from falconet.run.choosing import Chosen
from falconet.run.progress import Progress
from falconet.run.proxy import judged_with
from falconet.run.record import Json, Record
from falconet.run.searches import OneSearch
from falconet.run.side_by_side import Job, do_all
from falconet.run.supernet import Supernet, keep, load_kept
from falconet.run.teacher import lesson, take_over
from falconet.spaces import build

if TYPE_CHECKING:
    from falconet.graph.network import Network
    from falconet.tasks import Dataset


def stage_of(chosen: Chosen) -> str:
    """The name of the stage that trains a network."""
    return f"final.{chosen.name}"


def train_all(
    record: Record,
    one: OneSearch,
    kept: Sequence[Chosen],
    supernet: Supernet,
    dataset: Dataset,
    steps: Mapping[str, int],
    progress: Progress,
) -> None:
    """Train every kept network that is not trained yet, as many at once as the recipe has workers."""
    for chosen in kept:
        if not record.done(stage_of(chosen)):
            _take_over_twin(record, chosen, _asked(one, chosen))

    def job(chosen: Chosen) -> Job:
        count = steps[chosen.steps_of]
        here = partial(train_one, record, one, chosen, supernet, dataset, count, progress)
        return Job(("final", one.id, chosen.name), chosen.name, count, here)

    do_all(record, one.recipe, [job(chosen) for chosen in kept if not record.done(stage_of(chosen))], progress)


def _asked(one: OneSearch, chosen: Chosen) -> dict[str, Json]:
    """All that is asked of a final training, within a run: two that are asked the same are one."""
    how = one.recipe.final.model_dump(mode="json", exclude={"at", "seeds"})
    return {"network": chosen.trial.network, "seed": chosen.seed, "how": how}


def _take_over_twin(record: Record, chosen: Chosen, asked: Json) -> None:
    """End the network's stage with what the same training came to for another search, if it was done there."""
    for path in sorted(record.path("stages").glob("final.*.json")):
        facts = record.facts(path.stem) if record.done(path.stem) else {}
        if facts.get("asked") != asked:
            continue
        name = path.stem.removeprefix("final.")
        with record.stage(stage_of(chosen)) as clock:
            kept = record.path("checkpoints", name, "kept.safetensors")
            if kept.exists():
                write_bytes(record.path("checkpoints", chosen.name, "kept.safetensors"), kept.read_bytes())
            clock.finish({**facts, "same_as": name})
        return


def train_one(
    record: Record,
    one: OneSearch,
    chosen: Chosen,
    supernet: Supernet,
    dataset: Dataset,
    steps: int,
    progress: Progress,
) -> None:
    """Train one kept network, or train it on; its stage is done afterwards."""
    from falconet.evaluate.quality import quality
    from falconet.graph.network import Network
    from falconet.train.fit import fit
    from falconet.train.init import fresh
    from falconet.train.paths import alone

    recipe, folder = one.recipe, record.path("checkpoints", chosen.name)
    spec, inherited = build(recipe.space, chosen.trial.arch), chosen.trial.quality
    seed, from_scratch = recipe.seed + chosen.seed, recipe.final.start == "scratch" and steps > 0
    network = fresh(spec, seed) if from_scratch else judged_with(record, recipe, supernet, dataset, spec)
    with record.stage(stage_of(chosen)) as clock, progress.task(chosen.name, steps) as update:
        if steps == 0:
            none: dict[str, Json] = {"steps": 0, "inherited": dict(inherited), "final": {}, "weights": "inherited"}
            clock.finish({**none, "asked": _asked(one, chosen)})
            return

        def on_step(step: int, loss: float) -> None:
            clock.tick()
            update(step, loss=loss)

        student, task = lesson(recipe.teacher, recipe.task, network, seed)
        assert student.spec is not None
        fitted = fit(student, task, dataset, recipe.final, alone(student.spec), steps, folder, seed, on_step)
        take_over(network, student)
        keep(network, folder)
        final = quality(load_kept(Network(spec), folder), recipe.task, dataset)
        better = from_scratch or final[recipe.task.quality] >= inherited[recipe.task.quality]
        clock.finish(
            {
                "steps": steps,
                "loss": fitted.loss,
                "precision": fitted.precision,
                "core_minutes": fitted.core_seconds / 60,
                "inherited": dict(inherited),
                "final": dict(final),
                "weights": "final" if better else "inherited",
                "asked": _asked(one, chosen),
            }
        )


def trained(record: Record, one: OneSearch, chosen: Chosen, supernet: Supernet, dataset: Dataset) -> Network:
    """The network with the weights that its stage, which is done, found to ship: the better, or those from scratch."""
    from falconet.graph.network import Network

    spec = build(one.recipe.space, chosen.trial.arch)
    if record.facts(stage_of(chosen))["weights"] == "inherited":
        return judged_with(record, one.recipe, supernet, dataset, spec)
    return load_kept(Network(spec), record.path("checkpoints", chosen.name))
