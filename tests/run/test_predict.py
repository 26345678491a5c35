import numpy as np
import pytest

from falconet.graph import Conv, Draft, NetSpec, PixelShuffle, PReLU, ReLU
from falconet.run.predict import LatencyLine, TimedNetwork, features, fit_line, measure_line


def plain(width: int, depth: int, activation: ReLU | PReLU = ReLU()) -> NetSpec:  # noqa: B008 (a frozen value)
    d = Draft(x=1)
    y = "x"
    for n in range(depth):
        y = d.layer(f"act{n}", activation, d.layer(f"conv{n}", Conv(width), y))
    return d.build(d.layer("up", PixelShuffle(2), d.layer("tail", Conv(4), y)))


def test_features_are_counted_on_the_fused_network() -> None:
    # 10x20 pixels: head 8 values a pixel, tail 4, shuffled 4; ReLU is part of the convolution before it
    assert features(plain(8, 1), [(10, 20)]) == (1.0, (9 * 8 + 9 * 8 * 4) * 200 / 1e9, 16 * 200 / 1e6)
    assert features(plain(8, 1, PReLU()), [(10, 20)])[2] == 24 * 200 / 1e6


def test_a_line_is_found_again() -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([np.ones(12), rng.uniform(0.1, 6, 12), rng.uniform(1, 90, 12)])
    assert fit_line(rows, rows @ [0.5, 30.0, 0.2]) == pytest.approx([0.5, 30.0, 0.2])


def test_no_weight_is_negative_so_that_more_never_costs_less() -> None:
    rng = np.random.default_rng(1)
    rows = np.column_stack([np.ones(12), rng.uniform(0.1, 6, 12), rng.uniform(1, 90, 12)])
    weights = fit_line(rows, rows @ [0.5, 30.0, -0.05] + 5)
    assert (weights >= 0).all()
    assert weights[2] == 0


def test_prediction_and_its_error() -> None:
    timed = tuple(
        TimedNetwork(network=str(n), measured_ms=10.0, predicted_ms=ms) for n, ms in enumerate((9.0, 11.5, 10.2))
    )
    fitted = LatencyLine(start=1.0, per_gmac=1000.0, per_mvalue=0.0, sizes=((10, 20),), timed=timed)
    assert fitted.predict(plain(8, 1)) == pytest.approx(1 + 1000 * (9 * 8 + 9 * 8 * 4) * 200 / 1e9)
    assert fitted.median_error == pytest.approx(0.1)
    assert LatencyLine.model_validate_json(fitted.model_dump_json()) == fitted


def test_measured_networks_make_a_line() -> None:
    specs = {f"{width}x{depth}": plain(width, depth) for width in (4, 16) for depth in (1, 4)}
    found = measure_line(specs, ((48, 64),), max_seconds=0.5)
    assert [one.network for one in found.timed] == [spec.digest for spec in specs.values()]
    assert all(one.measured_ms > 0 and one.predicted_ms >= 0 for one in found.timed)
    assert found.predict(specs["16x4"]) > found.predict(specs["4x1"])
    assert found.runtime.startswith("onnxruntime")
