"""Shapes as values: how many channels, in which labelled parts, at which height and width.

A tensor's channels come in *parts*: ``(("", 16),)`` is sixteen plain channels, ``(("left", 8), ("right", 8))`` what a
``Concat`` made. Parts are what lets a narrower network read its weights from a wider one: each keeps its own slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Parts = tuple[tuple[str, int], ...]
Size = tuple[int, int]  # height, width


def plain(channels: int) -> Parts:
    """The parts of an unlabelled tensor: ``plain(16) == (("", 16),)``."""
    return (("", channels),)


def total(parts: Parts) -> int:
    """The number of channels: ``total((("left", 8), ("right", 4))) == 12``."""
    return parts[0][1] if len(parts) == 1 else sum([count for _, count in parts])


class Shape(NamedTuple):
    """Channels (in parts), height and width of one image's tensor; the batch is left out."""

    parts: Parts
    height: int
    width: int

    @property
    def channels(self) -> int:
        """The number of channels over all parts."""
        return total(self.parts)

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    @property
    def values(self) -> int:
        """Channels times height times width."""
        return total(self.parts) * self.height * self.width

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a weight: labelled blocks in order; a narrower weight takes the first of each block, or its centre.

    >>> Axis((("a", 4), ("b", 4))).spans(Axis((("a", 2), ("b", 1))))
    ((0, 2), (4, 5))
    >>> Axis((("", 5),), centred=True).spans(Axis((("", 3),), centred=True))   # a 3x3 kernel inside a 5x5 one
    ((1, 4),)
    """

    blocks: Parts
    centred: bool = False

    @property
    def length(self) -> int:
        """The axis length."""
        return total(self.blocks)

    def spans(self, small: Axis) -> tuple[tuple[int, int], ...]:
        """Where `small` lies inside this axis: ``(start, stop)`` per block, neighbours joined.

        Raises ValueError when a block of `small` is missing here or longer than here.
        """
        starts: dict[str, tuple[int, int]] = {}
        offset = 0
        for label, count in self.blocks:
            starts[label] = (offset, count)
            offset += count
        spans: list[tuple[int, int]] = []
        for label, count in small.blocks:
            if label not in starts or starts[label][1] < count:
                have = starts[label][1] if label in starts else 0
                raise ValueError(f"part {label!r} needs {count} entries, the shared weight has {have}")
            start, room = starts[label]
            if self.centred:
                start += (room - count) // 2
            if spans and spans[-1][1] == start:
                spans[-1] = (spans[-1][0], start + count)
            else:
                spans.append((start, start + count))
        return tuple(spans)


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight tensor of an operator: its axes, and whether it is learned (a parameter) or kept (a buffer)."""

    axes: tuple[Axis, ...]
    learned: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(axis.length for axis in self.axes)

    @property
    def count(self) -> int:
        """The number of entries."""
        product = 1
        for axis in self.axes:
            product *= axis.length
        return product
