"""Which sub-networks a step trains: bins of costs, strict fairness and where it is refused, settings."""

from collections import Counter
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from falconet.errors import UserError
from falconet.graph import Conv, Draft, NetSpec, costs
from falconet.spaces import Pick, Restoration
from falconet.train.paths import fair, paths, uniform
from falconet.train.settings import PathSettings

SIZE = ((8, 8),)


def macs(spec: NetSpec) -> int:
    return costs(spec, *SIZE).macs


def test_bins_are_trained_equally_often_where_uniform_paths_crowd(tiny: SimpleNamespace) -> None:
    every = [macs(uniform(tiny.space).at(0, step)[0]) for step in range(300)]
    values = sorted(set(every))
    edges = [values[0], values[2], values[-2], values[-1] + 1]  # few of the uniform paths lie in the outer bins

    def shares(found: list[int]) -> list[int]:
        counts = Counter(sum(value >= edge for edge in edges[1:-1]) for value in found)
        return [counts[i] for i in range(3)]

    binned = uniform(tiny.space, edges, SIZE)
    ours = shares([macs(binned.at(0, step)[0]) for step in range(300)])
    assert min(ours) > 70 > 40 > min(shares(every))


def test_a_bin_that_holds_nothing_gives_any_path(tiny: SimpleNamespace) -> None:
    assert macs(uniform(tiny.space, (0, 1), SIZE).at(0, 0)[0]) > 1


def pairs(pick: Pick) -> NetSpec:
    d, y = Draft(x=1), "x"
    for i in range(3):
        kind = pick(f"b{i}", ("a", "b"))
        y = d.layer(f"b{i}.{kind}", Conv(1), y)
    return d.build(y)


def test_fair_paths_use_every_option_once_a_step() -> None:
    sharing = fair(pairs)
    for step in range(5):
        first, second = sharing.at(0, step)
        used = [layer.name for spec in (first, second) for layer in spec.layers]
        assert sorted(used) == [f"b{i}.{kind}" for i in range(3) for kind in "ab"]
    assert sharing.at(0, 1) == sharing.at(0, 1)
    assert len({tuple(sharing.at(0, step)) for step in range(20)}) > 4


def test_fairness_is_refused_where_there_is_none(tiny: SimpleNamespace) -> None:
    with pytest.raises(UserError, match=r"equally many options; b0.kind has 2, b0.width has 3"):
        fair(tiny.space)
    with pytest.raises(UserError, match="always asked"):
        fair(Restoration(kind=("plain",), kernel=(3, 5), depth=(1, 2), width=(4, 8), activation=("relu", "leaky_relu")))
    with pytest.raises(UserError, match="asks none"):
        fair(Restoration(kind=("plain",), depth=(1,), width=(4,), activation=("relu",)))


def test_settings_name_the_paths() -> None:
    assert len(paths(pairs, PathSettings(name="fair")).at(0, 0)) == 2
    assert len(paths(pairs, PathSettings(name="uniform", bins=(0, 1e9)), SIZE).at(0, 0)) == 1
    for wrong in ({"bins": (3, 1)}, {"bins": (1,), "name": "uniform"}, {"name": "sandwich", "bins": (1, 2)}):
        with pytest.raises(ValidationError):
            PathSettings(**wrong)
