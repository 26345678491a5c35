import io
import re

from falconet.run.progress import Bars, Lines, Silent, line, minutes, rate, shown


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_every_ten_seconds_and_at_the_end() -> None:
    out, clock = io.StringIO(), Clock()
    with Lines(out, clock).task("search", 40, start=10) as update:
        for done in range(11, 41):
            clock.now += 1.0
            update(done, psnr_y=36.0 + done / 100, front=7)
    lines = out.getvalue().splitlines()
    assert lines[0] == "search  20/40  1.0/s  0:20 left  psnr_y 36.20  front 7"
    assert [one.split()[1] for one in lines] == ["20/40", "30/40", "40/40", "40/40"][: len(lines)]
    assert "left" not in lines[-1]


def test_the_time_left_forgets_a_pause() -> None:
    out, clock = io.StringIO(), Clock()
    with Lines(out, clock).task("search", 150) as update:
        for done in range(1, 151):
            clock.now += 3600.0 if done == 60 else 1.0
            update(done)
    lines = out.getvalue().splitlines()
    assert lines[4] == "search  50/150  1.0/s  1:40 left"
    assert "search  140/150  1.0/s  0:10 left" in lines
    assert lines[-1] == "search  150/150  2.4/min"


def test_a_task_that_does_nothing_says_nothing() -> None:
    out = io.StringIO()
    with Lines(out).task("search", 40):
        pass
    assert out.getvalue() == ""


def test_without_a_terminal_there_are_lines() -> None:
    out = io.StringIO()
    with shown(out) as progress:
        assert isinstance(progress, Lines)
        progress.say("planning")
    assert out.getvalue() == "planning\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_are_bars() -> None:
    out = Terminal()
    with shown(out) as progress:
        assert isinstance(progress, Bars)
        with progress.task("search", 4) as update:
            update(4, psnr_y=36.2, front=2)
        progress.say("[bold]as it is[/bold]")
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    assert "search" in plain
    assert "4/4" in plain
    assert "front 2" in plain
    assert "[bold]as it is[/bold]" in plain


def test_silence() -> None:
    progress = Silent()
    progress.say("nothing")
    with progress.task("nothing", 1) as update:
        update(1, loss=0.5)


def test_words() -> None:
    assert rate(20, 10.0) == "2.0/s"
    assert rate(1, 30.0) == "2.0/min"
    assert rate(0, 1.0) == ""
    assert minutes(135) == "2:15"
    assert minutes(3700) == "1:01:40"
    assert line("a", 0, 10, 0, 1.0, {}) == "a  0/10"
