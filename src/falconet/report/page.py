"""report.html: puts headline, pictures, charts, tables and settings of a run folder on one self-contained page.

    write_report(Path("runs/demo"))     # -> runs/demo/report.html

Everything shown is inlined; a content security policy forbids the page to load anything and to run any script but its
own, so names and texts from strangers stay text even if an escape were forgotten. Nothing is computed here.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from falconet.files import write_text
from falconet.report import story, verdict
from falconet.report.cards import Card, make_cards
from falconet.report.commands import Command, next_commands, usage
from falconet.report.evidence import history_figures, prediction_figure, rank_figure, trust_figure
from falconet.report.figures import Figure, front_figure, latency_figure, set_figure
from falconet.report.pictures import Embedded
from falconet.report.reading import Run, read_run
from falconet.report.tables import (
    Table,
    comparison_table,
    fact_table,
    latency_table,
    rank_table,
    score_table,
    search_table,
    stage_table,
    text_table,
)
from falconet.report.views import entries, set_names
from falconet.report.words import plural

MOST_NAMES = 400


@dataclass(frozen=True)
class DataGroup:
    """Pictures used for one purpose."""

    name: str
    count: str
    purpose: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Everything the template prints; parts that have no data are empty or None."""

    run: Run
    date: str
    headline: story.Headline
    tiles: list[story.Tile]
    hero: Embedded | None
    hero_model: str
    cards: list[Card]
    front: list[Figure]
    scores: Table | None
    verdict: verdict.Verdict | None
    history: list[Figure]
    searches: Table | None
    hypervolume: str
    comparisons: Table | None
    trust: list[Figure]
    trust_words: str
    ranks: Table | None
    prediction: Figure | None
    latencies: Table | None
    data: list[DataGroup]
    data_notes: list[str]
    skipped: Table | None
    stages: Table | None
    facts: list[Table]
    unfinished: list[str]
    unmeasured: list[str]
    next_commands: list[Command]
    usage: list[Command]
    problems: list[str] = field(default_factory=list)


def write_report(folder: Path) -> Path:
    """Write `folder/report.html`, whole or not at all, and return its path.

    A run that was stopped half-way gives a page with what there is, what is missing and the command that continues.
    Raises UserError when the folder holds no run.
    """
    path = folder / "report.html"
    write_text(path, render(read_run(folder)))
    return path


def render(run: Run) -> str:
    """The page as text."""
    script, style = _asset("script.js"), _asset("style.css")
    text = _template().render(
        page=gather(run),
        caption=lambda values: story.caption_number(run, values),
        script=Markup(script),
        style=Markup(style),
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    # File names may hold bytes that are no text; Python reads them as lone surrogates, which no file may hold.
    return text.encode("utf-8", "backslashreplace").decode()


@cache
def _template() -> Template:
    return Environment(
        loader=PackageLoader("falconet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html.j2")


def gather(run: Run) -> Page:
    """Everything the page prints, from the run."""
    problems = list(run.problems)
    cards = make_cards(run, problems)
    hero_card = cards[0] if cards and cards[0].pictures else None
    unfinished = story.unfinished(run)
    charts = [front_figure(run), front_figure(run, "latency_ms"), set_figure(run), latency_figure(run)]
    rank = run.results.rank_correlation
    return Page(
        run=run,
        date=made_on(run),
        headline=story.headline(run),
        tiles=story.tiles(run),
        hero=hero_card.pictures[0] if hero_card else None,
        hero_model=hero_card.model.name if hero_card else "",
        cards=cards,
        front=[figure for figure in charts if figure is not None],
        scores=score_table(run),
        verdict=verdict.search_verdict(run),
        history=history_figures(run),
        searches=search_table(run),
        hypervolume=verdict.hypervolume_words(run),
        comparisons=comparison_table(run),
        trust=[figure for figure in (rank_figure(run), trust_figure(run)) if figure is not None],
        trust_words=f"{verdict.rank_words(rank)} {verdict.advice_words(rank, run.results.quality)}" if rank else "",
        ranks=rank_table(run),
        prediction=prediction_figure(run),
        latencies=latency_table(run),
        data=data_groups(run),
        data_notes=data_notes(run),
        skipped=skipped_files(run),
        stages=stage_table(run.stages),
        facts=_facts(run),
        unfinished=unfinished,
        unmeasured=story.unmeasured(run),
        next_commands=next_commands(run) if unfinished else [],
        usage=usage(run),
        problems=problems,
    )


def _facts(run: Run) -> list[Table]:
    """Every setting and version that is not shown elsewhere."""
    plan = {key: value for key, value in run.plan.items() if key != "spec"}
    tables = [
        fact_table("Seeds", run.results.seeds),
        fact_table("The plan made before training", plan),
        fact_table("Machine and versions", run.environment),
    ]
    return [table for table in tables if table is not None]


def data_groups(run: Run) -> list[DataGroup]:
    """Which pictures were used for what."""
    found = []
    for key, words in (("train", "seen in training"), ("validation", "scored during the search, never trained on")):
        names = run.data.get(key)
        if isinstance(names, list) and names:
            found.append(DataGroup(key, plural(len(names), "picture"), words, shown_names(names)))
    for name in set_names(run):
        scores = [entry.test[name] for entry in entries(run) if name in entry.test]
        names = shown_names(list(dict.fromkeys(picture for score in scores for picture in score.per_image)))
        found.append(DataGroup(name, plural(scores[0].num_images, "picture"), "read for the final table only", names))
    return found


def shown_names(names: Sequence[object]) -> tuple[str, ...]:
    """Names of pictures, the first MOST_NAMES of them; tens of thousands help nobody."""
    more = (f"and {len(names) - MOST_NAMES:,} more",) if len(names) > MOST_NAMES else ()
    return (*(str(name) for name in names[:MOST_NAMES]), *more)


def data_notes(run: Run) -> list[str]:
    """What was found worth saying when the pictures were read."""
    notes = run.data.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def skipped_files(run: Run) -> Table | None:
    """Files that were left out, and why."""
    listed = run.data.get("skipped")
    known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    rows = [(str(one.get("path", "")), str(one.get("reason", ""))) for one in known]
    rows += [(f"{name}: {one.path}", one.reason) for name, files in run.results.test_skipped.items() for one in files]
    return text_table("Files that were left out", ["File", "Reason"], rows)


def _asset(name: str) -> str:
    text = files("falconet.report").joinpath("templates", name).read_text(encoding="utf-8")
    assert "</script" not in text and "</style" not in text, f"{name} must not close the element that holds it"
    return text


def made_on(run: Run) -> str:
    """The day the run was made, from its environment; "" when unknown."""
    try:
        return datetime.fromisoformat(str(run.environment.get("date", ""))).strftime("%-d %B %Y")
    except ValueError:
        return ""
