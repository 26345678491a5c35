"""The card of each chosen network: costs, quality, files, drawing and example pictures, gathered for the template."""

from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from falconet.report import story
from falconet.report.confusion import Confusion, confusions
from falconet.report.drawing import draw_network
from falconet.report.pictures import Embedded, embed
from falconet.report.reading import ModelFolder, Run
from falconet.report.results import ModelResult
from falconet.report.tables import Table, fact_table, model_tests
from falconet.report.words import cost_label, cost_number, file_size

MAX_PICTURES = 12
MAX_PICTURES_A_MODEL = 4


@dataclass(frozen=True)
class Card:
    """One chosen network as its card shows it."""

    model: ModelResult
    words: str
    costs: tuple[tuple[str, str], ...]
    qualities: tuple[tuple[str, str], ...]
    tests: Table | None
    arch: Table | None
    files: tuple[tuple[str, str, str], ...]
    drawing: Markup | None
    pictures: tuple[Embedded, ...]
    more_pictures: int = 0
    confusions: tuple[Confusion, ...] = ()


def make_cards(run: Run, problems: list[str]) -> list[Card]:
    """A card for each model of results.json; what cannot be shown is added to `problems`."""
    cards: list[Card] = []
    left = MAX_PICTURES
    for model in run.results.models:
        folder = run.models.get(model.name, ModelFolder(model.name))
        pictures = _pictures(folder, min(left, MAX_PICTURES_A_MODEL), problems, close_up=not cards)
        left -= len(pictures)
        cards.append(
            Card(
                model,
                story.model_words(run, model),
                tuple((cost_label(name), cost_number(name, value)) for name, value in _all_costs(model).items()),
                tuple(story.quality_rows(run, model)),
                model_tests(run, model),
                fact_table("The answers that make this architecture", model.arch),
                tuple(
                    (name, f"models/{quote(model.name, safe='')}/{quote(name, safe='')}", file_size(size))
                    for name, size in folder.files
                ),
                _drawing(folder, problems),
                pictures,
                len(folder.pictures) - len(pictures),
                confusions(model, run.results.classes),
            )
        )
    return cards


def _all_costs(model: ModelResult) -> dict[str, float]:
    return model.costs | ({"latency_ms": model.latency.median_ms} if model.latency else {})


def _pictures(folder: ModelFolder, limit: int, problems: list[str], close_up: bool) -> tuple[Embedded, ...]:
    """At most `limit` examples of a model; the close-up is for the first, which opens the page."""
    found: list[Embedded] = []
    for picture in folder.pictures[:limit]:
        try:
            found.append(embed(picture, close_up and not found))
        except ValueError as error:
            problems.append(f"models/{folder.name}/examples: {error}")
    return tuple(found)


def _drawing(folder: ModelFolder, problems: list[str]) -> Markup | None:
    if folder.spec is None:
        return None
    try:
        return draw_network(folder.spec)
    except ValueError as error:
        problems.append(f"the network of {folder.name} could not be drawn: {error}")
        return None
