"""The space of ESR-EA: residual dense blocks of three kinds in a row, for super-resolution (Song et al. 2020,
"Efficient Residual Dense Block Search for Image Super-Resolution").

    x -> head -> shallow -> block 0 -> block 1 -> ... -> cat of all blocks -> fuse, body -> + head -> upsampler

Each of `genes` places holds a block, or is off; at least `least_active` are on. A block is written T_c_g_o: its kind,
the number of its convolutions, their width g (growth), the channels o that come out. With c convolutions it holds

    S (shrink)      g^2 (9c + (c+2)(c-1)/2) + (c+1) g o       each 3x3 reads a 1x1 of all that came before
    G (group)       9 g^2 (3.5 + (c+4)(c-3)/8) + (c+1) g o    3x3 in up to four groups, channels shuffled before
    C (contextual)  as S with (c+1) g o / 4                   at half resolution, each 3x3 used three times over

kernel values (biases come on top), and 1x1 convolutions where the channels at its ends differ.

As in the authors' code, as far as our notes of it say: a block whose input is not g wide begins with a 1x1; what is
added at its end is its input, that 1x1's output, or a 1x1 of the input, the first that has o channels. What they leave
open: the channels of a group block are shuffled over the tensors joined so far, and a rectifier follows each use of a
contextual block's convolution. Deviations: an odd picture is pooled with its last pixels, and what comes back is
cropped (theirs needs even sides); their upsampler works at x2 only, so for x3 its convolution has nine times the
channels that come out of the shuffle, and x4 is x2 twice.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from falconet.errors import UserError
from falconet.graph import Add, AvgPool, Conv, Crop, Draft, NetSpec, PixelShuffle, ReLU, Shuffle
from falconet.spaces.space import Pick, T

Kind = Literal["S", "G", "C"]
USES = 3  # of each convolution of a contextual block
MOST_GROUPS = 4


class Dense(BaseModel):
    """Settings of the space: places, the options of each block, and the width of the trunk around them.

    The defaults are the published ones. How many places are on is a decision of its own, which their bits follow: with
    bits alone nearly all draws would have as few blocks as may be. A place that is off keeps its block.

    >>> from falconet.graph import count_params
    >>> from falconet.spaces.space import build, smallest
    >>> space = Dense(genes=2, least_active=2, convs=(4,), growth=(8,))
    >>> count_params(build(space, smallest(space)))
    55123
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["dense"] = "dense"
    scale: Literal[2, 3, 4] = 2
    colour: Literal["luma", "rgb"] = "rgb"
    genes: Annotated[int, Field(ge=1, le=64)] = 20
    least_active: Annotated[int, Field(ge=1)] = 16
    kinds: tuple[Kind, ...] = ("S", "G", "C")
    convs: tuple[Annotated[int, Field(ge=3, le=16)], ...] = (4, 6, 8)
    growth: tuple[Annotated[int, Field(ge=8, le=128, multiple_of=8)], ...] = (8, 16, 24, 32)
    width: Annotated[int, Field(ge=8, le=256, multiple_of=4)] = 32

    @field_validator("kinds", "convs", "growth", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int) else value

    @model_validator(mode="after")
    def _sound(self) -> Dense:
        for name in ("kinds", "convs", "growth"):
            if not getattr(self, name):
                raise ValueError(f"{name} needs at least one option")
        for name in ("convs", "growth"):
            options = getattr(self, name)
            if list(options) != sorted(set(options)):
                raise ValueError(f"{name} must ascend, each once, got {list(options)}")
        if self.least_active > self.genes:
            raise ValueError(f"least_active is {self.least_active}, but there are only {self.genes} genes")
        return self

    @property
    def channels(self) -> int:
        """Channels of the picture: 1 for luma, 3 for rgb."""
        return 1 if self.colour == "luma" else 3

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        d = Draft(x=self.channels)
        head = d.layer("head", Conv(self.width), "x")
        y, width = d.layer("shallow", Conv(self.width), head), self.width
        made: dict[str, str] = {}
        off = self.genes - _one(pick, "active", tuple(range(self.least_active, self.genes + 1)))
        for gene in range(self.genes):
            open_question = 0 < off < self.genes - gene  # else the rest is all on, or all off
            active = pick(f"b{gene}.active", (0, 1)) if open_question else off == 0
            kind, convs, growth, out = self._block(pick, f"b{gene}.")
            if not active:
                off -= 1
                continue
            name = f"b{gene}_{kind}"
            y, width = d.layer(name, dense_block(kind, width, convs, growth, out), y), out
            made[name] = y
        y = d.chain([("fuse", Conv(self.width, 1)), ("body", Conv(self.width))], d.concat("cat", **made))
        return d.build(self._upsampled(d, d.layer("sum", Add(), y, head)))

    def _block(self, pick: Pick, here: str) -> tuple[Kind, int, int, int]:
        """Kind, convolutions, growth and output of one gene; asked of genes that are off, too, which carry them on."""
        kind = _one(pick, f"{here}kind", self.kinds)
        convs = _one(pick, f"{here}convs", self.convs)
        growth = _one(pick, f"{here}growth", self.growth)
        out = _one(pick, f"{here}g{growth}.out", self.growth[self.growth.index(growth) :])
        return kind, convs, growth, out

    def _upsampled(self, d: Draft, y: str) -> str:
        """To the size of the output: pixel shuffles to 3/4 of the trunk's width, and a convolution to the picture."""
        wide = self.width * 3 // 4
        for step, factor in enumerate({2: (2,), 3: (3,), 4: (2, 2)}[self.scale]):
            y = d.chain([(f"up{step}", Conv(wide * factor**2)), (f"up{step}_shuffle", PixelShuffle(factor))], y)
        return d.layer("tail", Conv(self.channels), y)


def _one(pick: Pick, name: str, options: tuple[T, ...]) -> T:
    """The answer; a single option is not asked for."""
    return options[0] if len(options) == 1 else pick(name, options)


@lru_cache(maxsize=4096)
def dense_block(kind: Kind, inp: int, convs: int, growth: int, out: int) -> NetSpec:
    """One block of ESR-EA, of `inp` channels to `out` (see the module). UserError for settings that cannot be.

    >>> from falconet.graph import count_params
    >>> block = dense_block("S", 16, 4, 16, 16)
    >>> 16**2 * (9 * 4 + 6 * 3 // 2) + 5 * 16 * 16, count_params(block) - 8 * 16        # 8 convolutions have biases
    (12800, 12800)
    """
    if out < growth or growth % 8 or convs < 3:
        raise UserError(
            f"a dense block needs 3 convolutions or more, a growth that is a multiple of 8 and an output no narrower; "
            f"got {kind}_{convs}_{growth}_{out}"
        )
    d = Draft(x=inp)
    entry = "x" if inp == growth else d.layer("enter", Conv(growth, 1), "x")
    write = {"S": _shrink, "G": _group, "C": _contextual}[kind]
    y = d.layer("out", Conv(out, 1), write(d, entry, convs, growth))
    if out == inp:
        skip = "x"
    else:
        skip = entry if out == growth else d.layer("skip", Conv(out, 1), "x")
    return d.build(d.layer("sum", Add(), y, skip))


def _shrink(d: Draft, entry: str, convs: int, growth: int, uses: int = 1) -> str:
    """3x3 convolutions, each on a 1x1 of everything before it; all of it side by side."""
    seen, y = {"x0": entry}, entry
    for i in range(convs):
        for use in range(uses):
            again = f"_{use}" if use else ""
            y = d.layer(f"conv{i}{again}", Conv(growth), y, weights=f"conv{i}" if use else "")
            y = d.layer(f"act{i}{again}", ReLU(), y)
        seen[f"x{i + 1}"] = y
        joined = d.concat(f"cat{i}", **seen)
        if i < convs - 1:
            y = d.layer(f"shrink{i}", Conv(growth, 1), joined)
    return joined


def _group(d: Draft, entry: str, convs: int, growth: int) -> str:
    """3x3 convolutions in groups, each on everything before it, shuffled; all of it side by side."""
    seen, joined = {"x0": entry}, entry
    for i in range(convs):
        groups = min(MOST_GROUPS, 2 ** ((i + 1).bit_length() - 1))
        mixed = d.layer(f"shuffle{i}", Shuffle(i + 1), joined) if i else joined
        seen[f"x{i + 1}"] = d.chain([(f"conv{i}", Conv(growth, groups=groups)), (f"act{i}", ReLU())], mixed)
        joined = d.concat(f"cat{i}", **seen)
    return joined


def _contextual(d: Draft, entry: str, convs: int, growth: int) -> str:
    """A shrink block at half resolution whose convolutions are used three times each, and back to the full one."""
    small = d.layer("down", AvgPool(2, ceil=True), entry)
    large = d.layer("up", PixelShuffle(2), _shrink(d, small, convs, growth, USES))
    return d.layer("crop", Crop(), large, entry)
