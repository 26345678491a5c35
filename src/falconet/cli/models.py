"""The commands that work on networks: inspect, evaluate, enhance."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from falconet.cli.show import print_json, print_rows, remark
from falconet.errors import UserError

Target = Annotated[str, typer.Argument(help="A zoo network, a model's name or folder, or a network's JSON file.")]
InputShape = Annotated[
    str | None, typer.Option("--input", metavar="CxHxW", help="Channels, height and width of an input: 3x224x224.")
]
Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Pictures to enhance.")]
Model = Annotated[str | None, typer.Option("--model", help="A trained model's name or folder; a default one ships.")]
OutFolder = Annotated[Path | None, typer.Option("--out", help="The folder to write to; beside each photo by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def inspect(target: Target, input_shape: InputShape = None, as_json: AsJson = False) -> None:
    """Show a network's layers and what it costs: MACs, parameters and the peak of its activations, once fused."""
    from falconet.cli.targets import network_of
    from falconet.graph import costs, layer_costs, merged

    found = network_of(target)
    sizes = found.sizes(input_shape)
    total = costs(found.spec, *sizes)
    if as_json:
        print_json({"macs": total.macs, "params": total.params, "peak_activation_bytes": total.peak_activation_bytes})
        return
    fused = merged(found.spec)
    rows = layer_costs(fused, *sizes)
    print_rows([asdict(row) | {"output": "x".join(map(str, row.output))} for row in rows])
    shapes = ", ".join(
        f"{given.name} {given.channels}x{height}x{width}"
        for given, (height, width) in zip(found.spec.inputs, sizes, strict=True)
    )
    print(f"\n{found.title} at {shapes}: {total.macs:,} MACs, {total.params:,} parameters, ", end="")
    print(f"{total.peak_activation_bytes:,} bytes of activations at the peak (float32)")


def evaluate(
    target: Annotated[str, typer.Argument(help="A trained model's name or folder, an .onnx file, or bicubic.")],
    data: Annotated[Path, typer.Option("--data", help="A folder of pictures, whole and undamaged: the truth.")],
    task: Annotated[str, typer.Option("--task", help="The task, when TARGET does not know it.")] = "super_resolution",
    scale: Annotated[int | None, typer.Option("--scale", help="The scale, when TARGET does not know it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a network on a folder of pictures, by the published protocol."""
    from falconet.cli.targets import judged

    run, settings = judged(target, task, scale)
    result = settings.test(run, data)
    for left_out in result.skipped:
        remark(f"left out {left_out.path}: {left_out.reason}")
    figures = {**result.metrics, "num_images": result.num_images}
    if as_json:
        print_json(figures)
    else:
        remark(settings.protocol)
        print_rows([{name: round(value, 4) for name, value in figures.items()}])


def enhance(photos: Photos, model: Model = None, out: OutFolder = None) -> None:
    """Enhance photos with a trained model. Nothing is ever overwritten: a taken name gets -2, -3 and so on."""
    from falconet.deploy import DEFAULT_MODEL, load_model
    from falconet.run.progress import shown
    from falconet.tasks.images import read_picture, write_picture

    trained = load_model(model or DEFAULT_MODEL)
    suffix = f"-x{scale}" if (scale := getattr(trained.task, "scale", None)) else f"-{trained.name}"
    failures: list[str] = []
    with shown() as progress:
        for photo in photos:
            try:
                picture = read_picture(photo)
                for note in picture.notes:
                    progress.say(f"{photo}: {note}")
                with progress.task(photo.name, total=100) as percent:
                    better = trained.enhance(picture, lambda done, tiles: percent(100 * done // tiles))
            except UserError as error:
                failures.append(str(error))
                continue
            print(write_picture(better, (out or photo.parent) / f"{photo.stem}{suffix}{photo.suffix}"))
    if failures:
        raise UserError("\n".join(failures))
