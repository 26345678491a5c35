"""A small classification problem and a space of small networks with batch norm, slices and two kinds of blocks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from falconet.graph import BatchNorm, Conv, DepthwiseConv, Draft, NetSpec, ReLU
from falconet.spaces import Pick
from falconet.tasks import Classification, Dataset, Example
from falconet.zoo.classify import classify

SIZE, CLASSES = 8, ("red", "green", "blue")
TASK = Classification(size=SIZE, classes=CLASSES, pad=1, policy="none")


def blobs(count: int = 90, seed: int = 0) -> Dataset:
    """Noise in which one channel is a little brighter; a third for validation, a tenth held out."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, SIZE, SIZE, 3), dtype=np.uint8)
    images[np.arange(count), :, :, labels] += 40
    rows = images.transpose(0, 3, 1, 2)
    examples = [Example(str(i), Path(str(i)), (rows[i],), labels[i]) for i in range(count)]
    third, tenth = count // 3, count // 10
    arrays = {"images": images[third + tenth :], "labels": labels[third + tenth :]}
    parts = examples[third + tenth :], examples[:third], examples[third : third + tenth]
    return Dataset(tuple(parts[0]), tuple(parts[1]), holdout=tuple(parts[2]), arrays=arrays)


def space(pick: Pick) -> NetSpec:
    """Two blocks, each of two kinds and three widths; their halves are concatenated, so that slices have two pieces."""
    d = Draft(x=3)
    y = d.layer("stem_act", ReLU(), d.layer("stem_norm", BatchNorm(), d.layer("stem", Conv(8, bias=False), "x")))
    for i in range(2):
        kind, width = pick(f"b{i}.kind", ("dense", "depth")), pick(f"b{i}.width", (4, 6, 8))
        left = d.layer(f"b{i}.{kind}_in", Conv(width, 1, bias=False), y)
        right = d.layer(f"b{i}.{kind}_norm", BatchNorm(), left)
        inner = Conv(width) if kind == "dense" else DepthwiseConv()
        right = d.layer(f"b{i}.{kind}", inner, right)
        both = d.concat(f"b{i}.{kind}_both", left=left, right=right)
        y = d.layer(
            f"b{i}.act", ReLU(), d.layer(f"b{i}.norm", BatchNorm(), d.layer(f"b{i}.{kind}_out", Conv(8, 1), both))
        )
    return TASK.prepare(d.build(classify(d, y, len(CLASSES))))


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The task, the pictures and the space of this file: tiny.task, tiny.blobs(), tiny.space."""
    return SimpleNamespace(task=TASK, blobs=blobs, space=space)
