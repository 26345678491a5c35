"""Draw the picture of the README: a part of a photo, enlarged by bicubic and by the default model, beside the original.

    python scripts/readme_picture.py

The photo is the astronaut (NASA, public domain) that comes inside scikit-image; no shipped model was trained on it.
"""

from __future__ import annotations

from pathlib import Path

import skimage.data
from PIL import Image, ImageDraw, ImageFont

from falconet.deploy import DEFAULT_MODEL, load_model
from falconet.tasks import Picture, SuperResolution
from falconet.tasks.degrade import enlarge, shrink
from falconet.tasks.metrics import luma, psnr, shave

TARGET = Path(__file__).resolve().parent.parent / "docs" / "images" / "astronaut-x2.png"
LEFT, TOP, SIDE, ZOOM = 150, 30, 140, 3


def main() -> None:
    """Write docs/images/astronaut-x2.png."""
    truth = skimage.data.astronaut()
    small = shrink(truth, 2)
    model = load_model(DEFAULT_MODEL)
    assert isinstance(model.task, SuperResolution)
    ours = model.enhance(Picture(pixels=small)).pixels
    pictures = {"bicubic": enlarge(small, 2), f"Falconet {model.name}": ours, "original": truth}
    wide, gap, line = SIDE * ZOOM, 12, 34
    sheet = Image.new("RGB", (3 * wide + 2 * gap, wide + line), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for number, (title, pixels) in enumerate(pictures.items()):
        part = Image.fromarray(pixels[TOP : TOP + SIDE, LEFT : LEFT + SIDE])
        left = number * (wide + gap)
        sheet.paste(part.resize((wide, wide), Image.Resampling.NEAREST), (left, 0))
        score = psnr(shave(luma(pixels), 2), shave(luma(truth), 2))
        label = title if title == "original" else f"{title}: {score:.2f} dB"
        draw.text((left + 2, wide + 6), label, fill="black", font=font)
        print(label)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(TARGET, optimize=True)
    print(TARGET)


if __name__ == "__main__":
    main()
