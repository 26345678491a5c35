"""What a training can be told. Declared apart from the loop, so that recipes load without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0, lt=1)]


class TrainSettings(BaseModel):
    """How weights are learned: Adam, SGD or SOAP, linear warm-up, cosine or a line to zero, an average of the weights.

    The defaults are those of the light super-resolution nets (batches of 32 patches). Single Path One-Shot trains with
    `optimizer: sgd, schedule: linear, batch: 1024, learning_rate: 0.5, weight_decay: 4.0e-5, ema: 0`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    optimizer: Literal["adamw", "sgd", "soap"] = "adamw"
    """adamw: decay apart from the gradient; sgd: with `momentum`, decay added to the gradient; soap: Adam in the
    eigenbasis of the gradients of each kernel, which takes about twice adamw's learning rate and fewer steps."""
    momentum: Fraction = 0.9
    """Of SGD; Adam has its own."""
    schedule: Literal["cosine", "linear"] = "cosine"
    """How the learning rate falls to zero after the warm-up."""
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps over which the learning rate rises from nothing."""
    ema: Fraction = 0.999
    """Decay of the exponential moving average of the weights, which is what is kept; 0: the last weights."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient; a longer one is scaled down."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decay of kernels (weights of two or more axes), of the parts that the step used."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: a few steps of each are timed, and bfloat16 is taken when it is at least 1.25 times as fast."""
    merge: bool = True
    """Train re-parameterized blocks through their merged convolution: the same function, at a fraction of the price."""
    recalibrate: Annotated[int, Field(ge=0)] = 8
    """Batches of 128 training pictures on which the batch-norm statistics of a network are taken anew, when its
    training ends and whenever it inherits weights; 0: never."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 1.0
    """Minutes between checkpoints."""


class PathSettings(BaseModel):
    """Which sub-networks a supernet step trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["uniform", "fair", "sandwich"] = "sandwich"
    """uniform: one drawn at random (Guo et al. 2020); fair: as many as each decision has options, so that each option
    is trained once (Chu et al. 2021); sandwich: the largest, the smallest and some drawn at random, the others learning
    from the largest one's output (Yu et al. 2020)."""
    bins: tuple[float, ...] = ()
    """Ascending numbers of multiply-accumulates. A uniform path then comes from one of the bins between them, each
    equally often, as the published code of Single Path One-Shot draws; without them crowd most paths in the middle."""
    random: Annotated[int, Field(ge=0)] = 2
    """Sub-networks drawn at random in a sandwich step."""
    distill: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of the largest network's output against the truth in what the others learn (sandwich)."""

    @model_validator(mode="after")
    def _bins_ascend(self) -> PathSettings:
        if self.bins and (len(self.bins) < 2 or list(self.bins) != sorted(set(self.bins)) or self.bins[0] < 0):
            raise ValueError(f"bins must be two or more ascending numbers of multiply-accumulates; got {self.bins}")
        if self.bins and self.name != "uniform":
            raise ValueError(f"bins are for uniform paths, not for {self.name}")
        return self
