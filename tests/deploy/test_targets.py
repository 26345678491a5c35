"""The contract of every export target: what it says of itself, every operator, networks of the zoo and the spaces."""

import tomllib
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from falconet.deploy import TARGETS, ExportRefused, Target, check_parity, load_model, shipped_models
from falconet.deploy.proof import fits, proof_photos, proof_sample
from falconet.deploy.target import Precision, Sample, Sizes
from falconet.errors import UserError
from falconet.graph import OPS, Conv, Draft, NetSpec, ReLU
from falconet.graph.network import Network, deployed
from falconet.spaces import SPACES, build, sample
from falconet.zoo import ZOO

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = ((61, 47), (24, 36))
CLASSIFIER = (224, 224)
CONVERTS_FOR_SECONDS = ("executorch",)  # each file takes ten seconds and more: one for all operators instead
RUNNING = tuple(name for name in TARGETS if TARGETS[name].runs)
QUICK = tuple(name for name in RUNNING if name not in CONVERTS_FOR_SECONDS)
every = pytest.mark.parametrize("target", TARGETS, indirect=True)
running = pytest.mark.parametrize("target", RUNNING, indirect=True)
imported = pytest.mark.parametrize(  # importing ExecuTorch takes seconds
    "target",
    [pytest.param(n, marks=pytest.mark.slow if n in CONVERTS_FOR_SECONDS else ()) for n in RUNNING],
    indirect=True,
)
quick = pytest.mark.parametrize("target", QUICK, indirect=True)


def written(
    target: Target,
    network: Network,
    samples: list[Sample],
    folder: Path,
    precision: Precision = "float32",
    tolerance: float | None = None,
) -> float:
    """The largest difference of the files for the samples: one file for all, or one for each size."""
    allowed = target.tolerances[precision] if tolerance is None else tolerance
    assert network.spec is not None and allowed is not None
    largest = 0.0
    for number, given in enumerate(samples):
        sizes: Sizes = tuple((x.shape[-2], x.shape[-1]) for x in given)
        place = folder / str(number)
        place.mkdir(parents=True)
        path = target.export(network.spec, network.weights(), place, precision=precision, sizes=sizes)
        chosen = samples if target.any_size else [given]
        largest = max(largest, check_parity(target.load(path), network, chosen, allowed).largest)
        if target.any_size:
            break
    return largest


def photo_samples(spec: NetSpec, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[Sample]:
    photos = proof_photos()
    every_size = [(size,) * len(spec.inputs) for size in sizes]
    return [proof_sample(spec, size, photos, n) for n, size in enumerate(every_size) if fits(spec, size)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_says_what_it_is(name):
    target = TARGETS[name]
    assert (target.__doc__ or "").partition("\n")[0].endswith(".") and target.good_for and target.packages
    assert "float32" in target.tolerances and "FILE" in target.python and "def network(*arrays)" in target.python
    assert target.snippets and all("FILE" in lines for lines in target.snippets.values())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    if target.extra:
        assert any(one.startswith(target.packages[0]) for one in extras["optional-dependencies"][target.extra])
    else:
        assert any(one.startswith(target.packages[0]) for one in extras["dependencies"])


@every
def test_the_version_names_the_runtime(target):
    package, _, version = target.version().rpartition(" ")
    assert package == target.packages[0] and version[0].isdigit()


@pytest.mark.parametrize("kind", OPS)
@quick
def test_operator_agrees_with_torch_or_is_refused_by_name(target, kind, operators, tmp_path):
    for number, (op, channels, sizes) in enumerate(operators.CASES[OPS[kind]]):
        network = operators.randomised(operators.single(op, channels), 0)
        noise = [tuple(np.random.default_rng(n).standard_normal((1, channels, *size), dtype=np.float32) for _ in "x")
                 for n, size in enumerate(sizes[:2])]  # fmt: skip
        try:
            assert written(target, network, noise, tmp_path / str(number), tolerance=2e-5) <= 2e-5
        except UserError as error:
            assert "'y'" in str(error) and kind in str(error)


@quick
def test_batches_are_run_whole(target, operators, tmp_path):
    network = operators.randomised(operators.single(Conv(3), 2), 0)
    batch = (np.random.default_rng(0).random((3, 2, 9, 14), dtype=np.float32),)
    assert written(target, network, [batch], tmp_path) < 1e-5


@quick
def test_several_outputs_keep_their_order_even_the_input_and_one_twice(target, operators, tmp_path):
    d = Draft(frame=3, before=2)
    both = d.layer("y", Conv(4), d.concat("cat", a="frame", b="before"))
    spec = d.build(both, "frame", d.layer("act", ReLU(), both), both)
    network = operators.randomised(spec, 0)
    assert written(target, network, photo_samples(spec), tmp_path) < 1e-5


@quick
def test_real_pictures_agree_to_the_stated_tolerance(target, network, samples, tmp_path):
    small = deployed(network)
    for precision, allowed in target.tolerances.items():
        if allowed is not None:
            assert written(target, small, samples, tmp_path / precision, precision) <= allowed


@quick
@pytest.mark.parametrize("seed", range(4))
def test_nets_drawn_at_random_agree(target, operators, seed, tmp_path):
    network = deployed(operators.randomised(operators.random_net(Random(seed)), seed))
    assert written(target, network, photo_samples(network.spec), tmp_path) <= target.tolerances["float32"]


@imported
def test_files_that_are_missing_or_no_networks_are_told(target, tmp_path):
    with pytest.raises(UserError, match=r"no file .*gone"):
        target.load(tmp_path / "gone.param")
    for name in ("text.param", "text.bin"):
        (tmp_path / name).write_text("not a network")
    with pytest.raises(UserError, match=r"text\.param"):
        target.load(tmp_path / "text.param")


@quick
def test_an_operator_that_a_target_does_not_know_is_named(target, tmp_path):
    class Strange(ReLU):
        pass

    d = Draft(x=1)
    spec = d.build(d.layer("odd", Strange(), "x"))
    with pytest.raises(UserError, match=r"layer 'odd' \(Strange\): .* has no such operator"):
        target.export(spec, {}, tmp_path, sizes=((8, 8),))
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("name", [name for name in TARGETS if TARGETS[name].extra])
def test_a_missing_runtime_is_one_line_that_says_what_to_install(name, tmp_path, monkeypatch):
    import sys
    from importlib import metadata

    from falconet.deploy import target as contract

    def missing(package: str) -> str:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(contract, "installed_version", missing)
    runtimes = ("ncnn", "openvino", "ai_edge_litert", "executorch", "coremltools")
    for module in [one for one in sys.modules if one.split(".")[0] in runtimes]:
        monkeypatch.delitem(sys.modules, module)
    for module in runtimes:
        monkeypatch.setitem(sys.modules, module, None)
    calls = [TARGETS[name]().version]
    if TARGETS[name].runs:
        calls.append(lambda: TARGETS[name]().load(tmp_path / "x.param"))
    for call in calls:
        with pytest.raises(UserError) as told:
            call()
        assert str(told.value).endswith(f"pip install 'falconet[{TARGETS[name].extra}]'")
        assert "\n" not in str(told.value)


def test_openvino_reports_to_nobody():
    import subprocess
    import sys

    pytest.importorskip("openvino", exc_type=ImportError)
    code = (
        "import sys; from falconet.deploy.openvino import _openvino; _openvino(); "
        "assert not any('openvino_telemetry' in name for name in sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@running
def test_all_operators_in_one_network(target, operators, tmp_path):
    """Each as an output of its own: what a converter can take, it takes beside everything else too."""
    d = Draft(x=12)
    outputs = [d.layer(f"y{kind}", op, *inputs) for kind, op, inputs in _standing_alone(operators, d)]
    network = operators.randomised(d.build(*outputs), 0)
    noise = [(np.random.default_rng(0).standard_normal((1, 12, 12, 12), dtype=np.float32),)]
    assert written(target, network, noise, tmp_path, tolerance=2e-5) <= 2e-5


def _standing_alone(operators, d: Draft):
    """(name, operator, inputs) of the first case of every operator that takes 12 channels of any size."""
    for kind, kind_type in OPS.items():
        op, channels, _ = operators.CASES[kind_type][0]
        if channels == 12 and kind not in ("Linear", "Flatten") and op.num_inputs == 1:
            yield kind, op, ("x",)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [*ZOO, *shipped_models()])
@quick
def test_every_hand_designed_and_shipped_network(target, name, tmp_path):
    torch.manual_seed(0)
    network = load_model(name).network if name in shipped_models() else deployed(Network(ZOO[name]()))
    samples = photo_samples(network.spec) if fits(network.spec, SIZES[:1] * len(network.spec.inputs)) else []
    assert written(target, network, samples or photo_samples(network.spec, (CLASSIFIER,)), tmp_path) <= 1e-4


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SPACES)
@quick
def test_twenty_networks_of_every_space(target, name, tmp_path):
    for seed in range(20):
        torch.manual_seed(seed)
        space = SPACES[name]()
        network = deployed(Network(build(space, sample(space, Random(seed)))))
        samples = photo_samples(network.spec) or photo_samples(network.spec, ((32, 32), CLASSIFIER))
        assert samples and written(target, network, samples, tmp_path / str(seed)) <= 1e-4


def test_a_refused_file_is_told_with_the_difference(network, samples, tmp_path):
    with pytest.raises(ExportRefused, match="differ by"):
        written(TARGETS["onnxruntime"](), deployed(network), samples, tmp_path, tolerance=1e-12)
