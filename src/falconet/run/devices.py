"""The devices of a budget: what they predict, the copies a run folder keeps, which of them this machine is.

budget: {latency_ms: 8, on: pixel3, at_output: 1280x720}
runs/NAME/devices/pixel3.json        the device as it was when the run began; the run reads nothing else
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from falconet.deploy.runner import processor
from falconet.evaluate import Budget
from falconet.evaluate.device import Device, load_device
from falconet.evaluate.estimate import Estimate, estimator
from falconet.evaluate.score import device_name
from falconet.graph import NetSpec

Sizes = tuple[tuple[int, int], ...]
FOLDER = "devices"


def device_latencies(budget: Budget) -> dict[str, Callable[[NetSpec, Sizes], Estimate]]:
    """Cost -> what predicts it, for each device that the budget names. UserError when there is no such device."""
    return {cost: estimator(where) for cost, where in budget.devices().items()}


def named_devices(budget: Budget) -> dict[str, Device]:
    """Cost -> the device whose latency it is."""
    return {cost: load_device(where) for cost, where in budget.devices().items()}


def is_here(device: Device) -> bool:
    """Whether the device is this machine, so that networks can be timed on it now."""
    return bool(device.processor) and device.processor == processor()


def kept_devices(budget: Mapping[str, object]) -> tuple[dict[str, object], dict[str, bytes]]:
    """A budget's tree with its devices as files of the run folder, and these files."""
    tree, files = dict(budget), dict[str, bytes]()

    def kept(where: str) -> str:
        path = f"{FOLDER}/{device_name(where)}.json"
        files[path] = (load_device(where).model_dump_json(indent=1) + "\n").encode()
        return path

    if isinstance(tree.get("on"), str):
        tree["on"] = kept(str(tree["on"]))
    if isinstance(tree.get("on_devices"), Mapping):
        tree["on_devices"] = {kept(where): limit for where, limit in tree["on_devices"].items()}  # type: ignore[attr-defined]
    return tree, files


def found_devices(budget: Mapping[str, object], folder: Path) -> dict[str, object]:
    """The tree that `kept_devices` made, with the files as paths from where the command runs."""
    tree = dict(budget)
    if isinstance(tree.get("on"), str):
        tree["on"] = _inside(str(tree["on"]), folder)
    if isinstance(tree.get("on_devices"), Mapping):
        tree["on_devices"] = {_inside(where, folder): one for where, one in tree["on_devices"].items()}  # type: ignore[attr-defined]
    return tree


def _inside(where: str, folder: Path) -> str:
    return str(folder / where) if where.startswith(f"{FOLDER}/") else where
