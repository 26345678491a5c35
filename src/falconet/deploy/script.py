"""run.py of a model folder: a short program that runs model.onnx without Falconet, to be read and copied.

Left out of it, for shortness: tiles (a very large picture takes much memory), transparency, 16 bits. `falconet enhance`
has them.
"""

from __future__ import annotations

from collections.abc import Mapping

_HEAD = '''"""TITLE: python run.py PICTURE RESULT   (pip install numpy onnxruntime pillow)"""
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

if len(sys.argv) != 3:
    sys.exit(__doc__)
model = Path(__file__).with_name("model.onnx")
network = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
'''

_LUMA = """

def luma(rgb):  # BT.601, 16 to 235, as a share of 255
    return (rgb @ np.float32([65.481, 128.553, 24.966]) + 16) / 255


picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
picture = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
small = np.asarray(picture, dtype=np.float32) / 255
bicubic = picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.BICUBIC)
large = np.asarray(bicubic, dtype=np.float32) / 255
y = small if small.ndim == 2 else luma(small)
y = network.run(None, {network.get_inputs()[0].name: y[None, None]})[0][0, 0].clip(0, 1)
result = y if small.ndim == 2 else large + (y - luma(large))[..., None] * (255 / 219)
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(sys.argv[2])
"""

_RGB = """
picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
small = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
result = network.run(None, {network.get_inputs()[0].name: small[None]})[0][0].transpose(1, 2, 0)
result = result.mean(axis=2) if picture.mode in ("1", "L", "LA") else result
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(sys.argv[2])
"""

_SAME_SIZE = """
picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
picture = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
values = np.atleast_3d(np.asarray(picture, dtype=np.float32) / 255)
x = values.transpose(2, 0, 1)LAID
feeds = {network.get_inputs()[0].name: x}
MAPresult = network.run(None, feeds)[0]BACK
result = result.mean(axis=2, keepdims=True) if result.shape[2] > values.shape[2] else result
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8).squeeze()).save(sys.argv[2])
"""
# What differs: grey networks take each channel by itself.
_LAID = {"grey": "[:, None]", "rgb": "[None].repeat(4 - values.shape[2], axis=1)[:, :3]"}
_BACK = {"grey": "[:, 0].transpose(1, 2, 0)", "rgb": "[0].transpose(1, 2, 0)"}
_MAP = """level = float(sys.argv[3]) / 255  # standard deviation of the noise
feeds[network.get_inputs()[1].name] = np.full_like(x[:, :1], level)
"""

_ARRAYS = '''"""TITLE: python run.py INPUT.npy ... RESULT.npy   (pip install numpy onnxruntime)"""
import sys
from pathlib import Path

import numpy as np
import onnxruntime

model = Path(__file__).with_name("model.onnx")
network = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
inputs = network.get_inputs()
if len(sys.argv) != len(inputs) + 2:
    sys.exit(__doc__)
arrays = {i.name: np.load(path).astype(np.float32) for i, path in zip(inputs, sys.argv[1:-1])}
np.save(sys.argv[-1], network.run(None, arrays)[0])
'''


def run_script(name: str, settings: Mapping[str, object]) -> str:
    """The text of run.py for a model of that name and its task's settings.

    Tasks with a `colour` take a picture and give one, `scale` times as large; others take and give arrays (.npy).
    """
    colour, scale = settings.get("colour"), settings.get("scale", 1)
    head = _HEAD.replace("TITLE", name)
    if colour in _LAID and scale == 1:
        if settings.get("noise_map"):
            head = head.replace("PICTURE RESULT", "PICTURE RESULT SIGMA").replace("!= 3", "!= 4")
        text = _SAME_SIZE.replace("LAID", _LAID[str(colour)]).replace("BACK", _BACK[str(colour)])
        return head + text.replace("MAP", _MAP if settings.get("noise_map") else "")
    if colour == "luma":
        return head + _LUMA.replace("SCALE", str(scale))
    if colour == "rgb":
        return head + _RGB
    return _ARRAYS.replace("TITLE", name)
