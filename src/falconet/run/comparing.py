"""Who won: searches against random search, networks against baselines. Everything from files of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from falconet.evaluate import Trial
from falconet.evaluate.paired import mean_over_seeds, paired
from falconet.report.results import (
    BaselineResult,
    BestTrial,
    Comparison,
    Hypervolume,
    Interval,
    ModelResult,
    SearchResult,
    SetScore,
)
from falconet.report.words import quality_number, quality_unit, quality_words
from falconet.run.choosing import best_within, own_trials
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.searches import OneSearch
from falconet.run.searching import BASELINE as RANDOM
from falconet.run.wanted import is_random, main_cost, objectives, strategy_name, wanted
from falconet.search import hypervolume


def search_rows(record: Record, one: OneSearch) -> list[SearchResult]:
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
    """The best trial within each limit."""
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


def hypervolume_facts(record: Record, first: OneSearch) -> Hypervolume | None:
    """How hypervolume was counted for the recipe's own search; None when there is nothing to count."""
    reference = _reference(record, first)
    if reference is None:
        return None
    cost = main_cost(first.recipe)
    names = tuple(goal.name for goal in objectives(first.recipe))
    unit = f"{found} x " if (found := quality_unit(first.recipe.task.quality)) else ""
    return Hypervolume(objectives=names, reference=reference, unit=f"{unit}share of {reference[1]:.4g} {cost}")


Seeds = Mapping[str, Sequence[Mapping[str, SetScore]]]
"""Name -> the test scores of each further seed that it was trained with."""


def comparisons(
    models: Sequence[ModelResult], baselines: Sequence[BaselineResult], metric: str, more: Seeds
) -> tuple[Comparison, ...]:
    """Every model against every baseline, picture by picture on each test set; of several seeds the mean."""
    found = []
    for model in models:
        for base in baselines:
            for title in model.test.keys() & base.test.keys():
                ours, other = (
                    mean_over_seeds([_per_picture(one, metric) for one in _seeds_of(row, title, more)])
                    for row in (model, base)
                )
                if len(ours) < 2 or ours.keys() != other.keys():
                    continue
                groups = model.test[title].groups
                result = paired(ours, other, groups=groups)
                found.append(
                    Comparison(
                        left=model.name,
                        right=base.name,
                        difference=result.mean,
                        interval=Interval(low=result.low, high=result.high),
                        metric=metric,
                        data=title,
                        num_pairs=len(ours),
                        num_groups=len(set(groups.values())) or None,
                        num_seeds=min(len(_seeds_of(row, title, more)) for row in (model, base)),
                        about="model_vs_baseline",
                    )
                )
    return tuple(sorted(found, key=lambda one: (one.left, one.right, one.data)))


def _seeds_of(row: ModelResult | BaselineResult, title: str, more: Seeds) -> list[SetScore]:
    """The scores of a network on a test set, one for each seed."""
    return [row.test[title], *(scores[title] for scores in more.get(row.name, ()) if title in scores)]


def seed_notes(
    models: Sequence[ModelResult], baselines: Sequence[BaselineResult], metric: str, more: Seeds
) -> list[str]:
    """What each seed came to, of networks that were trained with several."""
    notes = []
    rows: tuple[ModelResult | BaselineResult, ...] = (*models, *baselines)
    for row in rows:
        for title in row.test if more.get(row.name) else ():
            values = [score.metrics[metric] for score in _seeds_of(row, title, more)]
            listed = ", ".join(quality_number(metric, value) for value in values)
            mean = quality_words(metric, fmean(values))
            notes.append(f"{row.name} on {title} with {len(values)} seeds: {listed}; mean {mean}.")
    return notes


def _per_picture(score: SetScore, metric: str) -> dict[str, float]:
    return {name: scores[metric] for name, scores in score.per_image.items()}
