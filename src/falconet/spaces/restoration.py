"""The space of light networks that work on pixels: super-resolution, and at scale 1 denoising and other restoration.

All computing happens at the resolution of the input, or at a lower one: `unshuffle` makes channels of 2x2 (3x3, 4x4)
pixels, and what is left to compute is a quarter at equal width. A head convolution, one or more stages of blocks, a
tail, an upsampler; a global skip adds the input, enlarged by repetition, so that the network learns only what is
missing, or at scale 1 the noise.

                    .------------------ repeat ------------------.
    x -> head, act -+-> stage 0: blocks -> stage 1: ... -> tail -> + -> pixel shuffle -> output

With a noise map there is a second input, `sigma`, of the size of the picture; the head sees both.

Which decisions are asked depends on the settings: a list of one option is no decision. Shared weights: width and
kernel are elastic (a narrower network reads the first channels, a smaller kernel the centre), depth leaves out the last
blocks; the kind of block is in the layer's name, so kinds share nothing.

Sources: ESPCN (Shi et al. 2016: sub-pixel output), EDSR (Lim et al. 2017: residual blocks without normalization), ECBSR
(Zhang et al. 2021: re-parameterized blocks, repeated input as skip), FFDNet (Zhang et al. 2018: unshuffled input, noise
map). No batch normalization: it costs quality here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from falconet.graph import (
    Add,
    AvgPool,
    Conv,
    Crop,
    Draft,
    Extend,
    NetSpec,
    PixelShuffle,
    PixelUnshuffle,
    Repeat,
    Resize,
)
from falconet.spaces.space import Pick, T
from falconet.zoo.blocks import ACTIVATIONS, ecb_block, gated_block, plain_block, residual_block

Kind = Literal["plain", "residual", "gated", "ecb"]
Activation = Literal["relu", "prelu", "leaky_relu", "hardswish"]
Upsampler = Literal["pixel_shuffle", "nearest_conv"]
Width = Annotated[int, Field(ge=4, le=256)]
Depth = Annotated[int, Field(ge=1, le=64)]
Kernel = Literal[1, 3, 5, 7]
Unshuffle = Literal[1, 2, 3, 4]

DECISIONS = ("width", "depth", "kernel", "kind", "activation", "upsampler", "unshuffle", "skip")


class Restoration(BaseModel):
    """Settings of the space: the options of each decision. Numbers ascend, so that largest and smallest are known.

    `depth` counts blocks of a stage; `width`, `depth`, `kind` and `activation` are decided once for each stage,
    `kernel` once for each plain block (the others are 3x3). Gated blocks bend by a product: no activation stands behind
    them, so a stage of them behind the first decides none. `unshuffle` is the factor by which the network
    works at a lower resolution than the picture's; factors share no weights, and above 1 pixel shuffle alone enlarges.
    `colour` luma and grey have one channel, rgb three.

    >>> from random import Random
    >>> from falconet.graph import costs
    >>> from falconet.spaces.space import build, largest
    >>> space = Restoration(width=(16,), depth=(4,), kind=("ecb",), activation=("prelu",))
    >>> costs(build(space, largest(space)), (360, 640)).macs      # ECBSR-M4C16, x2, at 1280x720
    2289254400
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["restoration"] = "restoration"
    scale: Annotated[int, Field(ge=1, le=4)] = 2
    colour: Literal["luma", "grey", "rgb"] = "luma"
    noise_map: bool = False
    stages: Annotated[int, Field(ge=1, le=8)] = 1
    width: tuple[Width, ...] = (8, 16, 24, 32)
    depth: tuple[Depth, ...] = (2, 3, 4, 5, 6, 8, 10)
    kernel: tuple[Kernel, ...] = (3,)
    kind: tuple[Kind, ...] = ("plain", "residual", "ecb")
    activation: tuple[Activation, ...] = ("relu", "leaky_relu", "hardswish")
    upsampler: tuple[Upsampler, ...] = ("pixel_shuffle",)
    unshuffle: tuple[Unshuffle, ...] = (1,)
    skip: tuple[bool, ...] = (True,)

    @field_validator(*DECISIONS, mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("width", "depth", "kernel", "unshuffle")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError(f"options must ascend, each once, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _choices_have_options(self) -> Restoration:
        for name in DECISIONS:
            if not getattr(self, name):
                raise ValueError(f"{name} needs at least one option")
        if self.scale > 1 and self.unshuffle != (1,) and self.upsampler != ("pixel_shuffle",):
            raise ValueError("with unshuffle above 1, only the upsampler pixel_shuffle is to be had")
        return self

    @property
    def channels(self) -> int:
        """Channels of the picture: 1 for luma and grey, 3 for rgb."""
        return 3 if self.colour == "rgb" else 1

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        stages = [self._stage(pick, index) for index in range(self.stages)]
        upsampler = _one(pick, "upsampler", self.upsampler if self.scale > 1 else ("pixel_shuffle",))
        factor = _one(pick, "unshuffle", self.unshuffle)
        skip = _one(pick, "skip", self.skip)
        first_kind, width, first_activation, _ = stages[0]
        d = Draft(x=self.channels, sigma=1) if self.noise_map else Draft(x=self.channels)
        own = _own(factor)
        given, channels = self._given(d, factor)
        seen = d.concat(f"{own}given", picture=given, sigma=self._level(d, factor)) if self.noise_map else given
        y = _add(d, f"{own}head", _entry(first_kind), channels + self.noise_map, width, seen)
        y = d.layer(f"{own}head_act", ACTIVATIONS[first_activation], y)
        for index, (kind, out, activation, kernels) in enumerate(stages):
            for block, kernel in enumerate(kernels):
                name = f"{own}s{index}b{block}"
                y = _add(d, name, kind, width, out, y, kernel, activation)
                y = y if kind == "gated" else d.layer(f"{name}_act", ACTIVATIONS[activation], y)
                width = out
        last = _entry(stages[-1][0])
        if self.scale > 1:
            large = upsampler == "nearest_conv"
            y = self._convolved(d, y, skip) if large else self._shuffled(d, y, width, last, factor, skip)
            return d.build(y)
        y = _add(d, f"{own}tail", last, width, channels, y)
        y = d.layer(f"{own}sum", Add(), y, given) if skip else y
        return d.build(self._large(d, y, factor) if factor > 1 else y)

    def _given(self, d: Draft, factor: int) -> tuple[str, int]:
        """The picture as the head sees it, and its channels."""
        if factor == 1:
            return "x", self.channels
        y = d.layer(f"u{factor}_extend", Extend(factor), "x")
        return d.layer(f"u{factor}_down", PixelUnshuffle(factor), y), self.channels * factor**2

    def _level(self, d: Draft, factor: int) -> str:
        """The noise map as the head sees it."""
        return "sigma" if factor == 1 else d.layer(f"u{factor}_level", AvgPool(factor, factor, ceil=True), "sigma")

    def _large(self, d: Draft, y: str, factor: int) -> str:
        """Channels as pixels again, and what was extended cut off."""
        return d.layer(f"u{factor}_picture", Crop(), d.layer(f"u{factor}_up", PixelShuffle(factor), y), "x")

    def _stage(self, pick: Pick, index: int) -> tuple[Kind, int, Activation, tuple[int, ...]]:
        """Kind, width, activation and the kernels of the blocks of one stage."""
        here = f"s{index}."
        kind = _one(pick, f"{here}kind", self.kind)
        width = _one(pick, f"{here}width", self.width)
        bends = kind == "gated" and index > 0
        activation = self.activation[0] if bends else _one(pick, f"{here}activation", self.activation)
        depth = _one(pick, f"{here}depth", self.depth)
        if kind != "plain":
            return kind, width, activation, (3,) * depth
        return kind, width, activation, tuple(_one(pick, f"{here}b{i}.kernel", self.kernel) for i in range(depth))

    def _shuffled(self, d: Draft, y: str, width: int, kind: Kind, factor: int, skip: bool) -> str:
        """Tail, skip and pixel shuffle: the last layer's name."""
        each = self.scale**2
        y = _add(d, f"{_own(factor)}tail", kind, width, self.channels * each * factor**2, y)
        y = self._large(d, y, factor) if factor > 1 else y
        y = d.layer("sum", Add(), y, d.layer("skip", Repeat(each), "x")) if skip else y
        return d.layer("up", PixelShuffle(self.scale), y)

    def _convolved(self, d: Draft, y: str, skip: bool) -> str:
        """Enlarged by repetition, then a convolution: the last layer's name."""
        y = d.layer("enlarge", Resize(self.scale, "nearest"), y)
        y = d.layer("tail_large", Conv(self.channels), y)
        return d.layer("sum", Add(), y, d.layer("skip", Resize(self.scale, "nearest"), "x")) if skip else y


def _own(factor: int) -> str:
    """What the names of layers begin with, so that factors share no weights."""
    return f"u{factor}_" if factor > 1 else ""


def _one(pick: Pick, name: str, options: tuple[T, ...]) -> T:
    """The answer; a single option is not asked for."""
    return options[0] if len(options) == 1 else pick(name, options)


def _entry(kind: Kind) -> Kind:
    """The kind of the convolution that changes widths: residual and gated blocks cannot, so plain stands in."""
    return "plain" if kind in ("residual", "gated") else kind


def _add(d: Draft, name: str, kind: Kind, inp: int, out: int, x: str, kernel: int = 3, activation: str = "relu") -> str:
    """Add one block, named after its kind so that kinds share no weights."""
    kind = kind if inp == out else _entry(kind)
    return d.layer(f"{name}_{kind}", _block(kind, inp, out, kernel, activation), x)


@lru_cache(maxsize=4096)
def _block(kind: Kind, inp: int, out: int, kernel: int, activation: str) -> NetSpec:
    if kind == "residual":
        return residual_block(out, kernel, activation)
    if kind == "gated":
        return gated_block(out, kernel)
    if kind == "ecb":
        return ecb_block(inp, out)
    return plain_block(inp, out, kernel)
