"""Pictures a second that decoding and augmentation give, beside those that a training step takes.

    python benchmarks/augment.py [--rounds 30] [--net shufflenet_v2_x0_5]

Batches of 128 pictures of 32x32, one thread: a crop, a flip and TrivialAugment (wide); the step is forward, loss and
backward of a small network of the zoo, float32, channels last. Target: the batch takes at most a tenth of the step.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from falconet.files import write_json
from falconet.graph.network import Network, channels_last
from falconet.run.prepared import zoo_network
from falconet.run.record import environment
from falconet.tasks import Classification, DataSettings
from falconet.tasks.labelled import read_labelled

BATCH, SIZE, CLASSES, PICTURES = 128, 32, 10, 2560


def timed(call: Callable[[int], object], rounds: int) -> float:
    """The median of processor seconds of one call."""
    call(0)
    taken = []
    for number in range(rounds):
        start = time.process_time()
        call(number)
        taken.append(time.process_time() - start)
    return median(taken)


def encoded(path: Path) -> None:
    """A file of JPEG pictures of noise with some structure."""
    rng, files = np.random.default_rng(0), []
    for _ in range(PICTURES):
        small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((SIZE, SIZE)).save(buffer, "JPEG", quality=90)
        files.append(np.frombuffer(buffer.getvalue(), np.uint8))
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in files])])
    np.savez(path, data=np.concatenate(files), offsets=offsets, labels=np.arange(PICTURES) % CLASSES)


def main() -> None:
    """Measure; print and write one JSON object."""
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--net", default="shufflenet_v2_x0_5")
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_augment.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npz"
        encoded(path)
        start = time.process_time()
        read_labelled((path,), SIZE, "rgb")
        decoding = PICTURES / (time.process_time() - start)
        seconds: dict[str, float] = {}
        for policy in ("none", "trivial", "trivial_wide"):
            task = Classification(size=SIZE, policy=policy, classes=tuple(map(str, range(CLASSES))))
            dataset = task.read(DataSettings(train=(path,), validation=100), 0)
            seconds[policy] = timed(lambda step: task.batch(dataset, 0, step, BATCH), given.rounds)  # noqa: B023
    network = channels_last(Network(zoo_network(given.net, task, {}))).train()

    def step(number: int) -> None:
        network.zero_grad(set_to_none=True)
        inputs, target = batches[number % len(batches)]
        output = network(inputs[0])
        assert isinstance(output, torch.Tensor)
        task.loss(output, target).backward()

    batches = [task.batch(dataset, 0, number, BATCH) for number in range(4)]
    training = timed(step, given.rounds)
    found = {
        "benchmark": "augment",
        "environment": environment("python", sys.argv[0]),
        "net": given.net,
        "pictures_per_second": {
            "decoding once": round(decoding),
            **{f"batches, {policy}": round(BATCH / value) for policy, value in seconds.items()},
            "training step": round(BATCH / training),
        },
        "share_of_step": {policy: round(value / training, 4) for policy, value in seconds.items()},
        "rounds": given.rounds,
    }
    write_json(given.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
