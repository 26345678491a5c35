"""Peak memory and time a megapixel of `falconet enhance` on one huge picture, as a user would run it.

    python benchmarks/enhance.py [--megapixels 100] [--model sr-x2-small] [--plain]

The picture is real photos (scikit-image's, mirrored side by side) with a little noise, as JPEG and as PNG; the command
runs in a process of its own, with one thread. Memory is the most that process ever held (resident). `--plain` takes a
network of one convolution in place of the model: what reading, tiling and writing take by themselves. Target: under
2 GB for 100 megapixels in, whatever the scale.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from falconet.files import write_json
from falconet.run.record import environment


def huge_photo(megapixels: float, path: Path) -> tuple[int, int]:
    """Write a picture of 3:2 of so many megapixels; its (width, height)."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    tile = skimage.data.astronaut()
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]])
    times = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    pixels = np.tile(tile, times)[:height, :width]
    rng = np.random.default_rng(0)
    for top in range(0, height, 512):
        strip = pixels[top : top + 512]
        strip += rng.integers(0, 3, strip.shape, dtype=np.uint8) * (strip < 250)
    Image.fromarray(pixels).save(path, quality=92)
    return width, height


def plain_model(folder: Path) -> Path:
    """A model folder with a network of one convolution, x2 on luma."""
    from falconet.deploy import write_model
    from falconet.graph.network import Network
    from falconet.tasks import SuperResolution
    from falconet.zoo import plain_sr

    sample = (np.random.default_rng(0).random((1, 20, 24), dtype=np.float32),)
    network = Network(plain_sr(depth=1, width=4))
    write_model(folder, network=network, task=SuperResolution(), samples=[sample], sizes=((360, 640),))
    return folder


def measured(photo: Path, model: str, out: Path) -> dict[str, object]:
    """Seconds, peak memory and result of one command."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "falconet", "enhance", str(photo), "--model", model, "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stdout is not None
    written = Path(process.stdout.read().strip())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in KiB on Linux
    return {
        "input": photo.suffix[1:],
        "seconds": round(time.perf_counter() - began, 1),
        "core_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_bytes": usage.ru_maxrss * scale,
        "output": written.suffix[1:],
        "output_bytes": written.stat().st_size,
    }


def main() -> None:
    """Measure; print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=100)
    parser.add_argument("--model", default="sr-x2-small")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_enhance.json"))
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model = str(plain_model(Path(folder) / "plain")) if chosen.plain else chosen.model
        for suffix in (".jpg", ".png"):
            photo = Path(folder) / f"huge{suffix}"
            # Written in a process of its own, whose memory is not held while the command is measured.
            make = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import enhance; "
            make += f"from pathlib import Path; print(*enhance.huge_photo({chosen.megapixels}, Path({str(photo)!r})))"
            size = subprocess.run([sys.executable, "-c", make], capture_output=True, text=True, check=True).stdout
            width, height = map(int, size.split())
            row = measured(photo, model, Path(folder) / "out")
            row["seconds_per_megapixel"] = round(float(str(row["seconds"])) / (width * height / 1e6), 3)
            rows.append(row)
    found = {
        "benchmark": "enhance",
        "environment": environment("python", sys.argv[0]),
        "model": "one convolution" if chosen.plain else chosen.model,
        "input": f"{width}x{height}",
        "largest_peak_bytes": max(int(str(row["peak_bytes"])) for row in rows),
        "own_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "runs": rows,
    }
    write_json(chosen.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
