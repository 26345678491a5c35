"""What a training can be told. Declared apart from the loop, so that recipes load without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, lt=1)]


class TrainSettings(BaseModel):
    """How weights are learned: Adam, linear warm-up, cosine to zero, an average of the weights.

    The defaults are those of the light super-resolution nets (batches of 32 patches).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 4e-3
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps over which the learning rate rises from nothing."""
    ema: Fraction = 0.999
    """Decay of the exponential moving average of the weights, which is what is kept; 0: the last weights."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient; a longer one is scaled down."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled decay of kernels (weights of two or more axes) that the step used."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: a few steps of each are timed, and bfloat16 is taken when it is at least 1.25 times as fast."""
    merge: bool = True
    """Train re-parameterized blocks through their merged convolution: the same function, at a fraction of the price."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 1.0
    """Minutes between checkpoints."""


class PathSettings(BaseModel):
    """Which sub-networks a supernet step trains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["uniform", "sandwich"] = "sandwich"
    """uniform: one drawn at random (Guo et al. 2020); sandwich: the largest, the smallest and some drawn at random, the
    others learning from the largest one's output (Yu et al. 2020)."""
    random: Annotated[int, Field(ge=0)] = 2
    """Sub-networks drawn at random in a sandwich step."""
    distill: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of the largest network's output against the truth in what the others learn (sandwich)."""
