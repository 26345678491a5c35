"""What a report says of latencies: predicted against measured, on each device, and what the devices preferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from falconet.evaluate.check import judge
from falconet.evaluate.device import Device
from falconet.report.results import CostPrediction, LatencyRow, PredictedPoint
from falconet.run.choosing import Chosen, own_trials
from falconet.run.devices import is_here, named_devices
from falconet.run.plan import Plan
from falconet.run.record import Record
from falconet.run.searches import OneSearch
from falconet.run.wanted import objectives, strategy_name
from falconet.search import front_of
from falconet.spaces import decisions, is_ordered


def latencies(record: Record, stage: str) -> dict[str, LatencyRow]:
    """The networks that a stage timed; none when it did not."""
    return (
        {name: LatencyRow.model_validate(row) for name, row in record.facts(stage).items()}
        if record.done(stage)
        else {}
    )


def cost_prediction(
    one: OneSearch, plan: Plan, kept: Sequence[Chosen], latency: Mapping[str, LatencyRow]
) -> CostPrediction:
    """Networks timed beforehand, each predicted without being used for that, and the kept ones.

    Beforehand: for the device's table when `latency_ms` is meant for one that is here, else for the plan.
    """
    device = named_devices(one.recipe.budget).get("latency_ms")
    device = device if device and is_here(device) else None
    points = _checked(device) if device else _timed(plan)
    for chosen in kept:
        predicted, measured = chosen.trial.costs.get("latency_ms"), latency.get(chosen.name)
        if predicted is not None and measured is not None:
            points.append(
                PredictedPoint(name=chosen.name, predicted=predicted.value, measured=measured.min_ms, chosen=True)
            )
    how = "a line in MACs and values written, fitted to networks of the space that were timed for the plan"
    return CostPrediction(
        cost="latency_ms",
        unit="ms",
        predictor=f"the table of {len(device.blocks)} blocks of the device {device.name}" if device else how,
        points=tuple(points),
        median_error=None if device else plan.latency.median_error,
    )


def _checked(device: Device) -> list[PredictedPoint]:
    return [
        PredictedPoint(name=one.network[:12], predicted=one.predicted_ms, measured=one.measured_ms)
        for check in device.checks
        for one in check.nets
    ]


def _timed(plan: Plan) -> list[PredictedPoint]:
    return [
        PredictedPoint(name=one.network[:12], predicted=one.predicted_ms, measured=one.measured_ms)
        for one in plan.latency.timed
    ]


def device_notes(record: Record, found: Mapping[str, tuple[OneSearch, Sequence[Chosen]]]) -> list[str]:
    """For each device of each search: how well it predicts, and the kept networks predicted and measured there."""
    notes = []
    for one, kept in found.values():
        devices = named_devices(one.recipe.budget)
        for cost, device in devices.items():
            stage = f"{one.id}.latency" if cost == "latency_ms" else f"{one.id}.{cost}"
            measured = latencies(record, stage) if is_here(device) else {}
            notes.append(_device_words(device))
            for chosen in kept:
                if cost in chosen.trial.costs:
                    notes.append(_kept_words(chosen.name, chosen.trial.costs[cost].value, device, measured))
        if devices:
            notes += _preferences(record, one, " and ".join(device.name for device in devices.values()))
    return notes


def _device_words(device: Device) -> str:
    scores = [judge(check).table for check in device.checks]
    tested = f"; on held-out networks wrong by {scores[0].mape:.1%} in the mean" if scores else ""
    return f"Latency on {device.name}: {device.runtime} {device.version}, {device.threads} thread(s){tested}."


def _kept_words(name: str, predicted: float, device: Device, measured: Mapping[str, LatencyRow]) -> str:
    told = f"{name} on {device.name}: predicted {predicted:.3g} ms, "
    if name in measured:
        return f"{told}measured {measured[name].min_ms:.3g} ms ({predicted / measured[name].min_ms - 1:+.0%})."
    return f"{told}not measured: falconet bench models/{name} --on {device.name} --remote CMD."


def _preferences(record: Record, one: OneSearch, devices: str) -> list[str]:
    """Which of the space's unordered options (activations, kinds) the front's networks have, a line a decision."""
    trials = own_trials(record, one, strategy_name(one.recipe))
    front = front_of(trials, objectives(one.recipe))
    chosen: dict[str, Counter[str]] = {}
    for trial in front:
        for name, options in decisions(one.recipe.space, trial.arch).items():
            if len(options) > 1 and not is_ordered(options):
                counts = chosen.setdefault(name.rpartition(".")[2], Counter(dict.fromkeys(map(str, options), 0)))
                counts[str(trial.arch[name])] += 1
    return [
        f"Front for {devices}, {len(front)} networks: {name} "
        + ", ".join(f"{option} {number}" for option, number in counts.most_common())
        + "."
        for name, counts in chosen.items()
    ]
