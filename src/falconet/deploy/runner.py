"""Times network files where they are: needs Python 3.8, numpy and the runtime, nothing else, least of all Falconet.

The text of this file is sent to a device (`evaluate/meter.py`), followed by a call of `main` with a job. In between may
be ssh, a container, `adb shell`: whatever carries standard input to a Python on the device and its output back.

    job     {"runtime": "ncnn", "threads": 1, "rounds": 20, "burst": 2, "seed": 0, "max_seconds": 60,
             "nets": [{"name": "b1", "main": "model.param", "files": {"model.param": BASE64, "model.bin": BASE64},
                       "shapes": [[1, 16, 180, 320]]}, ...]}
    answer  lines that begin with "falconet " and go on as JSON: {"about": {...}}, then {"name": "b1", "seconds": [...]}
            for each network, {"end": true} at last; or {"error": "..."}, and nothing after it

Nothing is left on the device. Left out: reading networks it was not given, other processors than the CPU.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

FEWEST_ROUNDS = 5  # however short the time is
MARK = "falconet "


def interleave(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    burst: int,
    seed: int = 0,
    max_seconds: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Name -> seconds of every timed call: in every round each runs once untimed, then `burst` times, in a new order.

    After `max_seconds` no further round begins, but at least five are made.
    """
    rng = random.Random(seed)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    begun = clock()
    for number in range(rounds):
        if number >= FEWEST_ROUNDS and max_seconds is not None and clock() - begun >= max_seconds:
            break
        for name in rng.sample(list(calls), len(calls)):
            call = calls[name]
            call()  # untimed: brings code and weights back into the caches
            for _ in range(burst):
                start = clock()
                call()
                seconds[name].append(clock() - start)
    return seconds


def load_onnxruntime(path: Path, threads: int) -> tuple[Callable[[Sequence[Any]], object], str]:
    """What the file computes, as a function of arrays, and the version of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return (lambda xs: session.run(None, dict(zip(names, xs)))), onnxruntime.__version__  # noqa: B905 (Python 3.8)


def load_ncnn(path: Path, threads: int) -> tuple[Callable[[Sequence[Any]], object], str]:
    """What the file computes, as a function of arrays, and the version of ncnn."""
    import ncnn
    import numpy

    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = threads, False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise RuntimeError(f"ncnn cannot read {path.name}")

    def run(xs: Sequence[Any]) -> object:
        extractor = net.create_extractor()
        for name, x in zip(net.input_names(), xs):  # noqa: B905 (Python 3.8)
            extractor.input(name, ncnn.Mat(x[0]).clone())
        return [numpy.array(extractor.extract(name)[1]) for name in net.output_names()]

    return run, ncnn.__version__


LOADERS = {"onnxruntime": load_onnxruntime, "ncnn": load_ncnn}


def measure(job: Mapping[str, Any], folder: Path, say: Callable[[object], None]) -> None:
    """Do a job with files in `folder`, and `say` what it found."""
    import numpy

    rng, version = numpy.random.RandomState(job["seed"]), ""
    calls: dict[str, Callable[[], object]] = {}
    for number, net in enumerate(job["nets"]):
        place = folder / str(number)
        place.mkdir()
        for name, text in net["files"].items():
            (place / Path(name).name).write_bytes(base64.b64decode(text))
        run, version = LOADERS[job["runtime"]](place / net["main"], job["threads"])
        xs = [rng.rand(*shape).astype(numpy.float32) for shape in net["shapes"]]
        run(xs)
        calls[net["name"]] = lambda run=run, xs=xs: run(xs)  # type: ignore[misc]
    say({"about": about(version)})
    for name, seconds in interleave(calls, job["rounds"], job["burst"], job["seed"], job["max_seconds"]).items():
        say({"name": name, "seconds": seconds})
    say({"end": True})


def about(version: str) -> dict[str, str | float]:
    """The runtime's version, the processor, the system, how busy it is. No name of a person or a computer."""
    system = f"{platform.system()} {platform.machine()}"
    return {"version": version, "processor": processor(), "system": system, "load": load_average()}


def load_average() -> float:
    """How many processes wanted to run, over the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return platform.processor() or platform.machine()
    found = {key.strip().lower(): value.strip() for key, _, value in lines}
    names = ("model name", "hardware", "model")  # x86; most phones; a Raspberry Pi
    return next((found[name] for name in names if found.get(name)), platform.machine())


def main(text: str) -> None:
    """Do the job that `text` holds as JSON, and answer on standard output."""

    def say(found: object) -> None:
        sys.stdout.write(MARK + json.dumps(found) + "\n")
        sys.stdout.flush()

    job = json.loads(text)
    try:
        with tempfile.TemporaryDirectory() as folder:
            measure(job, Path(folder), say)
    except ImportError as error:
        say({"error": f"{job['runtime']} is not installed there ({error})"})
    except Exception as error:  # noqa: BLE001 (whatever a runtime raises is told, not lost with the connection)
        say({"error": f"{type(error).__name__}: {error}"})
