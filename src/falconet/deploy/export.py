"""A network's folder for one runtime: its file, proved; a card; a program that runs it; what was measured.

    OUT/  model.param, model.bin ...   what the runtime reads (names by target)
          run.py                       a short program that runs it where Falconet is not installed
          card.md                      for people: what it is, how it was proved, the lines for an app
          export.json                  runtime and version, sizes, largest difference, time to convert

`export` writes the folder whole or not at all, and only if the runtime computes what PyTorch does on real pictures.
A target that takes one picture size gets a file for each size asked for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from falconet import __version__
from falconet.deploy.compare import FLOAT, INTEGER, Against, against, calibration, needs_task
from falconet.deploy.export_card import export_card
from falconet.deploy.export_facts import ExportFacts, Proof
from falconet.deploy.parity import check_parity
from falconet.deploy.place import whole_folder
from falconet.deploy.proof import Pixels, fits, proof_photos, proof_sample, proof_sizes
from falconet.deploy.script import run_script
from falconet.deploy.target import Precision, Sample, Sizes, Target
from falconet.deploy.targets import TARGETS
from falconet.errors import UserError
from falconet.files import write_text
from falconet.graph import NetSpec, reach

if TYPE_CHECKING:
    from falconet.deploy.model import Model
    from falconet.graph.network import Network
    from falconet.tasks import Task

FILE = "export.json"
SAMPLES_A_SIZE = 2  # for targets that take one size


@dataclass(frozen=True, eq=False)
class Source:
    """What is exported: a network as it ships, and what is known of it.

    `settings` are those of its task, `sizes` what its costs were counted for, `terms` those of its training pictures.
    """

    name: str
    network: Network
    settings: Mapping[str, Any]
    task: Task | None = None
    sizes: Sizes = ()
    terms: str = ""

    @property
    def spec(self) -> NetSpec:
        """The network's spec."""
        assert self.network.spec is not None
        return self.network.spec


def source_of(model: Model) -> Source:
    """A model folder as what is exported."""
    facts = model.facts
    return Source(model.name, model.network, facts.task, model.task, facts.costs_at, facts.training.terms)


def export(
    source: Source,
    name: str,
    out: Path,
    *,
    precision: Precision = "float32",
    sizes: Sequence[tuple[int, int]] = (),
    data: Path | None = None,
) -> ExportFacts:
    """Write the network's folder for the target `name` and return what export.json says.

    `sizes` are (height, width) to write files for, where the target takes one size; `data` a folder of real pictures to
    prove the file on (one ships), which int8 cannot do without. UserError tells what the target cannot take or what is
    missing, ExportRefused that it computes something else; then nothing is written.
    """
    target = TARGETS[name]()
    _check(target, name, out, precision)
    job = _Job(source, target, name, precision, proof_photos(data), data)
    runtime, wanted = target.version(), _sizes(source, target, sizes)
    timed = tuple((sizes[0],) * len(source.spec.inputs)) if sizes else source.sizes
    with whole_folder(out) as folder:
        written = [_file(job, folder, one, timed) for one in wanted or ((),)]
        facts = ExportFacts(
            model=source.name,
            network=source.spec.digest,
            falconet=__version__,
            target=name,
            runtime=runtime,
            precision=precision,
            files={path.name: size for path, size in _contents(folder)},
            inputs=tuple(given.name for given in source.spec.inputs),
            outputs=source.spec.outputs,
            sizes=wanted,
            convert_seconds=round(sum(one.seconds for one in written), 4),
            proof=_worst([one.proof for one in written if one.proof is not None]),
            against=written[0].against,
            date=datetime.now(UTC).strftime("%Y-%m-%d"),
        )
        files = [one.path.name for one in written]
        one_size = wanted[0] if wanted else ()
        script = run_script(source.name, source.settings, target, files[0], one_size, _reach(source.spec))
        write_text(folder / "run.py", script)
        write_text(folder / "card.md", export_card(facts, target, files, source.terms))
        write_text(folder / FILE, facts.model_dump_json(indent=1) + "\n")
    return facts


@dataclass(frozen=True, eq=False)
class _Job:
    """What every file of an export has in common."""

    source: Source
    target: Target
    name: str
    precision: Precision
    photos: Sequence[Pixels]
    data: Path | None


@dataclass(frozen=True, eq=False)
class _Written:
    """A file, what it took to convert, and what was found of it."""

    path: Path
    seconds: float
    proof: Proof | None = None
    against: Against | None = None


def _file(job: _Job, folder: Path, sizes: Sizes, timed: Sizes) -> _Written:
    """Write a file for `sizes` (any, when there are none), and prove or judge it."""
    source, target, tolerance = job.source, job.target, job.target.tolerances[job.precision]
    samples: Sequence[Sample] = ()
    if tolerance is None:
        samples = calibration(*needs_task(source.task, job.data))
    started = time.perf_counter()
    weights = source.network.weights()
    path = target.export(source.spec, weights, folder, precision=job.precision, sizes=sizes, samples=samples)
    seconds = time.perf_counter() - started
    if tolerance is None:
        return _Written(path, seconds, against=_measure(job, path, sizes or timed, len(samples)))
    return _Written(path, seconds, _prove(job, path, sizes, tolerance) if target.runs else None)


def _check(target: Target, name: str, out: Path, precision: Precision) -> None:
    """UserError unless the target has that precision and the folder may be written."""
    if precision not in target.tolerances:
        raise UserError(f"{name} has no precision {precision!r} here; it offers {', '.join(target.tolerances)}")
    if out.exists() and not (out / FILE).is_file():
        raise UserError(f"{out} exists and is not a folder that export wrote: choose another place")


def _sizes(source: Source, target: Target, given: Sequence[tuple[int, int]]) -> tuple[Sizes, ...]:
    """The sizes to write files for, one for each input; none where any size goes."""
    every = tuple((size,) * len(source.spec.inputs) for size in given)
    for sizes in every:
        if not fits(source.spec, sizes):
            height, width = sizes[0]
            raise UserError(f"{source.name} does not take pictures of {width}x{height}: give another --size")
    if target.any_size:
        return ()
    if not every and not source.sizes:
        raise UserError("this target's files are for one picture size: name it with --size WIDTHxHEIGHT")
    return every or (source.sizes,)


def _prove(job: _Job, path: Path, one: Sizes, tolerance: float) -> Proof:
    """The file against PyTorch, at its size or at several odd ones."""
    spec = job.source.spec
    sizes = (one,) * SAMPLES_A_SIZE if one else proof_sizes(spec, job.source.sizes)
    samples = [proof_sample(spec, size, job.photos, number) for number, size in enumerate(sizes)]
    found = check_parity(job.target.load(path), job.source.network, samples, tolerance, job.name)
    return Proof(largest=found.largest, tolerance=tolerance, samples=found.samples, sizes=found.sizes)


def _worst(proofs: Sequence[Proof]) -> Proof | None:
    """All proofs as one."""
    if not proofs:
        return None
    worst = max(proofs, key=lambda proof: proof.largest)
    sizes = tuple(size for proof in proofs for size in proof.sizes)
    return worst.model_copy(update={"samples": sum(proof.samples for proof in proofs), "sizes": sizes})


def _measure(job: _Job, path: Path, sizes: Sizes, calibrated_on: int) -> Against:
    """The file beside one of float32 for the same target, timed at `sizes`."""
    task, pictures = needs_task(job.source.task, job.data)
    spec, sizes = job.source.spec, sizes or proof_sizes(job.source.spec, ())[0]
    with TemporaryDirectory() as place:
        plain = job.target.export(spec, job.source.network.weights(), Path(place), sizes=sizes)
        runs = {FLOAT: job.target.load(plain), INTEGER: job.target.load(path)}
        return against(runs, task, pictures, proof_sample(spec, sizes, job.photos, 0), calibrated_on)


def _contents(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files and packages in the folder, and their bytes."""
    for path in sorted(folder.iterdir()):
        inside = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
        yield path, sum(one.stat().st_size for one in inside)


def _reach(spec: NetSpec) -> int | None:
    """The margin that parts of a picture need; None where the network looks at the whole of it."""
    try:
        return reach(spec)
    except ValueError:
        return None
