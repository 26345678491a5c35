"""How far the supernet's ranking can be trusted: some networks trained alone, beside what they inherit.

Networks of the space within the budget are drawn by the run's seed, spread over the costs as a random search's are.
Each is trained from scratch, all equally long, and judged on the validation pictures; Kendall's tau between the two
qualities then says how well inherited quality ranks, beside how well a bare count of multiply-accumulates does.

    stages/trust.N.json          inherited and trained quality of the network N, and its costs
    checkpoints/trust.N/         where its training stands
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

from falconet.evaluate.rank import Tau, banded_tau, tau
from falconet.report.results import Interval, RankCorrelation, RankPoint, RankRow
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.supernet import Supernet
from falconet.run.wanted import counter, objectives
from falconet.search import Feasible
from falconet.search.strategy import random_archs
from falconet.spaces import build

if TYPE_CHECKING:
    from falconet.graph import NetSpec
    from falconet.tasks import Dataset

BAND = 0.1


def measure_trust(
    record: Record, recipe: Recipe, supernet: Supernet, dataset: Dataset, steps: int, progress: Progress
) -> None:
    """Train the recipe's `trust.networks` networks alone; those that are done are skipped."""
    import torch

    from falconet.evaluate.quality import quality
    from falconet.graph.network import Network
    from falconet.train.fit import fit
    from falconet.train.init import msra
    from falconet.train.paths import alone

    count = recipe.trust.networks
    if all(record.done(_stage(index)) for index in range(count)):
        return
    feasible = Feasible(recipe.space, recipe.budget, counter(recipe))
    archs = random_archs(
        recipe.space, feasible, objectives(recipe), Random(f"trust {recipe.seed}"), count, seen=set[str]()
    )
    for index, arch in enumerate(archs):
        if record.done(_stage(index)):
            continue
        spec, title = build(recipe.space, arch), _stage(index)
        with record.stage(title) as clock, progress.task(f"{title} of {count}", steps) as update:
            torch.manual_seed(recipe.seed + index)
            network = Network(spec)
            msra(network, [spec])

            def on_step(step: int, loss: float) -> None:
                clock.tick()
                update(step, loss=loss)

            folder = record.path("checkpoints", title)
            fit(network, recipe.task, dataset, recipe.trust, alone(spec), steps, folder, recipe.seed, on_step)
            name = recipe.task.quality
            clock.finish(
                {
                    **_inherited(supernet, recipe, dataset, spec),
                    "trained": quality(network, recipe.task, dataset)[name],
                    "macs": feasible.costs(arch)["macs"],
                    "network": spec.digest,
                    "steps": steps,
                }
            )


def _inherited(supernet: Supernet, recipe: Recipe, dataset: Dataset, spec: NetSpec) -> dict[str, float | None]:
    """Inherited quality, and what it would be with the shared batch-norm statistics, if there are others."""
    from falconet.evaluate.quality import quality
    from falconet.train.recalibrate import normed

    batches, name = recipe.supernet.recalibrate, recipe.task.quality
    found = quality(supernet.network, recipe.task, dataset, spec, batches)[name]
    shared = quality(supernet.network, recipe.task, dataset, spec, 0)[name] if batches and normed(spec) else None
    return {"inherited": found, "shared_statistics": shared}


def _stage(index: int) -> str:
    return f"trust.{index}"


def rank_correlation(record: Record, recipe: Recipe) -> RankCorrelation | None:
    """What the networks that are trained alone say, with 95 % intervals; None when there are fewer than three."""
    found = [record.facts(_stage(i)) for i in range(recipe.trust.networks) if record.done(_stage(i))]
    if len(found) < 3:
        return None
    points = [
        RankPoint.model_validate({key: one[key] for key in RankPoint.model_fields if key in one}) for one in found
    ]
    trained, macs = [point.trained for point in points], [point.macs or 0.0 for point in points]
    rows = []
    shared = [point.shared_statistics for point in points if point.shared_statistics is not None]
    predictors = [
        ("inherited", "inherited quality", [point.inherited for point in points]),
        ("cost", "MACs alone", macs),
    ]
    if len(shared) == len(points):
        predictors.insert(1, ("other", "inherited, shared statistics", shared))
    for kind, predictor, values in predictors:
        rows.append(_row(kind, predictor, "all", tau(values, trained), len(points)))
        rows.append(_row(kind, predictor, "macs +-10 %", banded_tau(values, trained, macs, band=BAND), len(points)))
    kept = tuple(row for row in rows if row is not None)
    return RankCorrelation(truth=f"trained alone for {found[0]['steps']} steps", rows=kept, points=tuple(points))


def _row(kind: str, predictor: str, within: str, measured: Tau, count: int) -> RankRow | None:
    """One line; None where all values tie, so that there is no order to speak of."""
    values: Sequence[float] = measured
    if any(value != value for value in values):
        return None
    return RankRow.model_validate(
        {
            "kind": kind,
            "predictor": predictor,
            "within": within,
            "value": measured.tau,
            "interval": Interval(low=measured.low, high=measured.high),
            "num_networks": count,
        }
    )
