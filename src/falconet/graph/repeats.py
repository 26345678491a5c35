"""Blocks that a network repeats, and shorter networks of the same layers.

    repeats(dncnn_17())                  # one run: 15 times a convolution and a rectifier
    shortened(dncnn_17(), (6,))          # the first 6 of them

A run is found, not declared: the same operators in the same wiring, each block reading the one before it alone, and
nothing outside reading the middle of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from falconet.graph.shape import plain, total
from falconet.graph.spec import Layer, NetSpec, flatten, infer_parts, remembered

MOST_LAYERS = 64
"""Layers of a block at most."""


@dataclass(frozen=True, slots=True)
class Run:
    """`count` equal blocks of `length` layers each, from the layer numbered `start` on."""

    start: int
    length: int
    count: int

    @property
    def stop(self) -> int:
        """The number of the first layer behind it."""
        return self.start + self.length * self.count


@remembered
def repeats(spec: NetSpec) -> tuple[Run, ...]:
    """The runs of the flat form of `spec`, in order: those of most layers, in the shortest blocks."""
    flat = flatten(spec)
    parts = infer_parts(flat, tuple(plain(one.channels) for one in flat.inputs))
    channels = {name: total(found) for name, found in parts.items()}
    found, at = list[Run](), 0
    while at < len(flat.layers):
        runs = [
            run
            for length in range(1, min(MOST_LAYERS, (len(flat.layers) - at) // 2) + 1)
            if (run := _run(flat, channels, at, length)).count > 1
        ]
        best = max(runs, key=lambda run: (run.stop, -run.length), default=None)
        if best is not None:
            found.append(best)
        at = best.stop if best is not None else at + 1
    return tuple(found)


def shortened(spec: NetSpec, kept: Sequence[int]) -> NetSpec:
    """The flat network with the first `kept` blocks of each of its runs. ValueError when a run has not so many.

    >>> from falconet.graph import Conv, Draft, ReLU
    >>> d = Draft(x=8)
    >>> net = d.build(d.chain([(f"b{i}", Conv(8)) for i in range(5)], "x"))
    >>> shortened(net, (2,)).outputs
    ('b1',)
    """
    flat, runs = flatten(spec), repeats(spec)
    if len(kept) != len(runs):
        raise ValueError(f"this network repeats {len(runs)} runs of blocks, got numbers for {len(kept)}")
    dropped, instead = set[int](), dict[str, str]()
    for run, count in zip(runs, kept, strict=True):
        if not 1 <= count <= run.count:
            raise ValueError(f"of {run.count} blocks, 1 to {run.count} can be kept; got {count}")
        end = run.start + run.length * count
        dropped.update(range(end, run.stop))
        instead[flat.layers[run.stop - 1].name] = flat.layers[end - 1].name
    layers = tuple(
        replace(layer, inputs=tuple(instead.get(name, name) for name in layer.inputs))
        for number, layer in enumerate(flat.layers)
        if number not in dropped
    )
    return NetSpec(flat.inputs, layers, tuple(instead.get(name, name) for name in flat.outputs))


def _run(flat: NetSpec, channels: dict[str, int], start: int, length: int) -> Run:
    """The run of blocks of `length` layers that begins at `start`; of one block where there is none."""
    layers = flat.layers
    entry = _entry(layers[start : start + length])
    last = layers[start + length - 1].name
    if entry is None or channels[entry] != channels[last]:
        return Run(start, length, 1)
    pattern = _pattern(layers[start : start + length], entry)
    count = 1
    while start + (count + 1) * length <= len(layers):
        block = layers[start + count * length : start + (count + 1) * length]
        if pattern != _pattern(block, last) or any(layer.weights for layer in block):
            break
        last, count = block[-1].name, count + 1
    while count > 1 and not _closed(flat, start, length, count):
        count -= 1
    return Run(start, length, count)


def _entry(block: Sequence[Layer]) -> str | None:
    """The one value from outside that a block reads, if it is one."""
    own = {layer.name for layer in block}
    outside = {name for layer in block for name in layer.inputs if name not in own}
    return outside.pop() if len(outside) == 1 else None


def _pattern(block: Sequence[Layer], entry: str) -> object:
    """What a block computes, whatever its layers are called."""
    number = {entry: -1} | {layer.name: i for i, layer in enumerate(block)}
    return [(layer.op, [number.get(name) for name in layer.inputs], layer.weights) for layer in block]


def _closed(flat: NetSpec, start: int, length: int, count: int) -> bool:
    """Whether nothing outside a run reads anything of it but its end."""
    stop = start + length * count
    inside = {layer.name for layer in flat.layers[start : stop - 1]}
    behind = {name for layer in flat.layers[stop:] for name in layer.inputs}
    return not inside & (behind | set(flat.outputs))
