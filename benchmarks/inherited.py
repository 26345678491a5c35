"""Inherited evaluations against bare forward passes over the same pictures: the price of judging by a supernet.

    python benchmarks/inherited.py [--evaluations 1000] [--pictures 1000] [--width 1.0]

An evaluation draws a network of the shuffle space (32x32 layout), extracts it, takes its batch-norm statistics on 8
batches of 128 training pictures, fuses it and judges it on validation pictures. Bare passes run the same network,
already built, over the same pictures: those for statistics in training mode, those for judging in evaluation mode.
Target: evaluations at no less than 0.9 of the speed of bare passes. One thread; the two take turns in random order.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
import torch

from falconet.evaluate.quality import quality
from falconet.files import write_json
from falconet.graph.network import Network, channels_last
from falconet.run.prepared import prepared
from falconet.run.record import environment
from falconet.spaces import SPACES, draw, union
from falconet.tasks import Classification, DataSettings
from falconet.tasks.classification import JUDGED_AT_ONCE
from falconet.train.recalibrate import PICTURES

BATCHES = 8


def main() -> None:
    """Measure; print and write one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--pictures", type=int, default=1000, help="validation pictures")
    parser.add_argument("--width", type=float, nargs="+", default=[1.0])
    parser.add_argument("--out", type=Path, default=Path("results/benchmark_inherited.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    classes, size = tuple(map(str, range(10))), 32
    task = Classification(size=size, classes=classes)
    space = prepared(SPACES["shuffle"](layout="cifar", width=tuple(given.width)), task)
    with tempfile.TemporaryDirectory() as folder:
        path, count = Path(folder) / "pictures.npz", given.pictures + 2 * BATCHES * PICTURES
        images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        np.savez(path, images=images, labels=np.arange(count) % 10)
        dataset = task.read(DataSettings(train=(path,), validation=given.pictures), 0)
    torch.manual_seed(0)
    supernet = channels_last(Network(store=union(space, Random(0)))).eval()
    statistics = [task.plain_batch(dataset, index, PICTURES)[0] for index in range(BATCHES)]
    whole = torch.from_numpy(np.stack([one.inputs[0] for one in dataset.validation])).float() / 255
    judged = torch.split(whole.contiguous(memory_format=torch.channels_last), JUDGED_AT_ONCE)
    taken = {"evaluations": 0.0, "bare": 0.0}
    rng = Random(0)
    for _ in range(given.evaluations):
        _, spec = draw(space, rng)
        bare = channels_last(Network(spec))
        for way in rng.sample(list(taken), 2):
            start = time.process_time()
            if way == "evaluations":
                quality(supernet, task, dataset, spec, BATCHES)
            else:
                with torch.inference_mode():
                    bare.train()
                    for x in statistics:
                        bare(x)
                    bare.eval()
                    for x in judged:
                        bare(x)
            taken[way] += time.process_time() - start
    found = {
        "benchmark": "inherited",
        "environment": environment("python", sys.argv[0]),
        "speed_over_bare": round(taken["bare"] / taken["evaluations"], 4),
        "seconds_each": {way: round(seconds / given.evaluations, 4) for way, seconds in taken.items()},
        "evaluations": given.evaluations,
        "pictures": {"statistics": BATCHES * PICTURES, "judged": given.pictures},
    }
    write_json(given.out, found)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
