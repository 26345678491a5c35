"""Where networks are timed: in this process, or by the runner on another machine. Both answer alike.

    meter = Here("ncnn", threads=1)
    meter = Remote("ssh pi@raspberrypi.local python3 -", "ncnn", threads=1)
    found = meter.time([item_of("a", spec, ((180, 320),))], Rounds(20, burst=2))
    found.seconds["a"]                                  # every timed call
    found.version, found.processor, found.load

Weights are drawn where none are given, since they do not change how long a network takes. `Remote` starts
its command once for each call of `time`, sends the runner's text with all files on standard input, and reads what it
prints. The command has to start a Python 3.8 or newer that reads its program from standard input.
"""

from __future__ import annotations

import base64
import json
import math
import platform
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from falconet.deploy import TARGETS
from falconet.deploy import runner as runner_module
from falconet.deploy.runner import LOADERS, MARK, interleave, load_average, processor
from falconet.deploy.runtime import OnnxRun
from falconet.deploy.target import Weights
from falconet.errors import UserError
from falconet.files import write_bytes
from falconet.graph import NetSpec, costs, store_of
from falconet.graph.shape import Size

Array: TypeAlias = npt.NDArray[Any]
Shape4: TypeAlias = tuple[int, int, int, int]

SECONDS_OF_PATIENCE = 600.0  # beyond the time that the rounds may take, before a silent device is given up


@dataclass(frozen=True, slots=True)
class Item:
    """A network to time: its name, the shape of each input (batch 1), and what writes its file for a runtime.

    `write(runtime, folder)` gives the path of the file that the runtime loads. `macs` and `held_bytes` (activations at
    the peak) are for sharing out time and memory.
    """

    name: str
    shapes: tuple[Shape4, ...]
    write: Callable[[str, Path], Path]
    macs: int = 0
    held_bytes: int = 0


def item_of(name: str, spec: NetSpec, sizes: tuple[Size, ...], weights: Weights | None = None) -> Item:
    """A deployed, flat network as an item, for (height, width) `sizes`; weights are drawn when none are given."""

    def write(runtime: str, folder: Path) -> Path:
        return TARGETS[runtime]().export(spec, weights or drawn_weights(spec), folder, sizes=sizes)

    shapes = tuple((1, one.channels, *size) for one, size in zip(spec.inputs, sizes, strict=True))
    try:
        counted = costs(spec, *sizes)
    except ValueError as error:
        given = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise UserError(f"{name} does not take an input of {given}: {error}") from None
    return Item(name, shapes, write, counted.macs, counted.peak_activation_bytes)


def item_of_file(name: str, model: Path | bytes, sizes: Sequence[Size]) -> Item:
    """An ONNX file as an item: (height, width) for each input, or one for all. Other runtimes cannot time it."""

    def write(runtime: str, folder: Path) -> Path:
        if runtime != "onnxruntime":
            raise UserError(f"{name} is an ONNX file, which {runtime} does not run; give a model folder instead")
        path = folder / "model.onnx"
        write_bytes(path, model if isinstance(model, bytes) else model.read_bytes())
        return path

    inputs = OnnxRun(model).inputs
    given = list(sizes) * len(inputs) if len(sizes) == 1 else list(sizes)
    if len(given) != len(inputs):
        raise UserError(f"{name} has {len(inputs)} inputs: give one (height, width), or one for each")
    shapes = tuple((1, one.channels, *size) for one, size in zip(inputs, given, strict=True))
    return Item(name, shapes, write)


@dataclass(frozen=True, slots=True)
class Rounds:
    """How long to measure: rounds of `burst` timed calls each; none begins after `max_seconds`, but five are made."""

    rounds: int
    burst: int = 2
    seed: int = 0
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read: seconds of every call by the item's name, and by what, on what, how busy."""

    seconds: Mapping[str, Sequence[float]]
    version: str
    processor: str
    system: str
    load: float


class Meter(Protocol):
    """A runtime on a machine."""

    @property
    def runtime(self) -> str:
        """A name of TARGETS."""

    @property
    def threads(self) -> int:
        """How many threads a network runs with."""

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        """Time the items together, in shuffled rounds. UserError when the runtime or the machine is not to be had."""


@dataclass(frozen=True)
class Here:
    """A runtime in this process: a name of TARGETS."""

    runtime: str
    threads: int = 1

    def __post_init__(self) -> None:
        _known(self.runtime, [name for name, target in TARGETS.items() if target.runs])

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        """Time the items in this process."""
        load, rng = load_average(), np.random.default_rng(how.seed)
        with tempfile.TemporaryDirectory() as folder:
            calls = {}
            for number, item in enumerate(items):
                path = _written(self.runtime, item, Path(folder) / str(number))
                run = TARGETS[self.runtime]().load(path, self.threads)
                calls[item.name] = _call(run, [rng.random(shape, dtype=np.float32) for shape in item.shapes])
            seconds = interleave(calls, how.rounds, how.burst, how.seed, how.max_seconds)
        version = TARGETS[self.runtime]().version().rpartition(" ")[2]
        system = f"{platform.system()} {platform.machine()}"
        return Readings(seconds, version, processor(), system, max(load, load_average()))


@dataclass(frozen=True)
class Remote:
    """A runtime behind a command that starts Python on another machine, such as "ssh pi@board python3 -"."""

    command: str
    runtime: str
    threads: int = 1

    def __post_init__(self) -> None:
        _known(self.runtime, list(LOADERS))
        if not shlex.split(self.command):
            raise UserError('--remote needs a command that starts Python there, such as "ssh pi@board python3 -"')

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        """Send the items, time them there, read the answer."""
        with tempfile.TemporaryDirectory() as folder:
            nets = [_packed(self.runtime, item, Path(folder) / str(n)) for n, item in enumerate(items)]
        settings = {"runtime": self.runtime, "threads": self.threads, "rounds": how.rounds, "burst": how.burst}
        job = {**settings, "seed": how.seed, "max_seconds": how.max_seconds, "nets": nets}
        source = Path(runner_module.__file__).read_text(encoding="utf-8")
        answers = _converse(self.command, f"{source}\nmain({json.dumps(job)!r})\n", how.max_seconds)
        return _readings(self.command, answers, [item.name for item in items])


def drawn_weights(spec: NetSpec, seed: int = 0) -> dict[str, Array]:
    """Weights for a flat network, drawn so that values stay of one size: for timing, where they do not matter."""
    rng, found = np.random.default_rng(seed), dict[str, Array]()
    for slot, one in store_of(spec).slots.items():
        for name, weight in one.weights.items():
            fan_in = max(1, math.prod(weight.shape[1:]))
            values = rng.normal(0, fan_in**-0.5, weight.shape).astype(np.float32)
            found[f"{slot}.{name}"] = np.abs(values) if name == "running_var" else values
    return found


def _written(runtime: str, item: Item, place: Path) -> Path:
    place.mkdir(parents=True)
    return item.write(runtime, place)


def _call(run: Callable[[Sequence[Array]], object], xs: Sequence[Array]) -> Callable[[], object]:
    run(xs)
    return lambda: run(xs)


def _packed(runtime: str, item: Item, place: Path) -> dict[str, object]:
    """An item as the runner reads it."""
    path = _written(runtime, item, place)
    files = {one.name: base64.b64encode(one.read_bytes()).decode() for one in sorted(place.iterdir())}
    return {"name": item.name, "main": path.name, "files": files, "shapes": [list(shape) for shape in item.shapes]}


def _converse(command: str, program: str, max_seconds: float | None) -> list[dict[str, Any]]:
    """Run the command with a program on its standard input; what the program answered. UserError when it cannot."""
    patience = SECONDS_OF_PATIENCE + (max_seconds or 0.0)
    try:
        process = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise UserError(f"--remote: {command!r} cannot be started: {error.strerror}") from None
    timer = threading.Timer(patience, process.kill)
    timer.start()
    try:
        out, err = process.communicate(program.encode())
    finally:
        timer.cancel()
        process.kill()
    lines = out.decode(errors="replace").splitlines()
    answers = [json.loads(line[len(MARK) :]) for line in lines if line.startswith(MARK)]
    told = next((answer["error"] for answer in answers if "error" in answer), None)
    if told is not None:
        raise UserError(f"--remote: {told}")
    if not answers or "end" not in answers[-1]:
        last = (err.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise UserError(
            f"--remote: {command!r} ended without an answer: {last}. "
            "It has to start a Python 3 there that reads its program from standard input"
        )
    return answers


def _readings(command: str, answers: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> Readings:
    about: Mapping[str, Any] = next((answer["about"] for answer in answers if "about" in answer), {})
    seconds = {str(one["name"]): [float(s) for s in one["seconds"]] for one in answers if "name" in one}
    if set(seconds) != set(wanted) or not all(seconds.values()):
        raise UserError(f"--remote: {command!r} answered for {len(seconds)} of {len(wanted)} networks")
    return Readings(seconds, str(about["version"]), str(about["processor"]), str(about["system"]), float(about["load"]))


def _known(runtime: str, names: Sequence[str]) -> None:
    if runtime not in names:
        raise UserError(f"nothing can be timed there by the runtime {runtime!r}; these can: {', '.join(names)}")
