"""Search spaces, and everything that follows from one definition of a space.

A space is a function that builds a network while asking `pick(name, options)` for each decision:

    def space(pick):
        draft = Draft(x=1)
        y = draft.layer("head", Conv(pick("width", (8, 16, 32))), "x")
        for i in range(pick("depth", (1, 2, 3))):
            y = draft.layer(f"b{i}", Conv(16, kernel=pick(f"b{i}.kernel", (3, 5))), y)
        return draft.build(y)

The answers, in the order of the questions, are an `Arch`. Everything here *replays* the function with another rule
for answering: look the answer up (`build`), draw it (`sample`), mostly keep it (`mutate`), take it from one of two
parents (`crossover`). Loops and conditions are plain Python, so a decision may appear only under another one's answer
(`b2.kernel` exists when depth is 3). Such a decision must carry its condition in its name when it means something
else elsewhere.

Uniform picks are not uniform architectures in a conditional space: above, depth 1 has 3 * 2 architectures and depth 3
has 3 * 8, yet both depths are drawn equally often, so a shallow architecture is four times as likely as a deep one.

Left out: a description of the space as data. The function is the description; `decisions` lists what one replay asked.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from falconet.errors import UserError

if TYPE_CHECKING:
    from falconet.graph import NetSpec

Option: TypeAlias = "int | float | str | bool | tuple[Option, ...]"
T = TypeVar("T", bound=Option)


class Pick(Protocol):
    """Asks one decision: a name, and the options to choose from; the answer is one of them."""

    def __call__(self, name: str, options: Sequence[T]) -> T: ...


@runtime_checkable
class Kinds(Protocol):
    """A space of blocks of several kinds, whose supernet may begin with one of them (`supernet.one_kind`)."""

    def __call__(self, pick: Pick) -> NetSpec: ...

    def one_kind(self) -> Space:
        """The space of that kind alone."""
        ...

    def begins_as(self, slot: str) -> str | None:
        """The slot whose weights make `slot` do the same; "": it must pass its input on; None: it stays as it is."""
        ...


Space: TypeAlias = "Callable[[Pick], NetSpec]"
Choose: TypeAlias = Callable[[str, tuple[Option, ...]], Option]


@dataclass(frozen=True, eq=False, repr=False)
class Arch(Mapping[str, Option]):
    """The frozen record of one architecture's answers: decision name -> chosen option, in the order asked.

    Two are equal when they give the same answers, whatever the order. Lists become tuples, so JSON brings back what
    was written:

    >>> arch = Arch({"depth": 3, "widths": (8, 16)})
    >>> arch["depth"], Arch.from_json(arch.to_json()) == arch
    (3, True)
    """

    _answers: Mapping[str, Option]

    def __post_init__(self) -> None:
        plain = {name: _plain(name, value) for name, value in self._answers.items()}
        object.__setattr__(self, "_answers", plain)

    def __getitem__(self, name: str) -> Option:
        return self._answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def __hash__(self) -> int:
        return hash(frozenset(self._answers.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arch) and self._answers == other._answers

    def __repr__(self) -> str:
        return f"Arch({dict(self._answers)!r})"

    def to_json(self) -> dict[str, object]:
        """A dict that `json` writes as it is; tuples become lists."""
        return {name: _listed(value) for name, value in self._answers.items()}

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Arch:
        """The Arch that `to_json` wrote; ints stay ints, lists come back as tuples."""
        return Arch(cast("Mapping[str, Option]", data))

    @property
    def digest(self) -> str:
        """A short id of the answers, 12 hex digits. Two Archs may mean one network: its identity is `spec.digest`."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def build(space: Space, arch: Mapping[str, Option]) -> NetSpec:
    """The network that an architecture means.

    UserError when an answer is missing, is not among the options, or was never asked for.
    """

    answers = dict(arch)

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        try:
            return options[options.index(answers[name])]  # the space's own object: 8.0 read from a file is 8 again
        except KeyError:
            raise UserError(f"the architecture does not answer {name!r}; this space offers {_shown(options)}") from None
        except ValueError:
            raise UserError(
                f"the architecture answers {answers[name]!r} to {name!r}; this space offers {_shown(options)}"
            ) from None

    recorder, spec = _replay(space, choose)
    if len(recorder.answers) < len(answers):
        surplus = [name for name in answers if name not in recorder.answers]
        raise UserError(
            f"the architecture answers {', '.join(map(repr, surplus))}, "
            "which the space does not ask under these answers"
        )
    return spec


def draw(space: Space, rng: Random) -> tuple[Arch, NetSpec]:
    """A random architecture with its network, from one replay. Each pick is uniform (see the module's warning)."""
    recorder, spec = _replay(space, lambda name, options: rng.choice(options))
    return recorder.arch, spec


def sample(space: Space, rng: Random, reach: float = 1.0) -> Arch:
    """A random architecture; each pick is uniform (see the module's warning).

    With `reach` below 1, ordered decisions choose among their lowest `reach` share of options only (at least one):
    reach 0 is the smallest network that the drawn unordered answers allow. It is how small networks are found that
    uniform picks would meet once in a million draws.
    """

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        if reach < 1.0 and is_ordered(options):
            options = options[: max(1, math.ceil(reach * len(options)))]
        return rng.choice(options)

    return _replay(space, choose)[0].arch


def mutate(space: Space, arch: Mapping[str, Option], rng: Random, rate: float = 0.1) -> Arch:
    """A copy with each decision re-drawn, with probability `rate`, to another of its options; at least one changes.

    Decisions that the changes bring in, or whose old answer is no longer offered, are drawn; those that vanish are
    dropped. Only a space with a single architecture gives the same one back.
    """

    def changed(forced: str | None) -> tuple[_Recorder, bool]:
        """One replay; did any decision that was there before change?"""
        hits: list[str] = []

        def choose(name: str, options: tuple[Option, ...]) -> Option:
            if name not in arch or arch[name] not in options:
                return rng.choice(options)
            flip = name == forced if forced is not None else rng.random() < rate
            if not flip or len(options) == 1:
                return options[options.index(arch[name])]
            hits.append(name)
            return rng.choice([option for option in options if option != arch[name]])

        recorder, _ = _replay(space, choose)
        return recorder, bool(hits)

    recorder, any_change = changed(None)
    movable = [name for name, options in recorder.options.items() if len(options) > 1]
    if not any_change and movable and recorder.answers == dict(arch):
        recorder, _ = changed(rng.choice(movable))
    return recorder.arch


def crossover(space: Space, a: Mapping[str, Option], b: Mapping[str, Option], rng: Random) -> Arch:
    """A child that takes each answer from either parent with equal chance (uniform crossover).

    Replayed, so that it always fits: a decision that only one parent answers validly takes that answer; one that
    neither does (two conditions met that never met before) is drawn.
    """

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        answers = [parent[name] for parent in (a, b) if name in parent and parent[name] in options]
        if not answers:
            return rng.choice(options)
        return options[options.index(rng.choice(answers))]

    return _replay(space, choose)[0].arch


def neighbours(space: Space, arch: Mapping[str, Option]) -> Iterator[Arch]:
    """Every architecture one changed answer away. The rest is kept where it still fits.

    Decisions that the change brings in take their first option, so that the list is finite and always the same.
    """
    for changed_name, changed_options in decisions(space, arch).items():
        for option in changed_options:
            if option != arch[changed_name]:
                yield _replay(space, _keeping({**arch, changed_name: option}))[0].arch


def smallest(space: Space, base: Mapping[str, Option] | None = None) -> Arch:
    """The architecture in which every ordered decision takes its first option; see `largest` for the others."""
    return _extreme(space, base, 0)


def largest(space: Space, base: Mapping[str, Option] | None = None) -> Arch:
    """The architecture in which every ordered decision takes its last option.

    Ordered means that the options are ascending numbers. The other decisions (names of blocks, activations) keep the
    answer of `base` where it fits, else take their first option. Hence `largest(space, sample(space, rng))` is the
    largest network of one random kind, which is what the sandwich rule trains.
    """
    return _extreme(space, base, -1)


def decisions(space: Space, arch: Mapping[str, Option]) -> dict[str, tuple[Option, ...]]:
    """What the space asks on the way to this architecture: decision name -> options, in the order asked."""
    return _replay(space, _keeping(arch))[0].options


def every(space: Space) -> Iterator[Arch]:
    """Every architecture of the space once; the last decision varies fastest. For small spaces."""
    path: list[int] = []  # which option each decision takes; decisions beyond its end take the first
    while True:
        counts: list[int] = []

        yield _replay(space, partial(_follow, path, counts))[0].arch
        path = path + [0] * (len(counts) - len(path))
        while path and path[-1] + 1 == counts[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1


def is_ordered(options: Sequence[Option]) -> bool:
    """Whether the options are numbers (not bools) in ascending order: then first is smallest and last is largest.

    >>> is_ordered((8, 16, 32)), is_ordered(("plain", "ecb")), is_ordered((5, 3)), is_ordered((False, True))
    (True, False, False, False)
    """
    numbers = [option for option in options if isinstance(option, (int, float)) and not isinstance(option, bool)]
    return len(numbers) == len(options) and all(low < high for low, high in pairwise(numbers))


class _Recorder:
    """The `pick` of one replay: checks each question, answers it by `choose`, remembers both."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.answers: dict[str, Option] = {}
        self.options: dict[str, tuple[Option, ...]] = {}

    def __call__(self, name: str, options: Sequence[T]) -> T:
        asked: tuple[Option, ...] = tuple(options)
        before = self.options.get(name)
        if before is None:
            _check_options(name, asked)
            self.options[name] = asked
            answer = self.answers[name] = self.choose(name, asked)
            return cast(T, answer)
        if asked != before:
            raise UserError(
                f"the space asks {name!r} twice with different options, {_shown(before)} "
                f"and {_shown(asked)}; give the two decisions different names (put the condition into the name)"
            )
        return cast(T, self.answers[name])

    @property
    def arch(self) -> Arch:
        return Arch(self.answers)


def _replay(space: Space, choose: Choose) -> tuple[_Recorder, NetSpec]:
    recorder = _Recorder(choose)
    return recorder, space(recorder)


def _keeping(arch: Mapping[str, Option]) -> Choose:
    """Answers as `arch` does where that fits, else with the first option."""

    def choose(name: str, options: tuple[Option, ...]) -> Option:
        return options[options.index(arch[name])] if name in arch and arch[name] in options else options[0]

    return choose


def _follow(path: list[int], counts: list[int], _name: str, options: tuple[Option, ...]) -> Option:
    """Answers with the option that `path` gives for this depth, else the first; adds their number to `counts`."""
    counts.append(len(options))
    return options[path[len(counts) - 1] if len(counts) <= len(path) else 0]


def _extreme(space: Space, base: Mapping[str, Option] | None, end: int) -> Arch:
    keep = _keeping(base or {})
    return _replay(space, lambda name, options: options[end] if is_ordered(options) else keep(name, options))[0].arch


@lru_cache(maxsize=4096)
def _check_options(name: str, options: tuple[Option, ...]) -> None:
    if not isinstance(name, str) or not name:
        raise UserError(f"a decision's name must be a non-empty string, not {name!r}")
    if not options:
        raise UserError(f"decision {name!r} has no options; offer at least one")
    for option in options:
        if type(option) not in (int, str):  # these need no closer look; this runs for every decision of every draw
            _plain(name, option)
    if len(set(options)) != len(options):
        raise UserError(f"decision {name!r} offers an option twice: {_shown(options)}")


def _plain(name: str, value: object) -> Option:
    """The value, with lists as tuples; UserError unless it is made of ints, finite floats, strings and bools."""
    if type(value) in (int, str, bool):
        return cast(Option, value)
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(_plain(name, part) for part in value)
    raise UserError(
        f"an option must be an int, finite float, string, bool or tuple of these; "
        f"{name!r} has {value!r} ({type(value).__name__})"
    )


def _listed(value: Option) -> object:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


def _shown(options: Sequence[Option]) -> str:
    return ", ".join(map(repr, options[:12])) + (f", ... ({len(options)} options)" if len(options) > 12 else "")
