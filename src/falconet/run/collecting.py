"""results.json: every figure of the report, gathered from the files of the run. Running it again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from falconet.graph import costs
from falconet.report import Results
from falconet.report.results import (
    BaselineResult,
    Judged,
    LatencyRow,
    ModelResult,
    Parity,
    PictureExample,
    SetScore,
    SkippedFile,
    Stage,
)
from falconet.report.words import quality_unit
from falconet.run.choosing import Chosen, again, best_within, choose_random, own_trials
from falconet.run.comparing import comparisons, hypervolume_facts, search_rows, seed_notes
from falconet.run.latencies import cost_prediction, device_notes, latencies
from falconet.run.model_space import ModelSpace
from falconet.run.plan import Plan
from falconet.run.prepared import unwrapped
from falconet.run.recipe import Recipe
from falconet.run.record import Record, read_json
from falconet.run.rivals import stage_of as rival_stage
from falconet.run.searches import FIRST, OneSearch, names
from falconet.run.searching import BASELINE as RANDOM
from falconet.run.shipping import baseline_names
from falconet.run.training import stage_of
from falconet.run.trust import rank_correlation
from falconet.run.wanted import DEFAULT_OUTPUT, is_random, sizes, strategy_name
from falconet.tasks import Classifier
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
    more = _further_seeds(record, recipe, [one for _, kept in found.values() for one in kept])
    drawn = _random_rivals(record, [one for one, _ in found.values()])
    baselines = (*_baselines(record, recipe), *_rivals(record, recipe), *drawn, *_prototype(recipe))
    has_size = recipe.budget.at_input or isinstance(recipe.task, Classifier)
    at = recipe.budget.at_output or (None if has_size else DEFAULT_OUTPUT)
    return Results(
        run=record.folder.resolve().name,
        quality=recipe.task.quality,
        quality_unit=quality_unit(recipe.task.quality),
        at_output=f"{at[0]}x{at[1]}" if at else "",
        classes=recipe.task.classes if isinstance(recipe.task, Classifier) else (),
        protocol=recipe.task.protocol,
        terms=recipe.data.terms,
        search=first.id,
        judged_with=_judged_with(recipe),
        seeds={"run": recipe.seed},
        stages=_stages(record, recipe, plan),
        models=tuple(models),
        baselines=baselines,
        searches=tuple(row for one, _ in found.values() for row in search_rows(record, one)),
        hypervolume=hypervolume_facts(record, first),
        comparisons=comparisons(models, baselines, recipe.task.quality, more),
        cost_prediction=cost_prediction(first, plan, [one for _, kept in found.values() for one in kept], latency),
        rank_correlation=rank_correlation(record, recipe, _alone(record, first, found[first.id][1])),
        test_skipped=_skipped(record, recipe),
        notes=(
            *_notes(record, found),
            *device_notes(record, found),
            *seed_notes(models, baselines, recipe.task.quality, more),
            *_time_note(record),
        ),
    )


def _descending(chosen: Chosen) -> float:
    """Largest budgets first: the headline speaks of the first model."""
    return -max(chosen.budget.limits().values(), default=0.0)


def _facts(record: Record, stage: str) -> Facts:
    return record.facts(stage) if record.done(stage) else {}


def _judged_with(recipe: Recipe) -> Judged:
    """Which weights networks had when the search judged them."""
    if recipe.search.proxy is not None:
        return "proxy"
    if isinstance(unwrapped(recipe.space), ModelSpace):
        return "model"
    return "nothing" if recipe.supernet.steps == 0 else "supernet"


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
        title: SetScore.model_validate({key: one[key] for key in SetScore.model_fields if key in one})
        for title, one in tested.get("test", {}).items()
    }


def _latencies(record: Record, search_ids: Sequence[str]) -> dict[str, LatencyRow]:
    """The latencies of the last measurement there is: only networks that were measured together can be compared."""
    for search_id in reversed(search_ids):
        if record.done(f"{search_id}.latency"):
            return latencies(record, f"{search_id}.latency")
    return {}


def _baselines(record: Record, recipe: Recipe) -> list[BaselineResult]:
    """What needs no training; the first is what comes before a network."""
    return [
        BaselineResult(
            name=name,
            title=name,
            kind="other" if number else "interpolation" if getattr(recipe.task, "scale", 1) > 1 else "input",
            origin="no_training",
            final=tested["validation"],
            test=_set_scores(tested),
        )
        for number, name in enumerate(baseline_names(recipe))
        if (tested := _facts(record, f"test.{name}"))
    ]


def _rivals(record: Record, recipe: Recipe) -> list[BaselineResult]:
    found = []
    for rival in (one for one in recipe.rivals.nets if not one.seed):
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


def _further_seeds(record: Record, recipe: Recipe, kept: Sequence[Chosen]) -> dict[str, list[Mapping[str, SetScore]]]:
    """Kept networks and rivals that were trained with several seeds -> the test scores of every seed but the first."""
    stages = {one.name: [clone.name for clone in again(recipe, [one])] for one in kept}
    for rival in recipe.rivals.nets:
        if rival.seed:
            stages.setdefault(rival.title.removesuffix(f"-seed{rival.seed}"), []).append(rival_stage(rival))
    tested = {name: [_set_scores(_facts(record, f"test.{stage}")) for stage in them] for name, them in stages.items()}
    return {name: [scores for scores in several if scores] for name, several in tested.items()}


def _alone(record: Record, first: OneSearch, kept: Sequence[Chosen]) -> list[Chosen]:
    """The networks of the recipe's own search that were trained by themselves, the best of random search among them."""
    if not record.done(f"{first.id}.{RANDOM}") and not is_random(first.recipe):
        return list(kept)
    return [*kept, *choose_random(record, first, [first])]


def _random_rivals(record: Record, all_searches: Sequence[OneSearch]) -> list[BaselineResult]:
    """The best networks of the random searches, as far as they are trained."""
    return [
        BaselineResult(
            name=chosen.name,
            title=f"best of random search within {chosen.name.removesuffix(f'-{RANDOM}')}",
            kind="random_search",
            origin="trained_here",
            costs={name: cost.value for name, cost in chosen.trial.costs.items() if cost.how == "counted"},
            final=facts["final"] if facts["weights"] == "final" else facts["inherited"],
            core_minutes=facts.get("core_minutes"),
            test=_set_scores(_facts(record, f"test.{chosen.name}")),
        )
        for one in all_searches
        if record.done(f"{one.id}.{RANDOM}")
        for chosen in choose_random(record, one, all_searches)
        if (facts := _facts(record, stage_of(chosen)))
    ]


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


def _stages(record: Record, recipe: Recipe, plan: Plan) -> tuple[Stage, ...]:
    """Every stage that began, in the order in which they came to an end."""
    found = []
    num_searches = 1 if is_random(recipe) else 2
    for path in sorted(record.path("stages").glob("*.json"), key=lambda path: path.stat().st_mtime):
        state: Facts = read_json(path) or {}
        name = path.name.removesuffix(".json")
        key = name.removeprefix("final.").partition("-search-")[0]
        steps = plan.steps.get(key)
        planned = plan.minutes.get(key)
        if name.startswith(f"{FIRST}.") and not name.endswith(".latency"):
            planned = plan.minutes["search"] / num_searches
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


def _skipped(record: Record, recipe: Recipe) -> dict[str, tuple[SkippedFile, ...]]:
    """Pictures of test sets that could not be used; the same for every network."""
    tested = next((_facts(record, f"test.{name}") for name in baseline_names(recipe)), {})
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


def _notes(record: Record, found: Mapping[str, tuple[OneSearch, Sequence[Chosen]]]) -> list[str]:
    """What a reader should know: limits for which no network of their own was kept, or trained for comparison."""
    notes = []
    everything = [one for one, _ in found.values()]
    for one, kept in found.values():
        trials = own_trials(record, one, strategy_name(one.recipe)) if kept else []
        for name, budget in names(everything, one).items() if kept else ():
            best = best_within(one.recipe, trials, {name: budget})
            if not best:
                notes.append(f"No trial of {one.id} met the limit of {name}.")
            elif (keeper := next(c.name for c in kept if c.trial.network == best[0].trial.network)) != name:
                notes.append(f"The best network found for {name} is {keeper}, which is kept once.")
            if one.recipe.rivals.random and not is_random(one.recipe):
                drawn = best_within(one.recipe, own_trials(record, one, RANDOM), {name: budget})
                notes += [
                    f"The best network of the random search within {name} is {c.name}, which the search found too."
                    for c in kept
                    if drawn and c.trial.network == drawn[0].trial.network
                ]
    return notes
