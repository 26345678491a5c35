"""How far the supernet's ranking can be trusted: some networks trained alone, beside what they inherit.

Networks of the space within the budget are drawn by the run's seed, spread over the costs as a random search's are.
Each is trained from scratch, all equally long, and judged on the validation pictures; Kendall's tau between the two
qualities then says how well inherited quality ranks, beside how well a bare count of multiply-accumulates does.

    stages/trust.N.json          inherited and trained quality of the network N, and its costs
    checkpoints/trust.N/         where its training stands
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from random import Random
from typing import TYPE_CHECKING

from falconet.evaluate import Objective
from falconet.evaluate.rank import Tau, banded_tau, tau
from falconet.report.results import Interval, RankCorrelation, RankPoint, RankRow
from falconet.run.choosing import Chosen
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.side_by_side import Job, do_all
from falconet.run.supernet import Supernet
from falconet.run.training import stage_of
from falconet.run.wanted import counter, main_cost
from falconet.search import Feasible, sample_by_cost
from falconet.search.strategy import random_archs
from falconet.spaces import Arch, build, largest
from falconet.train.settings import TrainSettings

if TYPE_CHECKING:
    from falconet.graph import NetSpec
    from falconet.tasks import Dataset

BAND = 0.1
LEAST_PAIRS = 6  # of nearly equal cost; fewer say nothing


def measure_trust(record: Record, recipe: Recipe, supernet: Supernet, dataset: Dataset, progress: Progress) -> None:
    """Train those of the recipe's `trust.networks` networks that are not done, as many at once as it has workers."""
    missing = [index for index in range(recipe.trust.networks) if not record.done(_stage(index))]
    archs = draws(recipe) if missing else []

    def job(index: int) -> Job:
        here = partial(train_for_trust, record, recipe, archs[index], index, supernet, dataset, progress)
        return Job(("trust", str(index)), _stage(index), recipe.trust.steps, here)

    do_all(record, recipe, [job(index) for index in missing if index < len(archs)], progress)


def train_for_trust(
    record: Record,
    recipe: Recipe,
    arch: Arch,
    index: int,
    supernet: Supernet,
    dataset: Dataset,
    progress: Progress,
) -> None:
    """Train one of the networks that `draws` gives, and judge what it inherits; its stage is done afterwards."""
    from falconet.evaluate.quality import quality
    from falconet.train.fit import fit
    from falconet.train.init import fresh
    from falconet.train.paths import alone

    spec, title, steps = build(recipe.space, arch), _stage(index), recipe.trust.steps
    with record.stage(title) as clock, progress.task(f"{title} of {recipe.trust.networks}", steps) as update:
        network = fresh(spec, recipe.seed + index)

        def on_step(step: int, loss: float) -> None:
            clock.tick()
            update(step, loss=loss)

        folder = record.path("checkpoints", title)
        fit(network, recipe.task, dataset, recipe.trust, alone(spec), steps, folder, recipe.seed, on_step)
        clock.finish(
            {
                **_inherited(supernet, recipe, dataset, spec),
                "trained": quality(network, recipe.task, dataset)[recipe.task.quality],
                "macs": counter(recipe)(spec)["macs"],
                "network": spec.digest,
                "steps": steps,
            }
        )


def draws(recipe: Recipe) -> list[Arch]:
    """The networks to train: some near the budget, then others spread over the costs; none twice."""
    feasible = Feasible(recipe.space, recipe.budget, counter(recipe))
    rng, seen, cost = Random(f"trust {recipe.seed}"), set[str](), main_cost(recipe)
    dearest = feasible.costs(largest(recipe.space))[cost]
    limit = min(recipe.budget.limits().get(cost, dearest), dearest)

    def near() -> Arch:
        low = (1 - BAND) * limit
        return sample_by_cost(recipe.space, lambda arch: feasible.costs(arch)[cost], low, limit, rng)

    def is_near(arch: Arch) -> bool:
        return feasible(arch) and feasible.costs(arch)[cost] >= (1 - BAND) * limit

    wanted = min(recipe.trust.near, recipe.trust.networks)
    found: list[Arch] = []
    for _ in range(100 * wanted):
        arch = near()
        if len(found) < wanted and is_near(arch) and feasible.network(arch) not in seen:
            seen.add(feasible.network(arch))
            found.append(arch)
    goals = (Objective(recipe.task.quality, maximize=True), Objective(cost, maximize=False))
    rest = recipe.trust.networks - len(found)
    return found + random_archs(recipe.space, feasible, goals, rng, rest, seen)


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


def rank_correlation(record: Record, recipe: Recipe, others: Sequence[Chosen] = ()) -> RankCorrelation | None:
    """What the networks that are trained alone say, with 95 % intervals; None when there are fewer than three.

    `others` are kept networks; those whose final training is of the same kind and length count along.
    """
    found = [record.facts(_stage(i)) for i in range(recipe.trust.networks) if record.done(_stage(i))]
    points = [
        RankPoint.model_validate({key: one[key] for key in RankPoint.model_fields if key in one}) for one in found
    ]
    points += _of_finals(record, recipe, others) if found else []
    if len(points) < 3:
        return None
    rows = []
    known = [point for point in points if point.shared_statistics is not None]
    kinds: tuple[tuple[str, str, list[RankPoint], Callable[[RankPoint], float | None]], ...] = (
        ("inherited", "inherited quality", points, lambda point: point.inherited),
        ("other", "inherited, shared statistics", known, lambda point: point.shared_statistics),
        ("cost", "MACs alone", points, lambda point: point.macs),
    )
    for kind, predictor, used, value in kinds:
        if len(used) < 3:
            continue
        values, alone = [value(point) or 0.0 for point in used], [point.trained for point in used]
        costs = [point.macs or 0.0 for point in used]
        rows.append(_row(kind, predictor, "all", tau(values, alone), len(used)))
        if num_near(costs) >= LEAST_PAIRS:
            rows.append(_row(kind, predictor, "macs +-10 %", banded_tau(values, alone, costs, band=BAND), len(used)))
    kept = tuple(row for row in rows if row is not None)
    return RankCorrelation(truth=f"trained alone for {found[0]['steps']} steps", rows=kept, points=tuple(points))


def num_near(costs: Sequence[float]) -> int:
    """Pairs of networks whose costs differ by at most a tenth of the larger.

    >>> num_near([100, 95, 200])
    1
    """
    return sum(abs(a - b) <= BAND * max(a, b) for a, b in combinations(costs, 2))


def _of_finals(record: Record, recipe: Recipe, others: Sequence[Chosen]) -> list[RankPoint]:
    """Kept networks whose final training is like that of the networks trained for trust."""
    fields = set(TrainSettings.model_fields) - {"checkpoint_minutes"}
    if recipe.final.start != "scratch" or recipe.final.model_dump(include=fields) != recipe.trust.model_dump(
        include=fields
    ):
        return []
    quality, found = recipe.task.quality, []
    for chosen in others:
        facts = record.facts(stage_of(chosen)) if record.done(stage_of(chosen)) else {}
        final = facts.get("final")
        if facts.get("steps") == recipe.trust.steps and isinstance(final, dict):
            found.append(
                RankPoint.model_validate(
                    {
                        "inherited": chosen.trial.quality[quality],
                        "trained": final[quality],
                        "macs": chosen.trial.costs["macs"].value,
                        "network": chosen.trial.network,
                    }
                )
            )
    return found


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
