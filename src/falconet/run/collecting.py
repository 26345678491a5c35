"""results.json: every figure of the report, gathered from the files of the run. Running it again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from falconet.evaluate import Trial
from falconet.evaluate.paired import paired
from falconet.graph import costs
from falconet.report import Results
from falconet.report.results import (
    BaselineResult,
    BestTrial,
    Comparison,
    CostPrediction,
    Hypervolume,
    Interval,
    LatencyRow,
    ModelResult,
    Parity,
    PictureExample,
    PredictedPoint,
    SearchResult,
    SetScore,
    SkippedFile,
    Stage,
)
from falconet.run.choosing import Chosen, own_trials
from falconet.run.plan import Plan
from falconet.run.recipe import Recipe
from falconet.run.record import Record, read_json
from falconet.run.rivals import stage_of as rival_stage
from falconet.run.searches import OneSearch
from falconet.run.searching import BASELINE as RANDOM
from falconet.run.shipping import BASELINE
from falconet.run.training import stage_of
from falconet.run.trust import rank_correlation
from falconet.run.wanted import DEFAULT_OUTPUT, is_random, main_cost, objectives, sizes, strategy_name
from falconet.search import hypervolume
from falconet.zoo import ZOO

Facts = Mapping[str, Any]


def collect(record: Record, found: Mapping[str, tuple[OneSearch, Sequence[Chosen]]]) -> Results:
    """The results of a run: what its searches found (search id -> the search and its kept networks), and everything
    that the stages measured.
    """
    first, _ = next(iter(found.values()))
    recipe, plan = first.recipe, Plan.read(first.folder / "plan.json")
    latency = _latencies(record, list(found))
    models = [
        _model(record, one, chosen, latency) for one, kept in found.values() for chosen in sorted(kept, key=_descending)
    ]
    baselines = (*_baselines(record), *_rivals(record, recipe), *_prototype(recipe))
    at = recipe.budget.at_output or (None if recipe.budget.at_input else DEFAULT_OUTPUT)
    return Results(
        run=record.folder.resolve().name,
        quality=recipe.task.quality,
        at_output=f"{at[0]}x{at[1]}" if at else "",
        protocol=recipe.task.protocol,
        terms=recipe.data.terms,
        search=first.id,
        seeds={"run": recipe.seed},
        stages=_stages(record, plan),
        models=tuple(models),
        baselines=baselines,
        searches=tuple(row for one, _ in found.values() for row in _searches(record, one)),
        hypervolume=_hypervolume_facts(record, first),
        comparisons=_comparisons(models, baselines, recipe.task.quality),
        cost_prediction=_prediction(plan, [one for _, kept in found.values() for one in kept], latency),
        rank_correlation=rank_correlation(record, recipe),
        test_skipped=_skipped(record),
        notes=(*_notes(found), *_time_note(record)),
    )


def _descending(chosen: Chosen) -> float:
    """Largest budgets first: the headline speaks of the first model."""
    return -max(chosen.budget.limits().values(), default=0.0)


def _facts(record: Record, stage: str) -> Facts:
    return record.facts(stage) if record.done(stage) else {}


def _model(record: Record, one: OneSearch, chosen: Chosen, latency: Mapping[str, LatencyRow]) -> ModelResult:
    final, tested = _facts(record, stage_of(chosen)), _facts(record, f"test.{chosen.name}")
    exported = read_json(record.path("models", chosen.name, "model.json")) or {}
    examples = _facts(record, f"export.{chosen.name}").get("examples", ())
    costs = {name: cost.value for name, cost in chosen.trial.costs.items() if cost.how == "counted"}
    return ModelResult(
        name=chosen.name,
        arch=chosen.trial.arch.to_json(),
        network=chosen.trial.network,
        budget=chosen.budget.limits(),
        costs=costs,
        inherited=chosen.trial.quality,
        final=final.get("final", {}),
        weights=final.get("weights", ""),
        steps=final.get("steps"),
        core_minutes=final.get("core_minutes"),
        test=_set_scores(tested),
        latency=latency.get(chosen.name),
        parity=_parity(exported),
        examples=tuple(PictureExample.model_validate(example) for example in examples),
    )


def _parity(exported: Facts) -> tuple[Parity, ...]:
    return tuple(
        Parity(
            target=one["target"],
            max_error=one["largest"],
            tolerance=one["tolerance"],
            num_pictures=one["samples"],
            sizes=tuple((size[0], size[1]) for size in one["sizes"]),
        )
        for one in exported.get("parity", ())
    )


def _set_scores(tested: Facts) -> dict[str, SetScore]:
    return {
        title: SetScore(metrics=one["metrics"], num_images=one["num_images"], per_image=one["per_image"])
        for title, one in tested.get("test", {}).items()
    }


def _latencies(record: Record, search_ids: Sequence[str]) -> dict[str, LatencyRow]:
    """The latencies of the last measurement there is: only networks that were measured together can be compared."""
    for search_id in reversed(search_ids):
        if record.done(f"{search_id}.latency"):
            return {name: LatencyRow.model_validate(row) for name, row in record.facts(f"{search_id}.latency").items()}
    return {}


def _baselines(record: Record) -> tuple[BaselineResult, ...]:
    tested = _facts(record, f"test.{BASELINE}")
    if not tested:
        return ()
    return (
        BaselineResult(
            name=BASELINE,
            title=BASELINE,
            kind="interpolation",
            origin="no_training",
            final=tested["validation"],
            test=_set_scores(tested),
        ),
    )


def _rivals(record: Record, recipe: Recipe) -> list[BaselineResult]:
    found = []
    for rival in recipe.rivals.nets:
        facts = _facts(record, rival_stage(rival))
        if facts:
            found.append(
                BaselineResult(
                    name=rival.title,
                    title=rival.title,
                    kind="ecb" if "ecb" in rival.net else "plain" if "plain" in rival.net else "zoo",
                    origin="trained_here",
                    costs=facts["costs"],
                    final=facts["final"],
                    core_minutes=facts["core_minutes"],
                    test=_set_scores(_facts(record, f"test.{rival_stage(rival)}")),
                )
            )
    return found


def _prototype(recipe: Recipe) -> list[BaselineResult]:
    """The heavy network that light ones are measured against, by its counted costs alone: VDSR for super-resolution."""
    if recipe.task.name != "super_resolution":
        return []
    found = costs(ZOO["vdsr"](scale=recipe.task.scale), *sizes(recipe))  # type: ignore[attr-defined]
    return [
        BaselineResult(
            name="vdsr",
            title="VDSR",
            kind="zoo",
            origin="published",
            source="Kim et al. 2016; costs counted on falconet's zoo network, not trained here",
            costs={"macs": found.macs, "params": found.params, "peak_activation_bytes": found.peak_activation_bytes},
        )
    ]


def _searches(record: Record, one: OneSearch) -> list[SearchResult]:
    """A row for the search and one for its random baseline."""
    rows = []
    strategy = strategy_name(one.recipe)
    point = _reference(record, one)
    for proposer in (strategy,) if is_random(one.recipe) else (strategy, RANDOM):
        trials = own_trials(record, one, proposer)
        state = record.state(f"{one.id}.{proposer}")
        minutes = state.get("wall_minutes")
        rows.append(
            SearchResult(
                id=one.id,
                strategy=proposer,
                role="random_baseline" if proposer == RANDOM and proposer != strategy else "search",
                evaluations=len(trials),
                planned_evaluations=one.recipe.search.evaluations,
                seed=trials[0].seed if trials else None,
                seconds=minutes * 60 if isinstance(minutes, int | float) else None,
                hypervolume=_volume(trials, one.recipe, point) if point else None,
                best=_best(trials, one),
            )
        )
    return rows


def _best(trials: Sequence[Trial], one: OneSearch) -> tuple[BestTrial, ...]:
    from falconet.run.choosing import best_within
    from falconet.run.wanted import wanted

    return tuple(
        BestTrial(
            budget=chosen.budget.limits(),
            quality=chosen.trial.quality[one.recipe.task.quality],
            network=chosen.trial.network,
            costs={name: cost.value for name, cost in chosen.trial.costs.items()},
            trial=chosen.trial.index,
        )
        for name, budget in wanted(one.recipe).items()
        for chosen in best_within(one.recipe, trials, {name: budget})
    )


def _reference(record: Record, one: OneSearch) -> tuple[float, float] | None:
    """The point hypervolume is counted from, for a search and its baseline: the worst quality and the largest cost of
    both.
    """
    goals = objectives(one.recipe)
    proposers = {strategy_name(one.recipe), RANDOM}
    scored = [trial for name in proposers for trial in own_trials(record, one, name) if trial.scores(goals) is not None]
    if len(goals) != 2 or not scored:
        return None
    quality, cost = goals
    return min(trial.value(quality.name) for trial in scored), max(trial.value(cost.name) for trial in scored)


def _volume(trials: Sequence[Trial], recipe: Recipe, reference: tuple[float, float]) -> float:
    """The hypervolume of some trials, its cost axis in units of the reference cost."""
    goals = objectives(recipe)
    scale = reference[1] or 1.0
    points = [(scores[0], scores[1] / scale) for trial in trials if (scores := trial.scores(goals)) is not None]
    return hypervolume(points, (reference[0], 1.0), [goal.maximize for goal in goals]) if points else 0.0


def _hypervolume_facts(record: Record, first: OneSearch) -> Hypervolume | None:
    reference = _reference(record, first)
    if reference is None:
        return None
    cost = main_cost(first.recipe)
    names = tuple(goal.name for goal in objectives(first.recipe))
    return Hypervolume(objectives=names, reference=reference, unit=f"dB x share of {reference[1]:.4g} {cost}")


def _comparisons(
    models: Sequence[ModelResult], baselines: Sequence[BaselineResult], metric: str
) -> tuple[Comparison, ...]:
    """Every model against every baseline, picture by picture on each test set."""
    found = []
    for model in models:
        for base in baselines:
            for title in model.test.keys() & base.test.keys():
                ours, other = (
                    {name: scores[metric] for name, scores in row.test[title].per_image.items()}
                    for row in (model, base)
                )
                if len(ours) < 2 or ours.keys() != other.keys():
                    continue
                result = paired(ours, other)
                found.append(
                    Comparison(
                        left=model.name,
                        right=base.name,
                        difference=result.mean,
                        interval=Interval(low=result.low, high=result.high),
                        metric=metric,
                        data=title,
                        num_pairs=len(ours),
                        num_seeds=1,
                        about="model_vs_baseline",
                    )
                )
    return tuple(sorted(found, key=lambda one: (one.left, one.right, one.data)))


def _prediction(plan: Plan, kept: Sequence[Chosen], latency: Mapping[str, LatencyRow]) -> CostPrediction:
    """Networks timed for the plan, each predicted from the others, and the kept ones, predicted before the search."""
    points = [
        PredictedPoint(name=one.network[:12], predicted=one.predicted_ms, measured=one.measured_ms)
        for one in plan.latency.timed
    ]
    for chosen in kept:
        predicted, measured = chosen.trial.costs.get("latency_ms"), latency.get(chosen.name)
        if predicted is not None and measured is not None:
            points.append(
                PredictedPoint(name=chosen.name, predicted=predicted.value, measured=measured.median_ms, chosen=True)
            )
    return CostPrediction(
        cost="latency_ms",
        unit="ms",
        predictor="a line in MACs and values written, fitted to networks of the space that were timed for the plan",
        points=tuple(points),
        median_error=plan.latency.median_error,
    )


def _stages(record: Record, plan: Plan) -> tuple[Stage, ...]:
    """Every stage that began, in the order in which they began."""
    found = []
    for path in sorted(record.path("stages").glob("*.json"), key=lambda path: path.stat().st_mtime):
        state: Facts = read_json(path) or {}
        name = path.name.removesuffix(".json")
        key = name.removeprefix("final.").partition("-search-")[0]
        steps = plan.steps.get(key)
        planned = plan.minutes.get(key)
        found.append(
            Stage(
                name=name,
                planned_seconds=planned * 60 if planned is not None else None,
                seconds=state["wall_minutes"] * 60,
                planned_steps=steps,
                steps=state.get("facts", {}).get("steps"),
                cores=1.0,
                done=state["done"],
                note=f"{state['core_minutes']:.1f} core-minutes",
            )
        )
    return tuple(found)


def _skipped(record: Record) -> dict[str, tuple[SkippedFile, ...]]:
    """Pictures of test sets that could not be used; the same for every network."""
    tested = _facts(record, f"test.{BASELINE}")
    return {
        title: tuple(SkippedFile.model_validate(item) for item in one["skipped"])
        for title, one in tested.get("test", {}).items()
        if one["skipped"]
    }


def _time_note(record: Record) -> list[str]:
    """How long everything took, and what of it lies between the stages."""
    whole = read_json(record.path("clock.json"))
    if whole is None:
        return []
    stages: list[Facts] = [read_json(path) or {} for path in record.path("stages").glob("*.json")]
    core, wall = float(str(whole["core_minutes"])), float(str(whole["wall_minutes"]))
    between = max(0.0, core - sum(stage["core_minutes"] for stage in stages))
    return [
        f"In all {core:.1f} core-minutes, {wall:.1f} minutes on the wall; {between:.1f} core-minutes between stages."
    ]


def _notes(found: Mapping[str, tuple[OneSearch, Sequence[Chosen]]]) -> list[str]:
    """What a reader should know: limits for which no network was kept."""
    from falconet.run.wanted import wanted

    notes = []
    for one, kept in found.values():
        if len(kept) < len(wanted(one.recipe)):
            notes.append(
                f"{one.id} keeps {len(kept)} of {len(wanted(one.recipe))} networks asked for: one was the best for "
                "several limits, or no trial met a limit."
            )
    return notes
