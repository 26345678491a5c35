"""The space below a trained network, as a recipe names it: its own layers, narrower and fewer.

    space: {below: dncnn_17, width: [0.2, 0.3, 0.4], blocks: [[4, 8, 12, 15]], factor: 2}
    space: {below: runs/big/models/best, width: [0.5, 0.75], blocks: [[3, 4], [2, 3]]}

Its weights are not looked at: the strongest of its channels were a worse start than none (docs/decisions/0038).
"""

from __future__ import annotations

from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field, model_validator

from falconet.errors import UserError
from falconet.graph import NetSpec, costs, flatten
from falconet.graph.repeats import repeats
from falconet.graph.rewrite import deployed_spec
from falconet.graph.widths import LEAST, widths_of
from falconet.run.model_space import model_files
from falconet.spaces import Pick
from falconet.spaces.below import Below, below, works_coarsely
from falconet.zoo import ZOO, designed

Options = dict[str, int | float | str | bool]
NUM_WIDTHS = 6
KEPT = (0.2, 0.4, 0.6, 0.8, 1.0)
"""What shares of a run's blocks may be left."""
USUAL = 2
"""The place in KEPT of the number of blocks at which the widest network is to meet the budget."""


class BelowSpace(BaseModel):
    """The networks below one of the zoo, with its `options`, or below a model.

    `width` are shares of its channels, `blocks` for each run of equal blocks the numbers that may be left, `factor` how
    much smaller the pictures are that its layers work on (2 and more: networks that work at one size throughout).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    below: str
    options: Options = {}
    scale: int | None = None
    width: tuple[float, ...]
    blocks: tuple[tuple[int, ...], ...] = ()
    factor: int = Field(1, ge=1, le=4)

    @model_validator(mode="after")
    def _can_be_made(self) -> BelowSpace:
        try:
            self._space()
        except UserError as error:
            raise ValueError(f"{self.below}: {error}") from None
        return self

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        return self._space()(pick)

    def _space(self) -> Below:
        spec = _spec(self.below, _frozen(self.options), self.scale)
        return _below(spec, tuple(sorted(self.width)), tuple(tuple(sorted(one)) for one in self.blocks), self.factor)

    def files(self) -> dict[str, bytes]:
        """What a run folder keeps of a model, by path; nothing of a network of the zoo."""
        return {} if self.below in ZOO else model_files(self.below)


def _frozen(options: Options) -> tuple[tuple[str, int | float | str | bool], ...]:
    return tuple(sorted(options.items()))


@lru_cache
def _spec(name: str, options: tuple[tuple[str, int | float | str | bool], ...], scale: int | None) -> NetSpec:
    """The prototype as it ships: fused, flat. UserError when there is none of that name, or it has no such option."""
    from falconet.deploy import load_model

    if name not in ZOO:
        return flatten(deployed_spec(load_model(name).spec))
    return flatten(deployed_spec(designed(name, dict(options), scale=scale)))


@lru_cache
def _below(spec: NetSpec, width: tuple[float, ...], blocks: tuple[tuple[int, ...], ...], factor: int) -> Below:
    """The space, checked once: it is asked for networks hundreds of times."""
    return Below(spec, width, blocks, factor)


def options_within(spec: NetSpec, macs: float, size: tuple[int, int], scale: int) -> dict[str, object] | None:
    """Options of the space below `spec` whose networks cost around `macs` for inputs of `size`; None: nothing does.

    A network that enlarges its picture first works at the small picture's size; one of equal sizes in and out at half
    of it, when it is to do a sixteenth of its work or less.
    """
    flat = flatten(deployed_spec(spec))
    free = widths_of(flat)
    if not free.free:
        return None
    full = costs(flat, size).macs
    factor = scale if scale > 1 else 2 if full > 16 * macs else 1
    factor = factor if factor > 1 and works_coarsely(flat) else 1
    widest = max(free.unit[name] for name in free.free)
    blocks = tuple(tuple(sorted({max(1, round(run.count * kept)) for kept in KEPT})) for run in repeats(flat))
    usual = tuple(counts[min(USUAL, len(counts) - 1)] for counts in blocks)
    fits = [
        channels
        for channels in range(LEAST, widest + 1, 2)
        if costs(below(flat, channels / widest, usual, factor), size).macs <= macs
    ]
    if not fits:
        return None
    step = max(2, fits[-1] // 12 * 2)
    widths = sorted({max(LEAST, fits[-1] - step * number) for number in range(NUM_WIDTHS)})
    return {
        "width": [round(channels / widest, 4) for channels in widths],
        "blocks": [list(one) for one in blocks],
        "factor": factor,
    }
