"""run.py beside a network's file: a short program that runs it without Falconet, to be read and copied.

Its parts: how the runtime runs the file (the target's lines), for a file of one picture size how larger pictures are
cut into parts, and what the task does with a picture. Left out of it, for shortness: tiles where any size goes (a very
large picture takes much memory), transparency, 16 bits. `falconet enhance` has them.
"""

from __future__ import annotations

from collections.abc import Mapping

from falconet.deploy.target import Sizes, Target

_HEAD = '''"""TITLE: python run.py ARGUMENTS   (pip install PACKAGES)"""
import sys
from pathlib import Path

import numpy as np
'''
_PICTURES = "from PIL import Image, ImageOps\n"
_CHECK = """
if len(sys.argv) != COUNT:
    sys.exit(__doc__)
folder = Path(__file__).parent
"""

# For a file that takes one size. Parts overlap by what a pixel depends on, and only true borders are borders.
_PARTS = """
HEIGHT, WIDTH, REACH = ENDS
one_size = network


def starts(length, size):
    return [*range(0, max(0, length - size), size - 2 * REACH), max(0, length - size)]


def network(*arrays):  # the file takes one size: others are run in parts that overlap, pictures one by one
    height, width = arrays[0].shape[2:]
    more = (0, 0), (0, 0), (0, max(0, HEIGHT - height)), (0, max(0, WIDTH - width))
    wide = [np.pad(array, more, mode="edge") for array in arrays]
    result = None
    for n in range(len(arrays[0])):
        for top in starts(height, HEIGHT):
            for left in starts(width, WIDTH):
                part = one_size(*(a[n : n + 1, :, top : top + HEIGHT, left : left + WIDTH] for a in wide))
                scale = part.shape[2] // HEIGHT
                if result is None:
                    shape = len(arrays[0]), part.shape[1], wide[0].shape[2] * scale, wide[0].shape[3] * scale
                    result = np.empty(shape, np.float32)
                y, x = (REACH if start else 0 for start in (top, left))
                place = result[n, :, (top + y) * scale : (top + HEIGHT) * scale]
                place[:, :, (left + x) * scale : (left + WIDTH) * scale] = part[0, :, y * scale :, x * scale :]
    return result[:, :, : height * scale, : width * scale]
"""

_LUMA = """

def luma(rgb):  # BT.601, 16 to 235, as a share of 255
    return (rgb @ np.float32([65.481, 128.553, 24.966]) + 16) / 255


picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
picture = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
small = np.asarray(picture, dtype=np.float32) / 255
bicubic = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.BICUBIC)
large = np.asarray(bicubic, dtype=np.float32) / 255
y = small if small.ndim == 2 else luma(small)
y = network(y[None, None])[0, 0].clip(0, 1)
result = y if small.ndim == 2 else large + (y - luma(large))[..., None] * (255 / 219)
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(sys.argv[2])
"""

_RGB = """
picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
small = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
result = network(small[None])[0].transpose(1, 2, 0)
result = result.mean(axis=2) if picture.mode in ("1", "L", "LA") else result
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(sys.argv[2])
"""

_SAME_SIZE = """
picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
picture = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
values = np.atleast_3d(np.asarray(picture, dtype=np.float32) / 255)
x = values.transpose(2, 0, 1)LAID
MAPresult = network(INPUTS)BACK
result = result.mean(axis=2, keepdims=True) if result.shape[2] > values.shape[2] else result
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8).squeeze()).save(sys.argv[2])
"""
# What differs: grey networks take each channel by itself.
_LAID = {"grey": "[:, None]", "rgb": "[None].repeat(4 - values.shape[2], axis=1)[:, :3]"}
_BACK = {"grey": "[:, 0].transpose(1, 2, 0)", "rgb": "[0].transpose(1, 2, 0)"}
_MAP = """level = float(sys.argv[3]) / 255  # standard deviation of the noise
sigma = np.full_like(x[:, :1], level)
"""

_CLASSES = """
CLASSES = NAMES
picture = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("MODE")
square = ImageOps.fit(picture, (SIZE, SIZE), Image.Resampling.BICUBIC)
x = np.atleast_3d(np.asarray(square, dtype=np.float32) / 255).transpose(2, 0, 1)
values = network(x[None])[0]
shares = np.exp(values - values.max()) / np.exp(values - values.max()).sum()
for place in np.argsort(-shares)[:5]:
    print(f"{shares[place]:.3f} {CLASSES[place]}")
"""

_ARRAYS = """
arrays = [np.load(path).astype(np.float32) for path in sys.argv[1:-1]]
np.save(sys.argv[-1], network(*arrays))
"""


def run_script(
    name: str, settings: Mapping[str, object], target: Target, file: str, sizes: Sizes = (), reach: int | None = None
) -> str:
    """The text of run.py for a model of that name, its task's settings, and the target whose `file` it runs.

    Tasks with a `colour` take a picture and give one, `scale` times as large, or the names of classes; others take and
    give arrays (.npy). `sizes` are those that the file takes, () for any; pictures are cut into parts of that size
    where the network's `reach` is known and leaves room for them.
    """
    task, arguments, count = _task_part(settings, max(1, len(sizes)))
    pictures = arguments.startswith("PICTURE")
    packages = " ".join(["numpy", *target.packages, *(["pillow"] if pictures else [])])
    head = _HEAD.replace("TITLE", name).replace("ARGUMENTS", arguments).replace("PACKAGES", packages)
    runtime = target.python.replace("FILE", file)
    parts = [head, _PICTURES if pictures else "", _CHECK.replace("COUNT", str(count)), "\n", runtime]
    if pictures and reach is not None and sizes and min(sizes[0]) > 2 * reach:
        height, width = sizes[0]
        parts.append(_PARTS.replace("ENDS", f"{height}, {width}, {reach}"))
    return "".join([*parts, task])


def _task_part(settings: Mapping[str, object], num_inputs: int) -> tuple[str, str, int]:
    """What the task does with a picture, the arguments it takes, and how long sys.argv then is."""
    colour, scale, taken = settings.get("colour"), settings.get("scale", 1), ("PICTURE RESULT", 3)
    if "classes" in settings:
        size, mode = str(settings.get("size")), "RGB" if colour == "rgb" else "L"
        names = settings["classes"]
        shown = repr(list(names)) if isinstance(names, list | tuple) and names else "range(100_000)"
        text = _CLASSES.replace("NAMES", shown).replace("SIZE", size).replace("MODE", mode)
        return text, "PICTURE", 2
    if colour in _LAID and scale == 1:
        text = _SAME_SIZE.replace("LAID", _LAID[str(colour)]).replace("BACK", _BACK[str(colour)])
        if settings.get("noise_map"):
            return text.replace("MAP", _MAP).replace("INPUTS", "x, sigma"), "PICTURE RESULT SIGMA", 4
        return text.replace("MAP", "").replace("INPUTS", "x"), *taken
    if colour == "luma":
        return _LUMA.replace("SCALE", str(scale)), *taken
    if colour == "rgb":
        return _RGB, *taken
    return _ARRAYS, "INPUT.npy ... RESULT.npy", num_inputs + 2
