"""The space of light networks that work on pixels: super-resolution, and at scale 1 denoising and other restoration.

All computing happens at the resolution of the input. A head convolution, one or more stages of blocks, a tail, an
upsampler; a global skip adds the input, enlarged by repetition, so that the network learns only what is missing.

                    .------------------ repeat ------------------.
    x -> head, act -+-> stage 0: blocks -> stage 1: ... -> tail -> + -> pixel shuffle -> output

Which decisions are asked depends on the settings: a list of one option is no decision. Shared weights: width and
kernel are elastic (a narrower network reads the first channels, a smaller kernel the centre), depth leaves out the last
blocks; the kind of block is in the layer's name, so kinds share nothing.

Sources: ESPCN (Shi et al. 2016: sub-pixel output), EDSR (Lim et al. 2017: residual blocks without normalization), ECBSR
(Zhang et al. 2021: re-parameterized blocks, repeated input as skip). No batch normalization: it costs quality here.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from falconet.graph import Add, Conv, Draft, NetSpec, PixelShuffle, Repeat, Resize
from falconet.spaces.space import Pick, T
from falconet.zoo.blocks import ACTIVATIONS, ecb_block, plain_block, residual_block

Kind = Literal["plain", "residual", "ecb"]
Activation = Literal["relu", "prelu", "leaky_relu", "hardswish"]
Upsampler = Literal["pixel_shuffle", "nearest_conv"]
Width = Annotated[int, Field(ge=4, le=256)]
Depth = Annotated[int, Field(ge=1, le=64)]
Kernel = Literal[1, 3, 5, 7]


class Restoration(BaseModel):
    """Settings of the space: the options of each decision. Numbers ascend, so that largest and smallest are known.

    `depth` counts blocks of a stage; `width`, `depth`, `kind` and `activation` are decided once for each stage,
    `kernel` once for each plain block (residual and ECB blocks are 3x3). `colour` luma has one channel, rgb three.

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
    colour: Literal["luma", "rgb"] = "luma"
    stages: Annotated[int, Field(ge=1, le=8)] = 1
    width: tuple[Width, ...] = (8, 16, 24, 32)
    depth: tuple[Depth, ...] = (2, 3, 4, 5, 6, 8, 10)
    kernel: tuple[Kernel, ...] = (3,)
    kind: tuple[Kind, ...] = ("plain", "residual", "ecb")
    activation: tuple[Activation, ...] = ("relu", "leaky_relu", "hardswish")
    upsampler: tuple[Upsampler, ...] = ("pixel_shuffle",)
    skip: tuple[bool, ...] = (True,)

    @field_validator("width", "depth", "kernel", "kind", "activation", "upsampler", "skip", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("width", "depth", "kernel")
    @classmethod
    def _ascending(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError(f"options must ascend, each once, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _no_empty_choice(self) -> Restoration:
        for name in ("width", "depth", "kernel", "kind", "activation", "upsampler", "skip"):
            if not getattr(self, name):
                raise ValueError(f"{name} needs at least one option")
        return self

    @property
    def channels(self) -> int:
        """Channels of the picture: 1 for luma, 3 for rgb."""
        return 1 if self.colour == "luma" else 3

    def __call__(self, pick: Pick) -> NetSpec:
        """The network of the answers that `pick` gives."""
        stages = [self._stage(pick, index) for index in range(self.stages)]
        upsampler = _one(pick, "upsampler", self.upsampler if self.scale > 1 else ("pixel_shuffle",))
        skip = _one(pick, "skip", self.skip)
        first_kind, first_width, first_activation, _ = stages[0]
        d = Draft(x=self.channels)
        y = _add(d, "head", _entry(first_kind), self.channels, first_width, "x")
        y = d.layer("head_act", ACTIVATIONS[first_activation], y)
        width = first_width
        for index, (kind, out, activation, kernels) in enumerate(stages):
            for block, kernel in enumerate(kernels):
                name = f"s{index}b{block}"
                y = _add(d, name, kind, width, out, y, kernel, activation)
                y = d.layer(f"{name}_act", ACTIVATIONS[activation], y)
                width = out
        return d.build(self._output(d, y, width, _entry(stages[-1][0]), upsampler, skip))

    def _stage(self, pick: Pick, index: int) -> tuple[Kind, int, Activation, tuple[int, ...]]:
        """Kind, width, activation and the kernels of the blocks of one stage."""
        here = f"s{index}."
        kind = _one(pick, f"{here}kind", self.kind)
        width = _one(pick, f"{here}width", self.width)
        activation = _one(pick, f"{here}activation", self.activation)
        depth = _one(pick, f"{here}depth", self.depth)
        if kind != "plain":
            return kind, width, activation, (3,) * depth
        return kind, width, activation, tuple(_one(pick, f"{here}b{i}.kernel", self.kernel) for i in range(depth))

    def _output(self, d: Draft, y: str, width: int, kind: Kind, upsampler: Upsampler, skip: bool) -> str:
        """Tail, upsampler and skip: the last layer's name."""
        factor = self.scale
        if upsampler == "nearest_conv":
            y = d.layer("enlarge", Resize(factor, "nearest"), y)
            y = d.layer("tail_large", Conv(self.channels), y)
            return d.layer("sum", Add(), y, d.layer("skip", Resize(factor, "nearest"), "x")) if skip else y
        y = _add(d, "tail", kind, width, self.channels * factor**2, y)
        if skip:
            y = d.layer("sum", Add(), y, d.layer("skip", Repeat(factor**2), "x") if factor > 1 else "x")
        return d.layer("up", PixelShuffle(factor), y) if factor > 1 else y


def _one(pick: Pick, name: str, options: tuple[T, ...]) -> T:
    """The answer; a single option is not asked for."""
    return options[0] if len(options) == 1 else pick(name, options)


def _entry(kind: Kind) -> Kind:
    """The kind of the convolution that changes widths: residual blocks cannot, so plain stands in."""
    return "plain" if kind == "residual" else kind


def _add(d: Draft, name: str, kind: Kind, inp: int, out: int, x: str, kernel: int = 3, activation: str = "relu") -> str:
    """Add one block, named after its kind so that kinds share no weights."""
    if kind == "residual" and inp != out:
        kind = "plain"
    return d.layer(f"{name}_{kind}", _block(kind, inp, out, kernel, activation), x)


@lru_cache(maxsize=4096)
def _block(kind: Kind, inp: int, out: int, kernel: int, activation: str) -> NetSpec:
    if kind == "residual":
        return residual_block(out, kernel, activation)
    if kind == "ecb":
        return ecb_block(inp, out)
    return plain_block(inp, out, kernel)
