"""The command `export`: a trained network to the file of a runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from falconet.cli.show import print_json, remark
from falconet.errors import UserError

if TYPE_CHECKING:
    from falconet.deploy.export import Source
    from falconet.deploy.export_facts import ExportFacts
    from falconet.deploy.target import Precision

Photos = Annotated[
    Path | None, typer.Option("--data", help="A folder of real pictures to prove the file on; int8 needs them.")
]
WeightsFile = Annotated[Path | None, typer.Option("--weights", help="The weights of a network without a folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

ALL = "all"
PRECISIONS = ("float32", "float16", "int8")


def export(
    model: Annotated[str, typer.Argument(help="A model's name or folder; or a network, with --weights.")],
    target: Annotated[list[str], typer.Option("--target", help="A runtime (falconet list targets), or all.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; one inside for each of several targets.")],
    precision: Annotated[str, typer.Option("--precision", help="float32, float16 or int8.")] = "float32",
    size: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="WIDTHxHEIGHT", help="For runtimes of fixed sizes; may be given again."),
    ] = None,
    data: Photos = None,
    weights: WeightsFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a trained network for a runtime, proved against PyTorch, with a card and a program that runs it."""
    from falconet.deploy.export import export as write

    names, sizes = list(_targets(target)), [_size(one) for one in size or ()]
    if precision not in PRECISIONS:
        raise UserError(f"--precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    source = _source(model, weights)
    found: list[ExportFacts] = []
    failed: list[str] = []
    for name in names:
        place = out if len(target) == 1 and target[0] != ALL else out / name
        try:
            facts = write(source, name, place, precision=cast("Precision", precision), sizes=sizes, data=data)
        except (UserError, _refused()) as error:
            if len(names) == 1:
                raise UserError(str(error)) from error
            failed.append(f"{name}: {error}")
            remark(f"left out {name}: {error}")
            continue
        found.append(facts)
        if not as_json:
            _tell(facts, place)
    if as_json:
        print_json([facts.model_dump(mode="json") for facts in found])
    if not found:
        raise UserError("nothing was written:\n" + "\n".join(failed))


def _refused() -> type[Exception]:
    from falconet.deploy import ExportRefused

    return ExportRefused


def _targets(given: Sequence[str]) -> Iterator[str]:
    """The targets named, each once. UserError for one that does not exist."""
    from falconet.deploy import TARGETS
    from falconet.run.reading import suggestion

    names = list(TARGETS) if ALL in given else list(dict.fromkeys(given))
    for name in names:
        if name not in TARGETS:
            raise UserError(f"there is no target {name!r}{suggestion(name, [*TARGETS, ALL])}")
        yield name


def _size(text: str) -> tuple[int, int]:
    """(height, width) of WIDTHxHEIGHT."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise UserError(f"--size must be WIDTHxHEIGHT in pixels, such as 640x360; got {text!r}")
    width, height = map(int, match.groups())
    return height, width


def _source(name: str, weights: Path | None) -> Source:
    """What MODEL means: a model folder, one that ships, or a network with weights of its own."""
    from falconet.cli.targets import network_of
    from falconet.deploy import load_model, shipped_models
    from falconet.deploy.export import Source, source_of

    if weights is None:
        if Path(name).is_dir() or name in shipped_models():
            return source_of(load_model(name))
        found = network_of(name)  # tells what does not exist
        raise UserError(f"{found.title} has no weights of its own: add --weights FILE.safetensors, or name a model")
    from falconet.graph.network import deployed
    from falconet.zoo.weights import load_weights

    found = network_of(name)
    return Source(Path(found.title).stem, deployed(load_weights(found.spec, weights)), {}, found.task)


def _tell(facts: ExportFacts, place: Path) -> None:
    """What was written, in a few lines."""
    from falconet.deploy.compare import told

    print(place)
    size = sum(facts.files.values())
    took = f"converted in {facts.convert_seconds:.2f} s"
    remark(f"{facts.target}: {facts.runtime}, {facts.precision}, {size:,} bytes, {took}")
    if facts.against is not None:
        for line in told(facts.against):
            remark(line)
    elif facts.proof is not None:
        proof = facts.proof
        remark(f"differs from PyTorch by at most {proof.largest:.2g} on {proof.samples} real pictures "
               f"({proof.tolerance:.2g} is allowed)")  # fmt: skip
    else:
        remark("NOT proved: this format cannot be run here")
