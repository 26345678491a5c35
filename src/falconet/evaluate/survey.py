"""What is to be measured to know a space on a device: its blocks, the contexts they stand in, whole networks.

A block is timed inside a small network, between a convolution that makes its input and one that reads its output, and
the same network without it is taken off: runtimes keep values in a layout of their own between convolutions, so a block
timed alone pays for changes of layout that it never meets inside a network.

    block's ms = time(before, block, after) - time(before, after)

Summed over a network, every "before" and "after" cancels. At the picture's end there is no "before", at the output no
"after", as in a real network. A block whose inputs have several shapes has a "before" for each, and one "after": each
further shape gives back the "after" that is taken off with its "before", what a second reader adds to that network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

from falconet.evaluate.blocks import Block, Dims, blocks_of, parts_of
from falconet.graph import Conv, Draft, NetSpec, ReLU
from falconet.graph.rewrite import deployed_spec
from falconet.graph.shape import Size
from falconet.spaces import Arch, Space, build, largest, neighbours, sample, smallest

AFTER = Conv(4, 3)  # what reads a block's output
DRAWS = 1_000
QUIET = 200
MOST_NEIGHBOURS = 500


def blocks_of_space(
    space: Space, sizes: tuple[Size, ...], rng: Random, most: int, also: Sequence[NetSpec] = ()
) -> list[Block]:
    """The blocks of a space's networks, at most `most`, the commonest first; then those of the networks `also`.

    Met on the way: the extremes with their neighbours, then random networks until 200 in a row bring nothing new. Where
    new blocks never cease, or there are more than `most` (cells, widths that vary everywhere), blocks are taken apart
    into smaller ones, of which there are fewer.
    """
    specs, are_all = _networks(space, sizes, rng)
    found = _counted([list(blocks_of(spec, *sizes)) for spec in specs])
    if len(found) > most or not are_all:
        taken_apart = _counted([[part for block in blocks_of(s, *sizes) for part in parts_of(block)] for s in specs])
        if len(taken_apart) < len(found):
            found = taken_apart
    kept = {block.key: block for block in found[:most]}
    kept |= {block.key: block for spec in also for block in blocks_of(spec, *sizes)}
    return list(kept.values())


def networks_of_space(space: Space, rng: Random, count: int) -> list[NetSpec]:
    """`count` different random networks; fewer when the space has no more."""
    found: dict[str, NetSpec] = {}
    for _ in range(50 * count):
        if len(found) == count:
            break
        spec = build(space, sample(space, rng))
        found.setdefault(deployed_spec(spec).digest, spec)
    return list(found.values())


def are_parts(blocks: Sequence[Block], networks: Sequence[NetSpec], sizes: tuple[Size, ...]) -> bool:
    """Whether `blocks` are taken apart: some network has a block that is not among them as a whole."""
    keys = {block.key for block in blocks}
    return not all(block.key in keys for spec in networks for block in blocks_of(spec, *sizes))


def in_context(block: Block) -> tuple[NetSpec, tuple[Size, ...]]:
    """The deployed network that a block is timed in, and the sizes of its inputs.

    Inputs of equal shape are one value: the time of a "before" for each would blur the block's own.
    """
    given = {f"x{n}": dims for n, dims in enumerate(block.inputs) if n in block.outer}
    made = {f"y{n}": dims for n, dims in enumerate(inner(block))}
    d = Draft(**{name: dims[0] for name, dims in given.items()}, **dict.fromkeys(made, 1))
    values = {dims: _before(d, name, dims[0]) for name, dims in made.items()}
    read = {f"x{n}": f"x{n}" if n in block.outer else values[dims] for n, dims in enumerate(block.inputs)}
    for layer in block.spec.layers:  # as it is deployed: what has one value for two inputs might be merged further
        weights = f"block_{layer.weights}" if layer.weights else ""
        read[layer.name] = d.layer(f"block_{layer.name}", layer.op, *[read[i] for i in layer.inputs], weights=weights)
    y = read[block.spec.outputs[0]]
    spec = d.build(y if block.last else d.layer("after", AFTER, y))
    return spec, tuple(dims[1:] for dims in (*given.values(), *made.values()))


def context(dims: Dims) -> NetSpec:
    """The same network without the block, for an input of (channels, height, width)."""
    d = Draft(x0=1)
    return d.build(d.layer("after", AFTER, _before(d, "x0", dims[0])))


def twice_read(dims: Dims) -> NetSpec:
    """`context` with a second reader, which is an output too."""
    d = Draft(x0=1)
    before = _before(d, "x0", dims[0])
    return d.build(*[d.layer(f"after{n}", AFTER, before) for n in range(2)])


def empty() -> NetSpec:
    """A network that computes next to nothing: what a call costs."""
    d = Draft(x=1)
    return d.build(d.layer("only", ReLU(), "x"))


def inner(block: Block) -> list[Dims]:
    """The shapes of the inputs that other blocks feed, each once."""
    return list(dict.fromkeys(dims for n, dims in enumerate(block.inputs) if n not in block.outer))


def _before(d: Draft, name: str, channels: int) -> str:
    y = d.layer(f"before_{name}", Conv(channels, 3), name)
    return d.layer(f"before_{name}_act", ReLU(), y)


def _networks(space: Space, sizes: tuple[Size, ...], rng: Random) -> tuple[list[NetSpec], bool]:
    """Networks that hold the blocks of the space, and whether these seem to be all there are."""
    specs, seen, quiet = list[NetSpec](), set[str](), 0
    for arch in _archs(space, rng):
        spec = build(space, arch)
        keys = {block.key for block in blocks_of(spec, *sizes)}
        quiet = quiet + 1 if keys <= seen else 0
        seen |= keys
        specs.append(spec)
        if quiet == QUIET:
            return specs, True
    return specs, False


def _archs(space: Space, rng: Random) -> Iterator[Arch]:
    for extreme in (smallest(space), largest(space)):
        yield extreme
        yield from islice(neighbours(space, extreme), MOST_NEIGHBOURS)
    for _ in range(DRAWS):
        yield sample(space, rng)


def _counted(networks: Sequence[Sequence[Block]]) -> list[Block]:
    """Every block once, those in most networks first; of equals the one met first."""
    count = Counter(key for blocks in networks for key in {block.key for block in blocks})
    blocks = {block.key: block for one in networks for block in one}
    return sorted(blocks.values(), key=lambda block: -count[block.key])
