"""A trained model as where a run begins: its network is all there is to find, its weights are what is inherited.

So `falconet train sr-x2 --data ./photos` goes on training a model that ships, and a recipe can give the network of an
earlier run more time: `space: {model: runs/x/models/best}`. A run folder keeps its own copy of the model. With
`in_colour` it is a denoiser of grey pictures, made one of colour (see in_colour.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from falconet.deploy.card import training_lines
from falconet.errors import UserError
from falconet.graph import NetSpec
from falconet.run.in_colour import give_weights, in_colour
from falconet.spaces import Pick

if TYPE_CHECKING:
    from falconet.deploy import Model
    from falconet.graph.network import Network

FOLDER = "begins_from"  # the run folder's copy of the model


class ModelSpace(BaseModel):
    """The space of one network, that of a model: `model: sr-x2`, or a model folder.

    `in_colour`: the model is a denoiser of grey pictures that is told the noise level, and the network one of colour
    pictures that begins with this level, of 255, in each of R, G and B.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    in_colour: float | None = Field(None, gt=0, le=255)

    @field_validator("model")
    @classmethod
    def _loads(cls, value: str) -> str:
        try:
            _loaded(value)
        except UserError as error:
            raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _can_be_in_colour(self) -> ModelSpace:
        if self.in_colour is not None:
            try:
                _coloured(self.model)
            except UserError as error:
                raise ValueError(f"{self.model}: {error}") from None
        return self

    def __call__(self, pick: Pick) -> NetSpec:
        """The network; nothing is asked."""
        return _loaded(self.model).spec if self.in_colour is None else _coloured(self.model)

    def files(self) -> dict[str, bytes]:
        """What a run folder keeps of the model, by path."""
        return model_files(self.model)

    @property
    def arch(self) -> Mapping[str, object]:
        """The decisions that once led to the network, in the space it was found in."""
        return _loaded(self.model).facts.arch

    def lineage(self) -> str:
        """In a sentence, whose weights the run began with and what those had learned from."""
        facts = _loaded(self.model).facts
        before = " ".join(training_lines(facts.training))
        return f"It began with the weights of {facts.name}, trained before. Of those: {before}"

    def give_weights(self, network: Network) -> None:
        """Put the model's weights into `network`, the store of this space."""
        learned = _loaded(self.model).network
        if self.in_colour is None:
            network.load_state_dict(learned.state_dict())
        else:
            give_weights(network, learned, self.in_colour)


def model_files(name: str) -> dict[str, bytes]:
    """The files of a model that a run folder keeps, by path."""
    from falconet.deploy.facts import FILE
    from falconet.deploy.model import WEIGHTS

    folder = _loaded(name).folder
    return {f"{FOLDER}/{one}": (folder / one).read_bytes() for one in (FILE, WEIGHTS)}


@lru_cache
def _loaded(name: str) -> Model:
    """The model, read once: a space is asked for its network hundreds of times."""
    from falconet.deploy import load_model

    return load_model(name)


@lru_cache
def _coloured(name: str) -> NetSpec:
    """The network for colour that is made of the model's."""
    return in_colour(_loaded(name).spec)
