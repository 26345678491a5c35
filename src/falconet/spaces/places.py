"""A space as a chain of places, each with its options: the form that gradient-based search needs.

Differentiable search computes several options of a place and adds their outputs, so a decision may change what happens
at one place and nothing elsewhere: the branch of a block may be decided, the width that the next block reads may not.
What a decision changes is found by comparing networks, not declared, so any space of that form serves, one of your own
too. Several decisions at one place (branch and inner width) make one place with all their combinations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from falconet.errors import UserError
from falconet.graph import Input, Layer, NetSpec, costs
from falconet.graph.shape import Parts, Size, plain, total
from falconet.graph.spec import infer_parts
from falconet.spaces.space import Arch, Option, Space, build, decisions, smallest

MOST_BRANCHES = 64
Step: TypeAlias = "tuple[Layer, Parts]"  # a layer, and the channels of what it reads


@dataclass(frozen=True, slots=True)
class Branch:
    """One option of a place: the answers that choose it, what it computes (None: hands on what comes) from which
    channels, the MACs of the network that has it here and the first branch everywhere else."""

    answers: Mapping[str, Option]
    spec: NetSpec | None
    reads: Parts
    macs: int


@dataclass(frozen=True, slots=True)
class Place:
    """A step of the chain. Where nothing is decided there is one branch; the first branch is that of `smallest`."""

    branches: tuple[Branch, ...]


def places(space: Space, *sizes: Size) -> tuple[Place, ...]:
    """The chain of a space, from input to output; MACs are those at inputs of `sizes` (height, width).

    UserError when a decision changes more than one place, what a place hands on, or which decisions are asked.

    >>> from falconet.spaces.shuffle import Shuffle
    >>> chain = places(Shuffle(layout="cifar", width=1.0), (32, 32))
    >>> len(chain), [len(place.branches) for place in chain][:3]
    (22, [1, 4, 4])
    """
    base = smallest(space)
    net = build(space, base)
    layers, first = _chain(net), costs(net, *sizes).macs
    asked = decisions(space, base)
    spans = {name: _span(space, base, layers, name, options) for name, options in asked.items()}
    ends = dict[tuple[int, int], list[str]]()
    for name, span in sorted(spans.items(), key=lambda item: item[1]):
        last = next(reversed(ends), None)
        if last is not None and (span[0] < last[1] or span == last):
            merged = (last[0], max(last[1], span[1]))
            ends[merged] = [*ends.pop(last), name]
        else:
            ends[span] = [name]
    found, at = list[Place](), 0
    for (start, end), names in ends.items():
        found += [Place((_branch({}, [step], first),)) for step in layers[at:start]]
        found.append(_decided(space, base, layers, (start, end), {name: asked[name] for name in names}, sizes))
        at = end
    return tuple(found + [Place((_branch({}, [step], first),)) for step in layers[at:]])


def _chain(spec: NetSpec) -> tuple[Step, ...]:
    """The layers. UserError unless each reads only the one before."""
    parts = infer_parts(spec, tuple(plain(one.channels) for one in spec.inputs))
    before, found = spec.inputs[0].name, list[Step]()
    for layer in spec.layers:
        if layer.inputs != (before,) or len(spec.inputs) > 1:
            raise UserError(
                f"gradient-based search needs a chain of blocks with one input; {layer.name} reads "
                f"{', '.join(layer.inputs)}. Put what branches inside a block, or search this space in another way"
            )
        found.append((layer, parts[before]))
        before = layer.name
    return tuple(found)


def _span(space: Space, base: Arch, layers: Sequence[Step], name: str, options: Sequence[Option]) -> tuple[int, int]:
    """The layers of the base, from and up to, that a decision changes."""
    start, end = len(layers), 0
    for option in options:
        arch = Arch({**base, name: option})
        if decisions(space, arch).keys() != base.keys():
            raise UserError(f"gradient-based search needs decisions that are always asked; others depend on {name!r}")
        others = _chain(build(space, arch))
        left = _alike(layers, others)
        right = _alike(layers[left:][::-1], others[left:][::-1])
        if left < len(layers) or len(others) > len(layers):
            start, end = min(start, left), max(end, len(layers) - right)
    return min(start, end), end


def _alike(ones: Sequence[Step], others: Sequence[Step]) -> int:
    """How many pairs from the beginning are the same layer reading the same channels."""
    count = 0
    for (one, reads), (other, read) in zip(ones, others, strict=False):
        if (one.name, one.op, one.slot, reads) != (other.name, other.op, other.slot, read):
            break
        count += 1
    return count


def _decided(
    space: Space,
    base: Arch,
    layers: Sequence[Step],
    span: tuple[int, int],
    asked: Mapping[str, Sequence[Option]],
    sizes: Sequence[Size],
) -> Place:
    """The place that the decisions `asked` share, with a branch for each combination of their options."""
    behind = len(layers) - span[1]
    found = list[Branch]()
    for options in product(*asked.values()):
        answers = dict(zip(asked, options, strict=True))
        spec = build(space, Arch({**base, **answers}))
        chain = _chain(spec)
        if span[1] - span[0] > 1 or _alike(layers[::-1], chain[::-1]) < behind:
            names = ", ".join(map(repr, asked))
            raise UserError(
                "gradient-based search adds the outputs of all options, so a decision may change one block, and not "
                f"what the next one reads; {names} do(es) more. Give one option, or search this space in another way"
            )
        found.append(_branch(answers, chain[span[0] : len(chain) - behind], costs(spec, *sizes).macs))
    if len(found) > MOST_BRANCHES:
        raise UserError(f"{', '.join(asked)} make {len(found)} branches at one place; at most {MOST_BRANCHES} can be")
    return Place(tuple(found))


def _branch(answers: Mapping[str, Option], chain: Sequence[Step], macs: int) -> Branch:
    """A few layers of a chain as a network of their own, under their names."""
    if not chain:
        return Branch(answers, None, (), macs)
    first, reads = chain[0]
    layers = tuple(layer for layer, _ in chain)
    spec = NetSpec((Input(first.inputs[0], total(reads)),), layers, (layers[-1].name,))
    return Branch(answers, spec, reads, macs)
