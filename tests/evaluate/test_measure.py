"""Measuring devices: with a meter that computes times, so that the right answer is known; and really, in a process
that has neither Falconet nor torch.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from falconet.errors import UserError
from falconet.evaluate.bench import Candidate, bench
from falconet.evaluate.check import judge
from falconet.evaluate.estimate import Estimator
from falconet.evaluate.latency import REFERENCE
from falconet.evaluate.measure import WAYS, Onboarding, measure_device
from falconet.evaluate.memory import peak_bytes
from falconet.evaluate.meter import Here, Item, Readings, Remote, Rounds, item_of
from falconet.evaluate.survey import blocks_of_space, in_context, networks_of_space
from falconet.files import read_lines
from falconet.graph import costs, count_params
from falconet.graph.rewrite import deployed_spec
from falconet.spaces import NasBench201, Restoration, build, sample
from falconet.zoo import ZOO

SPACE = Restoration(width=(4, 8), depth=(1, 2, 3), kind=("plain", "residual"), activation=("relu", "prelu"))
SIZES = ((12, 16),)
PLAN = Onboarding("fake", "tiny", SIZES, held_out=6, calibration=3, minutes=0.1, rounds=5)


@dataclass
class Fake:
    """A machine on which a network takes 0.05 ms, and 40 ms for a GMAC; half as much again from the eighth call on.

    It is stopped before call number `stop`.
    """

    stop: int = 1_000
    runtime: str = "onnxruntime"
    threads: int = 1
    asked: list[list[str]] = field(default_factory=list)

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        if len(self.asked) == self.stop:
            raise KeyboardInterrupt
        self.asked.append([item.name for item in items])
        seconds = {item.name: [self.slow * (5e-5 + 40e-3 * item.macs / 1e9)] * 3 for item in items}
        return Readings(seconds, "1.0", "fake processor", "Linux", 0.0)

    @property
    def slow(self) -> float:
        return 1.5 if len(self.asked) >= 8 else 1.0


class Disturbed(Fake):
    """In one batch, everything but the reference takes three times as long, as when the memory is busy."""

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        found = super().time(items, how)
        if len(self.asked) != 2:
            return found
        slowed = {name: [3 * s for s in ss] if name != REFERENCE else ss for name, ss in found.seconds.items()}
        return replace(found, seconds=slowed)


class Cold(Fake):
    """Weights that come from further away in a whole network: what is no block takes 400 ms more for a GMAC."""

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        found = super().time(items, how)
        extra = {
            one.name: self.slow * 0.4 * one.macs / 1e9
            for one in items
            if one.name.partition(" ")[0] in ("net", "again")
        }
        slowed = {name: [s + extra.get(name, 0.0) for s in ss] for name, ss in found.seconds.items()}
        return replace(found, seconds=slowed)


@dataclass
class Outgrown(Fake):
    """A cache that whole networks outgrow: 40 ms more for each million weights beyond `held` million.

    `mparams` are those of network 0, 1, ...
    """

    held: float = 0.0
    mparams: Sequence[float] = ()

    def time(self, items: Sequence[Item], how: Rounds) -> Readings:
        found = super().time(items, how)
        names = [one.name.split(" ") for one in items if one.name.partition(" ")[0] in ("net", "again")]
        beyond = {f"{what} {n}": max(0.0, self.mparams[int(n)] - self.held) for what, n in names}
        extra = {name: self.slow * 0.04 * one for name, one in beyond.items()}
        slowed = {name: [s + extra.get(name, 0.0) for s in ss] for name, ss in found.seconds.items()}
        return replace(found, seconds=slowed)


def quiet(text: str) -> None:
    pass


def test_blocks_are_found_whatever_their_neighbours_cost_and_networks_follow(tmp_path):
    device = measure_device(PLAN, SPACE, Fake(), tmp_path / "log", quiet)
    found = judge(device.checks[0])
    assert found.table.mape < 1e-6 and found.table.worst < 1e-6 and found.nets == 6 and found.linear == 0
    assert device.scale == pytest.approx(1) and device.version == "1.0" and device.processor == "fake processor"
    for _ in range(5):
        spec = build(SPACE, sample(SPACE, Random(7)))
        assert Estimator(device)(spec, SIZES).how == "table"


def test_what_convolutions_take_beyond_their_blocks_is_learned_from_whole_networks(tmp_path):
    device = measure_device(replace(PLAN, calibration=5), SPACE, Cold(), tmp_path / "log", quiet)
    found = judge(device.checks[0])
    assert found.table.worst < 1e-6 and device.scale == pytest.approx(1)
    assert device.notes[-1] == "400 ms a GMAC added"
    plain = measure_device(replace(PLAN, calibration=5), SPACE, Fake(), tmp_path / "plain", quiet)
    assert len(plain.notes) == 1


def test_weights_that_outgrow_a_cache_are_learned_from_whole_networks(tmp_path):
    rng, plan = Random(PLAN.seed), replace(PLAN, calibration=8, held_out=8)
    blocks_of_space(SPACE, SIZES, rng, plan.most_blocks)
    mparams = [count_params(deployed_spec(one)) / 1e6 for one in networks_of_space(SPACE, rng, 16)]
    held = 0.5 * max(mparams[:8])
    device = measure_device(plan, SPACE, Outgrown(held=held, mparams=mparams), tmp_path / "log", quiet)
    assert device.fetch is not None and device.fetch.beyond_mparams == pytest.approx(held)
    assert device.fetch.ms_per_mparam == pytest.approx(40) and device.scale == pytest.approx(1)
    assert judge(device.checks[0]).table.worst < 1e-6
    assert device.notes[-1].startswith("40 ms a million weights beyond")


def test_each_batch_but_the_last_tells_how_long_the_rest_takes(tmp_path):
    said: list[str] = []
    measure_device(PLAN, SPACE, Fake(), tmp_path / "log", said.append)
    count = len(said) - 1
    assert count > 1
    for number, line in enumerate(said[1:-1], 1):
        assert re.fullmatch(rf"batch {number} of {count}, about \d+\.\d min left", line)
    assert said[-1] == f"batch {count} of {count}"


def test_a_minute_that_slowed_one_batch_spoils_nothing(tmp_path):
    calm = measure_device(PLAN, SPACE, Fake(), tmp_path / "calm", quiet)
    again = measure_device(PLAN, SPACE, Disturbed(), tmp_path / "log", quiet)
    assert [one.ms for one in again.blocks] == pytest.approx([one.ms for one in calm.blocks])
    once = measure_device(replace(PLAN, passes=1), SPACE, Disturbed(), tmp_path / "once", quiet)
    assert [one.ms for one in once.blocks] != pytest.approx([one.ms for one in calm.blocks], rel=0.1)


def test_no_minutes_at_all_are_the_fewest_rounds(tmp_path):
    fake = Fake()
    assert measure_device(replace(PLAN, minutes=0.0), SPACE, fake, tmp_path / "log", quiet).checks
    assert fake.asked


def test_blocks_of_a_named_network_are_in_the_table_too(tmp_path):
    named = ZOO["plain_4x16"]()
    device = measure_device(PLAN, SPACE, Fake(), tmp_path / "log", quiet, [named])
    found, other = (Estimator(device)(spec, SIZES) for spec in (named, build(SPACE, sample(SPACE, Random(7)))))
    assert found.how == other.how == "table"
    true = [0.05 + 40 * costs(spec, *SIZES).macs / 1e9 for spec in (named, build(SPACE, sample(SPACE, Random(7))))]
    assert found.ms / other.ms == pytest.approx(true[0] / true[1], rel=1e-6)
    without = measure_device(PLAN, SPACE, Fake(), tmp_path / "other", quiet)
    assert Estimator(without)(named, SIZES).how == "linear"
    with pytest.raises(UserError, match="other settings"):
        measure_device(PLAN, SPACE, Fake(), tmp_path / "log", quiet)


def test_a_stopped_measurement_goes_on_and_ends_alike(tmp_path):
    whole = measure_device(PLAN, SPACE, Fake(), tmp_path / "whole", quiet)
    log, first = tmp_path / "log", Fake(stop=2)
    with pytest.raises(KeyboardInterrupt):
        measure_device(PLAN, SPACE, first, log, quiet)
    assert len(read_lines(log)) == 1 + 2
    second = Fake()
    second.asked = list(first.asked)  # so that the same batches meet the slower machine
    assert measure_device(PLAN, SPACE, second, log, quiet) == whole
    assert len(second.asked) == len(read_lines(log)) - 1


@pytest.mark.parametrize("cut", [-40, 0.4])
def test_so_does_one_whose_log_was_torn(tmp_path, cut):
    log = tmp_path / "log"
    whole = measure_device(PLAN, SPACE, Fake(), log, quiet)
    data = log.read_bytes()
    log.write_bytes(data[: cut if cut < 0 else int(cut * len(data))])
    again = measure_device(PLAN, SPACE, Fake(), log, quiet)
    assert [b.key for b in again.blocks] == [b.key for b in whole.blocks]
    assert judge(again.checks[0]).table.mape < 1e-6


def test_a_log_of_another_measurement_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        measure_device(PLAN, SPACE, Fake(stop=1), tmp_path / "log", quiet)
    with pytest.raises(UserError, match="begun with other settings"):
        measure_device(PLAN, SPACE, Fake(threads=2), tmp_path / "log", quiet)
    with pytest.raises(UserError, match="has only 2 networks"):
        small = Restoration(width=4, depth=(1, 2), kind="plain", activation="relu")
        measure_device(PLAN, small, Fake(), tmp_path / "other", quiet)


def test_a_small_space_is_checked_by_the_networks_it_has(tmp_path):
    small = Restoration(width=4, depth=(1, 2), kind=("plain", "residual"), activation=("relu", "prelu"))
    device = measure_device(replace(PLAN, calibration=10), small, Fake(), tmp_path / "log", quiet)
    assert judge(device.checks[0]).nets == 3 and judge(device.checks[0]).table.mape < 1e-6


def test_a_space_with_too_many_blocks_keeps_the_commonest():
    all_of_them = blocks_of_space(SPACE, SIZES, Random(0), 400)
    some = blocks_of_space(SPACE, SIZES, Random(0), 3)
    assert len(all_of_them) > 10 and len(some) == 3


def test_where_new_cells_never_cease_they_are_taken_apart_and_known_by_their_parts(tmp_path):
    space = NasBench201(width=2, cells=1)
    plan = replace(PLAN, sizes=((8, 8),), most_blocks=5_000)
    device = measure_device(plan, space, Fake(), tmp_path / "log", quiet)
    assert device.taken_apart and len(device.blocks) < 1_500
    told = [Estimator(device)(spec, plan.sizes) for spec in networks_of_space(space, Random(3), 20)]
    assert sum(one.how == "table" for one in told) >= 15
    assert not measure_device(PLAN, SPACE, Fake(), tmp_path / "other", quiet).taken_apart


def test_in_context_a_block_stands_between_convolutions():
    block = next(b for b in blocks_of_space(SPACE, SIZES, Random(0), 400) if not b.outer and not b.last)
    kinds = [type(layer.op).__name__ for layer in in_context(block)[0].layers]
    assert kinds[:2] == ["Conv", "ReLU"] and kinds[-1] == "Conv"


def test_what_a_block_adds_to_a_network_is_its_own_however_many_inputs_it_has(tmp_path):
    space, sizes = NasBench201(width=2, cells=1), ((8, 8),)
    measure_device(replace(PLAN, sizes=sizes), space, Fake(), tmp_path / "log", quiet)
    batches = [json.loads(line)["ms"] for line in read_lines(tmp_path / "log")[1:8]]
    seen = set()
    for block in blocks_of_space(space, sizes, Random(PLAN.seed), PLAN.most_blocks):
        ms = next((batch for batch in batches if block.key in batch), None)
        if ms is None or block.outer or block.last or {*block.inputs, block.out} != {block.out}:
            continue  # where shapes change, or at an end, what stands beside a block cancels over a network alone
        own = costs(block.spec, *block.sizes).macs * 40 / 1e9
        assert WAYS["in context"](block, ms) == pytest.approx(own, abs=1e-9)
        seen.add((len(block.inputs), own > 0))
    assert seen >= {(1, True), (2, True), (3, True), (2, False), (3, False)}


BARE = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("falconet", "torch", "pydantic"):
            raise ImportError(name + " is not on this device")
sys.meta_path.insert(0, Blocked())
print("a message of the day")
exec(compile(sys.stdin.read(), "program", "exec"), {"__name__": "program"})
"""


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A command that starts a Python without Falconet and torch, which reads its program from standard input."""
    (tmp_path / "bare.py").write_text(BARE)
    return f"{sys.executable} -I {tmp_path / 'bare.py'}"


@pytest.mark.parametrize("runtime", ["onnxruntime", "ncnn"])
def test_another_machine_needs_only_python_numpy_and_the_runtime(bare, runtime):
    items = [item_of(name, deployed_spec(ZOO[name]()), ((24, 32),)) for name in ("espcn", "vdsr")]
    found = Remote(bare, runtime).time(items, Rounds(5, burst=2, max_seconds=1))
    assert {name: len(seconds) for name, seconds in found.seconds.items()} == {"espcn": 10, "vdsr": 10}
    assert min(found.seconds["vdsr"]) > 2 * min(found.seconds["espcn"]) > 0
    assert found.version[0].isdigit() and found.processor and found.system


def test_mistakes_with_another_machine_are_told(bare, tmp_path):
    items = [item_of("espcn", ZOO["espcn"](), ((24, 32),))]
    for command, words in (
        ("no-such-command-here -", "cannot be started"),
        (f"{sys.executable} -c 'import sys; sys.exit(3)'", "ended without an answer: exit code 3"),
        (f"{sys.executable} -c 'raise OSError(5)'", "OSError"),
    ):
        with pytest.raises(UserError, match=words):
            Remote(command, "onnxruntime").time(items, Rounds(5))
    (tmp_path / "bare.py").write_text(BARE.replace('"pydantic"', '"onnxruntime"'))
    with pytest.raises(UserError, match="onnxruntime is not installed there"):
        Remote(bare, "onnxruntime").time(items, Rounds(5))
    with pytest.raises(UserError, match="these can: onnxruntime, ncnn"):
        Remote(bare, "tensorrt")
    with pytest.raises(UserError, match="these can: onnxruntime"):
        Here("tensorrt")


def test_bench_tells_times_sizes_memory_and_what_was_predicted(tmp_path):
    device = measure_device(PLAN, SPACE, Fake(), tmp_path / "log", quiet)
    small, large = (build(SPACE, sample(SPACE, Random(seed))) for seed in (1, 2))
    candidates = {
        "small": Candidate(small, SIZES, small, random_weights=True),
        "vdsr": Candidate(ZOO["vdsr"](), ((48, 64),), None),
        "again": Candidate(large, SIZES, large),
    }
    rows = bench(candidates, Here("onnxruntime"), Rounds(5, burst=2, max_seconds=1), Estimator(device))
    assert rows[-1].name == "vdsr" and rows[-1].predicted_ms is None and rows[-1].file_bytes > 2_000_000
    by_name = {row.name: row for row in rows}
    assert by_name["small"].random_weights and by_name["small"].predicted_ms > 0 and by_name["small"].how == "table"
    assert rows[0].min_ms <= rows[1].min_ms <= rows[2].min_ms and rows[0].relative > 0
    if sys.platform == "linux":
        assert by_name["vdsr"].peak_bytes > 2 * 64 * 48 * 64 * 4  # two tensors of 64 channels, at least
    assert peak_bytes("onnxruntime", tmp_path / "missing.onnx", [(1, 1, 8, 8)]) is None


def test_the_log_names_no_person_and_no_computer(tmp_path):
    import platform

    measure_device(PLAN, SPACE, Here("onnxruntime"), tmp_path / "log", quiet)
    text = (tmp_path / "log").read_text()
    assert platform.node() not in text and str(tmp_path) not in text
    assert json.loads(text.splitlines()[1])["samples"] >= 5
