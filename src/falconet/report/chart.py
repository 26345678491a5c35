"""Charts as SVG text: axes, points, lines, labels that keep out of each other's way. Knows nothing of runs or networks.

An axis maps values to 0..1; a `Plot` is an SVG element being drawn, with its two axes and its frame:

    plot = start(log_axis("MACs", [1e9, 6e9], words), linear_axis("PSNR", [36, 37], words), Frame(720, 400), "Front")
    points(plot, [Point(2e9, 36.5, "trial 7")], "search")
    html = finish(plot)

Colours come from the page's style sheet by class (`series-search`), so one drawing serves light, dark and paper. Text
is put in by ElementTree, which escapes it. Left out on purpose: bars, pies, animation, anything that needs a script.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

Shape = Literal["circle", "square", "diamond", "triangle"]
Anchor = Literal["start", "middle", "end"]
CHARACTER_WIDTH = 7.0  # of 12 px system fonts, on the wide side
LINE_HEIGHT = 14.0


@dataclass(frozen=True)
class Axis:
    """A range of values, linear or logarithmic, and where its ticks stand."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        """Whether the value lies on the axis."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Frame:
    """The size of a drawing in pixels, and the margins around its plot."""

    width: int
    height: int
    left: int = 54
    right: int = 16
    top: int = 12
    bottom: int = 46


@dataclass(frozen=True)
class Point:
    """One mark: where it stands, what hovering over it says, and the label written beside it, if any."""

    x: float
    y: float
    tip: str
    label: str = ""


Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Plot:
    """An SVG being drawn. `taken` are the boxes that labels must keep clear of."""

    svg: Element
    x: Axis
    y: Axis
    frame: Frame
    taken: list[Box] = field(default_factory=list)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The pixel at which (x, y) stands."""
        frame = self.frame
        across = frame.width - frame.left - frame.right
        down = frame.height - frame.top - frame.bottom
        return frame.left + across * self.x.at(x), frame.top + down * (1 - self.y.at(y))


def linear_axis(
    label: str, values: Sequence[float], words: Callable[[float], str], num_ticks: int = 5, headroom: float = 0.06
) -> Axis:
    """An axis a little wider than `values`, with ticks at 1, 2 or 5 times a power of ten.

    `headroom` is the share of the range left free at the high end, for a name written there.
    """
    low, high = min(values), max(values)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    low, high = low - 0.06 * (high - low), high + headroom * (high - low)
    step = tick_step((high - low) / num_ticks)
    first = math.ceil(low / step)
    ticks = [round(k * step, 12) for k in range(first, math.floor(high / step) + 1)]
    return Axis(label, low, high, tuple((tick, words(tick)) for tick in ticks))


def tick_step(rough: float) -> float:
    """The least of 1, 2, 5, 10 times a power of ten that is not below `rough`: tick_step(0.3) is 0.5."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9))


def log_axis(label: str, values: Sequence[float], words: Callable[[float], str], num_ticks: int = 6) -> Axis:
    """A logarithmic axis a little wider than `values` (all above zero), with a few round ticks in each decade."""
    low, high = min(values), max(values)
    room = max((high / low) ** 0.06, 1.08)
    low, high = low / room, high * room
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        if len(ticks) <= num_ticks:
            break
    return Axis(label, low, high, tuple((tick, words(tick)) for tick in ticks), log=True)


def start(x: Axis, y: Axis, frame: Frame, title: str, description: str = "") -> Plot:
    """A plot with its grid, ticks and axis labels drawn. `title` and `description` are read out by screen readers."""
    svg = Element(
        "svg",
        {
            "viewBox": f"0 0 {frame.width} {frame.height}",
            "width": str(frame.width),
            "height": str(frame.height),
            "role": "img",
            "aria-label": f"{title}. {description}".strip(),
            "class": "plot",
        },
    )
    plot = Plot(svg, x, y, frame)
    right, bottom = frame.width - frame.right, frame.height - frame.bottom
    grid = SubElement(svg, "g", {"class": "grid"})
    for value, words in y.ticks:
        _, height = plot.place(x.low, value)
        _line(grid, frame.left, height, right, height)
        write(grid, frame.left - 8, height + 4, words, "end")
    for value, words in x.ticks:
        across, _ = plot.place(value, y.low)
        _line(grid, across, frame.top, across, bottom)
        write(grid, across, bottom + 17, words, "middle")
    _line(SubElement(svg, "g", {"class": "axis"}), frame.left, bottom, right, bottom)
    names = SubElement(svg, "g", {"class": "axis-name"})
    write(names, right, bottom + 37, f"{x.label} →", "end")
    if y.label:
        write(names, frame.left + 6, frame.top + 6, f"↑ {y.label}", "start")
    plot.taken.append((frame.left, frame.top - 8, frame.left + 14 + _width(f"↑ {y.label}"), frame.top + 12))
    return plot


def points(plot: Plot, marks: Iterable[Point], series: str, shape: Shape = "circle", radius: float = 3) -> int:
    """Draw marks of one series; return how many lie outside the axes and were left out.

    Labels are placed afterwards with `labels`, when all marks are known.
    """
    group = SubElement(plot.svg, "g", {"class": f"series series-{series}", "data-series": series})
    outside = 0
    for mark in marks:
        if not (plot.x.holds(mark.x) and plot.y.holds(mark.y)):
            outside += 1
            continue
        across, height = plot.place(mark.x, mark.y)
        _mark(group, shape, across, height, radius).set("data-tip", mark.tip)
        if mark.label:
            plot.taken.append((across - radius - 1, height - radius - 1, across + radius + 1, height + radius + 1))
    return outside


def labels(plot: Plot, marks: Sequence[Point], series: str, radius: float = 6) -> None:
    """Write each mark's label beside it, highest mark first: right, left, above or below, where nothing stands yet."""
    group = SubElement(plot.svg, "g", {"class": f"series series-{series} labels", "data-series": series})
    for mark in sorted(marks, key=lambda mark: -mark.y):
        if not mark.label or not (plot.x.holds(mark.x) and plot.y.holds(mark.y)):
            continue
        width = _width(mark.label)
        places = _places(*plot.place(mark.x, mark.y), radius + 5)
        boxes = [(_left(across, width, anchor), top, anchor) for across, top, anchor in places]
        left, top, anchor = min(boxes, key=lambda box: _crowding(plot, (box[0], box[1], box[0] + width, box[1] + 13)))
        plot.taken.append((left, top, left + width, top + 13))
        across = {"start": left, "middle": left + width / 2, "end": left + width}[anchor]
        write(group, across, top + LINE_HEIGHT - 3.5, mark.label, anchor)


def _places(across: float, height: float, gap: float) -> list[tuple[float, float, Anchor]]:
    """Where a label may stand around a mark: (x of its anchor, top, anchor), the best places first."""
    middle, above, below = height - LINE_HEIGHT / 2, height - gap - LINE_HEIGHT, height + gap
    near = gap * 0.7
    return [
        (across + gap, middle, "start"),
        (across - gap, middle, "end"),
        (across, above, "middle"),
        (across, below, "middle"),
        (across + near, above + 3, "start"),
        (across + near, below - 5, "start"),
        (across - near, above + 3, "end"),
        (across - near, below - 5, "end"),
    ]


def _left(across: float, width: float, anchor: Anchor) -> float:
    return across - {"start": 0.0, "middle": width / 2, "end": width}[anchor]


def line(plot: Plot, corners: Sequence[tuple[float, float]], series: str, step: bool = False) -> None:
    """Draw a line through (x, y) corners; with `step` it goes along x first, as a best-so-far or a front does."""
    group = SubElement(plot.svg, "g", {"class": f"series series-{series}", "data-series": series})
    path: list[str] = []
    before: tuple[float, float] | None = None
    for x, y in corners:
        across, height = plot.place(x, min(max(y, plot.y.low), plot.y.high))
        if before is None:
            path.append(f"M{across:.1f} {height:.1f}")
        elif step:
            path.append(f"H{across:.1f}V{height:.1f}")
        else:
            path.append(f"L{across:.1f} {height:.1f}")
        before = (across, height)
    SubElement(group, "path", {"class": "line", "d": "".join(path)})


def level(plot: Plot, y: float, words: str, series: str) -> bool:
    """Draw a dashed line across the plot at `y` with words on it; return False when `y` is off the axis."""
    if not plot.y.holds(y):
        return False
    group = SubElement(plot.svg, "g", {"class": f"series series-{series} labels", "data-series": series})
    right = plot.frame.width - plot.frame.right
    _, height = plot.place(plot.x.low, y)
    _line(group, plot.frame.left, height, right, height, "dashed")
    write(group, right - 4, height - 5, words, "end")
    plot.taken.append((right - 4 - _width(words), height - 5 - LINE_HEIGHT, right, height + 1))
    return True


def arrow(plot: Plot, start_at: tuple[float, float], end_at: tuple[float, float], series: str) -> None:
    """Draw a thin line from one place to another: what training made of a network."""
    group = SubElement(plot.svg, "g", {"class": f"series series-{series}", "data-series": series})
    corners = [plot.place(x, min(max(y, plot.y.low), plot.y.high)) for x, y in (start_at, end_at)]
    _line(group, *corners[0], *corners[1], "link")


def whisker(plot: Plot, low: float, high: float, y: float, series: str) -> None:
    """Draw a confidence interval along x at height `y`."""
    group = SubElement(plot.svg, "g", {"class": f"series series-{series}", "data-series": series})
    left, height = plot.place(max(low, plot.x.low), y)
    right, _ = plot.place(min(high, plot.x.high), y)
    _line(group, left, height, right, height, "whisker")


def row_label(plot: Plot, y: float, words: str, below: str) -> None:
    """Write two lines to the left of the plot at height `y`: the name of a row, and what it is about."""
    _, height = plot.place(plot.x.low, y)
    group = SubElement(plot.svg, "g", {"class": "row-name"})
    write(group, plot.frame.left - 12, height - 2, words, "end")
    write(group, plot.frame.left - 12, height + 12, below, "end")


def finish(plot: Plot) -> Markup:
    """The drawing as text that may stand in an HTML page."""
    return to_markup(plot.svg)


def to_markup(svg: Element) -> Markup:
    """An SVG element as text; ElementTree has escaped everything in it."""
    return Markup(ElementTree.tostring(svg, encoding="unicode"))


def _crowding(plot: Plot, box: Box) -> float:
    """How much of `box` lies on what is written already, or outside the drawing: 0 for a good place."""
    left, top, right, bottom = box
    outside = max(0.0, plot.frame.left - left) + max(0.0, right - plot.frame.width + 2) + max(0.0, 2 - top)
    outside += max(0.0, bottom - (plot.frame.height - plot.frame.bottom))
    overlaps = (
        max(0.0, min(right, other[2]) - max(left, other[0])) * max(0.0, min(bottom, other[3]) - max(top, other[1]))
        for other in plot.taken
    )
    return outside * 100 + sum(overlaps)


def put(parent: Element, tag: str, place: Mapping[str, float], css: str = "") -> Element:
    """Add an element with numbers as attributes: put(svg, "rect", {"x": 1, "width": 2.5}, "bar")."""
    attributes = {name: f"{value:.1f}".removesuffix(".0") for name, value in place.items()}
    return SubElement(parent, tag, attributes | ({"class": css} if css else {}))


def write(parent: Element, across: float, height: float, words: str, anchor: Anchor = "start", css: str = "") -> None:
    """Add one line of text; `anchor` says which end of it stands at `across`."""
    text = put(parent, "text", {"x": across, "y": height}, css)
    if anchor != "start":
        text.set("text-anchor", anchor)
    text.text = words


def _mark(parent: Element, shape: Shape, across: float, height: float, radius: float) -> Element:
    if shape == "circle":
        return put(parent, "circle", {"cx": across, "cy": height, "r": radius})
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    }[shape]
    path = "L".join(f"{across + dx * radius:.1f} {height + dy * radius:.1f}" for dx, dy in corners)
    return SubElement(parent, "path", {"d": f"M{path}Z"})


def _line(parent: Element, left: float, top: float, right: float, bottom: float, css: str = "") -> None:
    put(parent, "line", {"x1": left, "y1": top, "x2": right, "y2": bottom}, css)


def _width(words: str) -> float:
    return CHARACTER_WIDTH * len(words)
