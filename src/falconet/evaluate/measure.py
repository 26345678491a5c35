"""A device measured: the blocks of a space timed on it, a table made of them, and held against whole networks.

    device = measure_device(
        Onboarding(name="laptop", space="restoration", sizes=((360, 640),)), space, Here("onnxruntime"), log, say
    )

Everything is measured in batches of a few seconds. A batch holds some blocks with their contexts, or whole networks,
and always the empty and the reference network, in shuffled rounds. Times are put on one scale by the reference's of the
batches around, their median: a machine grows slower and faster over minutes, but the reference of one batch alone
varies more than that.

All batches are gone through twice, and the lesser times kept: what disturbs a minute spoils nothing. Each batch of each
pass is one line of a log, written when it is done: a measurement that was killed goes on with the next one.

    NAME.measuring.jsonl    {"settings": {...}}, then {"number": 0, "ms": {"empty": 0.01, "reference": 1.4, ...}, ...}

Each block is timed in two ways, in a context and alone. Which of the tables, or their mean, is kept is decided by the
few networks that give the scale, never by those held out; so is what whole networks take beyond their blocks
(correction.py).

Whole networks come last: a few for the one common scale, the others held out. Those are measured twice, an hour or a
minute apart, so that the prediction's error can be held against that of measuring itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median

from falconet import __version__
from falconet.errors import UserError
from falconet.evaluate.blocks import Block
from falconet.evaluate.correction import Told, correction_of, kind_of
from falconet.evaluate.device import BlockTime, Check, CheckedNet, Device, Fetch
from falconet.evaluate.estimate import Estimate, Estimator
from falconet.evaluate.latency import REFERENCE, REFERENCE_SIZE, reference
from falconet.evaluate.linear import fit_linear
from falconet.evaluate.meter import Item, Meter, Readings, Rounds, item_of
from falconet.evaluate.survey import (
    are_parts,
    blocks_of_space,
    context,
    empty,
    in_context,
    inner,
    networks_of_space,
    twice_read,
)
from falconet.files import append_line, read_lines
from falconet.graph import NetSpec, costs
from falconet.graph.rewrite import deployed_spec
from falconet.graph.shape import Size
from falconet.spaces import Space

EMPTY = "empty"
LEAST_CALIBRATION = 5
MOST_IN_BATCH = 32
MOST_BATCH_BYTES = 600_000_000  # of activations held by all loaded networks of a batch, on a phone too
AROUND = 4  # batches on either side by whose reference a batch is scaled
SECONDS_A_GMAC = 0.03  # a guess, only to share the time out among batches
Say = Callable[[str], None]


@dataclass(frozen=True)
class Onboarding:
    """How to measure a device. `space` tells in words, or as JSON, what is measured; `sizes` are (height, width).

    `minutes` is what timing should take at most, though each batch has five rounds at least in each pass; loading the
    networks comes on top.
    """

    name: str
    space: str
    sizes: tuple[Size, ...]
    seed: int = 0
    calibration: int = 20
    held_out: int = 20
    most_blocks: int = 400
    rounds: int = 100
    passes: int = 2
    minutes: float = 10.0


@dataclass(frozen=True, slots=True)
class Batch:
    """One line of the log: the least milliseconds of each item by its name, and what they were measured with.

    Of three batches in two passes, number 4 is the second's second measurement.
    """

    number: int
    ms: Mapping[str, float]
    samples: int
    load: float
    version: str
    processor: str
    system: str


def measure_device(
    settings: Onboarding, space: Space, meter: Meter, log: Path, say: Say, also: Sequence[NetSpec] = ()
) -> Device:
    """The device, measured and checked. Goes on with `log` when it holds a part of the same measurement.

    The table has the blocks of the networks `also` as well: those that limits are told by ("60% of fsrcnn").

    UserError when the log is of another measurement, or the meter cannot measure.
    """
    rng = Random(settings.seed)
    blocks = blocks_of_space(space, settings.sizes, rng, settings.most_blocks, also)
    nets = networks_of_space(space, rng, settings.calibration + settings.held_out)
    if len(nets) < LEAST_CALIBRATION + 2:
        raise UserError(
            f"the space has only {len(nets)} networks; a device needs {LEAST_CALIBRATION + 2} to check it, "
            f"{settings.calibration + settings.held_out} to check it well"
        )
    most = max(LEAST_CALIBRATION, len(nets) // 2)
    settings = replace(settings, calibration=min(settings.calibration, most))
    batches = _batches(blocks, nets, settings) * settings.passes
    work = [_work(batch) for batch in batches]
    done = _read(log, settings, meter, also)
    say(f"{len(blocks)} blocks and {len(nets)} networks in {len(batches)} batches; {len(done)} are measured already")
    began, over = time.perf_counter(), 0.0
    for number, batch in enumerate(batches):
        if number not in done:
            share = 60 * settings.minutes * work[number] / sum(work)
            how = Rounds(settings.rounds, seed=settings.seed + number, max_seconds=share)
            done[number] = _written(log, number, meter.time([*_always(), *batch], how))
            over += work[number]
            left = (time.perf_counter() - began) / over * sum(one for n, one in enumerate(work) if n not in done)
            say(f"batch {number + 1} of {len(batches)}" + f", about {left / 60:.1f} min left" * (left > 0))
    return _device(settings, meter, blocks, nets, [done[number] for number in range(len(batches))])


def _batches(blocks: Sequence[Block], nets: Sequence[NetSpec], settings: Onboarding) -> list[list[Item]]:
    """Blocks with equal inputs together, each batch with the contexts its blocks need; then networks, held-out ones
    twice.
    """
    found: list[list[Item]] = []
    for block in sorted(blocks, key=lambda one: (one.inputs, one.key)):
        read = inner(block)
        needed = [_block_item(block), item_of(_alone_name(block), block.spec, block.sizes)]
        needed += [item_of(_context_name(dims), context(dims), (dims[1:],)) for dims in read]
        needed += [item_of(_twice_name(dims), twice_read(dims), (dims[1:],)) for dims in read[1:]]
        _put(found, needed)
    found.append([])
    whole = [item_of(f"net {n}", deployed_spec(spec), settings.sizes) for n, spec in enumerate(nets)]
    again = [replace(one, name=f"again {n}") for n, one in enumerate(whole) if n >= settings.calibration]
    for item in whole:
        _put(found, [item])
    found.append([])
    for item in again:
        _put(found, [item])
    return [batch for batch in found if batch]


def _block_item(block: Block) -> Item:
    return item_of(block.key, *in_context(block))


def _alone_name(block: Block) -> str:
    return f"alone {block.key}"


def _context_name(dims: Sequence[int]) -> str:
    return "context " + "x".join(map(str, dims))


def _twice_name(dims: Sequence[int]) -> str:
    return "twice read " + "x".join(map(str, dims))


def _put(batches: list[list[Item]], items: Iterable[Item]) -> None:
    """Add what is not there yet to the last batch, or to a new one when it would grow too large."""
    there = {item.name for item in batches[-1]} if batches else set()
    new = [item for item in items if item.name not in there]
    if not batches or not _fits([*batches[-1], *new]):
        batches.append(list(items))
    else:
        batches[-1] += new


def _fits(batch: Sequence[Item]) -> bool:
    held = sum(2 * item.held_bytes for item in batch)
    return len(batch) <= MOST_IN_BATCH and (held <= MOST_BATCH_BYTES or len(batch) <= 2)


def _always() -> list[Item]:
    return [item_of(EMPTY, empty(), ((8, 8),)), item_of(REFERENCE, reference(), (REFERENCE_SIZE,))]


def _work(batch: Sequence[Item]) -> float:
    """How much the networks of a batch compute: time is shared out, and what is left is told, by it."""
    return sum(0.001 + SECONDS_A_GMAC * item.macs / 1e9 for item in batch)


def _written(log: Path, number: int, found: Readings) -> Batch:
    """A batch as it is now in the log: the least milliseconds of each item, as they are."""
    ms = {name: min(seconds) * 1e3 for name, seconds in found.seconds.items()}
    samples = min(map(len, found.seconds.values()))
    batch = Batch(number, ms, samples, found.load, found.version, found.processor, found.system)
    append_line(log, json.dumps(asdict(batch)))
    return batch


def _read(log: Path, settings: Onboarding, meter: Meter, also: Sequence[NetSpec]) -> dict[int, Batch]:
    """The batches of a log; it is begun when there is none. UserError when it is of another measurement."""
    what = {"runtime": meter.runtime, "threads": meter.threads, "also": [spec.digest for spec in also]}
    mine = json.loads(json.dumps({**asdict(settings), **what}))
    lines = [json.loads(line) for line in read_lines(log)]
    if not lines:
        append_line(log, json.dumps({"settings": mine, "falconet": __version__}))
        return {}
    if lines[0] != {"settings": mine, "falconet": __version__}:
        raise UserError(f"{log} holds a measurement begun with other settings: repeat those, or delete the file")
    return {line["number"]: Batch(**line) for line in lines[1:]}


def _device(
    settings: Onboarding, meter: Meter, blocks: Sequence[Block], nets: Sequence[NetSpec], measured: Sequence[Batch]
) -> Device:
    """The device that the times of all batches make."""
    pairs = zip(measured, _scales(measured), strict=True)
    scaled = [{name: ms * scale for name, ms in batch.ms.items()} for batch, scale in pairs]
    each = len(scaled) // settings.passes
    times = [_least(scaled[number::each]) for number in range(each)]
    of_block = {block.key: next(one for one in times if block.key in one) for block in blocks}
    whole = {name: ms for batch in times for name, ms in batch.items()}
    device = Device(
        name=settings.name,
        runtime=meter.runtime,
        version=_same("runtime", [batch.version for batch in measured]),
        threads=meter.threads,
        processor=_same("processor", [batch.processor for batch in measured]),
        system=_same("system", [batch.system for batch in measured]),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        falconet=__version__,
        empty_ms=min(batch[EMPTY] for batch in times),
        taken_apart=are_parts(blocks, nets, settings.sizes),
    )
    first = settings.calibration
    known = [(spec, whole[f"net {n}"]) for n, spec in enumerate(nets[:first])]
    tables = {way: [ms(block, of_block[block.key]) for block in blocks] for way, ms in WAYS.items()}
    candidates = [_corrected(device, way, blocks, ms, known, settings.sizes) for way, ms in tables.items()]
    device = min(candidates, key=lambda one: one[0])[1]
    guesses = [Estimator(device)(spec, settings.sizes) for spec in nets]
    checked = [
        _checked(spec, settings.sizes, guesses[n], whole[f"net {n}"], whole[f"again {n}"])
        for n, spec in enumerate(nets)
        if n >= first
    ]
    check = Check(space=settings.space, sizes=settings.sizes, seed=settings.seed, nets=tuple(checked))
    return device.model_copy(update={"checks": (check,)})


def _scales(measured: Sequence[Batch]) -> list[float]:
    """What makes the times of each batch those of the machine at its usual speed."""
    took = [batch.ms[REFERENCE] for batch in measured]
    usual = median(took)
    return [usual / median(took[max(0, n - AROUND) : n + AROUND + 1]) for n in range(len(took))]


def _least(passes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The least milliseconds of each item of one batch, over its passes."""
    return {name: min(one[name] for one in passes) for name in passes[0]}


def _corrected(
    device: Device,
    way: str,
    blocks: Sequence[Block],
    ms: Sequence[float],
    known: Sequence[tuple[NetSpec, float]],
    sizes: tuple[Size, ...],
) -> tuple[float, Device]:
    """The device with a table of blocks that is corrected by networks it is told; its error when they are left out."""
    told = _told(_with_table(device, blocks, ms), known, sizes)
    found = correction_of(told)
    pairs = list(zip(blocks, ms, strict=True))
    right = [found.factors.get(kind_of(one), 1.0) * own + found.rate * _gmacs(one) for one, own in pairs]
    fetch = Fetch(ms_per_mparam=found.fetch, beyond_mparams=found.held) if found.fetch else None
    table = _with_table(device, blocks, right).model_copy(update={"fetch": fetch})
    predict = Estimator(table)
    scale = median(took / predict(spec, sizes).ms for spec, took in known)
    notes = (f"blocks timed {way}", *found.in_words)
    return found.error, table.model_copy(update={"scale": scale, "notes": notes})


def _with_table(device: Device, blocks: Sequence[Block], ms: Sequence[float]) -> Device:
    """The device with a table of blocks and the linear model of it."""
    times = tuple(BlockTime.of(block, one) for block, one in zip(blocks, ms, strict=True))
    return device.model_copy(update={"blocks": times, "linear": fit_linear(blocks, ms)})


def _told(device: Device, known: Sequence[tuple[NetSpec, float]], sizes: tuple[Size, ...]) -> list[Told]:
    """Networks that were measured, by what a device without a scale knows of their blocks."""
    predict = Estimator(device)
    found = []
    for spec, took in known:
        own, gmacs = predict.by_kind(spec, sizes), costs(spec, *sizes).macs / 1e9
        found.append(Told(own, gmacs, predict.mparams(spec, sizes), took, device.empty_ms))
    return found


def _gmacs(block: Block) -> float:
    return costs(block.spec, *block.sizes).macs / 1e9


def _checked(
    spec: NetSpec, sizes: tuple[Size, ...], guess: Estimate, measured_ms: float, again_ms: float
) -> CheckedNet:
    counted = costs(spec, *sizes)
    return CheckedNet(
        network=spec.digest,
        measured_ms=measured_ms,
        again_ms=again_ms,
        predicted_ms=guess.ms,
        how=guess.how,
        macs=counted.macs,
        params=counted.params,
    )


def _same(what: str, values: Sequence[str]) -> str:
    """The one value that all batches agree on. UserError when the machine changed in between."""
    if len(set(values)) > 1:
        raise UserError(
            f"the {what} changed while measuring: {', '.join(sorted(set(values)))}; delete the log, begin again"
        )
    return values[0]


def _in_context_ms(block: Block, ms: Mapping[str, float]) -> float:
    """What a block adds to a network, from the times of its batch; what measuring blurs below nothing is nothing."""
    around = sum(ms[_context_name(dims)] - ms[EMPTY] for dims in inner(block))
    readers = sum(ms[_twice_name(dims)] - ms[_context_name(dims)] for dims in inner(block)[1:])
    return max(0.0, ms[block.key] - ms[EMPTY] - around + readers)


def _alone_ms(block: Block, ms: Mapping[str, float]) -> float:
    """What a block takes by itself, without the call."""
    return max(0.0, ms[_alone_name(block)] - ms[EMPTY])


def _mean_ms(block: Block, ms: Mapping[str, float]) -> float:
    return (_in_context_ms(block, ms) + _alone_ms(block, ms)) / 2


WAYS: Mapping[str, Callable[[Block, Mapping[str, float]], float]] = {
    "in context": _in_context_ms,
    "alone": _alone_ms,
    "in context and alone, the mean": _mean_ms,
}
"""How a block's own time is read from its batch; of equals the first is kept."""
