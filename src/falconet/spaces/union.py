"""The weights that the networks of a space share: for each layer's path, the largest that any of them needs.

The options of a space have no common wiring, so the union is a `Store`, not a NetSpec. Same path, same weights: an
elastic kernel or width leaves its option out of the layer's name, options that must not share put it in (`b3.k5.dw`).

Left out: a proof. A path or a width that only a very rare architecture has can be missed by drawing; running such an
architecture then raises a clear error (see graph/plan.py), and nothing is ever read from weights that do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from falconet.errors import UserError
from falconet.spaces.space import Space, build, draw, largest, neighbours, smallest

if TYPE_CHECKING:
    from falconet.graph import NetSpec, Store
    from falconet.graph.store import Gathering


def union(space: Space, rng: Random, *, quiet: int = 500, limit: int = 20_000) -> Store:
    """The smallest store that all networks met can read from: extremes, their neighbours, and random draws.

    Of two networks that differ in width, the wider one's weights are kept:

        def space(pick):
            d = Draft(x=1)
            return d.build(d.layer("head", Conv(pick("width", (8, 16))), "x"))

        union(space, Random(0)).slots["head"].op   # Conv(out=16)

    Drawing stops when `quiet` draws in a row add nothing. One decision at a time is not enough: it misses widths that
    two decisions together make. UserError when two networks disagree about a layer in more than size, and when `limit`
    draws still bring new weights.
    """
    from falconet.graph.store import Gathering

    found = Gathering()
    try:
        for spec in _extremes(space):
            found.add(spec)
        still = 0
        for _ in range(limit):
            still = 0 if _adds_draw(found, space, rng) else still + 1
            if still >= quiet:
                return found.store()
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"the networks of this space cannot share weights: {error}") from error
    raise UserError(
        f"after {limit} draws the space still brings new weights ({len(found.slots)} layers so far): it is too large "
        "to share. Let options that differ only in width, kernel or depth use the same layer names"
    )


def _adds_draw(found: Gathering, space: Space, rng: Random) -> bool:
    """Draw an architecture and add it, with the largest one of its kind; whether that brought anything new."""
    arch, spec = draw(space, rng)
    return found.add(spec) | found.add(build(space, largest(space, arch)))


def _extremes(space: Space) -> Iterator[NetSpec]:
    for extreme in (largest(space), smallest(space)):
        yield build(space, extreme)
        for arch in neighbours(space, extreme):
            yield build(space, arch)
