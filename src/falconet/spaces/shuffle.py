"""The space of Single Path One-Shot: twenty blocks of ShuffleNet v2's kind, each with a free branch and inner width.

Guo et al. 2020, "Single Path One-Shot Neural Architecture Search with Uniform Sampling". Every block chooses one of
four branches ("shuffle3", 5 and 7: 1x1, depthwise k x k, 1x1; "xception": three times depthwise 3x3 and 1x1) and how
wide it is inside, 0.2 to 1.6 times half of its channels: the paper's block search and channel search.

    x -> stem 3x3 -> 4 blocks -> 4 blocks -> 8 blocks -> 4 blocks -> 1x1 -> mean -> dropout -> classes

Shared weights: the branch is in the layer's name (`b3.shuffle5`), so branches share nothing; widths are slices, a
narrower branch reads the first channels. Batch-norm statistics belong to one network: recalibrate them on an extract.

    layout      stem        channels (stride) of the stages           1x1   input
    imagenet    16, /2      64 (2), 160 (2), 320 (2), 640 (2)         1024  224x224, as published
    cifar       16          32 (2), 64 (2), 72 (1), 80 (1)            256   32x32, 3.4 to 14.6 M multiply-accumulates

The second one is ours: the published layout would halve pictures of 32x32 five times, down to a single pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from falconet.errors import UserError
from falconet.graph import BatchNorm, Draft, NetSpec
from falconet.spaces.space import Pick, T
from falconet.zoo.classify import classify, conv, normed
from falconet.zoo.shuffle_blocks import shuffle_block, shuffle_entry, twin

Kind = Literal["shuffle3", "shuffle5", "shuffle7", "xception"]
Width = Annotated[float, Field(ge=0.1, le=4)]


@dataclass(frozen=True, slots=True)
class Layout:
    """What is not decided: channels and stride of the stem, (channels, blocks, first stride) of each stage, the end."""

    stem: tuple[int, int]
    stages: tuple[tuple[int, int, int], ...]
    last: int
    classes: int


LAYOUTS: Mapping[str, Layout] = {
    "imagenet": Layout((16, 2), ((64, 4, 2), (160, 4, 2), (320, 8, 2), (640, 4, 2)), 1024, 1000),
    "cifar": Layout((16, 1), ((32, 4, 2), (64, 4, 2), (72, 8, 1), (80, 4, 1)), 256, 10),
}


class Shuffle(BaseModel):
    """Settings of the space: the layout, and the options of each block's branch (`kind`) and inner `width`.

    A list of one option is no decision: ``width: 1.0`` is the paper's block search, 4^20 networks. `affine` false
    leaves the learned gains and shifts out of batch norm, as the paper does while it trains the supernet, not when the
    found network is trained. `classes` is 1000 or 10 unless said.

    >>> from falconet.graph import costs
    >>> from falconet.spaces.space import build, smallest
    >>> space = Shuffle(width=1.0)
    >>> round(costs(build(space, smallest(space)), (224, 224)).macs / 1e6, 1)      # all shuffle3
    295.8
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["shuffle"] = "shuffle"
    layout: Literal["imagenet", "cifar"] = "imagenet"
    classes: Annotated[int, Field(ge=2)] | None = None
    kind: tuple[Kind, ...] = ("shuffle3", "shuffle5", "shuffle7", "xception")
    width: tuple[Width, ...] = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
    affine: bool = True

    @field_validator("kind", "width", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int | float) else value

    @field_validator("kind", "width")
    @classmethod
    def _some(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError(f"give at least one option, each once; got {list(value)}")
        return value

    @field_validator("width")
    @classmethod
    def _ascending(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(value):
            raise ValueError(f"options must ascend, got {list(value)}")
        return value

    def one_kind(self) -> Shuffle:
        """The space of "shuffle3" blocks alone, whose weights are among those of this space.

        UserError when this space has no such blocks.
        """
        if "shuffle3" not in self.kind:
            raise UserError(f"other kinds of block can begin as shuffle3 alone, but space.kind is {list(self.kind)}")
        return self.model_copy(update={"kind": ("shuffle3",)})

    def begins_as(self, slot: str) -> str | None:
        """The weights with which `slot` does what a "shuffle3" block does in its place.

        "": it must let its input through; None: it stays as it is.
        """
        block, _, rest = slot.partition(".")
        kind, _, layer = rest.partition(".")
        if kind not in self.kind or kind == "shuffle3":
            return None
        place = twin(kind, layer)
        return f"{block}.shuffle3.{place}" if place else place

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        layout, norm = LAYOUTS[self.layout], _norm(self.affine)
        channels, stride = layout.stem
        d = Draft(x=3)
        y = d.layer("stem", _stem(channels, stride, norm), "x")
        number = 0
        for out, depth, stride in layout.stages:
            for i in range(depth):
                kind = _one(pick, f"b{number}.kind", self.kind)
                mid = max(1, int(out // 2 * _one(pick, f"b{number}.width", self.width)))
                if i == 0:
                    block = shuffle_entry(kind, channels, mid, out, stride, norm=norm)
                else:
                    block = shuffle_block(kind, out, mid, norm=norm)
                y = d.layer(f"b{number}.{kind}", block, y)
                channels, number = out, number + 1
        return d.build(d.layer("end", _end(channels, layout.last, self.classes or layout.classes, norm), y))


@lru_cache(maxsize=2)
def _norm(affine: bool) -> BatchNorm:
    """One object, so that the caches of blocks need not compare it."""
    return BatchNorm(affine=affine)


@lru_cache(maxsize=64)
def _stem(out: int, stride: int, norm: BatchNorm) -> NetSpec:
    d = Draft(x=3)
    return d.build(d.chain(normed("conv", conv(out, 3, stride), norm=norm), "x"))


@lru_cache(maxsize=64)
def _end(inp: int, last: int, classes: int, norm: BatchNorm) -> NetSpec:
    d = Draft(x=inp)
    return d.build(classify(d, d.chain(normed("conv", conv(last), norm=norm), "x"), classes, dropout=0.1, bias=False))


def _one(pick: Pick, name: str, options: tuple[T, ...]) -> T:
    """The answer; a single option is not asked for."""
    return options[0] if len(options) == 1 else pick(name, options)
