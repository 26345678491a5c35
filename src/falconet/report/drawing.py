"""A network drawn as SVG: one row a layer, a bar as wide as its channels, skips as arcs at the left, blocks as boxes.

    input        |        1 channel
    head.conv  |||||||    conv 3x3, PReLU      16 channels     12 % of the work
    ...

An operator without weights of its own that only follows another (an activation, a normalization) is written on its
row. Layers whose dotted names share their beginning (`b3.conv`, `b3.act`) came from one nested NetSpec and stand in one
box; a network of more than MAX_ROWS rows is drawn with a row for each box. Left out on purpose: weights, and layouts
for graphs that are not mostly a chain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

from falconet.graph import NetSpec, flatten
from falconet.graph.cost import layer_costs
from falconet.graph.spec import Layer
from falconet.report.chart import put, to_markup, write
from falconet.report.words import amount, plural

MAX_ROWS = 60
WIDTH = 520
ROW = 30
BAR_MIDDLE, BAR_WIDEST = 128, 120
TEXT_LEFT, SHARE_LEFT, SHARE_WIDTH = 204, 420, 60
ACTIVATIONS = frozenset({"PReLU", "ReLU", "LeakyReLU", "HardSwish", "Sigmoid", "HardSigmoid", "Tanh", "Clip"})
FOLLOWERS = ACTIVATIONS | {"BatchNorm", "Scale", "Identity", "Dropout"}
"""Operators that are written on the row of the layer they follow."""
NAMES = {
    "Conv": "conv",
    "DepthwiseConv": "depthwise conv",
    "TransposedConv": "transposed conv",
    "EdgeConv": "edge filter",
    "BatchNorm": "batch norm",
} | {name: name for name in ACTIVATIONS}
"""Words for operators where the class name split at its capitals would not do."""


@dataclass(frozen=True)
class Row:
    """One row: the layers in it (names), words for them, output channels, share of all MACs, rows it reads from."""

    names: tuple[str, ...]
    words: str
    channels: int
    share: float
    sources: tuple[int, ...]
    block: str = ""
    kind: str = "layer"


def draw_network(spec: NetSpec, size: tuple[int, int] = (64, 64)) -> Markup:
    """An SVG of the network, its work counted on inputs of (height, width) `size`."""
    rows = network_rows(spec, size)
    if len(rows) > MAX_ROWS:
        rows = folded(rows)
    tops = _tops(rows)
    height = tops[-1] + ROW + 14
    label = f"Drawing of a network of {plural(len(spec.layers), 'layer')}: " + "; ".join(row.words for row in rows)
    svg = Element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {height}",
            "width": str(WIDTH),
            "height": str(height),
            "role": "img",
            "class": "network",
            "aria-label": label,
        },
    )
    _draw_boxes(svg, rows, tops)
    _draw_edges(svg, rows, tops)
    widest = max(row.channels for row in rows)
    for row, top in zip(rows, tops, strict=True):
        _draw_row(svg, row, top, widest)
    return to_markup(svg)


def network_rows(spec: NetSpec, size: tuple[int, int] = (64, 64)) -> list[Row]:
    """The rows of the drawing, inputs first and outputs last."""
    flat = flatten(spec)
    work = {one.name: one for one in layer_costs(flat, size)}
    total = max(1, sum(one.macs for one in work.values()))
    readers = {name: sum(name in layer.inputs for layer in flat.layers) for name in _names(flat)}
    rows = [Row((i.name,), f"input {i.name}", i.channels, 0.0, (), kind="input") for i in flat.inputs]
    home = {i.name: at for at, i in enumerate(flat.inputs)}
    for layer in flat.layers:
        before = home[layer.inputs[0]]
        words, channels = describe(layer), work[layer.name].output[0]
        if _follows(layer, rows[before], readers, flat):
            old = rows[before]
            share = old.share + work[layer.name].macs / total
            names, words = (*old.names, layer.name), f"{old.words}, {words}"
            rows[before] = replace(old, names=names, words=words, channels=channels, share=share)
            home[layer.name] = before
            continue
        sources = tuple(dict.fromkeys(home[name] for name in layer.inputs))
        block = layer.name.rpartition(".")[0].split(".")[0]
        home[layer.name] = len(rows)
        rows.append(Row((layer.name,), words, channels, work[layer.name].macs / total, sources, block))
    for name in flat.outputs:
        rows.append(Row((name,), "output", rows[home[name]].channels, 0.0, (home[name],), kind="output"))
    return rows


def _names(flat: NetSpec) -> list[str]:
    return [*(i.name for i in flat.inputs), *(layer.name for layer in flat.layers)]


def _follows(layer: Layer, row: Row, readers: Mapping[str, int], flat: NetSpec) -> bool:
    """Whether the layer may be written on `row`: it takes only the row's last value, which nothing else reads."""
    last = row.names[-1]
    alone = readers[last] == 1 and last not in flat.outputs
    return type(layer.op).__name__ in FOLLOWERS and layer.inputs == (last,) and alone and row.kind == "layer"


def describe(layer: Layer) -> str:
    """A layer's operator in words: "conv 3×3", "conv 5×5 stride 2", "pixel shuffle ×2", or its class and settings."""
    op = layer.op
    settings = {} if isinstance(op, NetSpec) else {field.name: getattr(op, field.name) for field in fields(op)}  # type: ignore[arg-type]
    kind = type(op).__name__
    words = [NAMES.get(kind) or _spaced(kind)]
    if "kernel" in settings:
        words.append(f"{settings['kernel']}×{settings['kernel']}")
    if settings.get("stride", 1) != 1:
        words.append(f"stride {settings['stride']}")
    if kind == "Conv" and settings["groups"] != 1:
        words.append(f"{settings['groups']} groups")
    words += [f"×{settings[name]}" for name in ("factor", "times") if name in settings]
    words += [str(settings[name]).replace("_", " ") for name in ("mode", "kind") if name in settings]
    if kind == "Slice":
        words.append(f"{settings['start']}…{settings['stop']}")
    if layer.weights:
        words.append(f"(weights of {layer.weights})")
    return " ".join(words)


def _spaced(kind: str) -> str:
    """ "PixelShuffle" as "pixel shuffle"; names of activations stay as papers write them."""
    if kind in FOLLOWERS:
        return kind
    return "".join(f" {c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(kind))


def folded(rows: Sequence[Row]) -> list[Row]:
    """The rows with each box of neighbours drawn as one row."""
    groups: list[list[int]] = []
    for at, row in enumerate(rows):
        if groups and row.block and rows[groups[-1][-1]].block == row.block:
            groups[-1].append(at)
        else:
            groups.append([at])
    home = {at: new for new, group in enumerate(groups) for at in group}
    found = []
    for new, group in enumerate(groups):
        first, last = rows[group[0]], rows[group[-1]]
        sources = tuple(dict.fromkeys(home[s] for at in group for s in rows[at].sources if home[s] != new))
        names = tuple(name for at in group for name in rows[at].names)
        words = first.words if len(group) == 1 else f"{first.block}: {plural(len(names), 'layer')}"
        share = sum(rows[at].share for at in group)
        found.append(Row(names, words, last.channels, share, sources, kind="block" if len(group) > 1 else first.kind))
    return found


def _tops(rows: Sequence[Row]) -> list[int]:
    """The top of each row; a box leaves room for its frame and its name. A block of one row needs no box."""
    tops, at = [], 8
    boxed = [_is_boxed(rows, i) for i in range(len(rows))]
    for i, row in enumerate(rows):
        if i and row.block != rows[i - 1].block:
            at += 6 * boxed[i - 1] + 18 * boxed[i]
        tops.append(at)
        at += ROW
    return tops


def _is_boxed(rows: Sequence[Row], at: int) -> bool:
    """Whether a neighbour of the row is of the same block."""
    near = [rows[i].block for i in (at - 1, at + 1) if 0 <= i < len(rows)]
    return bool(rows[at].block) and rows[at].block in near


def _draw_boxes(svg: Element, rows: Sequence[Row], tops: Sequence[int]) -> None:
    group = SubElement(svg, "g", {"class": "boxes"})
    start = 0
    for i in range(1, len(rows) + 1):
        if i < len(rows) and rows[i].block == rows[start].block:
            continue
        if rows[start].block and i - start > 1:
            top, bottom = tops[start] - 15, tops[i - 1] + ROW + 2
            put(group, "rect", {"x": 58, "y": top, "width": WIDTH - 60, "height": bottom - top, "rx": 8})
            write(group, TEXT_LEFT, top + 12, rows[start].block)
        start = i


def _draw_edges(svg: Element, rows: Sequence[Row], tops: Sequence[int]) -> None:
    """Straight lines to the next row; arcs at the left for everything that skips one."""
    group = SubElement(svg, "g", {"class": "edges"})
    lanes: list[int] = []  # the row at which each lane becomes free
    for at in range(1, len(rows)):
        if at - 1 in rows[at].sources:
            ends = {"x1": BAR_MIDDLE, "x2": BAR_MIDDLE, "y1": tops[at - 1] + ROW - 6, "y2": tops[at] + 4}
            put(group, "line", ends)
    for source, at in sorted(_skips(rows), key=lambda edge: (edge[0], -edge[1])):
        lane = next((i for i, free in enumerate(lanes) if free <= source), len(lanes))
        lanes[lane : lane + 1] = [at]
        SubElement(group, "path", {"d": _arc(max(6, 48 - 11 * lane), tops[source] + 19, tops[at] + 11)})


def _skips(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """(from, to) of every edge that does not lead to the next row."""
    return [(source, at) for at, row in enumerate(rows) for source in row.sources if at != source + 1]


def _arc(left: int, top: int, bottom: int) -> str:
    """The path that leaves the middle of one bar, runs down at `left` and ends in the middle of another."""
    down = f"M{BAR_MIDDLE} {top}H{left + 8}Q{left} {top} {left} {top + 8}"
    return f"{down}V{bottom - 8}Q{left} {bottom} {left + 8} {bottom}H{BAR_MIDDLE}"


def _draw_row(svg: Element, row: Row, top: int, widest: int) -> None:
    group = SubElement(svg, "g", {"class": f"row row-{row.kind}", "data-tip": "\n".join(row.names[:6])})
    width = max(10.0, BAR_WIDEST * (row.channels / widest) ** 0.5)
    place = {"x": BAR_MIDDLE - width / 2, "y": top + 4, "width": width, "height": ROW - 10, "rx": 5}
    put(group, "rect", place, "bar")
    write(group, BAR_MIDDLE, top + 19, amount(row.channels), "middle", "channels")
    write(group, TEXT_LEFT, top + 19, _cut(row.words, 34))
    if row.share > 0:
        place = {"x": SHARE_LEFT, "y": top + 10, "height": 7, "rx": 3.5}
        put(group, "rect", place | {"width": SHARE_WIDTH}, "share-all")
        put(group, "rect", place | {"width": max(2.0, SHARE_WIDTH * row.share)}, "share")
        words = f"{row.share:.0%}" if row.share >= 0.005 else "<1%"
        write(group, WIDTH - 6, top + 18, words, "end", "percent")


def _cut(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"
