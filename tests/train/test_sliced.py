"""The law of single paths: what a step does not use does not move, and what it uses moves as if trained alone."""

from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import torch

from falconet.graph import NetSpec
from falconet.graph.network import Network
from falconet.spaces import Arch, build, draw, smallest, union
from falconet.train import optimizers, sliced
from falconet.train.fit import fit
from falconet.train.paths import Paths, alone, uniform
from falconet.train.settings import TrainSettings

SGD = TrainSettings(
    optimizer="sgd", learning_rate=0.1, batch=6, warmup=0, ema=0, weight_decay=0.1, clip=100, precision="float32",
    recalibrate=0,
)  # fmt: skip
ADAM = SGD.model_copy(update={"optimizer": "adamw", "learning_rate": 0.01})
each = pytest.mark.parametrize("settings", [SGD, ADAM], ids=["sgd", "adamw"])


@pytest.fixture
def supernet(tiny: SimpleNamespace) -> Network:
    torch.manual_seed(0)
    return Network(store=union(tiny.space, Random(0), quiet=50))


@pytest.fixture
def narrow(tiny: SimpleNamespace) -> NetSpec:
    return build(tiny.space, Arch({"b0.kind": "dense", "b0.width": 6, "b1.kind": "depth", "b1.width": 4}))


def outside(network: Network, spec: NetSpec) -> dict[str, torch.Tensor]:
    """Copies of the parameters with the parts that `spec` uses set to zero."""
    left = {name: p.detach().clone() for name, p in network.named_parameters()}
    for slot, cuts in network.plan(spec).slots.items():
        for name, cut in cuts:
            if f"{slot}.{name}" in left:
                for view in sliced.views(left[f"{slot}.{name}"], cut):
                    view.zero_()
    return left


@each
def test_what_a_path_leaves_out_does_not_move(
    tiny: SimpleNamespace, supernet: Network, narrow: NetSpec, settings: TrainSettings, tmp_path: Path
) -> None:
    everything = Paths(lambda seed, step: [tiny.space(lambda name, options: options[-1]) if step < 2 else narrow])
    fit(supernet, tiny.task, tiny.blobs(), settings, everything, 2, tmp_path / "a", 0)
    fit(supernet, tiny.task, tiny.blobs(), settings, everything, 2, tmp_path / "b", 0)  # momentum is there
    before = outside(supernet, narrow)
    used = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    fit(supernet, tiny.task, tiny.blobs(), settings, alone(narrow), 3, tmp_path / "c", 0)
    after = outside(supernet, narrow)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(p, used[name]) for name, p in supernet.named_parameters())
    assert any(value.any() for value in before.values())


@each
def test_momentum_gathered_elsewhere_does_not_move_what_is_left_out(
    tiny: SimpleNamespace, supernet: Network, narrow: NetSpec, settings: TrainSettings, tmp_path: Path
) -> None:
    """One training: widest steps first, then narrow ones; the rest stays from the third step on."""
    widest = build(tiny.space, Arch({"b0.kind": "dense", "b0.width": 8, "b1.kind": "depth", "b1.width": 8}))
    paths = Paths(lambda seed, step: [widest if step < 2 else narrow])
    seen: list[dict[str, torch.Tensor]] = []

    def watch(step: int, loss: float) -> None:
        seen.append(outside(supernet, narrow))

    fit(supernet, tiny.task, tiny.blobs(), settings, paths, 5, tmp_path, 0, watch)
    assert any(not torch.equal(seen[0][name], seen[1][name]) for name in seen[0])
    assert all(torch.equal(seen[1][name], seen[-1][name]) for name in seen[0])


@each
def test_branches_that_are_met_later_than_others_learn_too(
    tiny: SimpleNamespace, supernet: Network, settings: TrainSettings, tmp_path: Path
) -> None:
    """Whole weights, no slices: then torch's own optimizers step, over weights some of which have no state yet."""
    widest = {"b0.width": 8, "b1.width": 8}
    kinds = ("dense", "depth")
    turns = [build(tiny.space, Arch({**widest, "b0.kind": a, "b1.kind": b})) for a in kinds for b in kinds]
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    fit(supernet, tiny.task, tiny.blobs(), settings, Paths(lambda seed, step: [turns[step]]), 4, tmp_path, 0)
    assert all(not torch.equal(p, before[name]) for name, p in supernet.named_parameters() if p.dim() > 1)


@each
def test_a_slice_learns_what_the_network_alone_learns(
    tiny: SimpleNamespace, supernet: Network, narrow: NetSpec, settings: TrainSettings, tmp_path: Path
) -> None:
    own = supernet.extract(narrow)
    fit(own, tiny.task, tiny.blobs(), settings, alone(narrow), 4, tmp_path / "own", 1)
    fit(supernet, tiny.task, tiny.blobs(), settings, alone(narrow), 4, tmp_path / "shared", 1)
    for (name, mine), theirs in zip(
        supernet.extract(narrow).state_dict().items(), own.state_dict().values(), strict=True
    ):
        noise = name.endswith(".bias") and name.startswith("b")  # in front of a norm: its gradient is rounding alone
        if not noise and not name.endswith(("num_batches_tracked", "running_mean")):
            torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=2e-4, msg=name)


@each
def test_resumed_equals_uninterrupted_with_slices(
    tiny: SimpleNamespace, settings: TrainSettings, tmp_path: Path
) -> None:
    found = []
    for stops in ((), (2, 5)):
        for stop in (*stops, None):
            torch.manual_seed(0)
            network = Network(store=union(tiny.space, Random(0), quiet=50))
            often = settings.model_copy(update={"checkpoint_minutes": 1e-9})

            def on_step(step: int, loss: float, stop: int | None = stop) -> None:
                if step == stop:
                    raise KeyboardInterrupt

            try:
                fit(
                    network,
                    tiny.task,
                    tiny.blobs(),
                    often,
                    uniform(tiny.space),
                    8,
                    tmp_path / str(len(stops)),
                    0,
                    on_step,
                )
            except KeyboardInterrupt:
                continue
        found.append(network.state_dict())
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_views_take_every_piece_of_every_axis() -> None:
    tensor = torch.arange(24).reshape(4, 6)
    parts = list(sliced.views(tensor, (((0, 2),), ((0, 1), (4, 6)))))
    assert [part.tolist() for part in parts] == [[[0], [6]], [[4, 5], [10, 11]]]
    parts[0].zero_()
    assert tensor[0, 0] == tensor[1, 0] == 0


def test_a_narrow_path_reads_several_pieces(tiny: SimpleNamespace, supernet: Network) -> None:
    least = build(tiny.space, smallest(tiny.space, draw(tiny.space, Random(1))[0]))
    cuts = [cut for one in supernet.plan(least).slots.values() for _, cut in one if cut is not None]
    assert any(len(spans) > 1 for cut in cuts for spans in cut)


def test_an_optimizer_that_moves_weights_whole_is_refused(supernet: Network, narrow: NetSpec) -> None:
    named = dict(supernet.named_parameters())
    soap = optimizers.make(list(named.values()), SGD.model_copy(update={"optimizer": "soap"}))
    with pytest.raises(TypeError, match=r"SGD and AdamW, not of SOAP"):
        sliced.step(soap, sliced.pieces(supernet.plan(narrow), named))
