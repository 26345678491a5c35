"""Evolution guided by the credit of blocks, as ESR-EA searches its dense blocks (Song et al. 2020, "Efficient Residual
Dense Block Search for Image Super-Resolution").

An architecture is a row of genes: the decisions that share the part of their name before the first dot (`b3.kind`,
`b3.convs`). A gene's *type* is its answers without the bit `active`: one block, wherever it stands.

The paper says that a block's credit reflects its effect, is earned while networks are evaluated, and weights which
blocks mutation draws; its formula we do not have. This is our reading of it:

    gain(t)   = mean over the individuals of this generation that hold type t of (fitness - mean) / standard deviation
    credit(t) = (1 - smoothing) credit(t) + smoothing gain(t), from 0
    p(t)      = (1 - floor) softmax(credit / temperature) over the types met so far + floor (a uniform draw)

A generation is the round and the elites it was bred from; mean and deviation are over it. `guided: false` draws types
uniformly, all else equal: what guidance has to beat. Smoothing, temperature and floor were chosen on a made-up problem
(tests/search/test_credit.py), not on networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean, pstdev
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from falconet.errors import UserError
from falconet.evaluate.score import Objective, Trial
from falconet.search.strategy import Feasible, SearchSettings, propose, random_archs, walked
from falconet.spaces import Arch, Option, Space, crossover

Type: TypeAlias = tuple[tuple[str, Option], ...]
"""The answers of a gene by what their names end in, sorted: ((".convs", 4), (".growth", 8), (".kind", "S"))."""
BIT = "active"
TRIES = 10  # per proposal
WALK = 200  # re-draws on the way back into the budget, at most


class CreditSettings(SearchSettings):
    """The paper's numbers: 20 generations of 8, half mutants of 4 elites, half children of two."""

    strategy: Literal["credit"] = "credit"
    evaluations: int = Field(160, ge=1)
    population: int = Field(8, ge=2)
    elites: int = Field(4, ge=1)
    mutants: float = Field(0.5, ge=0, le=1, description="share of a round; the rest are children")
    mutation_rate: float = Field(0.05, gt=0, le=1, description="per bit, and per gene for its type")
    segment: tuple[int, int] = Field((4, 9), description="fewest and most genes a child takes from its second parent")
    guided: bool = Field(True, description="whether credits weight the types drawn; false: uniformly")
    smoothing: float = Field(0.2, gt=0, le=1, description="weight of the newest generation in a credit")
    temperature: float = Field(0.1, gt=0, description="of the softmax over credits")
    floor: float = Field(0.2, ge=0, le=1, description="share of types drawn uniformly all the same")

    @property
    def improves_one(self) -> bool:
        """Yes."""
        return True

    @model_validator(mode="after")
    def _segment_ascends(self) -> CreditSettings:
        if not 1 <= self.segment[0] <= self.segment[1]:
            raise ValueError(f"segment needs 1 <= fewest <= most genes, got {list(self.segment)}")
        return self


class Credit:
    """Mutates elites by drawing blocks that did well, and crosses members by segments; the first round is random.

    A mutant has its bits flipped and some of its types re-drawn, then types of random genes until it meets the budget.
    A child takes a run of genes from a second parent; parents are drawn by roulette on fitness above the worst. As
    elsewhere networks tried before are not proposed again; what breeding cannot fill is drawn at random.
    """

    Settings: ClassVar[type[SearchSettings]] = CreditSettings

    def __init__(
        self, space: Space, feasible: Feasible, objectives: tuple[Objective, ...], settings: CreditSettings
    ) -> None:
        if len(objectives) != 1:
            names = ", ".join(objective.name for objective in objectives)
            raise UserError(f"credit improves exactly one objective, not {names or 'none'}; use nsga2 for several")
        self.space, self.feasible, self.objectives, self.settings = space, feasible, objectives, settings
        self.seen: set[str] = set()
        self.best: list[Trial] = []  # the elites, best first
        self.members: list[Trial] = []  # the last generation
        self.credits: dict[Type, float] = {}

    def ask(self, rng: Random, count: int) -> list[Arch]:
        """Mutants of elites, then children of two members, then random ones."""
        seen, archs = set(self.seen), list[Arch]()
        if self.best:
            mutants = round(count * self.settings.mutants)
            archs += propose(lambda: self._mutant(rng), mutants, self.feasible, seen, TRIES * mutants)
            children = count - len(archs)
            archs += propose(lambda: self._child(rng), children, self.feasible, seen, TRIES * children)
        return archs + random_archs(self.space, self.feasible, self.objectives, rng, count - len(archs), seen)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Credits the types of this generation, and keeps the best as elites; of equals, the earlier."""
        self.seen.update(self.feasible.network(trial.arch) for trial in trials)
        scored = self.best + [trial for trial in trials if trial.scores(self.objectives) is not None]
        if not scored:
            return
        self.members = scored
        for kind, gain in gains(scored, [self._fitness(trial) for trial in scored]).items():
            old, share = self.credits.get(kind, 0.0), self.settings.smoothing
            self.credits[kind] = (1 - share) * old + share * gain
        self.best = sorted(scored, key=self._fitness, reverse=True)[: self.settings.elites]

    def _fitness(self, trial: Trial) -> float:
        (objective,) = self.objectives
        value = trial.value(objective.name)
        return value if objective.maximize else -value

    def _mutant(self, rng: Random) -> Arch:
        """An elite with bits flipped and types re-drawn, brought back into the budget."""
        arch, rate = with_bits(rng.choice(self.best).arch), self.settings.mutation_rate
        flips = [name for name in arch if name.endswith(f".{BIT}") and rng.random() < rate]
        arch.update({name: 1 - int(bool(arch[name])) for name in flips})
        changed = crossover(self.space, arch, arch, rng)  # answers that fit are taken over, the others drawn
        names = list(genes(changed))
        chosen = [gene for gene in names if rng.random() < rate] or [rng.choice(names)]
        for gene in chosen:
            changed = self._redrawn(changed, gene, rng)
        return walked(changed, self.feasible, lambda near: self._redrawn(near, rng.choice(names), rng), WALK)[0]

    def _redrawn(self, arch: Arch, gene: str, rng: Random) -> Arch:
        """The architecture with another type for one gene: by credit, or as the space draws it."""
        mine = genes(arch).get(gene, ())
        bits = with_bits(arch)
        kept = {name: bits[name] for name in bits if name not in mine or name.endswith(f".{BIT}")}
        if self.settings.guided and rng.random() >= self.settings.floor:
            kept.update({gene + end if end[0] == "." else end: value for end, value in self._drawn(rng, mine)})
        return crossover(self.space, kept, kept, rng)

    def _drawn(self, rng: Random, mine: Sequence[str]) -> Type:
        """A type met before, by the softmax of the credits; for a gene of one undotted decision, an answer to that."""
        dotted = [kind for kind in self.credits if kind and kind[0][0][0] == "."]
        kinds = [kind for kind in self.credits if kind and kind[0][0] in mine] or dotted
        if not kinds:
            return ()
        return rng.choices(kinds, softmax([self.credits[kind] for kind in kinds], self.settings.temperature))[0]

    def _child(self, rng: Random) -> Arch:
        """The first parent with a run of genes of the second."""
        a, b = (with_bits(trial.arch) for trial in self._parents(rng))
        rows = genes(a), genes(b)
        names = list(dict.fromkeys([*rows[0], *rows[1]]))
        length = min(len(names), rng.randint(*self.settings.segment))
        start = rng.randrange(len(names) - length + 1)
        taken = set(names[start : start + length])
        answers = {name: a[name] for gene in rows[0] if gene not in taken for name in rows[0][gene]}
        answers |= {name: b[name] for gene in rows[1] if gene in taken for name in rows[1][gene]}
        return crossover(self.space, answers, answers, rng)

    def _parents(self, rng: Random) -> list[Trial]:
        """Two members, with chances that grow with their fitness above the worst."""
        fitness = [self._fitness(trial) for trial in self.members]
        least, spread = min(fitness), max(fitness) - min(fitness)
        return rng.choices(self.members, [value - least + 0.1 * spread + 1e-12 for value in fitness], k=2)


def genes(arch: Mapping[str, Option]) -> dict[str, list[str]]:
    """The decisions of each gene: those whose names share the part before the first dot, in the order asked.

    >>> genes({"depth": 2, "b0.kind": "S", "b0.active": 1, "b1.kind": "G"})
    {'depth': ['depth'], 'b0': ['b0.kind', 'b0.active'], 'b1': ['b1.kind']}
    """
    found: dict[str, list[str]] = {}
    for name in arch:
        found.setdefault(name.partition(".")[0], []).append(name)
    return found


def with_bits(arch: Mapping[str, Option]) -> dict[str, Option]:
    """The answers, and a bit that is on for each gene whose bit was not asked, as its block had to be on.

    So a change that makes a space ask for it finds an answer; one that is still not asked does no harm.
    """
    dotted = [gene for gene, names in genes(arch).items() if names != [gene]]
    return {**{f"{gene}.{BIT}": 1 for gene in dotted}, **arch}


def type_of(arch: Mapping[str, Option], names: Sequence[str]) -> Type:
    """The type of the gene that holds the decisions `names`: their answers, without the bit.

    >>> type_of({"b0.kind": "S", "b0.active": 1, "b0.convs": 4}, ["b0.kind", "b0.active", "b0.convs"])
    (('.convs', 4), ('.kind', 'S'))
    >>> type_of({"depth": 3}, ["depth"])
    (('depth', 3),)
    """
    ends = {name: name[name.index(".") :] if "." in name else name for name in names}
    return tuple(sorted((ends[name], arch[name]) for name in names if ends[name] != f".{BIT}"))


def types(arch: Mapping[str, Option]) -> set[Type]:
    """The types of an architecture's genes that are on."""
    return {type_of(arch, names) for gene, names in genes(arch).items() if arch.get(f"{gene}.{BIT}", 1)}


def gains(trials: Sequence[Trial], fitness: Sequence[float]) -> dict[Type, float]:
    """What holding each type goes with: how many standard deviations its holders lie above the mean, on average.

    >>> a, b = Arch({"b0.kind": "S"}), Arch({"b0.kind": "G"})
    >>> gains([Trial(0, a, "a"), Trial(1, b, "b")], [30.0, 32.0])
    {(('.kind', 'S'),): -1.0, (('.kind', 'G'),): 1.0}
    """
    mean, spread = fmean(fitness), pstdev(fitness) or 1.0
    holders: dict[Type, list[float]] = {}
    for trial, value in zip(trials, fitness, strict=True):
        for kind in sorted(types(trial.arch), key=repr):
            holders.setdefault(kind, []).append((value - mean) / spread)
    return {kind: fmean(values) for kind, values in holders.items()}


def softmax(values: Sequence[float], temperature: float) -> list[float]:
    """Chances that grow with the values.

    >>> [round(p, 3) for p in softmax([0.0, 1.0], 1.0)]
    [0.269, 0.731]
    """
    powers = [math.exp((value - max(values)) / temperature) for value in values]
    return [power / sum(powers) for power in powers]
