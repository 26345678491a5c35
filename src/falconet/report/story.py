"""The sentences of the report: the headline, figures worth a box, what is missing, a model in words.

Every sentence is made from figures of the run folder and says where they were measured.
"""

from dataclasses import dataclass

from falconet.report.reading import Run
from falconet.report.results import ModelResult, Stage
from falconet.report.tables import budget_words
from falconet.report.views import (
    Score,
    cost_of,
    headline_score,
    heavy_baseline,
    interpolation,
    score_at,
    title,
    trials_of,
)
from falconet.report.words import (
    BEGINS,
    cost_label,
    cost_number,
    cost_words,
    duration,
    factor,
    listing,
    plural,
    quality_label,
    quality_number,
    quality_words,
    signed,
)

SMALL = 0.005  # a difference that the two printed decimals cannot show


@dataclass(frozen=True)
class Headline:
    """The largest words of the page, and a sentence or two beneath."""

    title: str
    lead: str


@dataclass(frozen=True)
class Tile:
    """One figure worth its own box."""

    value: str
    label: str
    note: str = ""


def headline(run: Run) -> Headline:
    """What the run found, in plain words; what it has so far when it is not finished."""
    score, models = headline_score(run), run.results.models
    if not models or score is None:
        return _early_headline(run)
    sentences = [*_above_interpolation(run, score), *_against_heavy(run, score)]
    if score.where == "validation" and not models[0].final:
        begin = BEGINS[run.results.judged_with]
        sentences.append(f"Measured with {begin.its}; it has not had its final training yet.")
    in_db = run.results.quality_unit == "dB"
    number = f"{score.value:.1f} dB" if in_db else quality_words(run.results.quality, score.value)
    network = network_words(models[0].costs.get("macs"))
    return Headline(
        f"{network[0].upper()}{network[1:]} that scores {number} on {_where(run, score)}", " ".join(sentences)
    )


def network_words(macs: float | None) -> str:
    """A network by its cost, with its article: "a 2.4 GMACs network", "an 8.1 GMACs network"."""
    if macs is None:
        return "a network"
    words = cost_words("macs", macs, 2)
    return f"{'an' if words.startswith(('8', '11 ', '18 ')) else 'a'} {words} network"


def _where(run: Run, score: Score) -> str:
    if score.where != "validation":
        return score.where
    names = run.data.get("validation")
    return plural(len(names), "validation picture") if isinstance(names, list) and names else "validation pictures"


def _above_interpolation(run: Run, score: Score) -> list[str]:
    base = interpolation(run)
    value = score_at(run, base, score.where) if base else None
    if base is None or value is None:
        return []
    what = f"{title(base)} enlargement" if base.kind == "interpolation" else f"the {title(base)} pictures"
    if abs(score.value - value) < SMALL:
        return [f"That is what {what} {'gives' if base.kind == 'interpolation' else 'have'}."]
    return [f"That is {_apart(run, score.value - value)} {what}."]


def _apart(run: Run, difference: float) -> str:
    """How far apart in words: "3.43 dB above", "0.20 dB below"."""
    return f"{quality_words(run.results.quality, abs(difference))} {'above' if difference >= 0 else 'below'}"


def _against_heavy(run: Run, score: Score) -> list[str]:
    heavy = heavy_baseline(run)
    if heavy is None:
        return []
    cheaper = f"{factor(heavy.costs['macs'] / run.results.models[0].costs['macs'])} cheaper than {title(heavy)}"
    other = score_at(run, heavy, score.where)
    if other is None:
        return [f"It is {cheaper}, counted in multiply-accumulates."]
    near = f"{_apart(run, score.value - other)} it" if abs(score.value - other) >= SMALL else "on a par with it"
    return [f"It is {cheaper}, counted in multiply-accumulates, and {near}."]


def _early_headline(run: Run) -> Headline:
    """Words for a run that has chosen no network yet."""
    quality, trials = run.results.quality, trials_of(run, "search")
    if not trials:
        return Headline("This run has begun; nothing has been measured yet", "The plan and the settings are below.")
    best = max(trials, key=lambda trial: trial.quality[quality])
    network = network_words(best.costs["macs"].value if "macs" in best.costs else None)
    value = quality_words(quality, best.quality[quality])
    return Headline(
        f"Best of {plural(len(trials), 'network')} so far: {network} with {value}",
        f"Measured on validation pictures, networks with {BEGINS[run.results.judged_with].theirs}. "
        "No network has had its final training yet.",
    )


def tiles(run: Run) -> list[Tile]:
    """The first model's cost and quality, and what the whole run took."""
    found = _model_tiles(run, run.results.models[0]) if run.results.models else []
    if run.trials:
        found.append(Tile(f"{len(run.trials):,}", "networks evaluated"))
    spent = [stage.seconds for stage in run.stages if stage.seconds is not None]
    if spent:
        found.append(Tile(duration(sum(spent)), "all stages together"))
    return found


def _model_tiles(run: Run, model: ModelResult) -> list[Tile]:
    notes = {"latency_ms": "median, measured here"}
    if run.results.at_output:
        notes["macs"] = f"for {run.results.at_output} out"
    values = {name: cost_of(model, name) for name in ("macs", "params", "latency_ms")}
    found = [
        Tile(cost_number(name, value), cost_label(name).lower(), notes.get(name, ""))
        for name, value in values.items()
        if value is not None
    ]
    score = headline_score(run)
    if score is not None:
        label = f"{quality_label(run.results.quality)} on {score.where}"
        found.append(Tile(quality_words(run.results.quality, score.value), label))
    return found


def unfinished(run: Run) -> list[str]:
    """What a complete run has and this one does not have yet, one sentence each; empty when it is finished.

    The stage that writes this report is never done while it writes.
    """
    found = [
        f"Stage “{stage.name}” {_progress(stage)}." for stage in run.stages if not stage.done and stage.name != "report"
    ]
    done = {stage.name for stage in run.stages if stage.done}
    for search in run.results.searches:
        made, planned = search.evaluations or 0, search.planned_evaluations
        if planned and made < planned and f"{search.id}.{search.strategy}" not in done:  # a small space may hold fewer
            found.append(f"Search “{search.id}” ({search.strategy}) has made {made:,} of {planned:,} evaluations.")
    if not run.trials and not run.results.searches:
        found.append("The search has not evaluated a network yet.")
    if not run.results.models:
        found.append("No network has been chosen yet.")
    waiting = [model.name for model in run.results.models if not model.final and not model.weights]
    if waiting:
        found.append(f"No training of its own yet: {listing(waiting)}.")
    return found


def _progress(stage: Stage) -> str:
    if stage.steps is not None and stage.planned_steps:
        return f"has done {stage.steps:,} of {stage.planned_steps:,} steps"
    return "is not finished"


def unmeasured(run: Run) -> list[str]:
    """What this run did not measure although a report could show it, so that silence is not taken for a good sign."""
    models, found = run.results.models, []
    lacking = [model.name for model in models if model.weights == "inherited"]
    if lacking:
        found.append(f"training of its own for {listing(lacking)}: these keep {BEGINS[run.results.judged_with].theirs}")
    if models and not any(model.test for model in models):
        found.append("quality on a test set (name one in the recipe, under data.test)")
    if models and not any(model.latency for model in models):
        found.append("latency on a runtime")
    if run.trials and not trials_of(run, "random_baseline"):
        found.append("a random search of equal budget, the least a search has to beat")
    if run.trials and run.results.rank_correlation is None:
        found.append("whether the shared weights rank networks as their own training does")
    if models and run.results.cost_prediction is None:
        found.append("predicted against measured cost")
    return found


def model_words(run: Run, model: ModelResult) -> str:
    """One sentence for a model's card: cost, budget, what training added."""
    quality = run.results.quality
    costs = [name for name in ("macs", "params", "peak_activation_bytes") if name in model.costs]
    parts = [listing([cost_words(name, model.costs[name]) for name in costs])]
    if model.budget:
        parts.append(f"chosen for {budget_words(model.budget)}")
    if quality in model.inherited and quality in model.final:
        gained = signed(quality, model.final[quality] - model.inherited[quality])
        parts.append(f"its final training added {gained} to {BEGINS[run.results.judged_with].its}")
    text = "; ".join(part for part in parts if part)
    return f"{text}." if text else ""


def quality_rows(run: Run, model: ModelResult) -> list[tuple[str, str]]:
    """Validation quality with the weights it was judged with, and after final training."""
    quality, rows = run.results.quality, []
    if quality in model.inherited:
        rows.append((BEGINS[run.results.judged_with].name, quality_words(quality, model.inherited[quality])))
    if quality in model.final:
        rows.append(("final training", quality_words(quality, model.final[quality])))
    return rows


def caption_number(run: Run, values: dict[str, float]) -> str:
    """The quality of one picture for its caption: "31.20 dB", or nothing."""
    quality = run.results.quality
    return f"{quality_number(quality, values[quality])} {run.results.quality_unit}".strip() if quality in values else ""
