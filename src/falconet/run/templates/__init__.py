"""Commented recipes to start from, one YAML file per kind."""

from importlib import resources
from pathlib import Path

from falconet.errors import UserError
from falconet.run.reading import suggestion


def kinds() -> tuple[str, ...]:
    """The kinds of recipe there is a template for."""
    files = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def write_template(kind: str, path: Path) -> None:
    """Write the template of that kind to `path`. Raises UserError for an unknown kind, or when the file exists."""
    if kind not in kinds():
        raise UserError(f"there is no recipe template {kind!r}{suggestion(kind, kinds())}")
    text = resources.files(__name__).joinpath(f"{kind}.yaml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path} exists already and is left as it is; name another file") from None
    except FileNotFoundError:
        raise UserError(f"there is no folder {path.parent} to write {path.name} into") from None
