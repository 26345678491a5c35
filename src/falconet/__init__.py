"""Falconet: designs vision networks small enough for a phone.

The names below are imported when first used, so `import falconet` stays quick and brings in no torch:

    >>> import falconet
    >>> spec = falconet.ZOO["espcn"]()          # only now is the zoo imported
    >>> falconet.costs(spec, (360, 640)).macs

Left out on purpose: nothing is registered or configured here; each name lives in the module the table names.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names once more, for editors and type checkers
    from falconet.deploy import TARGETS as TARGETS
    from falconet.deploy import load_model as load_model
    from falconet.errors import UserError as UserError
    from falconet.graph import OPS as OPS
    from falconet.graph import Draft as Draft
    from falconet.graph import NetSpec as NetSpec
    from falconet.graph import costs as costs
    from falconet.graph.network import Network as Network
    from falconet.run import Recipe as Recipe
    from falconet.search import STRATEGIES as STRATEGIES
    from falconet.spaces import SPACES as SPACES
    from falconet.spaces import Arch as Arch
    from falconet.tasks import TASKS as TASKS
    from falconet.zoo import ZOO as ZOO

__version__ = "0.1.0"

# Public name -> the module it lives in.
_WHERE: Mapping[str, str] = {
    "UserError": "falconet.errors",
    "Draft": "falconet.graph",
    "NetSpec": "falconet.graph",
    "Network": "falconet.graph.network",
    "OPS": "falconet.graph",
    "costs": "falconet.graph",
    "ZOO": "falconet.zoo",
    "Arch": "falconet.spaces",
    "SPACES": "falconet.spaces",
    "TASKS": "falconet.tasks",
    "STRATEGIES": "falconet.search",
    "TARGETS": "falconet.deploy",
    "load_model": "falconet.deploy",
    "Recipe": "falconet.run",
}


def __getattr__(name: str) -> object:
    """The public object of that name, imported now; afterwards it is an ordinary attribute (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'falconet' has no attribute {name!r}")
    found: object = getattr(import_module(_WHERE[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Every name a user may ask for, imported or not."""
    return sorted({*globals(), *_WHERE})
