"""What every strategy is, and the parts they share: which architectures may be proposed, and how to draw some.

A strategy is a fold over complete rounds. `ask` is pure: the same state and the same generator give the same
proposals, and nothing changes. `tell` takes the trials of one whole round in index order. So resuming a search is
telling it the log.

A strategy never proposes a network that it was told about or proposed before, nor one whose counted costs exceed the
budget. When it runs out of new ones it returns fewer than asked, in the end none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, Field

from falconet.evaluate.describe import features
from falconet.evaluate.score import Budget, InfeasibleBudget, Objective, Trial, check_budget, format_quantity
from falconet.spaces import Arch, Space, build, largest, mutate, sample, smallest
from falconet.train.settings import TrainSettings

if TYPE_CHECKING:
    from falconet.graph import NetSpec


WALK = 200  # changes on the way into a window, at most


class ProxySettings(TrainSettings):
    """A short training from scratch, for `steps` steps, by which networks are judged."""

    steps: int = Field(ge=1)


class SearchSettings(BaseModel):
    """How long to search, how many networks are proposed and evaluated per round, and how they are judged.

    Networks are judged with the weights they inherit from the supernet, or by a `proxy` training. Each strategy derives
    its own settings from these; the field `strategy` there names it, so that a recipe can tell them apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluations: int = Field(300, ge=1)
    population: int = Field(50, ge=2)
    proxy: ProxySettings | None = None

    @property
    def improves_one(self) -> bool:
        """Whether the strategy takes a single objective: quality, with costs as budgets only."""
        return False


class Strategy(Protocol):
    """Proposes architectures and learns from their trials."""

    Settings: ClassVar[type[SearchSettings]]

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Up to `count` new architectures; none when it knows no more. Changes nothing."""

    def tell(self, trials: Sequence[Trial]) -> None:
        """Learns one whole round, in index order."""


class StrategyClass(Protocol):
    """One entry of STRATEGIES: what makes a strategy, and the type of its own settings."""

    @property
    def Settings(self) -> type[SearchSettings]: ...

    def __call__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: Any
    ) -> Strategy: ...


class Feasible:
    """Whether an architecture meets a budget, judged by the costs that can be counted without running anything.

    `count` gives the costs of a network, such as {"macs": ..., "params": ...}. Answers are remembered.
    """

    def __init__(self, space: Space, budget: Budget, count: Callable[[NetSpec], Mapping[str, float]]) -> None:
        self.budget = budget
        # lru_cache on a method would keep every object alive; on a function of this object it goes when the object goes
        self.costs = lru_cache(maxsize=100_000)(lambda arch: dict(count(build(space, arch))))
        self.network = lru_cache(maxsize=100_000)(lambda arch: build(space, arch).digest)
        self.features = lru_cache(maxsize=100_000)(lambda arch: features(arch, build(space, arch), self.costs(arch)))

    def __call__(self, arch: Arch) -> bool:
        return not self.budget.exceeded(self.costs(arch))


def propose(make: Callable[[], Arch], count: int, feasible: Feasible, seen: set[str], tries: int) -> list[Arch]:
    """Up to `count` feasible architectures from at most `tries` calls of `make`.

    None is of a network in `seen`; theirs are added there.
    """
    found: list[Arch] = []
    for _ in range(tries):
        if len(found) == count:
            break
        arch = make()
        if feasible(arch) and feasible.network(arch) not in seen:
            seen.add(feasible.network(arch))
            found.append(arch)
    return found


def random_archs(
    space: Space, feasible: Feasible, objectives: Sequence[Objective], rng: Random, count: int, seen: set[str]
) -> list[Arch]:
    """Up to `count` new feasible architectures at random; adds their networks to `seen`.

    When a counted cost is among the objectives, they are spread evenly over that cost (`sample_by_cost`), since uniform
    picks crowd around the middle and leave the ends of the front empty. Otherwise they come from `feasible_sample`.
    Repeats are drawn again, up to ten times the count.
    """
    found: list[Arch] = []
    low = feasible.costs(smallest(space))
    name = next((o.name for o in objectives if not o.maximize and o.name in low), None)
    if name is not None:
        high = min(feasible.budget.limits().get(name, math.inf), feasible.costs(largest(space))[name])

        def spread() -> Arch:
            return sample_by_cost(space, lambda arch: feasible.costs(arch)[name], low[name], high, rng)

        found = propose(spread, count, feasible, seen, 3 * count)
    rest = count - len(found)
    return found + propose(lambda: feasible_sample(space, feasible, rng), rest, feasible, seen, 10 * rest)


def feasible_sample(space: Space, feasible: Feasible, rng: Random, *, uniform: int = 100, limit: int = 2_000) -> Arch:
    """A random architecture within the budget.

    The first `uniform` draws are uniform picks, so while more than a few per cent of the space fit, the result is a
    uniform pick that fits. A tighter budget is met by draws that lean to small options (`sample` with a random
    `reach`): no longer uniform, but a million times likelier to fit. Those that do not fit walk there by single
    changes, and into a window (a budget with a lower end) every draw does. InfeasibleBudget, with the smallest costs
    seen, after `limit` draws.
    """
    least = dict(feasible.costs(smallest(space)))
    number = 0
    while number < limit:
        number += 1
        arch = sample(space, rng, reach=1.0 if number <= uniform else rng.random())
        if (feasible.budget.at_least or number > uniform) and not feasible(arch):
            arch, steps = walked(arch, feasible, lambda near: mutate(space, near, rng, rate=0), WALK)
            number += steps
        if feasible(arch):
            return arch
        for name, value in feasible.costs(arch).items():
            least[name] = min(least[name], value)
    check_budget(feasible.budget, least)
    found = ", ".join(f"{name} {format_quantity(least[name])}" for name in feasible.budget.limits() if name in least)
    raise InfeasibleBudget(
        f"no network meets all limits of the budget at once in {limit:,} draws. "
        f"The smallest of each, though not in one network: {found}. Raise one of the limits."
    )


def walked(arch: Arch, feasible: Feasible, change: Callable[[Arch], Arch], steps: int) -> tuple[Arch, int]:
    """The architecture after at most `steps` changes, and how many were tried: the first that fits, else the last.

    A change is kept when it brings the costs no farther from the budget.
    """
    away = feasible.budget.distance(feasible.costs(arch))
    for step in range(steps):
        if feasible(arch):
            return arch, step
        near = change(arch)
        if (then := feasible.budget.distance(feasible.costs(near))) <= away:
            arch, away = near, then
    return arch, steps


def sample_by_cost(
    space: Space, cost: Callable[[Arch], float], low: float, high: float, rng: Random, *, draws: int = 10
) -> Arch:
    """The draw whose cost is nearest to a target that is drawn uniformly from `low` to `high`.

    After the FLOPs bins of the Single Path One-Shot code, which draws a bin and rejects until a uniform pick falls
    into it. Two deviations: the nearest of `draws` is taken instead of rejecting up to 500 times, and every second
    draw leans to small options by a random `reach`, so that cheap networks are met at all. The result may miss the
    range.
    """
    target = rng.uniform(low, high)
    archs = [sample(space, rng, reach=1.0 if number % 2 else rng.random()) for number in range(draws)]
    return min(archs, key=lambda arch: abs(cost(arch) - target))
