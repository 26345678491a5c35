"""A recipe: all that one run does, as typed values, read from a short YAML file and written back.

    recipe = load(Path("recipe.yaml"), ["budget.macs=6.1G"])      # overrides as on the command line
    recipe.budget.macs                                            # 6100000000.0
    parse(dump(recipe)) == recipe                                 # what a run folder keeps

Each section is a frozen settings model declared beside the code that reads it; this module only puts them together.
`task`, `space` and `search.strategy` name an entry of a table; in a Python program an object of your own may stand for
the task and the space.
Paths in a recipe are relative to the folder the command runs in, as paths on a command line are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SerializeAsAny

from falconet.errors import UserError
from falconet.evaluate import Budget
from falconet.graph import NetSpec
from falconet.run.reading import Problems, read_yaml, split_override, with_override
from falconet.run.settings import FinalSettings, SpaceFile, SupernetSettings
from falconet.search import STRATEGIES, SearchSettings
from falconet.spaces import SPACES, Pick
from falconet.tasks import TASKS, DataSettings, Task


class Recipe(BaseModel):
    """Every setting of a run. `workers` is how many final trainings go on side by side, each with one thread."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    task: Annotated[Task, PlainValidator(lambda task: task)]
    data: DataSettings
    space: Annotated[Callable[[Pick], NetSpec], PlainValidator(lambda space: space)]
    budget: Budget
    supernet: SupernetSettings
    search: SerializeAsAny[SearchSettings]
    final: FinalSettings
    seed: int = Field(0, ge=0)
    workers: int = Field(1, ge=1)


DEFAULT_STRATEGY = "nsga2"

# The sections whose settings are always of one kind; the others name an entry of a table.
SECTIONS: Mapping[str, type[BaseModel]] = {
    "data": DataSettings,
    "budget": Budget,
    "supernet": SupernetSettings,
    "final": FinalSettings,
}


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML file, with `overrides` such as "budget.macs=6.1G" put in place first.

    Raises UserError that names every mistake, one a line, and the nearest setting to one that is unknown.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"there is no recipe {path}; `falconet init sr {path}` writes one to start from") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file; a recipe is YAML") from None
    return parse(text, str(path), overrides)


def parse(text: str, source: str = "recipe", overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a YAML text; `source` is what messages call it."""
    tree = read_yaml(text, source)
    given = [split_override(override) for override in overrides]
    for parts, value in given:
        tree = with_override(_without_other_length(tree, parts), parts, value)
    problems = Problems(source, [".".join(parts) for parts, _ in given])
    recipe = _read(tree, problems)
    problems.stop()
    assert recipe is not None
    return recipe


def _read(tree: Mapping[str, object], problems: Problems) -> Recipe | None:
    problems.unknown(tree, Recipe.model_fields)
    task = problems.choose(TASKS, tree.get("task"), "task")
    sections: dict[str, object] = {
        "task": task,
        "space": _read_space(tree.get("space"), task, problems),
        "search": _read_search(tree.get("search"), problems),
    }
    for name, model in SECTIONS.items():
        sections[name] = problems.read(model, {} if tree.get(name) is None else tree[name], name)
    if any(section is None for section in sections.values()):
        return None
    plain = {name: tree[name] for name in ("seed", "workers") if name in tree}
    return problems.read(Recipe, sections | plain, "")


def _read_space(tree: object, task: BaseModel | None, problems: Problems) -> object:
    """The space, which takes over the settings that it shares with the task (scale, colour) unless they are given."""
    if isinstance(tree, str):
        tree = {"file": tree} if tree.endswith(".py") or ".py:" in tree else {"name": tree}
    if isinstance(tree, Mapping) and "file" in tree:
        return problems.read(SpaceFile, tree, "space")
    if isinstance(tree, Mapping) and tree.get("name") in SPACES and task is not None:
        shared = (set(getattr(SPACES[tree["name"]], "model_fields", ())) & set(type(task).model_fields)) - {"name"}
        for key in sorted(shared & set(tree)):
            if tree[key] != getattr(task, key):
                problems.add(f"space.{key}", f"space.{key} is {tree[key]!r}, but task.{key} is {getattr(task, key)!r}")
        tree = {**{key: getattr(task, key) for key in shared}, **tree}
    return problems.choose(SPACES, tree, "space")


def _read_search(tree: object, problems: Problems) -> SearchSettings | None:
    settings = {name: strategy.Settings for name, strategy in STRATEGIES.items()}
    if tree is None or (isinstance(tree, Mapping) and "strategy" not in tree):
        tree = {"strategy": DEFAULT_STRATEGY, **(tree or {})}
    return problems.choose(settings, tree, "search", key="strategy")


def _without_other_length(tree: dict[str, object], parts: list[str]) -> dict[str, object]:
    """The tree without `minutes` when `steps` of the same stage is overridden, and the other way round."""
    other = {"steps": "minutes", "minutes": "steps"}.get(parts[-1])
    stage = tree.get(parts[0])
    if len(parts) != 2 or other is None or not isinstance(stage, Mapping):
        return tree
    return {**tree, parts[0]: {key: value for key, value in stage.items() if key != other}}


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, every setting written out; `parse` gives an equal one back.

    An object of the user's own that is in no table is written by its name alone, which `parse` will not read: such a
    run is continued by the program that began it.
    """
    sections: dict[str, object] = {"task": _named(recipe.task, TASKS), "space": _named(recipe.space, SPACES)}
    tree = {name: sections.get(name) or _plain(getattr(recipe, name)) for name in Recipe.model_fields}
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def _plain(value: object) -> object:
    return value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value


def _named(chosen: object, table: Mapping[str, type]) -> dict[str, object]:
    """The settings of an entry of a table, its name first; of anything else the name of its class or function."""
    for name, model in table.items():
        if type(chosen) is model and isinstance(chosen, BaseModel):
            return {"name": name, **chosen.model_dump(mode="json", exclude_none=True)}
    if isinstance(chosen, SpaceFile):
        return chosen.model_dump(mode="json")
    return {"object": f"{type(chosen).__module__}.{getattr(chosen, '__qualname__', type(chosen).__qualname__)}"}
