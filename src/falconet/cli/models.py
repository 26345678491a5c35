"""The commands that work on networks: inspect, evaluate, enhance."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from falconet.cli.show import print_json, print_rows, remark
from falconet.errors import UserError

if TYPE_CHECKING:
    from falconet.deploy import Model as Trained

Target = Annotated[str, typer.Argument(help="A zoo network, a model's name or folder, or a network's JSON file.")]
InputShape = Annotated[
    str | None, typer.Option("--input", metavar="CxHxW", help="Channels, height and width of an input: 3x224x224.")
]
Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Pictures to enhance.")]
Model = Annotated[str | None, typer.Option("--model", help="A trained model's name or folder; a default one ships.")]
OutFolder = Annotated[Path | None, typer.Option("--out", help="The folder to write to; beside each photo by default.")]
Sigma = Annotated[
    str | None, typer.Option("--sigma", help="Noise level of a 0..255 scale: 25, or a range: 0,50 (denoising).")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another setting of the task; may be given again."),
]
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
    target: Annotated[
        str,
        typer.Argument(
            help="A trained model's name or folder, an .onnx or .param file, a zoo net, or bicubic, noisy, nlm."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="A folder of pictures, whole and undamaged: the truth.")],
    task: Annotated[str | None, typer.Option("--task", help="The task, when TARGET does not know it.")] = None,
    scale: Annotated[int | None, typer.Option("--scale", help="The scale, when TARGET does not know it.")] = None,
    sigma: Sigma = None,
    colour: Annotated[str | None, typer.Option("--colour", help="luma, grey or rgb.")] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="The weights of a zoo network, .pth or .safetensors.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A pattern of names, or a .txt file of them; may be given again.")
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Measure a network on a folder of pictures, by the published protocol."""
    from falconet.cli.targets import judged
    from falconet.tasks import Pictures

    given = {"scale": scale, "sigma": None if sigma is None else _level(sigma), "colour": colour, **_settings(settings)}
    run, known = judged(target, task, {name: value for name, value in given.items() if value is not None}, weights)
    result = known.test(run, Pictures(folder=data, only=tuple(only or ())))
    for left_out in result.skipped:
        remark(str(left_out))
    figures = {**result.metrics, "num_images": result.num_images}
    if as_json:
        print_json(figures)
    else:
        remark(known.protocol)
        print_rows([{name: round(value, 4) for name, value in figures.items()}])


def enhance(
    photos: Photos,
    model: Model = None,
    task: Annotated[
        str, typer.Option("--task", help="What to do, when no model is named: super_resolution or denoising.")
    ] = "super_resolution",
    scale: Annotated[int | None, typer.Option("--scale", help="How many times larger, when no model is named.")] = None,
    sigma: Sigma = None,
    out: OutFolder = None,
) -> None:
    """Enhance photos with a trained model. Nothing is ever overwritten: a taken name gets -2, -3 and so on."""
    from falconet.deploy import default_model, load_model
    from falconet.run.progress import shown
    from falconet.tasks.images import read_picture, write_strips

    trained = load_model(model or default_model(task, scale))
    if scale is not None and getattr(trained.task, "scale", None) != scale:
        raise UserError(f"{trained.name} does not enlarge {scale} times; leave out --scale, or name another --model")
    if sigma is not None:
        trained = _told(trained, _level(sigma))
    made_for, failures = trained.task, list[str]()
    if not hasattr(made_for, "strips"):
        raise UserError(f"{trained.name} was made for {made_for.name}, which makes no picture; use another --model")
    with shown() as progress:
        for photo in photos:
            try:
                picture = read_picture(photo)
                for note in picture.notes:
                    progress.say(f"{photo}: {note}")
                path = (out or photo.parent) / f"{photo.stem}{made_for.suffix}{photo.suffix}"
                with progress.task(photo.name, total=100) as percent:
                    strips = trained.strips(picture, lambda done, tiles: percent(100 * done // tiles))
                    written = write_strips(strips, picture.height * getattr(made_for, "scale", 1), path)
            except UserError as error:
                failures.append(str(error))
                continue
            print(written)
    if failures:
        raise UserError("\n".join(failures))


def _told(model: Trained, level: float | tuple[float, ...]) -> Trained:
    """The model, told how strong the noise is. UserError when it cannot be told, or did not learn from such noise."""
    from falconet.tasks import Denoising

    if not isinstance(model.task, Denoising) or not model.task.noise_map:
        raise UserError(f"{model.name} is not told how strong the noise is; leave out --sigma")
    learned = model.task.levels
    outside = [one for one in (level if isinstance(level, tuple) else (level,)) if learned.nearest(one) != one]
    if outside:
        raise UserError(
            f"{model.name} learned from noise of {learned.words}; --sigma must lie within, got {outside[0]:g}"
        )
    return model.judged_as(sigma=level)


def _level(sigma: str) -> float | tuple[float, ...]:
    """A noise level, or a range: "25", "0,50"."""
    try:
        levels = tuple(float(part) for part in sigma.split(","))
    except ValueError:
        levels = ()
    if len(levels) not in (1, 2):
        raise UserError(f"--sigma takes a noise level of a 0..255 scale, such as 25, or a range, 0,50; got {sigma!r}")
    return levels[0] if len(levels) == 1 else levels


def _settings(given: list[str] | None) -> dict[str, object]:
    """KEY=VALUE pairs as settings of a task."""
    from falconet.run.reading import split_override, with_override

    tree: dict[str, object] = {}
    for one in given or ():
        parts, value = split_override(one)
        tree = with_override(tree, parts, value)
    return tree
