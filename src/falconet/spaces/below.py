"""The space below a network: the same layers, narrower and fewer, and at a lower resolution.

Decided are what share of their channels all widths have that may change (`width`), and how many blocks are left of each
run that the network repeats (`run0.blocks`, ...). Given, when the space is made, is by what factor the pictures are
smaller that the layers work on. Layers keep their names, so that all networks of the space read slices of one set of
weights, and the network itself, where it is one of them, all of it.

    Below(vdsr(2), width=(0.125, 0.25), blocks=((6, 12, 18),), factor=2)

A network that enlarges its picture before anything else, as VDSR does, works with `factor` on pixels of the enlarged
picture put into channels: the same body at a quarter of the work, for a factor of 2. Found by its layers alone
(graph/widths.py, graph/repeats.py), so any network will do that has something to make smaller.

Left out: widths that differ from layer to layer, as structured pruning chooses them by the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from falconet.errors import UserError
from falconet.graph import Crop, Draft, Extend, Input, Layer, NetSpec, PixelShuffle, PixelUnshuffle, Resize, flatten
from falconet.graph.repeats import repeats, shortened
from falconet.graph.spec import infer_shapes, input_shapes
from falconet.graph.widths import narrowed, widths_of
from falconet.spaces.space import Pick


@dataclass(frozen=True)
class Below:
    """The networks below `spec`: shares of its widths and numbers of blocks to choose from, each ascending.

    `blocks` has one entry for each of `repeats(spec)`. UserError when there is nothing to make smaller, or `factor`
    does not go with this network.
    """

    spec: NetSpec
    width: tuple[float, ...]
    blocks: tuple[tuple[int, ...], ...]
    factor: int = 1

    def __post_init__(self) -> None:
        if not widths_of(flatten(self.spec)).free:
            raise UserError("this network has no width that could be made smaller")
        if not self.width or any(not 0 < share <= 1 for share in self.width):
            raise UserError(f"width must be shares above 0, up to 1; got {list(self.width)}")
        runs = repeats(self.spec)
        fit = len(self.blocks) == len(runs)
        if not fit or any(not counts or not 1 <= min(counts) <= max(counts) <= run.count
                          for counts, run in zip(self.blocks, runs, strict=True)):  # fmt: skip
            has = ", ".join(f"1 to {run.count}" for run in runs) or "none"
            raise UserError(f"blocks must have a list of numbers for each run that repeats ({has}); got {self.blocks}")
        if self.factor > 1 and not works_coarsely(self.spec):
            raise UserError("this network cannot work at a lower resolution: factor must be 1")

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        share = self.width[0] if len(self.width) == 1 else pick("width", self.width)
        kept = tuple(
            counts[0] if len(counts) == 1 else pick(f"run{number}.blocks", counts)
            for number, counts in enumerate(self.blocks)
        )
        return below(self.spec, share, kept, self.factor)


@lru_cache(maxsize=4096)
def below(spec: NetSpec, share: float, kept: tuple[int, ...], factor: int = 1) -> NetSpec:
    """The flat network of `share` of the channels and `kept` blocks of each run, at 1/factor of the resolution.

    >>> from falconet.graph import costs
    >>> from falconet.zoo import dncnn_17
    >>> costs(below(dncnn_17(), 0.25, (6,), 2), (2, 2)).macs / 4      # multiply-accumulates a pixel
    4032.0
    """
    short = shortened(spec, kept)
    if factor == 1:
        return narrowed(short, share)
    return _coarse(short, share, factor)


def works_coarsely(spec: NetSpec) -> bool:
    """Whether the network can work on pixels put into channels: one picture in, one out, all layers at one size."""
    flat = flatten(spec)
    if len(flat.inputs) != 1 or len(flat.outputs) != 1:
        return False
    body = _body(flat)
    if (widths := widths_of(body)).given & widths.rigid:
        return False
    size = (16, 16)
    return {shape.size for shape in infer_shapes(body, input_shapes(body, size)).values()} == {size}


def _enlarger(flat: NetSpec) -> Layer | None:
    """The layer that enlarges the picture before anything else reads it, if there is one."""
    name = flat.inputs[0].name
    readers = [layer for layer in flat.layers if name in layer.inputs]
    alone = len(readers) == 1 and isinstance(readers[0].op, Resize) and name not in flat.outputs
    return readers[0] if alone else None


def _body(flat: NetSpec) -> NetSpec:
    """The network behind the layer that enlarges its picture, if there is one; else all of it."""
    first = _enlarger(flat)
    if first is None:
        return flat
    layers = tuple(layer for layer in flat.layers if layer is not first)
    return NetSpec((Input(first.name, flat.inputs[0].channels),), layers, flat.outputs)


def _coarse(flat: NetSpec, share: float, factor: int) -> NetSpec:
    """The narrowed body of `flat` between pixels put into channels and channels put back."""
    body = _body(flat)
    small = narrowed(body, share, picture=factor**2)
    (entry,), (given,), first = body.inputs, flat.inputs, _enlarger(flat)
    d = Draft(**{given.name: given.channels})
    large = given.name if first is None else d.layer("enlarged", first.op, given.name)
    down = d.layer("down", PixelUnshuffle(factor), d.layer("extended", Extend(factor), large))
    named = {entry.name: down}
    for layer in small.layers:
        d.layer(layer.name, layer.op, *_renamed(layer.inputs, named), weights=layer.weights)
    up = d.layer("up", PixelShuffle(factor), *_renamed(small.outputs, named))
    return d.build(d.layer("picture_out", Crop(), up, large))


def _renamed(names: Sequence[str], named: dict[str, str]) -> list[str]:
    return [named.get(name, name) for name in names]
