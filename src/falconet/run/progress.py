"""Progress for people: bars on a terminal, one plain line every ten seconds elsewhere.

    with shown() as progress:                       # bars or lines, by what stderr is
        with progress.task("search", total=300) as update:
            update(12, psnr_y=36.91, front=7)       # search  12/300  2.1/s  2:17 left  psnr_y 36.91  front 7

Everything goes to stderr: stdout belongs to results. Left out on purpose: the log file, which the stages write.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

SECONDS_BETWEEN_LINES = 10.0
SECONDS_OF_PACE = 60.0


class Update(Protocol):
    """Says how far a task is: the count done, and the figures worth showing beside it."""

    def __call__(self, done: int, **figures: float) -> None:
        """Show `done`, and the figures by their names."""


class Progress(Protocol):
    """Where the stages say how far they are."""

    def task(self, name: str, total: int, start: int = 0) -> AbstractContextManager[Update]:
        """A task of `total` steps, of which `start` were done by an earlier process."""

    def say(self, text: str) -> None:
        """One line about what happens."""


class Silent:
    """Shows nothing: for programs and tests."""

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Update]:
        """A task whose updates go nowhere."""
        yield lambda done, **figures: None

    def say(self, text: str) -> None:
        """Say nothing."""


class Pace:
    """How fast a task goes, over the last minute: a laptop that slept in between is soon forgotten."""

    def __init__(self, start: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks = deque([(clock(), start)])

    def at(self, done: int) -> tuple[int, float]:
        """How much was done in how many seconds, up to now."""
        now = self._clock()
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[0][0] > SECONDS_OF_PACE:
            self._marks.popleft()
        began, before = self._marks[0]
        return done - before, now - began


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, out: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Update]:
        """A task that writes a line at most every ten seconds, and one at its end."""
        began = last = self._clock()
        pace = Pace(start, self._clock)
        state: tuple[int, dict[str, float]] = (start, {})

        def update(done: int, **figures: float) -> None:
            nonlocal last, state
            state = (done, figures)
            lately = pace.at(done)
            if self._clock() - last >= SECONDS_BETWEEN_LINES:
                last = self._clock()
                self.say(line(name, done, total, *lately, figures))

        yield update
        done, figures = state
        if done > start:
            self.say(line(name, done, total, done - start, self._clock() - began, figures))

    def say(self, text: str) -> None:
        """Write one line."""
        print(text, file=self._out, flush=True)


class Bars:
    """Bars of rich, one per task, with rate and time left."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    @contextmanager
    def task(self, name: str, total: int, start: int = 0) -> Iterator[Update]:
        """A task with a bar of its own."""
        pace = Pace(start, time.monotonic)
        bar = self._bars.add_task(name, total=total, completed=start, rate="", figures="")

        def update(done: int, **figures: float) -> None:
            self._bars.update(bar, completed=done, rate=rate(*pace.at(done)), figures=listed(figures))

        yield update
        self._bars.stop_task(bar)

    def say(self, text: str) -> None:
        """Write one line above the bars."""
        self._bars.console.print(text, highlight=False, markup=False)


@contextmanager
def shown(out: IO[str] | None = None) -> Iterator[Progress]:
    """Bars when `out` (stderr unless given) is a terminal, plain lines when it is not."""
    out = out or sys.stderr
    if not out.isatty():
        yield Lines(out)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with RichProgress(*columns, console=Console(file=out)) as bars:
        yield Bars(bars)


def line(name: str, done: int, total: int, count: int, seconds: float, figures: dict[str, float]) -> str:
    """One line of progress; lately, `count` were done in so many seconds.

    >>> line("search", 30, 300, 20, 10.0, {"psnr_y": 36.9})
    'search  30/300  2.0/s  2:15 left  psnr_y 36.90'
    """
    per_second = count / seconds if seconds > 0 else 0.0
    parts = [name, f"{done}/{total}", rate(count, seconds)]
    if per_second > 0 and done < total:
        parts.append(f"{minutes((total - done) / per_second)} left")
    return "  ".join(part for part in (*parts, listed(figures)) if part)


def rate(count: int, seconds: float) -> str:
    """A speed in a unit that suits it.

    >>> rate(20, 10.0), rate(1, 30.0), rate(0, 1.0)
    ('2.0/s', '2.0/min', '')
    """
    if count <= 0 or seconds <= 0:
        return ""
    per_second = count / seconds
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"


def minutes(seconds: float) -> str:
    """A duration as people read it.

    >>> minutes(135), minutes(3700)
    ('2:15', '1:01:40')
    """
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def listed(figures: dict[str, float]) -> str:
    """Figures with their names, four digits each.

    >>> listed({"psnr_y": 36.912, "front": 7})
    'psnr_y 36.91  front 7'
    """
    return "  ".join(
        f"{name} {value if isinstance(value, int) else f'{value:#.4g}'}" for name, value in figures.items()
    )
