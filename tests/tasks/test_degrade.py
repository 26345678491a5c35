import time

import numpy as np
import pytest
from PIL import Image

from falconet.tasks.degrade import crop_to_multiple, cubic, enlarge, resize_bicubic, shrink, taps


def keys(x: float) -> float:
    """Keys' kernel, eq. 15, written out for a = -0.5."""
    x, a = abs(x), -0.5
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def direct(line: list[float], new_size: int) -> list[float]:
    """One line resized by the definition: a sum over the line, mirrored for ever at both ends."""
    size, scale = len(line), new_size / len(line)
    stretch = min(scale, 1.0)
    values = []
    for place in range(new_size):
        centre = (place + 0.5) / scale - 0.5
        total = weights = 0.0
        for index in range(-5 * size, 6 * size):
            mirrored = index % (2 * size)
            value = line[mirrored if mirrored < size else 2 * size - 1 - mirrored]
            weight = keys((centre - index) * stretch)
            total, weights = total + weight * value, weights + weight
        values.append(total / weights)
    return values


@pytest.mark.parametrize(
    ("size", "new_size"), [(12, 6), (12, 4), (9, 7), (7, 14), (5, 20), (70, 33), (3, 2), (1, 3), (40, 2)]
)
def test_lines_equal_the_definition(size: int, new_size: int) -> None:
    line = np.random.default_rng(size).uniform(0, 255, size)
    ours = resize_bicubic(line[None, :], 1, new_size)[0]
    np.testing.assert_allclose(ours, direct(line.tolist(), new_size), rtol=0, atol=1e-9)
    np.testing.assert_allclose(resize_bicubic(line[:, None], new_size, 1)[:, 0], ours, rtol=0, atol=1e-9)


def test_worked_example_halving() -> None:
    # Halving 4 to 2: weights -3 -9 29 111 111 29 -9 -3 of 256 over mirrored pixels 2 1 0 0 1 2 3 3.
    index, weight = taps(4, 2)
    assert index[0].tolist() == [2, 1, 0, 0, 1, 2, 3, 3]
    assert (weight[0] * 256).tolist() == [-3, -9, 29, 111, 111, 29, -9, -3]
    # 0 0 100 100: first = 100 * (-3 + 29 - 9 - 3) / 256 = 5.47, rounded 5; the second is its mirror image, 94.53.
    assert resize_bicubic(np.array([[0, 0, 100, 100]], dtype=np.uint8), 1, 2).tolist() == [[5, 95]]


def test_kernel_is_keys() -> None:
    x = np.linspace(-3, 3, 121)
    np.testing.assert_allclose(cubic(x), [keys(float(value)) for value in x], atol=1e-12)


def test_halves_round_up_whatever_the_block() -> None:
    # All pixels 1 and 2 in turn: every inner result is exactly 1.5.
    stripes = np.tile(np.array([1, 2], dtype=np.uint8), (6, 200))
    assert np.unique(shrink(stripes, 2)[:, 4:-4]).tolist() == [2]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_rounded_and_clipped_floats(dtype: type) -> None:
    peak = int(np.iinfo(dtype).max)
    pixels = (np.random.default_rng(0).random((37, 45, 3)) > 0.5).astype(dtype) * dtype(peak)  # overshoots everywhere
    for size in ((18, 22), (74, 90), (50, 31)):
        exact = resize_bicubic(pixels.astype(np.float64), *size)
        assert exact.min() < 0 and exact.max() > peak
        ours = resize_bicubic(pixels, *size)
        assert ours.dtype == dtype and ours.shape == (*size, 3)
        assert np.abs(ours - np.clip(exact, 0, peak)).max() <= 0.5 + 1e-6


def test_channels_are_resized_apart() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (80, 70, 3), dtype=np.uint8)
    for channel in range(3):
        np.testing.assert_array_equal(
            resize_bicubic(pixels, 33, 99)[..., channel], resize_bicubic(pixels[..., channel], 33, 99)
        )


def test_float32_stays_float32_and_agrees() -> None:
    pixels = np.random.default_rng(2).random((50, 60), dtype=np.float32)
    ours = enlarge(pixels, 3)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, enlarge(pixels.astype(np.float64), 3), atol=2e-6)


def test_same_size_is_a_copy() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    same = resize_bicubic(pixels, 3, 4)
    np.testing.assert_array_equal(same, pixels)
    same[0, 0] = 9
    assert pixels[0, 0] == 0


def test_pillow_agrees_away_from_the_edges() -> None:
    import skimage.data

    grey = skimage.data.camera().astype(np.float32)
    for size in (256, 170, 700):
        theirs = np.asarray(Image.fromarray(grey).resize((size, size), Image.Resampling.BICUBIC))
        inner = slice(16, -16)
        np.testing.assert_allclose(resize_bicubic(grey, size, size)[inner, inner], theirs[inner, inner], atol=1e-3)


def test_crop_to_multiple_takes_from_the_right_and_bottom() -> None:
    pixels = np.arange(35).reshape(5, 7)
    np.testing.assert_array_equal(crop_to_multiple(pixels, 3), pixels[:3, :6])


def test_a_large_picture_needs_little_memory_and_time() -> None:
    import tracemalloc

    pixels = np.zeros((3000, 2000, 3), dtype=np.uint8)
    tracemalloc.start()
    start = time.process_time()
    shrink(pixels, 2)
    seconds = time.process_time() - start
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1500 * 1000 * 3 + 20e6  # the result, and little more
    assert seconds < 5
