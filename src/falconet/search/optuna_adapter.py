"""Optuna's samplers as strategies: `search: {strategy: optuna, sampler: TPESampler}`. Needs the extra `optuna`.

Each decision becomes a parameter: an integer that counts the options when they are ordered, a category otherwise. The
space asks Optuna as it is replayed, so conditional decisions are sampled only where they exist.

    search: {strategy: optuna, sampler: TPESampler, options: {multivariate: true}}   # options go to the sampler

A study is made anew from the told trials whenever one is needed: then `ask` changes nothing, and telling the log again
is resuming. What a sampler keeps in its trials (a generation, a state) is made when trials are told, by proposing to
Optuna what was evaluated. Time grows with the square of the trials, which that of the samplers does in any case.

Deviations from `study.optimize`: networks over the budget or tried before are drawn again, and the sampler sees them as
failed; failed trials likewise. When a sampler finds nothing new, random networks take the place.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from falconet.errors import UserError
from falconet.evaluate.score import Objective, Trial
from falconet.search.objectives import only_objective
from falconet.search.strategy import Feasible, SearchSettings, random_archs
from falconet.spaces import Arch, Option, Space, is_ordered

if TYPE_CHECKING:
    from optuna import Study
    from optuna import Trial as Asked
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

T = TypeVar("T", bound=Option)
Sampler = Literal[
    "TPESampler", "GPSampler", "NSGAIISampler", "NSGAIIISampler", "CmaEsSampler", "QMCSampler", "RandomSampler"
]
KEEP_STATE_IN_TRIALS = ("NSGAIISampler", "NSGAIIISampler", "CmaEsSampler")
TRIES = 3  # draws per proposal; a sampler that has settled draws the same again and again


class OptunaSettings(SearchSettings):
    """Which sampler proposes; `options` are its own arguments, such as {multivariate: true} for TPESampler."""

    strategy: Literal["optuna"] = "optuna"
    population: int = Field(10, ge=2)
    sampler: Sampler = "TPESampler"
    options: Mapping[str, bool | int | float | str] = Field({})

    @property
    def improves_one(self) -> bool:
        """CMA-ES knows no fronts."""
        return self.sampler == "CmaEsSampler"


class OptunaStrategy:
    """Lets a sampler of Optuna propose: TPE, a Gaussian process, CMA-ES, quasi-random, or its NSGA-II and III."""

    Settings: ClassVar[type[SearchSettings]] = OptunaSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: OptunaSettings
    ) -> None:
        if settings.improves_one:
            only_objective(objectives, f"optuna's {settings.sampler}")
        self.space = space
        self.feasible = feasible
        self.objectives = objectives
        self.settings = settings
        self.seen: set[str] = set()
        self.told: list[FrozenTrial] = []
        with _quiet():
            _sampler(settings.sampler, settings.options, seed=0)  # what is wrong with it is said now

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """What the sampler proposes, as far as it fits and is new; then random networks."""
        seen, found = set(self.seen), list[Arch]()
        with _quiet():
            study = self._study(self.settings.sampler, rng.getrandbits(32))
            for _ in range(TRIES * count):
                if len(found) == count:
                    break
                asked = study.ask()
                arch = self._answered(asked)
                if self.feasible(arch) and (network := self.feasible.network(arch)) not in seen:
                    seen.add(network)
                    found.append(arch)
                else:
                    study.tell(asked, state=_failed())
        rest = count - len(found)
        return found + random_archs(self.space, self.feasible, self.objectives, rng, rest, seen)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds the round to what studies are made of."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        sampler = self.settings.sampler
        with _quiet():
            study = self._study(sampler if sampler in KEEP_STATE_IN_TRIALS else "RandomSampler", seed=len(self.told))
            for trial in trials:
                counting = _Counting(trial.arch)
                self.space(counting)
                study.enqueue_trial(counting.answers)
                asked = study.ask()
                self._answered(asked)
                scores = trial.scores(self.objectives)
                study.tell(asked, scores, state=None if scores else _failed())
            self.told = study.get_trials(deepcopy=False)

    def _study(self, sampler: Sampler, seed: int) -> Study:
        """A study of everything told so far."""
        import optuna

        options = self.settings.options if sampler == self.settings.sampler else {}
        study = optuna.create_study(
            sampler=_sampler(sampler, options, seed),
            directions=["maximize" if objective.maximize else "minimize" for objective in self.objectives],
        )
        study.add_trials(self.told)
        return study

    def _answered(self, asked: Asked) -> Arch:
        """The architecture whose decisions the trial answers."""
        answers: dict[str, Option] = {}

        def pick(name: str, options: Sequence[T]) -> T:
            offered = tuple(options)
            if name not in answers:
                place = _parameter(name, offered)
                if is_ordered(offered):
                    answers[name] = offered[asked.suggest_int(place, 0, len(offered) - 1)]
                else:
                    answers[name] = offered[asked.suggest_categorical(place, range(len(offered)))]
            return offered[offered.index(answers[name])]

        self.space(pick)
        return Arch(answers)


def _parameter(name: str, options: tuple[Option, ...]) -> str:
    """What a decision is called in a study, which wants the same options whenever it hears a name."""
    return f"{name} of {options!r}"


@dataclass(frozen=True)
class _Counting:
    """A `pick` that answers as `arch` does and notes the place of each answer."""

    arch: Arch
    answers: dict[str, int] = field(default_factory=dict)

    def __call__(self, name: str, options: Sequence[T]) -> T:
        offered = tuple(options)
        place = offered.index(self.arch[name])
        self.answers[_parameter(name, offered)] = place
        return offered[place]


def _sampler(name: Sampler, options: Mapping[str, bool | int | float | str], seed: int) -> BaseSampler:
    from optuna import samplers

    try:
        found: BaseSampler = getattr(samplers, name)(**{"seed": seed, **options})
    except (TypeError, ValueError, ImportError) as error:
        raise UserError(f"search.options do not make a {name} of Optuna: {error}") from error
    return found


def _failed() -> Any:
    from optuna.trial import TrialState

    return TrialState.FAIL


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's messages, and its warnings that an option is experimental; UserError when it is not there."""
    try:
        from optuna import logging
    except ImportError as error:
        raise UserError("the strategy optuna needs Optuna: pip install 'falconet[optuna]'") from error
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
