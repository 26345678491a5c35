"""denoise-camera: python run.py PICTURE RESULT   (pip install numpy onnxruntime pillow)"""
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

picture = ImageOps.exif_transpose(Image.open(sys.argv[1]))
picture = picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")
values = np.atleast_3d(np.asarray(picture, dtype=np.float32) / 255)
x = values.transpose(2, 0, 1)[None].repeat(4 - values.shape[2], axis=1)[:, :3]
result = network(x)[0].transpose(1, 2, 0)
result = result.mean(axis=2, keepdims=True) if result.shape[2] > values.shape[2] else result
Image.fromarray((result.clip(0, 1) * 255 + 0.5).astype(np.uint8).squeeze()).save(sys.argv[2])
