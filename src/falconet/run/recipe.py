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
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, SerializeAsAny, model_validator

from falconet.errors import UserError
from falconet.evaluate import Budget
from falconet.graph import NetSpec
from falconet.run.below_space import BelowSpace
from falconet.run.model_space import ModelSpace
from falconet.run.prepared import knowing, prepared, shared_settings, unwrapped
from falconet.run.reading import Problems, read_yaml, split_override, suggestion, with_override
from falconet.run.settings import FinalSettings, Rivals, SpaceFile, SupernetSettings, TrustSettings, ZooSpace
from falconet.run.teacher import TeacherSettings
from falconet.search import STRATEGIES, SearchSettings
from falconet.spaces import SPACES, Pick
from falconet.tasks import TASKS, DataSettings, Task


class Recipe(BaseModel):
    """Every setting of a run. `workers`: networks that are judged, or trained alone, side by side, one thread each."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    task: Annotated[Task, PlainValidator(lambda task: task)]
    data: DataSettings
    space: Annotated[Callable[[Pick], NetSpec], PlainValidator(lambda space: space)]
    budget: Budget
    supernet: SupernetSettings
    search: SerializeAsAny[SearchSettings]
    final: FinalSettings
    trust: TrustSettings = TrustSettings()
    rivals: Rivals = Rivals()
    teacher: TeacherSettings | None = None
    seed: int = Field(0, ge=0)
    workers: int = Field(1, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, values: object) -> object:
        """A task that classifies learns its classes here, and its space to begin with what the task does first."""
        if not isinstance(values, dict) or not isinstance(values.get("data"), DataSettings) or "space" not in values:
            return values
        task = knowing(values["task"], values["data"])
        return {**values, "task": task, "space": prepared(values["space"], task)}


DEFAULT_STRATEGY = "nsga2"

# The sections whose settings are always of one kind; the others name an entry of a table.
SECTIONS: Mapping[str, type[BaseModel]] = {
    "data": DataSettings,
    "budget": Budget,
    "supernet": SupernetSettings,
    "final": FinalSettings,
    "trust": TrustSettings,
    "rivals": Rivals,
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
    return from_tree(read_yaml(text, source), source, overrides)


def from_tree(tree: Mapping[str, object], source: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in the tree that YAML gives."""
    tree, keys = overridden(tree, overrides)
    problems = Problems(source, keys)
    recipe = _read(tree, problems)
    problems.stop()
    assert recipe is not None
    return recipe


def changed(recipe: Recipe, overrides: Sequence[str], changeable: Sequence[str]) -> Recipe:
    """The recipe with some settings changed, all of them in the sections named. Raises UserError for any other."""
    tree, keys = overridden({name: tree_of(recipe)[name] for name in changeable}, overrides)
    for name in tree:
        if name not in changeable:
            fixed = name in Recipe.model_fields
            why = "cannot change any more" if fixed else f"is not a setting{suggestion(name, changeable)}"
            raise UserError(f"--set: {name} {why}; these can: {', '.join(changeable)}")
    return with_sections(recipe, tree, Problems("--set", keys))


def with_sections(recipe: Recipe, tree: Mapping[str, object], problems: Problems) -> Recipe:
    """The recipe with the sections of `tree` in place of its own."""
    update = {
        name: _read_search(section, problems) if name == "search" else problems.read(SECTIONS[name], section, name)
        for name, section in tree.items()
    }
    problems.stop()
    return recipe.model_copy(update=update)


def overridden(tree: Mapping[str, object], overrides: Sequence[str]) -> tuple[dict[str, object], list[str]]:
    """The tree with every override put in place, and the dotted keys of these."""
    given = [split_override(override) for override in overrides]
    changed_tree = dict(tree)
    for parts, value in given:
        changed_tree = with_override(_without_other_length(changed_tree, parts), parts, value)
    return changed_tree, [".".join(parts) for parts, _ in given]


def _read(tree: Mapping[str, object], problems: Problems) -> Recipe | None:
    problems.unknown(tree, Recipe.model_fields)
    task: Task | None = problems.choose(TASKS, tree.get("task"), "task")
    data = problems.read(DataSettings, tree["data"], "data") if isinstance(tree.get("data"), Mapping) else None
    task = knowing(task, data) if task is not None and data is not None else task
    sections: dict[str, object] = {
        "task": task,
        "space": _read_space(tree.get("space"), task, problems),
        "search": _read_search(tree.get("search"), problems),
    }
    for name, model in SECTIONS.items():
        if name == "data" and isinstance(tree.get("data"), Mapping):
            sections[name] = data
            continue
        sections[name] = problems.read(model, {} if tree.get(name) is None else tree[name], name)
    if any(section is None for section in sections.values()):
        return None
    if tree.get("teacher") is not None:
        sections["teacher"] = problems.read(TeacherSettings, tree["teacher"], "teacher")
    plain = {name: tree[name] for name in ("seed", "workers") if name in tree}
    return problems.read(Recipe, sections | plain, "")


def _read_space(tree: object, task: Task | None, problems: Problems) -> object:
    """The space, which takes over the settings that it shares with the task (scale, colour, classes) unless given."""
    if isinstance(tree, str):
        tree = {"file": tree} if tree.endswith(".py") or ".py:" in tree else {"name": tree}
    if isinstance(tree, Mapping) and "file" in tree:
        return problems.read(SpaceFile, tree, "space")
    if isinstance(tree, Mapping) and "model" in tree:
        return problems.read(ModelSpace, tree, "space")
    if isinstance(tree, Mapping) and "below" in tree:
        scale = shared_settings(task).get("scale") if task is not None else None
        return problems.read(BelowSpace, {"scale": scale, **tree}, "space")
    if isinstance(tree, Mapping) and "zoo" in tree:
        shared = shared_settings(task) if task is not None else {}
        return problems.read(ZooSpace, {**{k: shared[k] for k in ("scale", "classes") if k in shared}, **tree}, "space")
    if isinstance(tree, Mapping) and tree.get("name") in SPACES and task is not None:
        fields = getattr(SPACES[tree["name"]], "model_fields", ())
        shared = {key: value for key, value in shared_settings(task).items() if key in fields}
        for key in sorted(set(shared) & set(tree)):
            if tree[key] != shared[key]:
                problems.add(f"space.{key}", f"space.{key} is {tree[key]!r}, but task.{key} is {shared[key]!r}")
        tree = {**shared, **tree}
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
    return to_yaml(tree_of(recipe))


def tree_of(recipe: Recipe) -> dict[str, object]:
    """The recipe as plain values, as YAML would give them."""
    sections: dict[str, object] = {"task": _named(recipe.task, TASKS), "space": _named(unwrapped(recipe.space), SPACES)}
    return {name: sections.get(name) or _plain(getattr(recipe, name)) for name in Recipe.model_fields}


def can_be_written(recipe: Recipe) -> bool:
    """Whether the recipe's file says all of it; not when it holds functions or objects of a program."""
    try:
        return from_tree(tree_of(recipe), "recipe") == recipe
    except UserError:
        return False


def to_yaml(tree: Mapping[str, object]) -> str:
    """Plain values as YAML in a short form."""
    return yaml.safe_dump(dict(tree), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def _plain(value: object) -> object:
    return value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value


def _named(chosen: object, table: Mapping[str, type]) -> dict[str, object]:
    """The settings of an entry of a table, its name first; of anything else the name of its class or function."""
    for name, model in table.items():
        if type(chosen) is model and isinstance(chosen, BaseModel):
            return {"name": name, **chosen.model_dump(mode="json")}
    if isinstance(chosen, SpaceFile | ZooSpace | ModelSpace | BelowSpace):
        return chosen.model_dump(mode="json", exclude_none=True)
    return {"object": f"{type(chosen).__module__}.{getattr(chosen, '__qualname__', type(chosen).__qualname__)}"}
