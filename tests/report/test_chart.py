import math
from xml.etree import ElementTree

import pytest

from falconet.report.chart import (
    Frame,
    Plot,
    Point,
    finish,
    labels,
    level,
    linear_axis,
    log_axis,
    points,
    start,
    tick_step,
)

FRAME = Frame(400, 300)


def plot(xs: tuple[float, ...] = (1e9, 6e9), ys: tuple[float, ...] = (36.0, 37.0)) -> Plot:
    return start(log_axis("MACs", xs, str), linear_axis("PSNR", ys, str), FRAME, "Title", "what it shows")


def test_places_follow_the_axes() -> None:
    chart = plot()
    left, low = chart.place(chart.x.low, chart.y.low)
    right, high = chart.place(chart.x.high, chart.y.high)
    assert (left, low) == pytest.approx((FRAME.left, FRAME.height - FRAME.bottom))
    assert (right, high) == pytest.approx((FRAME.width - FRAME.right, FRAME.top))
    middle, _ = chart.place(math.sqrt(chart.x.low * chart.x.high), 36)  # half-way on a logarithmic axis
    assert middle == pytest.approx((left + right) / 2)


@pytest.mark.parametrize(("rough", "step"), [(0.3, 0.5), (0.5, 0.5), (1.1, 2), (7, 10), (0.011, 0.02)])
def test_ticks_stand_at_one_two_five(rough: float, step: float) -> None:
    assert tick_step(rough) == pytest.approx(step)


@pytest.mark.parametrize("values", [(36.0, 37.0), (5.0, 5.0), (-0.2, 0.9), (0.0, 1e9)])
def test_linear_ticks_lie_on_the_axis(values: tuple[float, float]) -> None:
    axis = linear_axis("", values, str)
    assert 2 <= len(axis.ticks) <= 12
    assert all(axis.holds(value) for value, _ in axis.ticks)
    assert all(axis.holds(value) for value in values)


@pytest.mark.parametrize("values", [(1e9, 6e9), (2.3e9, 6.1e11), (5.0, 5.0), (1e3, 1e12)])
def test_logarithmic_ticks_are_few_and_lie_on_the_axis(values: tuple[float, float]) -> None:
    axis = log_axis("", values, str)
    assert len(axis.ticks) <= 12
    assert all(axis.holds(value) for value, _ in axis.ticks)
    assert all(axis.holds(value) for value in values)


def test_marks_outside_the_axes_are_counted_and_not_drawn() -> None:
    chart = plot()
    outside = points(chart, [Point(2e9, 36.5, "in"), Point(2e9, 12.0, "below"), Point(9e12, 36.5, "right")], "search")
    assert outside == 2
    assert [mark.get("data-tip") for mark in chart.svg.iter("circle")] == ["in"]


def test_labels_keep_out_of_each_others_way() -> None:
    chart = plot()
    marks = [
        Point(2e9, 36.5, "", "first name"),
        Point(2.1e9, 36.52, "", "second name"),
        Point(1.9e9, 36.48, "", "third"),
    ]
    points(chart, marks, "chosen", "diamond", 5)
    before = len(chart.taken)
    labels(chart, marks, "chosen")
    written = chart.taken[before:]
    assert len(written) == 3
    for i, a in enumerate(written):
        for b in written[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], f"{a} and {b} overlap"
    assert all(left >= 0 and right <= FRAME.width for left, _, right, _ in written)


def test_a_level_off_the_axis_is_not_drawn() -> None:
    chart = plot()
    assert level(chart, 36.4, "bicubic", "baseline")
    assert not level(chart, 33.7, "bicubic", "baseline")


def test_text_from_strangers_stays_text() -> None:
    chart = plot()
    points(chart, [Point(2e9, 36.5, '"><script>alert(1)</script>', "<b>name</b>")], "chosen")
    labels(chart, [Point(2e9, 36.5, "", "<b>name</b>")], "chosen")
    text = finish(chart)
    assert "<script" not in text and "<b>" not in text
    tips = [mark.get("data-tip") for mark in ElementTree.fromstring(text).iter("circle")]
    assert tips == ['"><script>alert(1)</script>']


def test_a_drawing_says_what_it_shows_to_those_who_cannot_see_it() -> None:
    svg = ElementTree.fromstring(finish(plot()))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "Title. what it shows"
