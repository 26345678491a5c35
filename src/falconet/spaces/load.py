"""A space from the user's own Python file. The file is run: it is code that the user chose to run, like any script."""

from __future__ import annotations

import hashlib
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import cast

from falconet.errors import UserError
from falconet.graph import NetSpec
from falconet.spaces.space import Space, build, smallest


def load_space(where: str) -> Space:
    """The space named `space` in a Python file, or another name: "my_space.py" or "my_space.py:wide".

    It is tried once, on its smallest architecture. UserError when the file cannot be read or run, lacks the name, or
    what it names does not build a network.
    """
    path_text, colon, name = where.rpartition(":")
    if not colon or not path_text.endswith(".py"):
        path_text, name = where, "space"
    space = getattr(_run(Path(path_text)), name, None)
    if space is None:
        raise UserError(f"{path_text} defines no {name!r}; define a function {name}(pick) that returns a NetSpec")
    if isinstance(space, type) or not callable(space):
        kind = f"the class {space.__name__}; make an object of it" if isinstance(space, type) else f"{space!r}"
        raise UserError(f"{name!r} in {path_text} must be a function of `pick` that returns a NetSpec, not {kind}")
    try:
        spec: object = build(cast(Space, space), smallest(cast(Space, space)))
    except UserError:
        raise
    except Exception as error:  # whatever the user's own function raises
        raise UserError(f"{name!r} in {path_text} failed to build its smallest network: {error}") from error
    if not isinstance(spec, NetSpec):
        raise UserError(
            f"{name!r} in {path_text} must return a NetSpec (what Draft.build gives), not {type(spec).__name__}"
        )
    return cast(Space, space)


def _run(path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise UserError(
            f"a space must be a Python file, such as my_space.py or my_space.py:name; there is none at {path}"
        )
    # Registered under a name of its own, so that classes defined there can be pickled and never hide a library.
    module_name = f"falconet_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = spec_from_loader(module_name, SourceFileLoader(module_name, str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's own file raises
        del sys.modules[module_name]
        raise UserError(f"{path} could not be run: {type(error).__name__}: {error}") from error
    return module
