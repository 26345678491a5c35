import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falconet.errors import UserError
from falconet.tasks.images import Picture, list_pictures, read_picture, stored_size, write_picture, write_strips

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30, 4), dtype=np.uint16)


def saved(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def deep_png(path: Path, pixels: np.ndarray, filters: bool = False) -> Path:
    """A 16-bit PNG written by hand, by the specification; with `filters`, rows use all five filter types in turn."""
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    step, data = 2 * channels, b""
    above = np.zeros(rows.shape[1], dtype=int)
    for number, row in enumerate(rows):
        kind = number % 5 if filters else 0
        left = np.concatenate([np.zeros(step, dtype=int), row[:-step]])
        corner = np.concatenate([np.zeros(step, dtype=int), above[:-step]])
        guess = left + above - corner
        distances = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
        paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
        predicted = [0 * row, left, above, (left + above) // 2, paeth][kind]
        data += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def tiff_16(path: Path, pixels: np.ndarray, order: str = "<") -> Path:
    """An uncompressed 16-bit RGB TIFF written by hand: header, pixels, one directory."""
    height, width, _ = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    bits_at = 8 + len(data)
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, bits_at), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + packed
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, bits_at + 6)
    path.write_bytes(start + data + struct.pack(f"{order}HHH", 16, 16, 16) + directory + struct.pack(f"{order}I", 0))
    return path


def test_colour_and_grey(tmp_path: Path) -> None:
    colour = read_picture(saved(tmp_path / "a.png", RGB))
    assert (colour.kind, colour.bits, colour.alpha, colour.format, colour.notes) == ("rgb", 8, None, "PNG", ())
    np.testing.assert_array_equal(colour.pixels, RGB)
    grey = read_picture(saved(tmp_path / "b.bmp", RGB[..., 0]))
    assert (grey.kind, grey.bits, grey.height, grey.width, grey.format) == ("grey", 8, 20, 30, "BMP")
    np.testing.assert_array_equal(grey.pixels[..., 0], RGB[..., 0])


def test_alpha_comes_apart(tmp_path: Path) -> None:
    four = np.dstack([RGB, RGB[..., 1]])
    picture = read_picture(saved(tmp_path / "a.png", four))
    np.testing.assert_array_equal(picture.pixels, RGB)
    np.testing.assert_array_equal(picture.alpha, RGB[..., 1])
    two = RGB[..., :2].copy()
    picture = read_picture(saved(tmp_path / "b.png", two))
    assert picture.kind == "grey"
    np.testing.assert_array_equal(picture.alpha, two[..., 1])


def test_a_transparent_colour_becomes_alpha(tmp_path: Path) -> None:
    pixels = RGB.copy()
    pixels[3, 4] = (1, 2, 3)
    picture = read_picture(saved(tmp_path / "a.png", pixels, transparency=(1, 2, 3)))
    assert picture.alpha is not None and picture.alpha[3, 4] == 0 and picture.alpha[0, 0] == 255
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_palette_and_one_bit(tmp_path: Path) -> None:
    flat = np.repeat(RGB[:2, :2], 5, axis=0)
    picture = read_picture(saved(tmp_path / "a.png", flat, "P"))
    assert picture.kind == "rgb"
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.fromarray(flat).convert("P").convert("RGB")))
    picture = read_picture(saved(tmp_path / "b.png", RGB[..., 0], "1"))
    assert picture.kind == "grey" and set(np.unique(picture.pixels)) == {0, 255}
    image = Image.fromarray(flat).convert("P")
    image.save(tmp_path / "c.png", transparency=image.getpixel((0, 0)))
    picture = read_picture(tmp_path / "c.png")
    assert picture.kind == "rgb" and picture.alpha is not None and picture.alpha[0, 0] == 0


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("filters", [False, True])
def test_16_bit_png_is_exact(tmp_path: Path, channels: int, filters: bool) -> None:
    pixels = DEEP[..., :channels]
    picture = read_picture(deep_png(tmp_path / "a.png", pixels, filters))
    colours = 1 if channels <= 2 else 3
    assert picture.bits == 16 and picture.notes == ()
    np.testing.assert_array_equal(picture.pixels, pixels[..., :colours])
    if channels in (2, 4):
        np.testing.assert_array_equal(picture.alpha, pixels[..., -1])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_png_round_trip_as_pillow_sees_it(tmp_path: Path, channels: int) -> None:
    alpha = np.ascontiguousarray(DEEP[..., 3]) if channels in (2, 4) else None
    picture = Picture(np.ascontiguousarray(DEEP[..., : 1 if channels <= 2 else 3]), alpha, icc=b"a profile")
    path = write_picture(picture, tmp_path / "a.png")
    again = read_picture(path)
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (alpha is None) and again.icc == b"a profile"
    if alpha is not None:
        np.testing.assert_array_equal(again.alpha, alpha)
    if channels >= 3:
        with Image.open(path) as image:  # the high bytes
            np.testing.assert_array_equal(np.asarray(image)[..., :3], picture.pixels >> 8)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_colour_tiff_is_exact(tmp_path: Path, order: str) -> None:
    picture = read_picture(tiff_16(tmp_path / "a.tif", DEEP[..., :3], order))
    assert (picture.bits, picture.format) == (16, "TIFF")
    np.testing.assert_array_equal(picture.pixels, DEEP[..., :3])


@pytest.mark.parametrize("options", [{"predictor": True}, {"tile": (16, 16)}, {"extrasamples": ["unassalpha"]}])
def test_16_bit_compressed_tiff_of_another_library_is_exact(tmp_path: Path, options: dict[str, object]) -> None:
    tifffile = pytest.importorskip("tifffile")
    pixels = DEEP if "extrasamples" in options else DEEP[..., :3]
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression="zlib", **options)
    picture = read_picture(tmp_path / "a.tif")
    np.testing.assert_array_equal(picture.pixels, DEEP[..., :3])
    assert picture.alpha is None or (picture.alpha == DEEP[..., 3]).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_16_bit_colour_planes_are_refused(tmp_path: Path, compression: str | None) -> None:
    tifffile = pytest.importorskip("tifffile")
    planes = np.ascontiguousarray(DEEP[..., :3].transpose(2, 0, 1))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", compression=compression)
    with pytest.raises(UserError, match="separate colour planes are not supported"):
        read_picture(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bit_grey(tmp_path: Path, suffix: str) -> None:
    grey = DEEP[..., 0]
    picture = read_picture(saved(tmp_path / f"a{suffix}", grey))
    assert (picture.kind, picture.bits) == ("grey", 16)
    np.testing.assert_array_equal(picture.pixels[..., 0], grey)


def test_32_bit_pictures_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.tif", RGB[..., 0].astype(np.float32))
    with pytest.raises(UserError, match=r"a\.tif: 8 or 16 bits a value are supported, this picture has 32"):
        read_picture(path)


def test_cmyk_is_converted_and_says_so(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    picture = read_picture(saved(tmp_path / "a.jpg", flat, "CMYK", quality=95))
    assert picture.notes == ("converted from CMYK to RGB without colour management",)
    assert np.abs(picture.pixels.astype(int) - flat).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    # An upright picture with one bright corner, top left; stored turned so that the tag must turn it back.
    upright = np.zeros((32, 48), dtype=np.uint8)
    upright[:16, :16] = 255
    back = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
            6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.ascontiguousarray(back[orientation](upright))).save(path, exif=exif, quality=95)
    picture = read_picture(path)
    assert (picture.height, picture.width) == (32, 48)
    assert np.abs(picture.pixels[..., 0].astype(int) - upright).mean() < 3


def test_exif_rotation_of_16_bit_colour(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    data = deep_png(tmp_path / "a.png", DEEP[..., :3]).read_bytes()
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").pixels, np.rot90(DEEP[..., :3], -1))


def test_animations_give_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(RGB[..., channel]) for channel in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "a.gif")
    assert picture.notes == ("only the first of 2 frames is used",)
    np.testing.assert_array_equal(picture.pixels[..., 0], RGB[..., 0])


def _no_permission(*_: object) -> None:
    raise PermissionError("denied")


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    with pytest.raises(UserError, match=r"text\.png: not a picture, or of an unknown format"):
        read_picture(text)
    with pytest.raises(UserError, match=r"text\.png: not a picture"):
        stored_size(text)
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        read_picture(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match=r"this is a folder"):
        read_picture(tmp_path / "folder.png")
    with (
        pytest.raises(UserError, match=r"locked\.png: may not be read") as caught,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(Path, "open", _no_permission)
        text.rename(tmp_path / "locked.png")
        read_picture(tmp_path / "locked.png")
    assert isinstance(caught.value.__cause__, PermissionError)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=r"empty\.jpg: not a picture"):
        read_picture(tmp_path / "empty.jpg")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".gif", ".jp2"])
def test_files_cut_short(tmp_path: Path, suffix: str) -> None:
    big = RNG.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    whole = saved(tmp_path / f"whole{suffix}", big).read_bytes()
    for share in (0.02, 0.3, 0.7, 0.95):
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UserError, match=r"cut\.\w+: (not a picture|the file is damaged)"):
            read_picture(path)


def test_damaged_16_bit_png(tmp_path: Path) -> None:
    data = deep_png(tmp_path / "a.png", DEEP[..., :3]).read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged"):
        read_picture(tmp_path / "a.png")


def test_hundred_megapixels_are_read_and_bombs_refused(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "large.png")
    assert stored_size(tmp_path / "large.png") == (10_000, 10_000)
    assert read_picture(tmp_path / "large.png").pixels.shape == (10_000, 10_000, 1)
    Image.new("1", (14_000, 14_000)).save(tmp_path / "bomb.png")
    with pytest.raises(UserError, match=r"bomb\.png: more than 178 megapixels"):
        read_picture(tmp_path / "bomb.png")


def test_writing_never_overwrites(tmp_path: Path) -> None:
    picture = Picture(RGB)
    paths = [write_picture(picture, tmp_path / "new" / "a.png") for _ in range(3)]
    assert [path.name for path in paths] == ["a.png", "a-2.png", "a-3.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a-2.png", "a-3.png", "a.png"]  # nothing else


def test_writing_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr("falconet.tasks.images.os.link", refuse)
    paths = [write_picture(Picture(RGB), tmp_path / "a.png") for _ in range(2)]
    assert [path.name for path in paths] == ["a.png", "a-2.png"]
    np.testing.assert_array_equal(read_picture(paths[1]).pixels, RGB)


@pytest.mark.parametrize(
    ("suffix", "kind", "bits", "alpha", "expected"),
    [
        (".png", "rgb", 8, False, ".png"),
        (".jpg", "rgb", 8, False, ".jpg"),
        (".JPG", "grey", 8, False, ".JPG"),
        (".jpg", "rgb", 8, True, ".png"),
        (".jpg", "grey", 16, False, ".png"),
        (".tif", "grey", 16, False, ".tif"),
        (".tif", "rgb", 16, False, ".png"),
        (".tif", "rgb", 8, True, ".tif"),
        (".webp", "rgb", 8, True, ".webp"),
        (".bmp", "grey", 8, False, ".bmp"),
        (".gif", "rgb", 8, False, ".png"),
        ("", "rgb", 8, False, ".png"),
    ],
)
def test_format_follows_the_ending_where_it_can(
    tmp_path: Path, suffix: str, kind: str, bits: int, alpha: bool, expected: str
) -> None:
    pixels = (DEEP if bits == 16 else DEEP.astype(np.uint8))[..., : 1 if kind == "grey" else 3]
    picture = Picture(np.ascontiguousarray(pixels), pixels[..., 0].copy() if alpha else None)
    path = write_picture(picture, tmp_path / f"a{suffix}")
    assert path.suffix == expected
    again = read_picture(path)
    assert (again.kind, again.bits, again.alpha is not None) == (kind, bits, alpha)
    if expected in (".png", ".tif", ".bmp"):
        np.testing.assert_array_equal(again.pixels, picture.pixels)


def test_colour_profiles_are_kept(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, format="JPEG", icc_profile=profile)
    (tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.icc == profile
    assert read_picture(write_picture(picture, tmp_path / "b.jpg")).icc == profile


def test_8_bits_of_16() -> None:
    values = np.array([[[0], [127], [128], [129], [65535], [65406], [65407]]], dtype=np.uint16)
    assert Picture(values).as_8_bit().ravel().tolist() == [0, 0, 0, 1, 255, 254, 255]  # 257 a step, halves up


def test_listing_is_sorted_deep_and_by_ending(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.JPG", "a/notes.txt", ".hidden/x.png", "._b.png", "c.jpeg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path)]
    assert names == ["a/z.JPG", "b.png", "c.jpeg"]
    assert list_pictures([tmp_path / "a", tmp_path]) == tuple(
        tmp_path / name for name in ("a/z.JPG", "b.png", "c.jpeg")
    )


def test_listing_refuses_what_holds_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a folder of pictures is needed, but .*gone does not exist"):
        list_pictures(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, not a folder"):
        list_pictures(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no pictures.*\.jpg"):
        list_pictures(tmp_path / "empty")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_large_results_are_written_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int, channels: int, alpha: bool
) -> None:
    """Strip by strip, as PNG whatever the ending; the file is the one that the whole picture would have made."""
    monkeypatch.setattr("falconet.tasks.images.MOST_PIXELS", 1000)
    kind = np.uint8 if bits == 8 else np.uint16
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(kind).max, (700, 41, channels), dtype=kind, endpoint=True)
    whole = Picture(pixels, pixels[::-1, :, 0].copy() if alpha else None, format="JPEG")
    strips = (
        Picture(pixels[top : top + 300], None if whole.alpha is None else whole.alpha[top : top + 300], format="JPEG")
        for top in (0, 300, 600)
    )
    written = write_strips(strips, 700, tmp_path / "large.jpg")
    assert written == tmp_path / "large.png" and [path.name for path in tmp_path.iterdir()] == ["large.png"]
    again = read_picture(written)
    np.testing.assert_array_equal(again.pixels, whole.pixels)
    assert (again.alpha is None) == (not alpha)
    if alpha:
        np.testing.assert_array_equal(again.alpha, whole.alpha)


def test_a_network_that_fails_half_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falconet.tasks.images.MOST_PIXELS", 10)

    def strips():
        yield Picture(np.zeros((5, 9, 3), dtype=np.uint8))
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        write_strips(strips(), 10, tmp_path / "large.png")
    assert list(tmp_path.iterdir()) == []
