from xml.etree import ElementTree

import pytest

from falconet.graph import Draft, NetSpec
from falconet.graph.ops import Add, Concat, Conv, DepthwiseConv, EdgeConv, PReLU, Resize, Slice
from falconet.graph.spec import Layer
from falconet.report.drawing import MAX_ROWS, describe, draw_network, folded, network_rows


def test_rows_join_followers_and_name_their_sources(network: NetSpec) -> None:
    rows = network_rows(network)
    words = [row.words for row in rows]
    assert words[:4] == ["input x", "conv 3×3, PReLU", "conv 3×3, PReLU", "add"]
    assert words[-4:] == ["repeat ×4", "add", "pixel shuffle ×2", "output"]
    assert rows[3].sources == (2, 1), "a residual block adds its own output to its input"
    assert rows[words.index("repeat ×4")].sources == (0,), "the global skip starts at the input"
    assert [row.block for row in rows[2:4]] == ["b0", "b0"]
    assert sum(row.share for row in rows) == pytest.approx(1.0)


def test_shares_are_those_of_the_multiply_accumulates() -> None:
    draft = Draft(x=2)
    spec = draft.build(draft.chain([("a", Conv(2)), ("b", Conv(6))], "x"))  # 9*2*2 and 9*2*6 a pixel: 1 to 3
    assert [row.share for row in network_rows(spec)] == pytest.approx([0, 0.25, 0.75, 0])


def test_an_activation_that_shares_its_input_keeps_its_own_row() -> None:
    draft = Draft(x=1)
    y = draft.layer("conv", Conv(4), "x")
    act = draft.layer("act", PReLU(), y)
    spec = draft.build(
        draft.layer("sum", Add(), y, act)
    )  # written on the row of conv it would hide which value is added
    assert [row.words for row in network_rows(spec)] == ["input x", "conv 3×3", "PReLU", "add", "output"]


def test_several_inputs_and_outputs_are_all_drawn() -> None:
    draft = Draft(left=1, right=3)
    both = draft.concat("both", a="left", b="right")
    one, two = draft.layer("one", Conv(4), both), draft.layer("two", Conv(2), both)
    words = [row.words for row in network_rows(draft.build(one, two))]
    assert words == ["input left", "input right", "concat", "conv 3×3", "conv 3×3", "output", "output"]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Layer("a", Conv(8, 5, stride=2), ("x",)), "conv 5×5 stride 2"),
        (Layer("a", Conv(8, groups=4), ("x",)), "conv 3×3 4 groups"),
        (Layer("a", DepthwiseConv(), ("x",)), "depthwise conv 3×3"),
        (Layer("a", EdgeConv("sobel_x"), ("x",)), "edge filter sobel x"),
        (Layer("a", Resize(2, "bilinear"), ("x",)), "resize ×2 bilinear"),
        (Layer("a", Slice(0, 4), ("x",)), "slice 0…4"),
        (Layer("a", Concat(("p", "q")), ("x", "x")), "concat"),
        (Layer("a", Conv(8), ("x",), weights="b"), "conv 3×3 (weights of b)"),
    ],
)
def test_operators_in_words(layer: Layer, words: str) -> None:
    assert describe(layer) == words


def test_a_drawing_is_one_svg_with_a_bar_a_row_and_arcs_for_skips(network: NetSpec) -> None:
    svg = ElementTree.fromstring(draw_network(network))
    boxes = next(group for group in svg.iter("g") if group.get("class") == "boxes")
    assert [text.text for text in boxes.iter("text")] == ["b0", "b1", "b2", "b3"]
    rows = network_rows(network)
    bars = [box for box in svg.iter("rect") if box.get("class") == "bar"]
    assert len(bars) == len(rows)
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert max(widths) == widths[1] and widths[0] < widths[-3] < widths[1], "1, 4 and 16 channels: wider each"
    skips = sum(source != at - 1 for at, row in enumerate(rows) for source in row.sources)
    assert len(list(svg.iter("path"))) == skips == 6
    assert svg.get("aria-label", "").startswith("Drawing of a network of 10 layers: input x; conv 3×3, PReLU")


def test_a_deep_network_is_folded_into_its_blocks() -> None:
    block = Draft(x=4)
    inner = block.build(block.chain([("a", Conv(4)), ("b", Conv(4)), ("c", Conv(4))], "x"))
    draft = Draft(x=4)
    spec = draft.build(draft.chain([(f"b{i}", inner) for i in range(30)], "x"))
    rows = network_rows(spec)
    assert len(rows) > MAX_ROWS
    short = folded(rows)
    assert len(short) == 32
    assert short[1].words == "b0: 3 layers"
    assert sum(row.share for row in short) == pytest.approx(1.0)
    assert [row.sources for row in short[1:]] == [(i,) for i in range(31)]
    assert draw_network(spec).count('class="bar"') == 32
