"""What a recipe asks the search for: what is counted, what is improved, and which networks are kept in the end.

Everything here is a function of the recipe alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from falconet.errors import UserError
from falconet.evaluate import Budget, Objective, format_quantity
from falconet.evaluate.score import parse_share
from falconet.graph import costs
from falconet.run.devices import device_latencies
from falconet.run.predict import LatencyLine
from falconet.run.prepared import zoo_network
from falconet.run.recipe import Recipe
from falconet.search import STRATEGIES, RandomSettings
from falconet.tasks import Classifier

if TYPE_CHECKING:
    from falconet.graph import NetSpec

DEFAULT_OUTPUT = (1280, 720)


def sizes(recipe: Recipe) -> tuple[tuple[int, int], ...]:
    """(height, width) of each input that costs are counted for.

    As the budget names them, else of the task's pictures where all have one size, else for 1280x720 out.
    """
    given = recipe.budget.at_input
    if given is None and recipe.budget.at_output is None and isinstance(recipe.task, Classifier):
        return recipe.task.input_sizes(at_input=(recipe.task.size, recipe.task.size))
    at_output = None if given else recipe.budget.at_output or DEFAULT_OUTPUT
    return recipe.task.input_sizes(at_output=at_output, at_input=given)


def counter(recipe: Recipe, latency: LatencyLine | None = None) -> Callable[[NetSpec], Mapping[str, float]]:
    """Counts the costs of a network, and predicts its latency: by the devices that the budget names, else by the line.

    Multiply-accumulates are counted a pixel of the output as well, when the budget asks for that.
    """
    at = sizes(recipe)
    by_pixel = "macs_per_pixel" in recipe.budget.limits()
    num_pixels = at[0][0] * at[0][1] * getattr(recipe.task, "scale", 1) ** 2

    devices = device_latencies(recipe.budget)

    def count(spec: NetSpec) -> Mapping[str, float]:
        found = costs(spec, *at)
        counted: dict[str, float] = {
            "macs": found.macs,
            "params": found.params,
            "peak_activation_bytes": found.peak_activation_bytes,
        }
        if by_pixel:
            counted["macs_per_pixel"] = found.macs / num_pixels
        if latency is not None and not devices:
            counted["latency_ms"] = latency.predict(spec)
        return {**counted, **{name: predict(spec, at).ms for name, predict in devices.items()}}

    return count


def resolved(recipe: Recipe) -> Recipe:
    """The recipe with every limit of its budget a number: "60% of fsrcnn" is worked out, once and for all.

    The named network is one of the zoo (at the task's scale), or a model. UserError when it is neither, or its latency
    is not known.
    """
    if not recipe.budget.shares:
        return recipe
    count = counter(recipe.model_copy(update={"budget": recipe.budget.resolved(lambda name, network: 1.0)}))

    def cost(name: str, network: str) -> float:
        found = count(_named_network(recipe, network))
        if name not in found:
            raise UserError(f"{name}: a share of {network} needs a device that tells its latency: add on: NAME")
        return found[name]

    return recipe.model_copy(update={"budget": recipe.budget.resolved(cost)})


def guessed_shares(recipe: Recipe) -> set[str]:
    """Those of the budget's shares whose network a device guesses by its linear model: its table lacks blocks of it."""
    predictors, at = device_latencies(recipe.budget), sizes(recipe)
    return {
        name
        for name, text in recipe.budget.shares.items()
        if name in predictors and predictors[name](_named_network(recipe, parse_share(text)[1]), at).how == "linear"
    }


def references(recipe: Recipe) -> list[NetSpec]:
    """The networks that limits of the budget are told by, each once. UserError when there is no such network."""
    names = dict.fromkeys(parse_share(text)[1] for text in recipe.budget.shares.values())
    return [_named_network(recipe, name) for name in names]


def _named_network(recipe: Recipe, name: str) -> NetSpec:
    """A network that a budget names."""
    from falconet.deploy import load_model
    from falconet.zoo import ZOO

    return zoo_network(name, recipe.task, {}) if name in ZOO else load_model(name).spec


def main_cost(recipe: Recipe) -> str:
    """The cost that the search trades against quality: the first that the budget limits, else macs."""
    return next(iter(recipe.budget.limits()), "macs")


def objectives(recipe: Recipe) -> tuple[Objective, ...]:
    """What the search improves: quality, and a small cost unless the strategy improves one thing only."""
    quality = Objective(recipe.task.quality, maximize=True)
    if recipe.search.improves_one:
        return (quality,)
    return (quality, Objective(main_cost(recipe), maximize=False))


def strategy_name(recipe: Recipe) -> str:
    """The name of the recipe's strategy, as in STRATEGIES."""
    return next(name for name, strategy in STRATEGIES.items() if type(recipe.search) is strategy.Settings)


def shares_weights(recipe: Recipe) -> bool:
    """Whether there is a supernet at all; not when it gets no step and networks are judged by a proxy training."""
    return recipe.supernet.steps != 0 or recipe.search.proxy is None


def is_random(recipe: Recipe) -> bool:
    """Whether the search is the random one itself, so that a random baseline beside it would say nothing."""
    return isinstance(recipe.search, RandomSettings)


def wanted(recipe: Recipe) -> dict[str, Budget]:
    """The networks to keep, by name, with the budget each must meet; ascending. A limit above the budget is the budget.

    >>> list(wanted(recipe))            # budget: {macs: 6.1G}, final: {at: [2.5G, 8G]}
    ['macs-2.5G', 'macs-6.1G']
    """
    cost = main_cost(recipe)
    most = recipe.budget.limits().get(cost, math.inf)
    limits = sorted({min(limit, most) for limit in recipe.final.at or (most,)})
    return {
        f"{cost}-{format_quantity(limit)}" if limit < math.inf else "best": (
            recipe.budget.with_limit(cost, limit) if limit < math.inf else recipe.budget
        )
        for limit in limits
    }
