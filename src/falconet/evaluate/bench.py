"""Networks side by side on a device: times, ties, file size, memory, and what the device's table says.

rows = bench({"a": Candidate(spec, ((360, 640),)), "b": ...}, Here("onnxruntime"))
rows[0].min_ms, rows[0].ties_with               # the fastest first; differences under 5 % are ties
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from falconet.deploy.timing import TIE
from falconet.evaluate.estimate import Estimator
from falconet.evaluate.latency import items_of, measure_items
from falconet.evaluate.memory import peak_bytes
from falconet.evaluate.meter import Here, Item, Meter, Rounds
from falconet.graph import NetSpec
from falconet.graph.shape import Size

if TYPE_CHECKING:
    from falconet.evaluate.latency import Net


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network to bench, (height, width) of each input, and its spec when it is known (to predict it)."""

    net: Net
    sizes: tuple[Size, ...]
    spec: NetSpec | None = None
    random_weights: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One network's line. Milliseconds; `relative` is the least time over the reference network's.

    `ties_with` are the others whose least times differ by less than 5 %. `predicted_ms` is the device's guess, with
    `how`; None without a device, or for files whose network is not known.
    """

    name: str
    min_ms: float
    p10_ms: float
    median_ms: float
    spread_ms: float
    relative: float | None
    load: float
    num_samples: int
    ties_with: tuple[str, ...]
    predicted_ms: float | None
    how: str
    file_bytes: int
    peak_bytes: int | None
    random_weights: bool
    input_size: tuple[int, ...]
    runtime: str
    device: str
    threads: int


def bench(
    candidates: Mapping[str, Candidate], meter: Meter, rounds: Rounds, estimator: Estimator | None = None
) -> list[Row]:
    """The lines of all candidates, timed together, the fastest first."""
    items = items_of({name: one.net for name, one in candidates.items()}, {n: c.sizes for n, c in candidates.items()})
    found = measure_items(items, meter, rounds)
    rows = []
    for item in items:
        one, timed = candidates[item.name], found[item.name]
        files, peak = _sizes(item, meter)
        guess = estimator(one.spec, one.sizes) if estimator and one.spec else None
        near = [o.name for o in found.values() if abs(o.min_ms - timed.min_ms) < TIE * min(o.min_ms, timed.min_ms)]
        rows.append(
            Row(
                **asdict(timed),
                ties_with=tuple(name for name in near if name != item.name),
                predicted_ms=guess.ms if guess else None,
                how=guess.how if guess else "",
                file_bytes=files,
                peak_bytes=peak,
                random_weights=one.random_weights,
            )
        )
    return sorted(rows, key=lambda row: row.min_ms)


def _sizes(item: Item, meter: Meter) -> tuple[int, int | None]:
    """The bytes of an item's files, and of memory at the peak where it is measured here."""
    with tempfile.TemporaryDirectory() as folder:
        path = item.write(meter.runtime, Path(folder))
        files = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
        return files, peak_bytes(meter.runtime, path, item.shapes) if isinstance(meter, Here) else None
