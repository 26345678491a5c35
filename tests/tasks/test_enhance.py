import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from falconet.errors import UserError
from falconet.tasks import Picture, SuperResolution
from falconet.tasks.degrade import enlarge
from falconet.tasks.enhance import enlarge_picture, tiles
from falconet.tasks.metrics import luma
from falconet.tasks.show import hardest_part, middle

REACH = 4


def network(channels: int, scale: int = 2):
    """A real, if untrained, network: four 3x3 convolutions on top of its input repeated; it reaches 4 pixels far."""
    torch.manual_seed(0)
    inner = [nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    body = nn.Sequential(*inner, nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, channels * scale**2, 3, padding=1))

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        (x,) = inputs
        return nn.functional.pixel_shuffle(x.repeat_interleave(scale**2, dim=1) + body(x), scale)

    return run


def photo(kind: str, bits: int, alpha: bool = False, height: int = 61, width: int = 83) -> Picture:
    pixels = skimage.data.astronaut()[40 : 40 + height, 180 : 180 + width].copy()
    pixels = pixels[..., :1] if kind == "grey" else pixels
    if bits == 16:
        noise = np.random.default_rng(0).integers(0, 257, pixels.shape)
        pixels = np.clip(pixels.astype(int) * 257 + noise, 0, 65535).astype(np.uint16)
    return Picture(
        np.ascontiguousarray(pixels), np.ascontiguousarray(pixels[::-1, :, 0]) if alpha else None, icc=b"icc"
    )


@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("colour", ["luma", "rgb"])
@pytest.mark.parametrize("tile", [7, 20, 64])
def test_no_pixel_can_tell_that_there_were_tiles(kind: str, colour: str, tile: int) -> None:
    picture = photo(kind, bits=16)  # 16 bits show differences of 1.5e-5
    run = network(1 if colour == "luma" else 3)
    whole = enlarge_picture(run, picture, 2, colour, margin=REACH, tile=1000)
    tiled = enlarge_picture(run, picture, 2, colour, margin=REACH, tile=tile)
    assert np.abs(whole.pixels.astype(int) - tiled.pixels).max() <= 1


def test_a_margin_too_small_shows() -> None:
    # The same comparison fails when it should: otherwise it would prove nothing.
    picture = photo("grey", bits=16)
    whole = enlarge_picture(network(1), picture, 2, "luma", margin=REACH, tile=1000)
    tiled = enlarge_picture(network(1), picture, 2, "luma", margin=0, tile=16)  # bicubic's own margin of 3 remains
    assert np.abs(whole.pixels.astype(int) - tiled.pixels).max() > 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("colour", ["luma", "rgb"])
@pytest.mark.parametrize("scale", [2, 3])
def test_the_mode_stays_and_bicubic_is_bicubic(bits: int, kind: str, alpha: bool, colour: str, scale: int) -> None:
    picture = photo(kind, bits, alpha)
    task = SuperResolution(scale=scale, colour=colour)
    large = task.enhance(task.baseline("bicubic"), picture, tile=32)
    assert (large.kind, large.bits, large.icc) == (kind, bits, b"icc")
    assert (large.height, large.width) == (picture.height * scale, picture.width * scale)
    # With bicubic for a network all is bicubic, but for the clipping of the luma before it is put back.
    difference = np.abs(large.pixels.astype(int) - enlarge(picture.pixels, scale))
    assert np.quantile(difference, 0.98) <= (1 if bits == 8 else 8)
    if alpha:
        np.testing.assert_array_equal(large.alpha, enlarge(picture.alpha, scale))
    else:
        assert large.alpha is None


def test_the_luma_is_the_networks_and_the_colour_is_bicubics() -> None:
    picture = photo("rgb", 8)
    run = network(1)
    large = enlarge_picture(run, picture, 2, "luma", margin=REACH).pixels / 255.0
    small = (luma(picture.pixels) / 255).astype(np.float32)
    expected = np.clip(run((torch.from_numpy(small)[None, None],))[0, 0].detach().numpy(), 0, 1)
    inside = ((large > 0.01) & (large < 0.99)).all(axis=2)  # where no channel was clipped
    assert inside.mean() > 0.5
    np.testing.assert_allclose((luma(large, peak=1.0) / 255)[inside], expected[inside], atol=1.5 / 255)
    bicubic = enlarge(picture.pixels.astype(float) / 255, 2)
    for a, b in ((0, 1), (1, 2)):  # differences of channels hold no luma
        ours, theirs = large[..., a] - large[..., b], bicubic[..., a] - bicubic[..., b]
        np.testing.assert_allclose(ours[inside], theirs[inside], atol=1.5 / 255)


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    enlarge_picture(
        network(1), photo("grey", 8), 2, "luma", tile=50, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_memory_is_that_of_a_tile() -> None:
    sizes = []

    def run(inputs: tuple[Tensor, ...]) -> Tensor:
        sizes.append(tuple(inputs[0].shape[2:]))
        return inputs[0].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    enlarge_picture(run, photo("rgb", 8, height=200, width=300), 2, "luma", margin=5, tile=40)
    assert max(sizes) == (50, 50)


def test_a_picture_of_one_pixel() -> None:
    picture = Picture(np.array([[[10, 200, 30]]], dtype=np.uint8))
    task = SuperResolution(scale=4)
    large = task.enhance(task.baseline("bicubic"), picture)
    assert large.pixels.shape == (4, 4, 3) and np.abs(large.pixels.astype(int) - picture.pixels).max() <= 1


def test_a_network_of_another_scale_is_noticed() -> None:
    with pytest.raises(UserError, match=r"at scale 2 .* 1 x 122 x 166 .* but made 1 x 183 x 249. Is the scale right"):
        enlarge_picture(network(1, scale=3), photo("grey", 8), 2, "luma")


def test_tiles_cover_the_picture_once() -> None:
    covered = np.zeros((23, 57), dtype=int)
    for inner, outer in tiles(23, 57, side=10, margin=4):
        inner.cut(covered)[...] += 1
        assert 0 <= outer.top <= inner.top and inner.bottom <= outer.bottom <= 23
        assert outer.left == max(0, inner.left - 4) and outer.right == min(57, inner.right + 4)
    assert (covered == 1).all()


def test_the_hardest_part_is_found_by_trying_all() -> None:
    rng = np.random.default_rng(0)
    for shape in ((30, 40), (30, 40, 3)):
        before, truth = rng.integers(0, 256, (2, *shape), dtype=np.uint8)
        part = hardest_part(before, truth, 12, 17)
        error = np.square(before.astype(float) - truth).reshape(30, 40, -1).sum(axis=2)
        totals = {(y, x): error[y : y + 12, x : x + 17].sum() for y in range(19) for x in range(24)}
        assert max(totals, key=lambda place: totals[place]) == (part.top, part.left)
    whole = hardest_part(before, truth, 100, 100)
    assert (whole.top, whole.bottom, whole.left, whole.right) == (0, 30, 0, 40)


def test_the_middle() -> None:
    part = middle(np.zeros((101, 40)), most=60, multiple=4)
    assert (part.top, part.bottom, part.left, part.right) == (20, 80, 0, 40)
