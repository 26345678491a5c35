"""How a search has its networks judged: in this process, or side by side in as many others as the recipe has workers.

Networks are judged with the weights they inherit from the supernet, or by a proxy training (`proxy`). A network is
judged the same wherever that happens, so a search ends with the same trials. The other processes (`worker`, "judge")
are started when a round first asks for several networks, and end with the search.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from threading import Thread
from typing import IO, TYPE_CHECKING, NoReturn, TypeAlias

from falconet.evaluate import Cost, Trial
from falconet.run.predict import LatencyLine
from falconet.run.proxy import fidelity, judged_with, version
from falconet.run.recipe import Recipe
from falconet.run.record import Record
from falconet.run.searches import OneSearch
from falconet.run.side_by_side import may_share, start
from falconet.run.supernet import Supernet
from falconet.search import Evaluate, Feasible
from falconet.spaces import Arch, build

if TYPE_CHECKING:
    from falconet.tasks import Dataset

Asked: TypeAlias = Sequence[tuple[int, Arch]]


@dataclass(frozen=True)
class Judge:
    """What networks are judged with: the supernet's weights, the pictures, and how costs are known."""

    supernet: Supernet
    dataset: Dataset
    latency: LatencyLine


@dataclass(frozen=True)
class Judged:
    """What judging one network came to: its figures, or why there are none, and how long and where it took."""

    quality: dict[str, float]
    error: str
    seconds: float
    executor: str


@contextmanager
def evaluation(record: Record, one: OneSearch, judge: Judge, feasible: Feasible) -> Iterator[Evaluate]:
    """Judges architectures, by quality and counted costs, while the block runs. RuntimeError when a process fails."""
    recipe = one.recipe
    weights = judge.supernet.version if recipe.search.proxy is None else version(recipe, recipe.search.proxy)
    shared = may_share(record, recipe)
    with ExitStack() as stack:
        helpers: _Helpers | None = None

        def found(asked: Asked) -> Iterable[tuple[int, Arch, Judged]]:
            nonlocal helpers
            if shared and helpers is None and len(asked) > 1:
                helpers = _Helpers(record, one)
                stack.callback(helpers.end)
            if helpers is not None:
                return helpers.judged(asked)
            return ((index, arch, judged(record, recipe, judge.supernet, judge.dataset, arch)) for index, arch in asked)

        def evaluate(asked: Asked) -> Iterable[Trial]:
            for index, arch, result in found(asked):
                yield Trial(
                    index=index,
                    arch=arch,
                    network=feasible.network(arch),
                    status="failed" if result.error else "ok",
                    error=result.error,
                    quality=result.quality,
                    costs={
                        name: Cost(value, "predicted" if name.startswith("latency_ms") else "counted")
                        for name, value in feasible.costs(arch).items()
                    },
                    weights=weights,
                    fidelity=fidelity(recipe),
                    executor=result.executor,
                    seconds=result.seconds,
                )

        yield evaluate


def judged(record: Record, recipe: Recipe, supernet: Supernet, dataset: Dataset, arch: Arch) -> Judged:
    """What one network comes to, judged here and now."""
    from falconet.evaluate.quality import quality

    began, figures, error = time.perf_counter(), dict[str, float](), ""
    spec = build(recipe.space, arch)
    try:
        figures = quality(judged_with(record, recipe, supernet, dataset, spec), recipe.task, dataset)
    except (RuntimeError, FloatingPointError, MemoryError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    return Judged(figures, error, round(time.perf_counter() - began, 4), "this process")


def judge_lines(record: Record, recipe: Recipe, supernet: Supernet, dataset: Dataset) -> NoReturn:
    """Answer every line of stdin, an architecture, with one of what judging it came to.

    When stdin ends, so does this process, whatever it is at: nobody is left who would hear of it.
    """
    lines: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    Thread(target=listen, daemon=True).start()
    while True:
        arch = Arch.from_json(json.loads(lines.get()))
        print(json.dumps(asdict(judged(record, recipe, supernet, dataset, arch))), flush=True)


class _Helpers:
    """Processes that judge networks, one at a time each."""

    def __init__(self, record: Record, one: OneSearch) -> None:
        self._helpers = [_Helper(record, one, number) for number in range(one.recipe.workers)]
        self._idle: SimpleQueue[_Helper] = SimpleQueue()
        for helper in self._helpers:
            self._idle.put(helper)

    def end(self) -> None:
        """End them all, whatever they are at."""
        for helper in self._helpers:
            helper.end()

    def judged(self, asked: Asked) -> Iterator[tuple[int, Arch, Judged]]:
        """What each network comes to, as they are done."""
        with ThreadPoolExecutor(len(self._helpers)) as pool:
            waiting = {pool.submit(self._judged, arch): (index, arch) for index, arch in asked}
            try:
                for done in as_completed(waiting):
                    yield *waiting[done], done.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.end()  # those that wait for an answer wait no more
                raise

    def _judged(self, arch: Arch) -> Judged:
        helper = self._idle.get()
        try:
            return helper.judged(arch)
        finally:
            self._idle.put(helper)


class _Helper:
    """One such process: a line to it, a line from it."""

    def __init__(self, record: Record, one: OneSearch, number: int) -> None:
        self._name = f"worker {number}"
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # closed in `end`
        self._process = start(record, ("judge", one.id), stdin=subprocess.PIPE, stderr=self._errors)

    def judged(self, arch: Arch) -> Judged:
        """What one network comes to. RuntimeError when the process has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(arch.to_json()) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and so has what it writes
        answer = self._process.stdout.readline()
        if not answer:
            code = self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(f"a process that judges networks ended with code {code}:\n{self._errors.read()[-4000:]}")
        return Judged(**{**json.loads(answer), "executor": self._name})

    def end(self) -> None:
        """End the process."""
        if self._errors.closed:
            return
        self._process.kill()
        self._process.communicate()
        self._errors.close()
