"""The latency of a network on a device, from the device's table: how long, and how it came to be known.

    predict = Estimator(load_device("laptop"))
    found = predict(spec, ((360, 640),))
    found.ms, found.how                # "table": every block was measured; "linear": some were not

A block that the table does not hold is looked up in parts (a cell by its operators), and what is still unknown is
priced by the linear model. Prices are remembered by block, so ten thousand networks of a space take seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from falconet.errors import UserError
from falconet.evaluate.blocks import Block, blocks_of, parts_of
from falconet.evaluate.correction import kind_of
from falconet.evaluate.device import Device, device_path, load_device
from falconet.evaluate.linear import predict_linear
from falconet.graph import NetSpec, count_params
from falconet.graph.shape import Size

How: TypeAlias = Literal["table", "linear"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Milliseconds of a call. `how` is "linear" when a block was not in the table; `unknown` names such blocks."""

    ms: float
    how: How
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Price:
    """What a block costs, by the blocks it is priced by, and the titles of those of its parts that no table holds."""

    parts: tuple[tuple[Block, float], ...]
    unknown: tuple[str, ...] = ()

    @cached_property
    def ms(self) -> float:
        return sum(ms for _, ms in self.parts)

    @cached_property
    def mparams(self) -> float:
        return sum(count_params(block.spec) for block, _ in self.parts) / 1e6


class Estimator:
    """Predicts networks by one device."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._table: Mapping[str, float] = {one.key: one.ms for one in device.blocks}
        self._prices: dict[Block, _Price] = {}

    def __call__(self, spec: NetSpec, sizes: tuple[Size, ...]) -> Estimate:
        """What `spec` takes for pictures of (height, width) `sizes`. UserError when the device cannot say."""
        prices = [self.price(block) for block in blocks_of(spec, *sizes)]
        ms = self.device.empty_ms + sum([price.ms for price in prices])
        unknown = [title for price in prices for title in price.unknown]
        if fetch := self.device.fetch:
            beyond = sum([price.mparams for price in prices]) - fetch.beyond_mparams
            ms += fetch.ms_per_mparam * max(0.0, beyond)
        return Estimate(ms * self.device.scale, "linear" if unknown else "table", tuple(unknown))

    def by_kind(self, spec: NetSpec, sizes: tuple[Size, ...]) -> dict[str, float]:
        """The milliseconds of a network's blocks by their kind (`kind_of`), before the device's scale."""
        found: dict[str, float] = {}
        for block in blocks_of(spec, *sizes):
            for part, ms in self.price(block).parts:
                name = kind_of(part)
                found[name] = found.get(name, 0.0) + ms
        return found

    def mparams(self, spec: NetSpec, sizes: tuple[Size, ...]) -> float:
        """Millions of weights that a network reads, block by block: those that blocks share count for each."""
        return sum(self.price(block).mparams for block in blocks_of(spec, *sizes))

    def price(self, block: Block) -> _Price:
        """What one block costs, before the device's scale."""
        found = self._prices.get(block)
        if found is None:
            found = self._prices[block] = self._find(block)
        return found

    def _find(self, block: Block) -> _Price:
        parts = parts_of(block)
        if len(parts) > 1 and self.device.taken_apart and all(part.key in self._table for part in parts):
            return _sum([self.price(part) for part in parts])  # without the block's own key, which takes long
        if block.key in self._table:
            return _Price(((block, self._table[block.key]),))
        if len(parts) > 1:
            prices = [self.price(part) for part in parts]
            if not all(price.unknown for price in prices):
                return _sum(prices)
        linear = self.device.linear
        if linear is None:
            raise UserError(
                f"the device {self.device.name} does not know the block {block.title!r} with inputs of "
                f"{_shown(block)}, and has no model for unknown ones; measure the space: "
                f"falconet device add {self.device.name} --space SPACE"
            )
        return _Price(((block, predict_linear(linear.weights, block)),), (block.title,))


def _sum(prices: Sequence[_Price]) -> _Price:
    parts = [part for one in prices for part in one.parts]
    return _Price(tuple(parts), tuple([title for one in prices for title in one.unknown]))


def estimator(where: str) -> Estimator:
    """The estimator of a device, by its name or its file; read again when the file has changed."""
    path = Path(where) if where.endswith(".json") else device_path(where)
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    return _estimator(where, str(path), changed)


@lru_cache(maxsize=16)
def _estimator(where: str, path: str, changed: int) -> Estimator:
    return Estimator(load_device(where))


def _shown(block: Block) -> str:
    return ", ".join("x".join(map(str, dims)) for dims in block.inputs)
