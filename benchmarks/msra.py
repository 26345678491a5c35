"""The experiment of He et al. 2015 (figures 2 and 3) at a small scale: very deep networks without normalization.

    python benchmarks/msra.py [--steps 300]      (about two minutes; writes results/benchmark_msra.json)

Plain networks of 10, 22 and 30 weight layers (3x3 convolutions of 16 channels, rectifiers, a linear layer behind the
mean) learn the ten digits of scikit-learn, 8x8 pixels, 1,438 to train on and 359 held out. The same networks, batches
and steps begin once with MSRA initialization, std sqrt(2 / ((1 + a^2) n)), once with Xavier's as that paper states it,
std sqrt(1 / n), at two learning rates each. With Xavier's the variance of the signal halves at every rectifier, so that
after 30 layers nothing of it is left, nor of the gradient. A network has stalled when the training loss of its last 20
steps is not a tenth below that of guessing, ln 10 = 2.303.

Against the paper: digits instead of ImageNet, 29 convolutions and a linear layer instead of 27 and three. It found that
22 layers converge with both, with MSRA's earlier, and 30 layers with MSRA's alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from falconet.files import write_json
from falconet.graph import Conv, Draft, NetSpec, Op, PReLU, ReLU
from falconet.graph.network import Network
from falconet.run.record import environment
from falconet.train.init import msra
from falconet.zoo.classify import classify

RESULT = Path(__file__).resolve().parent.parent / "results" / "benchmark_msra.json"
SLOPES = {"relu": 0.0, "prelu": 0.25}
LINEAR = 1.0  # the slope of no rectifier at all: std sqrt(1 / n), which is Xavier's
RATES = (0.01, 0.03)
BATCH, WIDTH, SEED = 64, 16, 0
GUESSING = math.log(10)


@dataclass(frozen=True)
class Outcome:
    """How one training went: losses are means over the first and the last 20 steps."""

    layers: int
    activation: str
    begin: str
    rate: float
    first_loss: float
    last_loss: float
    accuracy: float
    stalled: bool


def plain_net(layers: int, activation: Op) -> NetSpec:
    """So many weight layers: all but the last are 3x3 convolutions, each with an activation."""
    d = Draft(x=1)
    y = "x"
    for i in range(layers - 1):
        y = d.chain([(f"conv{i}", Conv(WIDTH)), (f"act{i}", activation)], y)
    return d.build(classify(d, y, 10))


def digits() -> tuple[Tensor, Tensor]:
    """The pictures, b1hw of mean 0 and deviation 1, and their digits, in shuffled order."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SEED))
    return ((images - images.mean()) / images.std())[order], torch.tensor(data.target)[order]


def train(layers: int, activation: str, begin: str, rate: float, steps: int) -> Outcome:
    """Train one network by SGD, momentum 0.9, gradients clipped to norm 1, and see how far it came."""
    torch.manual_seed(SEED)
    spec = plain_net(layers, {"relu": ReLU(), "prelu": PReLU()}[activation])
    network = Network(spec)
    msra(network, [spec], slope=SLOPES[activation] if begin == "msra" else LINEAR)
    images, labels = digits()
    held_out = len(images) // 5
    test_images, test_labels, images, labels = (
        images[:held_out],
        labels[:held_out],
        images[held_out:],
        labels[held_out:],
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    draws = torch.Generator().manual_seed(SEED)
    losses = []
    for _ in range(steps):
        batch = torch.randint(len(images), (BATCH,), generator=draws)
        loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        accuracy = float((network.eval()(test_images).argmax(1) == test_labels).float().mean())
    first, last = mean(losses[:20]), mean(losses[-20:])
    stalled = not last < GUESSING - 0.1
    return Outcome(layers, activation, begin, rate, round(first, 3), round(last, 3), round(accuracy, 4), stalled)


def main() -> None:
    """Train all, print a line for each, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    began = time.perf_counter()
    outcomes = []
    for layers, activation in ((10, "relu"), (22, "relu"), (30, "relu"), (30, "prelu")):
        for begin in ("msra", "xavier"):
            for rate in RATES:
                outcomes.append(train(layers, activation, begin, rate, steps))
                print(outcomes[-1], flush=True)
    result = {
        "benchmark": "msra",
        "environment": environment("python", sys.argv[0]),
        "steps": steps,
        "seed": SEED,
        "batch": BATCH,
        "outcomes": [asdict(one) for one in outcomes],
        "minutes": round((time.perf_counter() - began) / 60, 2),
    }
    write_json(RESULT, result)


if __name__ == "__main__":
    main()
