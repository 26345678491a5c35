"""sr-x2: python run.py PICTURE RESULT   (pip install numpy onnxruntime pillow)"""
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

if len(sys.argv) != 3:
    sys.exit(__doc__)
folder = Path(__file__).parent

import onnxruntime

session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])


def network(*arrays):
    return session.run(None, {i.name: array for i, array in zip(session.get_inputs(), arrays)})[0]


def luma(rgb):  # BT.601, 16 to 235, as a share of 255
    return (rgb @ np.float32([65.481, 128.553, 24.966]) + 16) / 255


picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
picture = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
small = np.asarray(picture, dtype=np.float32) / 255
bicubic = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC)
large = np.asarray(bicubic, dtype=np.float32) / 255
y = small if small.ndim == 2 else luma(small)
y = network(y[None, None])[0, 0].clip(0, 1)
result = y if small.ndim == 2 else large + (y - luma(large))[..., None] * (255 / 219)
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(sys.argv[2])
