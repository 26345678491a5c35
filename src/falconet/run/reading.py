"""Settings read from plain trees (what YAML gives), with errors a person can act on.

    problems = Problems("recipe.yaml")
    budget = problems.read(BudgetSettings, {"mac": "6G"}, "budget")
    problems.stop()      # UserError: recipe.yaml: budget.mac is not a setting; did you mean budget.macs?

The mistakes of all sections are collected before stopping, one line each. Left out on purpose: inheritance between
files, variables, and anything else that would make a recipe a program.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from falconet.errors import UserError

M = TypeVar("M", bound=BaseModel)


class Problems:
    """The mistakes found so far in one source of settings."""

    def __init__(self, source: str, overridden: Iterable[str] = ()) -> None:
        self._source = source
        self._overridden = tuple(overridden)
        self._lines: list[str] = []

    def add(self, place: str, text: str) -> None:
        """Note a mistake; `place` is the dotted key it concerns, and the line opens with where that key was written."""
        given = any(
            place == key or place.startswith(key + ".") or key.startswith(place + ".") for key in self._overridden
        )
        self._lines.append(f"{'--set' if given else self._source}: {text}")

    def stop(self) -> None:
        """Raise UserError with all mistakes noted, if there are any."""
        if self._lines:
            raise UserError("\n".join(self._lines))

    def read(self, model: type[M], tree: object, place: str) -> M | None:
        """The settings in `tree`, or None when something is wrong with them, which is then noted."""
        if not isinstance(tree, Mapping):
            self.add(place, f"{place} must be a group of settings ({', '.join(model.model_fields)}); got {tree!r}")
            return None
        try:
            return model.model_validate(dict(tree))
        except ValidationError as error:
            for detail in error.errors():
                self._add_detail(model, place, detail)
            return None

    def choose(self, table: Mapping[str, type[M]], tree: object, place: str, key: str = "name") -> M | None:
        """The settings of the entry of `table` that `tree` names under `key`; a bare name stands for {key: NAME}.

        The name itself is passed on only to classes that have such a field.
        """
        if isinstance(tree, str):
            tree = {key: tree}
        if not isinstance(tree, Mapping) or key not in tree:
            self.add(place, f"{joined(place, key)} must be given; there are: {', '.join(table)}")
            return None
        name = tree[key]
        if name not in table:
            self.add(place, f"{joined(place, key)} is {name!r}, which does not exist{suggestion(str(name), table)}")
            return None
        model = table[name]
        kept = {given: value for given, value in tree.items() if given != key or key in model.model_fields}
        return self.read(model, kept, place)

    def unknown(self, keys: Iterable[str], known: Iterable[str], place: str = "") -> None:
        """Note every key that is not known."""
        known = tuple(known)
        for key in keys:
            if key not in known:
                dotted = joined(place, key)
                self.add(dotted, f"{dotted} is not a setting{suggestion(key, known, place)}")

    def _add_detail(self, model: type[BaseModel], place: str, detail: ErrorDetails) -> None:
        where = joined(place, *(str(part) for part in detail["loc"]))
        match detail["type"]:
            case "extra_forbidden":
                parent, _, key = where.rpartition(".")
                self.unknown([key], _fields_at(model, detail["loc"][:-1]), parent)
            case "missing":
                self.add(where, f"{where} must be given")
            case "value_error":
                self.add(where, f"{where}: {detail['ctx']['error']}")
            case _:
                text = (
                    detail["msg"].removeprefix("Input ").replace("a valid dictionary", "a group, such as {NAME: VALUE}")
                )
                self.add(where, f"{where} {text}; got {detail['input']!r}")


def joined(*parts: str) -> str:
    """A dotted key: joined("data", "", "train") is "data.train"."""
    return ".".join(part for part in parts if part)


def suggestion(key: str, known: Iterable[str], place: str = "") -> str:
    """The end of a message about an unknown key: the nearest known one, or all of them when none is near.

    >>> suggestion("mac", ["macs", "params"], "budget"), suggestion("zzz", ["macs", "params"])
    ('; did you mean budget.macs?', '; there are: macs, params')
    """
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {joined(place, near[0])}?" if near else f"; there are: {', '.join(known)}"


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> tuple[str, ...]:
    """The field names of the model nested at `place`."""
    for part in place:
        found = model.model_fields.get(str(part))
        kinds = () if found is None else (found.annotation, *get_args(found.annotation))  # Settings, or Settings | None
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models:
            return ()
        model = models[0]
    return tuple(model.model_fields)


class _Yaml(yaml.SafeLoader):
    """Safe YAML in which only true and false are truth values, as in YAML 1.2: `on` is a word, and a setting."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (as in the class it is taken from)
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str, source: str) -> dict[str, object]:
    """The mapping in a YAML text. Raises UserError with the line of a syntax error."""
    try:
        tree = yaml.load(text, _Yaml)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{source}{line}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise UserError(f"{source} must hold settings, one `key: value` a line; got {type(tree).__name__}")
    return tree


def split_override(override: str) -> tuple[list[str], object]:
    """The key and the value of one `--set`; the value is read as YAML.

    >>> split_override("final.at=[2.5G, 6.1G]")
    (['final', 'at'], ['2.5G', '6.1G'])
    """
    key, equals, value = override.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise UserError(f"--set takes KEY=VALUE, such as --set budget.macs=6.1G; got {override!r}")
    try:
        return parts, yaml.load(value, _Yaml)
    except yaml.YAMLError:
        raise UserError(f"--set {key}: the value {value!r} is not YAML; quote it, or close its brackets") from None


def with_override(tree: Mapping[str, object], parts: list[str], value: object) -> dict[str, object]:
    """The tree with one value put in place; groups on the way are made, and a bare name becomes {name: NAME}.

    >>> with_override({"task": "denoise"}, ["task", "sigma"], 25)
    {'task': {'name': 'denoise', 'sigma': 25}}
    """
    head, *rest = parts
    if not rest:
        return {**tree, head: value}
    below = tree.get(head) or {}
    if isinstance(below, str):
        below = {"name": below}
    if not isinstance(below, Mapping):
        raise UserError(f"--set {'.'.join(parts)}: {head} is {below!r}, not a group of settings")
    return {**tree, head: with_override(below, rest, value)}
