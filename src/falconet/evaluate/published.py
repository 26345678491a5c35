"""Devices from published phone tables: `falconet device import FILE --name pixel3`, from the user's own copy.

Two kinds of file are known, told apart by what they hold:

    a table of FBNet's blocks (JSON, as HW-NAS-Bench measured them): milliseconds of each block in each layer. A
        network is priced block by block; `spaces/fbnet.py` is the space. A device knows one price for equal layers, the
        mean if the table has several; the check compares with the table's own sums
    a table of NAS-Bench-201's networks (CSV): milliseconds of whole networks. Prices of operators are found by
        non-negative least squares on 400 of them and checked on 100 others; every prediction is marked as linear

For the second kind a model that learns from the graph ranks better: `evaluate/predictor.py`. What a table is a
measurement of (phone, runtime, threads) is what its authors say; nothing of it ships.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np

from falconet.errors import UserError
from falconet.evaluate.blocks import Block, blocks_of
from falconet.evaluate.device import BlockTime, Check, CheckedNet, Device, Linear
from falconet.evaluate.estimate import Estimator
from falconet.evaluate.linear import features_of, fit_linear, nnls
from falconet.evaluate.tables import MOST_BYTES, Table, read_table
from falconet.graph import NetSpec, costs
from falconet.spaces import build, draw
from falconet.spaces.fbnet import BLOCKS, STRIDES, WIDTHS, Fbnet
from falconet.spaces.nb201 import OPERATIONS, NasBench201, from_digits, live_edges

SIZE = (32, 32)
FITTED, HELD_OUT = 400, 100
NOTES = ("The table does not ship with Falconet; phone and runtime are what its authors say.",)


def published_device(path: Path, name: str, column: str | None = None) -> Device:
    """The device in a published table; `column` names the phone when the file has several and `name` is none of them.

    UserError when the file is no such table, or does not know the phone.
    """
    if path.suffixes[-1:] == [".json"]:
        return _fbnet(_lut(path), path, name, column or name)
    table = read_table(path)
    wanted = column or name
    return _nb201(table, name, wanted if wanted in table.columns else f"{wanted}_ms")


def is_lut(path: Path) -> bool:
    """Whether a JSON file is a table of FBNet's blocks rather than a device."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "devices" in data and "schema_version" not in data


def _lut(path: Path) -> dict[str, Any]:
    if not is_lut(path) or path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is no table of blocks: it must be JSON with `devices`, `ops` and milliseconds")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for key, known in (("ops", BLOCKS), ("layer_out_channels", WIDTHS), ("layer_stride", STRIDES)):
        if not isinstance(data.get(key), list) or tuple(data[key]) != tuple(known):
            raise UserError(f"{path} is a table of other networks: its {key} must be {list(known)}")
    return data


def _fbnet(data: dict[str, Any], path: Path, name: str, phone: str) -> Device:
    """The table says milliseconds more than `skip`; the rest is what all networks share, the time of a call."""
    if phone not in data["devices"]:
        raise UserError(
            f"{path} knows no {phone!r}; it knows: {', '.join(data['devices'])}. Say which with --column, and "
            "with --name what it is called here"
        )
    try:
        empty = float(data["devices"][phone]["base_ms_all_skip"])
        rows = [{op: float(row.get(op, 0.0)) for op in BLOCKS} for row in data["devices"][phone]["delta_ms_vs_skip"]]
        assert len(rows) == len(WIDTHS)
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        raise UserError(f"{path} is damaged: {phone} needs base_ms_all_skip, and 22 rows of milliseconds") from None
    times: dict[str, list[float]] = {}
    blocks: dict[str, Block] = {}
    for op in BLOCKS:
        spec = build(Fbnet(), {f"b{layer}": op for layer in range(len(WIDTHS))})
        layers = [
            f"b{layer}" for layer in range(len(WIDTHS)) if any(one.name == f"b{layer}_{op}" for one in spec.layers)
        ]
        stem, *middle = blocks_of(spec, SIZE)
        for block in (stem, *middle[len(layers) :]):
            blocks[block.key], times[block.key] = block, [0.0]
        for block, layer in zip(middle, layers, strict=False):
            blocks[block.key] = block
            times.setdefault(block.key, []).append(rows[int(layer[1:])][op])
    priced = [(block, float(np.mean(times[key]))) for key, block in blocks.items()]
    device = _device(name, f"published table {path.name}, {phone}", empty, priced)
    return device.model_copy(update={"checks": (_fbnet_check(device, empty, rows),)})


def _fbnet_check(device: Device, empty: float, rows: list[dict[str, float]]) -> Check:
    """Random networks, as the table adds them up and as the device does, which knows one price for equal layers."""
    rng, space, nets = Random(0), Fbnet(), []
    for _ in range(HELD_OUT):
        arch, spec = draw(space, rng)
        total = empty + sum(row[str(arch[f"b{layer}"])] for layer, row in enumerate(rows))
        nets.append(_checked(device, spec, total))
    return Check(space=space.name, sizes=(SIZE,), seed=0, nets=tuple(nets))


def _checked(device: Device, spec: NetSpec, ms: float) -> CheckedNet:
    """A network of a table. It was measured once, so there is no noise to tell: the second measurement is the first."""
    found, counted = Estimator(device)(spec, (SIZE,)), costs(spec, SIZE)
    return CheckedNet(
        network=spec.digest, measured_ms=ms, again_ms=ms, predicted_ms=found.ms, how=found.how,
        macs=counted.macs, params=counted.params,
    )  # fmt: skip


def _device(name: str, source: str, empty: float, priced: list[tuple[Block, float]]) -> Device:
    timed = [(block, ms) for block, ms in priced if ms > 0]
    return Device(
        name=name,
        runtime="published",
        source=source,
        notes=NOTES,
        empty_ms=empty,
        blocks=tuple(BlockTime.of(block, ms) for block, ms in priced),
        linear=fit_linear([block for block, _ in timed], [ms for _, ms in timed]) if timed else None,
    )


def _nb201(table: Table, name: str, column: str) -> Device:
    """A price for each operator that add up to the networks' times as nearly as prices can.

    Networks whose cell passes nothing on are left out: compilers reduce them to nothing.
    """
    measured, rng, space = table.column(column), Random(0), NasBench201()
    rows = [row for row, digits in enumerate(table.digits) if live_edges(tuple(OPERATIONS[int(d)] for d in digits))]
    rows = [row for row in rng.sample(rows, min(len(rows), FITTED + HELD_OUT)) if measured[row] > 0]
    if len(rows) < 2 * HELD_OUT:
        raise UserError(f"{table.path} holds {len(rows)} networks with a time; prices need {2 * HELD_OUT} or more")
    specs = {row: build(space, from_digits(table.digits[row])) for row in rows}
    fitted, held_out = rows[:-HELD_OUT], rows[-HELD_OUT:]
    amounts = [_amounts(specs[row]) for row in fitted]
    names = sorted({key for one in amounts for key in one})
    matrix = np.array([[one.get(key, 0.0) for key in names] for one in amounts])
    matrix *= matrix.std(axis=0) > 0  # what all networks have alike is part of the time of a call
    prices = nnls(np.column_stack([np.ones(len(fitted)), matrix]), measured[fitted])
    device = Device(
        name=name,
        runtime="published",
        source=f"published table {table.path.name}, {column}",
        notes=NOTES,
        empty_ms=float(prices[0]),
        linear=Linear(weights=dict(zip(names, prices[1:].tolist(), strict=True)), median_error=0.0),
    )
    nets = [_checked(device, specs[row], float(measured[row])) for row in held_out]
    error = median(abs(net.predicted_ms / net.measured_ms - 1) for net in nets)
    check = Check(space=space.name, sizes=(SIZE,), seed=0, nets=tuple(nets))
    assert device.linear is not None
    linear = device.linear.model_copy(update={"median_error": error})
    return device.model_copy(update={"linear": linear, "checks": (check,)})


def _amounts(spec: NetSpec) -> dict[str, float]:
    """What a network does, by operator: the sum over its blocks."""
    found: Counter[str] = Counter()
    for block in blocks_of(spec, SIZE):
        found.update(_block_amounts(block))
    return dict(found)


@lru_cache(maxsize=65536)
def _block_amounts(block: Block) -> dict[str, float]:
    return features_of(block)
