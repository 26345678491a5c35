"""The commands about devices: bench, and device add, list, show, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falconet.cli.show import print_json, print_rows, remark
from falconet.errors import UserError

if TYPE_CHECKING:
    from falconet.evaluate.bench import Candidate, Row
    from falconet.evaluate.device import Device
    from falconet.evaluate.estimate import Estimator
    from falconet.evaluate.meter import Meter
    from falconet.graph import NetSpec
    from falconet.spaces import Space

Runtime = Annotated[str | None, typer.Option("--runtime", help="The runtime: see `falconet list targets`.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads a network runs with; 1 by default.")]
On = Annotated[str | None, typer.Option("--on", help="A device's name or .json file: its runtime, threads and table.")]
RemoteCommand = Annotated[
    str | None,
    typer.Option("--remote", metavar="CMD", help='Starts Python on another machine: "ssh pi@board python3 -".'),
]
InputShape = Annotated[
    str | None, typer.Option("--input", metavar="CxHxW", help="Channels, height and width of an input: 1x360x640.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Minutes = Annotated[float, typer.Option("--minutes", min=0.0, help="What measuring should take at most.")]

DEFAULT_RUNTIME = "onnxruntime"
DEFAULT_OUTPUT = (1280, 720)

app = typer.Typer(help="Devices: measured once, then searched for.", no_args_is_help=True)


def bench(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Zoo networks, models' names or folders, .onnx files.")
    ],
    on: On = None,
    runtime: Runtime = None,
    threads: Threads = None,
    remote: RemoteCommand = None,
    input_shape: InputShape = None,
    minutes: Minutes = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the order in each round.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Time networks together on a runtime: the fastest first, differences under 5 % are ties."""
    from dataclasses import asdict

    from falconet.deploy.timing import BURST, ROUNDS
    from falconet.evaluate.bench import bench as timed
    from falconet.evaluate.estimate import estimator
    from falconet.evaluate.meter import Rounds

    known = estimator(on) if on else None
    meter = _meter(runtime, threads, remote, known.device if known else None)
    candidates = {Path(name).name if name.endswith(".onnx") else name: _candidate(name, input_shape) for name in models}
    rows = timed(candidates, meter, Rounds(ROUNDS, BURST, seed, 60 * minutes), known)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    for note in _notes(rows, known):
        remark(note)
    print_rows([_bench_row(row, rows[0]) for row in rows])


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A name for the device.")],
    runtime: Runtime = None,
    threads: Threads = None,
    space: Annotated[
        str | None, typer.Option("--space", help="The space to measure: a name, or a Python file with one.")
    ] = None,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Or a recipe: its space and picture size.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting of the recipe.")
    ] = None,
    input_shape: InputShape = None,
    remote: RemoteCommand = None,
    minutes: Minutes = 10.0,
    networks: Annotated[int, typer.Option("--networks", min=5, help="Held-out networks to check it with.")] = 20,
    blocks: Annotated[int, typer.Option("--blocks", min=1, help="Blocks to measure at most.")] = 400,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure the blocks of a space on a device, and check the predictions that follow on held-out networks.

    Stopped at any instant, the same command goes on where it was.
    """
    from falconet.evaluate.device import device_path, write_device
    from falconet.evaluate.measure import Onboarding, measure_device

    path = device_path(name)
    if path.exists():
        raise UserError(f"there is a device {name!r} already ({path}): choose another name, or delete that file")
    title, given, sizes, also = _space(space, recipe, settings or [], input_shape)
    meter = _meter(runtime, threads, remote, None)
    plan = Onboarding(name, title, sizes, seed, held_out=networks, most_blocks=blocks, minutes=minutes)
    log = path.with_name(f"{name}.measuring.jsonl")
    try:
        device = measure_device(plan, given, meter, log, remark, also)
    except KeyboardInterrupt:
        remark("stopped; what is measured is kept: the same command goes on")
        raise typer.Exit(130) from None
    write_device(device, path)
    log.unlink()
    remark(f"wrote {path}")
    _show(device, as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the devices there are."""
    from falconet.evaluate.check import judge
    from falconet.evaluate.device import devices_folder, list_devices, load_device

    rows = []
    for name in list_devices():
        device = load_device(name)
        scores = [judge(check) for check in device.checks]
        row: dict[str, object] = {"name": name, "runtime": f"{device.runtime} {device.version}".strip()}
        row |= {"threads": device.threads, "blocks": len(device.blocks), "source": device.source}
        rows.append(row | {"error": f"{scores[0].table.mape:.1%}" if scores else ""})
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(rows)
    else:
        remark(f"no devices yet in {devices_folder()}; `falconet device add NAME --space restoration` measures one")


@app.command("show")
def show(
    device: Annotated[str, typer.Argument(help="A device's name or .json file.")],
    as_json: AsJson = False,
) -> None:
    """Show a device: how well it predicts, and what operators cost on it beside one another."""
    from falconet.evaluate.device import load_device

    _show(load_device(device), as_json)


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(help="A device's .json file, or a published phone table (.json, .csv, .csv.gz).")
    ],
    name: Annotated[str | None, typer.Option("--name", help="Another name for it here; for a table: a name.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The phone in a table; the name unless given.")] = None,
) -> None:
    """Check a device's file, or make a device of a published phone table, and put it among the devices."""
    from falconet.evaluate.device import device_path, load_device, write_device
    from falconet.evaluate.published import is_lut, published_device

    if not file.is_file():
        raise UserError(f"there is no file {file}")
    if file.suffix not in (".json", ".csv", ".gz"):
        raise UserError(f"a device is a .json file, a table .json, .csv or .csv.gz; {file} is none")
    if file.suffix != ".json" or is_lut(file):
        if name is None:
            raise UserError(f"{file} is a table of several phones: say which with --name pixel3")
        device = published_device(file, name, column)
    elif column is not None:
        raise UserError(f"--column chooses a phone of a table; {file} is a device")
    else:
        device = load_device(file)
    device = device.model_copy(update={"name": name or device.name})
    path = device_path(device.name)
    if path.exists():
        raise UserError(f"there is a device {device.name!r} already ({path}): give this one another name with --name")
    remark(f"wrote {write_device(device)}")


def _meter(runtime: str | None, threads: int | None, remote: str | None, device: Device | None) -> Meter:
    """Where to time: on another machine, or here. UserError when a device is neither."""
    from falconet.deploy.runner import processor
    from falconet.evaluate.meter import Here, Remote

    name = runtime or (device.runtime if device else DEFAULT_RUNTIME)
    count = threads or (device.threads if device else 1)
    if device and (name, count) != (device.runtime, device.threads):
        its = f"{device.runtime} with {device.threads} thread(s)"
        raise UserError(f"{device.name} is {its}: leave out --runtime and --threads, or --on")
    if remote is not None:
        return Remote(remote, name, count)
    if device and device.processor != processor():
        raise UserError(
            f"{device.name} is another machine ({device.processor or 'unknown'}): add --remote CMD to time there"
        )
    return Here(name, count)


def _candidate(name: str, input_shape: str | None) -> Candidate:
    """The network that MODEL names, at the size that is asked for."""
    from falconet.cli.targets import network_of
    from falconet.deploy import load_model, run_onnx, shipped_models
    from falconet.evaluate.bench import Candidate

    if name.endswith(".onnx"):
        channels = run_onnx(Path(name)).inputs[0].channels
        if input_shape is None:
            raise UserError(f"the time of {name} depends on its input: add --input {channels}xHEIGHTxWIDTH")
        return Candidate(Path(name), (_size(input_shape, channels, name),))
    found = network_of(name)
    if found.task is None and input_shape is None and found.spec.inputs[0].channels == 1:
        raise UserError(f"the time of {name} depends on its input: add --input 1x360x640, or another size")
    sizes = found.sizes(input_shape)
    if Path(name).is_dir() or name in shipped_models():
        return Candidate(load_model(name).network, sizes, found.spec)
    return Candidate(found.spec, sizes, found.spec, random_weights=True)


def _size(input_shape: str, channels: int, title: str) -> tuple[int, int]:
    """(height, width) of "CxHxW". UserError unless the channels are those of the network."""
    import re

    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", input_shape)
    if match is None:
        raise UserError(f"--input must be CHANNELSxHEIGHTxWIDTH, such as 1x360x640; got {input_shape!r}")
    if int(match[1]) != channels:
        raise UserError(f"{title} takes {channels} channels, not {match[1]}: --input {channels}x{match[2]}x{match[3]}")
    return int(match[2]), int(match[3])


def _space(
    space: str | None, recipe: Path | None, settings: list[str], input_shape: str | None
) -> tuple[str, Space, tuple[tuple[int, int], ...], list[NetSpec]]:
    """The space in words, the space, (height, width) of each input, and networks that a recipe's limits are told by."""
    from random import Random

    from falconet.run.recipe import load
    from falconet.run.wanted import references, sizes
    from falconet.spaces import build, sample

    if (space is None) == (recipe is None):
        raise UserError(
            "say what to measure: --space restoration (see `falconet list spaces`), or --recipe recipe.yaml"
        )
    also: list[NetSpec] = []
    if recipe is not None:
        loaded = load(recipe, settings)
        also = references(loaded)
        given, at = loaded.space, sizes(loaded)
        title = f"{getattr(given, 'name', 'the space')} of a recipe"
    else:
        assert space is not None
        if settings:
            raise UserError("--set changes a recipe: give --recipe with it")
        title, given, at = Path(space).name, _named_space(space), ()
    inputs = build(given, sample(given, Random(0))).inputs
    if input_shape is not None:
        at = (_size(input_shape, inputs[0].channels, f"the space {title}"),) * len(inputs)
    if not at:
        scale = getattr(given, "scale", None)
        if not isinstance(scale, int):
            raise UserError(f"say how large an input is: --input {inputs[0].channels}x224x224, or another size")
        at = ((DEFAULT_OUTPUT[1] // scale, DEFAULT_OUTPUT[0] // scale),) * len(inputs)
    return title, given, at, also


def _named_space(space: str) -> Space:
    """A space of the table with its defaults, or one from a Python file."""
    from falconet.run.reading import suggestion
    from falconet.spaces import SPACES, load_space

    if space.endswith(".py") or ".py:" in space:
        return load_space(space)
    if space not in SPACES:
        raise UserError(f"there is no space {space!r}{suggestion(space, SPACES)}")
    found: Space = SPACES[space]()
    return found


def _notes(rows: list[Row], known: Estimator | None) -> list[str]:
    """What one has to know beside the figures."""
    first = rows[0]
    notes = [f"{first.runtime}, {first.threads} thread(s), {first.device}; load {max(row.load for row in rows):.1f}"]
    drawn = [row.name for row in rows if row.random_weights]
    if drawn:
        notes.append(f"weights drawn at random, which does not change the time: {', '.join(drawn)}")
    if known and any(row.how == "linear" for row in rows):
        notes.append(f"linear: a block is not in the table of {known.device.name}; the prediction is a rougher one")
    return notes


def _bench_row(row: Row, fastest: Row) -> dict[str, object]:
    times = {"min ms": row.min_ms, "p10 ms": row.p10_ms, "median ms": row.median_ms, "spread ms": row.spread_ms}
    line: dict[str, object] = {"name": row.name, "input": "x".join(map(str, row.input_size))}
    line |= {title: f"{ms:.3f}" for title, ms in times.items()}
    line |= {"/reference": f"{row.relative:.3f}", "/fastest": f"{row.min_ms / fastest.min_ms:.2f}"}
    line["ties with"] = ", ".join(row.ties_with)
    if row.predicted_ms is not None:
        line["predicted ms"] = f"{row.predicted_ms:.3f}" + (f" ({row.how})" if row.how != "table" else "")
    line["file kB"] = f"{row.file_bytes / 1e3:.1f}"
    line["memory MB"] = "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.1f}"
    return line


def _show(device: Device, as_json: bool) -> None:
    """Print a device: what it is, how well it predicts, how operators compare."""
    from dataclasses import asdict

    from falconet.evaluate.check import judge
    from falconet.evaluate.compare import compare_operators

    scores = [judge(check) for check in device.checks]
    operators = compare_operators(device)
    if as_json:
        about = device.model_dump(mode="json", exclude={"blocks", "checks"})
        print_json({**about, "num_blocks": len(device.blocks), "checks": [asdict(one) for one in scores],
                    "operators": [asdict(one) for one in operators]})  # fmt: skip
        return
    print(f"{device.name}: {device.runtime} {device.version}, {device.threads} thread(s), {device.precision}")
    print(f"{device.processor} ({device.system}), {device.source} {device.date}; {len(device.blocks)} blocks")
    for note in device.notes:
        print(note)
    for check, one in zip(device.checks, scores, strict=True):
        sizes = ", ".join(f"{height}x{width}" for height, width in check.sizes)
        print(f"\n{one.nets} held-out networks of {check.space} at {sizes} ({one.linear} with blocks not in the table)")
        shown = {"this table": one.table, "noise: measured again": one.noise}
        shown |= {"MACs alone": one.macs, "parameters alone": one.params}
        print_rows([
            {"prediction": title, "Spearman": f"{s.spearman:.3f}", "mean error": f"{s.mape:.1%}",
             "worst error": f"{s.worst:.1%}"}
            for title, s in shown.items()
        ])  # fmt: skip
        if one.bands:
            print(f"Spearman among networks within +-10 % of MACs: {one.banded:.3f} ({one.bands} groups); ", end="")
            print(f"measured again {one.banded_noise:.3f}")
    if operators:
        print("\nOperators, against the same block with another (medians over equal shapes)")
        print_rows([
            {"operator": one.operator, "instead of": one.instead_of, "times the block": f"{one.ratio:.2f}",
             "blocks": one.pairs}
            for one in operators
        ])  # fmt: skip
