"""The searches of a run: the recipe's own, and those added later for other budgets on the same trained supernet.

    runs/NAME/recipe.yaml  plan.json  pareto.json                       search-1, the recipe's own
    runs/NAME/searches/search-2/recipe.yaml  plan.json  pareto.json     added by `falconet search runs/NAME --set ...`

The recipe of an added search holds only what it may differ in. The trials of all are in one trials.jsonl, told apart
by the search's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from falconet.errors import UserError
from falconet.evaluate import Budget
from falconet.files import write_bytes, write_text
from falconet.run.below_space import BelowSpace
from falconet.run.devices import found_devices, kept_devices
from falconet.run.model_space import FOLDER, ModelSpace
from falconet.run.plan import Plan
from falconet.run.prepared import unwrapped
from falconet.run.reading import Problems, read_yaml, with_override
from falconet.run.recipe import Recipe, changed, from_tree, to_yaml, tree_of, with_sections
from falconet.run.settings import SpaceFile
from falconet.run.wanted import resolved, wanted

FIRST = "search-1"
SPACE_FILE = "space.py"  # the run folder's copy of a space of the user's own
CHANGEABLE = ("budget", "search", "final")  # what the trained supernet does not depend on


@dataclass(frozen=True)
class OneSearch:
    """A search: its id, its settings, and the folder of its own files."""

    id: str
    folder: Path
    recipe: Recipe


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run folder holds, with the folder's copy of a space of the user's own.

    Raises UserError when it names an object of a Python program, which only that program has.
    """
    path = folder / "recipe.yaml"
    tree = read_yaml(path.read_text(encoding="utf-8"), str(path))
    for name in ("space", "task"):
        section = tree.get(name)
        if isinstance(section, dict) and "object" in section:
            raise UserError(
                f"the {name} of {folder} is {section['object']}: run the Python program it comes from again"
            )
        for key in ("file", "model"):
            if isinstance(section, dict) and key in section:
                tree = with_override(tree, [name, key], str(folder / str(section[key])))
        if isinstance(section, dict) and section.get("below") == FOLDER:
            tree = with_override(tree, [name, "below"], str(folder / FOLDER))
    if isinstance(tree.get("budget"), dict):
        tree = {**tree, "budget": found_devices(tree["budget"], folder)}  # type: ignore[arg-type]
    return from_tree(tree, str(path))


def searches(folder: Path, recipe: Recipe) -> list[OneSearch]:
    """Every search of the run, the recipe's own first."""
    found = [OneSearch(FIRST, folder, recipe)]
    while (path := folder / "searches" / f"search-{len(found) + 1}" / "recipe.yaml").is_file():
        sections = read_yaml(path.read_text(encoding="utf-8"), str(path))
        if isinstance(sections.get("budget"), dict):
            sections = {**sections, "budget": found_devices(sections["budget"], folder)}  # type: ignore[arg-type]
        own = with_sections(recipe, sections, Problems(str(path)))
        found.append(OneSearch(path.parent.name, path.parent, own))
    return found


def another(folder: Path, recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """The recipe of a further search. Raises UserError when it changes what may not change, or is there already."""
    own = resolved(changed(recipe, overrides, CHANGEABLE))
    for other in searches(folder, recipe):
        if other.recipe == own:
            raise UserError(f"{folder} has this search already ({other.id}); change a setting: --set budget.macs=2G")
    return own


def add(folder: Path, own: Recipe, plan: Plan) -> OneSearch:
    """Write a further search down; it is done when the run goes on."""
    number = 2
    while (target := folder / "searches" / f"search-{number}").joinpath("recipe.yaml").exists():
        number += 1
    tree = tree_of(own)
    tree["budget"], devices = kept_devices(tree["budget"])  # type: ignore[arg-type]
    for name, content in devices.items():
        if not (folder / name).exists():
            write_bytes(folder / name, content)
    plan.write(target / "plan.json")
    write_text(target / "recipe.yaml", to_yaml({name: tree[name] for name in CHANGEABLE}))  # last: now it is there
    return OneSearch(target.name, target, own)


def kept_recipe(recipe: Recipe) -> tuple[dict[str, object], dict[str, bytes]]:
    """The recipe's tree as a run folder holds it, and the files that it needs there: the user's space, devices, the
    model that it begins from.
    """
    tree = tree_of(recipe)
    tree["budget"], files = kept_devices(tree["budget"])  # type: ignore[arg-type]
    space = unwrapped(recipe.space)
    if isinstance(space, ModelSpace):
        return with_override(tree, ["space", "model"], FOLDER), {**files, **space.files()}
    if isinstance(space, BelowSpace) and (kept := space.files()):
        return with_override(tree, ["space", "below"], FOLDER), {**files, **kept}
    if not isinstance(space, SpaceFile):
        return tree, files
    path, name = space.parts
    return with_override(tree, ["space", "file"], f"{SPACE_FILE}:{name}"), {**files, SPACE_FILE: path.read_bytes()}


def names(all_searches: Sequence[OneSearch], search: OneSearch) -> dict[str, Budget]:
    """The names of the networks that a search keeps, with their budgets; no two searches of a run share a name.

    A name that an earlier search took gets the search's id: macs-2.5G, then macs-2.5G-search-2.
    """
    earlier = all_searches[: all_searches.index(search)]
    taken = {name for other in earlier for name in wanted(other.recipe)}
    return {f"{name}-{search.id}" if name in taken else name: one for name, one in wanted(search.recipe).items()}
