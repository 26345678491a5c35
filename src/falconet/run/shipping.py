"""From trained networks to files that can be trusted: test sets, model folders, examples, measured latency.

    stages/test.NAME.json         figures of every test picture (NAME: a kept network, or the task's baseline)
    models/NAME/                  what ships, written only when ONNX Runtime agrees with PyTorch on real pictures
    models/NAME/examples/         pictures before and after, for the report
    stages/SEARCH.latency.json    times of all networks of the run, measured together

Test sets are read here and nowhere else, when everything has been chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from falconet.deploy import Training, write_model
from falconet.files import write_bytes
from falconet.graph import reach
from falconet.run.choosing import Chosen
from falconet.run.devices import is_here, named_devices
from falconet.run.model_space import ModelSpace
from falconet.run.prepared import unwrapped
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.record import Json, Record, now
from falconet.run.searches import OneSearch
from falconet.run.supernet import Supernet
from falconet.run.training import stage_of, trained
from falconet.run.wanted import sizes
from falconet.tasks import Classifier

if TYPE_CHECKING:
    import numpy.typing as npt

    from falconet.evaluate.device import Device
    from falconet.evaluate.latency import Net
    from falconet.graph.network import Network
    from falconet.tasks import Dataset, Example, Run, Task, TestResult

PROOF_SIZES = ((96, 96), (61, 47), (33, 80), (17, 23))  # height and width of the pictures that parity is proved on
NUM_EXAMPLES = 4
HELD_OUT = "held out"  # what figures of the pictures of data.holdout are called
LATENCY_SECONDS = 60.0


def test_baseline(record: Record, recipe: Recipe, dataset: Dataset, progress: Progress) -> None:
    """Judge what every network has to beat, on the validation and test pictures."""
    for name in baseline_names(recipe):
        _test(record, recipe, name, recipe.task.baseline(name), dataset, progress)


def baseline_names(recipe: Recipe) -> tuple[str, ...]:
    """The baselines of a run: the task's first, and those that the recipe adds."""
    return tuple(dict.fromkeys((*recipe.task.baselines[:1], *recipe.rivals.baselines)))


def test_rival(
    record: Record, recipe: Recipe, name: str, network: Network, dataset: Dataset, progress: Progress
) -> None:
    """Judge a trained rival on the validation and test pictures."""
    from falconet.evaluate.quality import runner
    from falconet.graph.network import deployed

    _test(record, recipe, name, runner(deployed(network)), dataset, progress)


def ship(
    record: Record, one: OneSearch, kept: Sequence[Chosen], supernet: Supernet, dataset: Dataset, progress: Progress
) -> None:
    """Test and export every kept network that is not there yet."""
    from falconet.evaluate.quality import runner
    from falconet.graph.network import deployed

    for chosen in kept:
        if record.done(f"export.{chosen.name}"):
            continue
        network = trained(record, one, chosen, supernet, dataset)
        run = runner(deployed(network))
        _test(record, one.recipe, chosen.name, run, dataset, progress)
        with record.stage(f"export.{chosen.name}") as clock:
            progress.say(f"exporting {chosen.name}, and proving the file")
            _export(record, one, chosen, network, dataset)
            clock.finish({"examples": _examples(record, one.recipe, chosen, network, run, dataset)})


def time_models(record: Record, one: OneSearch, names: Sequence[str], progress: Progress) -> None:
    """Measure the latency of all networks of the run together, once for each search and each device that is here.

    stages/SEARCH.latency.json is of ONNX Runtime here, or of the device that `latency_ms` is meant for when that is
    this machine; stages/SEARCH.latency_ms.NAME.json of each further device.
    """
    if not names:
        return
    devices = {cost: device for cost, device in named_devices(one.recipe.budget).items() if is_here(device)}
    first = devices.pop("latency_ms", None)
    _time(record, one, f"{one.id}.latency", names, first, progress)
    for cost, device in devices.items():
        _time(record, one, f"{one.id}.{cost}", names, device, progress)


def _time(
    record: Record, one: OneSearch, stage: str, names: Sequence[str], device: Device | None, progress: Progress
) -> None:
    """Measure networks by the runtime and threads of a device, or by ONNX Runtime with one thread."""
    if record.done(stage):
        return
    from falconet.deploy import load_model
    from falconet.evaluate.latency import measure_latency

    with record.stage(stage) as clock:
        runtime, threads = (device.runtime, device.threads) if device else ("onnxruntime", 1)
        progress.say(f"measuring latency on {runtime}")
        nets: dict[str, Net] = {}
        for name in names:
            folder = record.path("models", name)
            nets[name] = folder / "model.onnx" if runtime == "onnxruntime" else load_model(folder).network
        found = measure_latency(nets, sizes(one.recipe), max_seconds=LATENCY_SECONDS, runtime=runtime, threads=threads)
        clock.finish({name: asdict(row) | {"input_size": list(row.input_size)} for name, row in found.items()})


def _test(record: Record, recipe: Recipe, name: str, run: Run, dataset: Dataset, progress: Progress) -> None:
    """Write the figures of a network, or of the baseline, on the validation pictures and on every test set."""
    if record.done(f"test.{name}"):
        return
    with record.stage(f"test.{name}") as clock:
        found: dict[str, Json] = {}
        held = recipe.task.held_out(run, dataset) if isinstance(recipe.task, Classifier) else None
        if held is not None:
            found[HELD_OUT] = _result(held)
        for title, folder in recipe.data.test.items():
            progress.say(f"testing {name} on {title}")
            found[title] = _result(recipe.task.test(run, folder))
            clock.tick()
        clock.finish({"validation": dict(recipe.task.validate(run, dataset)), "test": found})


def _result(result: TestResult) -> Json:
    """A test set's figures as the stage writes them down."""
    found: dict[str, Json] = {
        "metrics": dict(result.metrics),
        "num_images": result.num_images,
        "per_image": {picture: dict(scores) for picture, scores in result.per_image.items()},
        "skipped": [{"path": str(one.path), "reason": one.reason} for one in result.skipped],
    }
    if result.confusion:
        found["confusion"] = [list(row) for row in result.confusion]
    return {**found, "groups": dict(result.groups)} if result.groups else found


def _export(record: Record, one: OneSearch, chosen: Chosen, network: Network, dataset: Dataset) -> None:
    """Write the model folder."""
    recipe, space = one.recipe, unwrapped(one.recipe.space)
    begun = space if isinstance(space, ModelSpace) else None
    facts, tested = record.facts(stage_of(chosen)), record.facts(f"test.{chosen.name}")
    steps, minutes = facts["steps"], facts.get("core_minutes")
    assert isinstance(steps, int) and isinstance(minutes, float | None)
    write_model(
        record.path("models", chosen.name),
        network=network,
        task=recipe.task,
        samples=proof_samples(recipe.task, dataset),
        sizes=sizes(recipe),
        arch=begun.arch if begun else chosen.trial.arch.to_json(),
        metrics=_means(tested),
        training=Training(
            seed=recipe.seed,
            steps=steps if facts["weights"] == "final" else 0,
            core_minutes=minutes,
            date=now()[:10],
            pictures=len(dataset.train_names),
            source=", ".join(path.name for path in recipe.data.train),
            terms=recipe.data.terms,
            notes=_origin(recipe, chosen, begun, inherited=facts["weights"] != "final"),
        ),
    )


def _origin(recipe: Recipe, chosen: Chosen, begun: ModelSpace | None, inherited: bool) -> str:
    """Where the weights come from, if not from the training that the card tells of alone."""
    said = [f"Weights as inherited from {chosen.trial.weights}."] if inherited else []
    if begun and (inherited or recipe.final.start == "inherited"):
        said.append(begun.lineage())
    return " ".join(said)


def _means(tested: Mapping[str, Json]) -> dict[str, dict[str, float]]:
    """Test set -> its mean figures, the number of its pictures among them."""
    sets = tested["test"]
    assert isinstance(sets, dict)
    return {title: {**one["metrics"], "num_images": one["num_images"]} for title, one in sets.items()}  # type: ignore


def proof_samples(task: Task, dataset: Dataset) -> list[tuple[npt.NDArray[np.float32], ...]]:
    """Inputs cut from validation pictures, chw of 0..1, of several odd sizes; to classify, whole ones of their size."""
    examples = dataset.validation
    if isinstance(task, Classifier):
        return [_cut(example, task.size, task.size) for example in examples[: len(PROOF_SIZES)]]
    return [_cut(examples[number % len(examples)], *size) for number, size in enumerate(PROOF_SIZES)]


def _cut(example: Example, height: int, width: int) -> tuple[npt.NDArray[np.float32], ...]:
    """The upper left part of each input, at most height x width."""
    unit = (x.astype(np.float32) / 255 if x.dtype == np.uint8 else x for x in example.inputs)
    return tuple(np.ascontiguousarray(x[:, :height, :width]) for x in unit)


def _examples(
    record: Record, recipe: Recipe, chosen: Chosen, network: Network, run: Run, dataset: Dataset
) -> list[Json]:
    """Write pictures before and after, of the first validation pictures, and return their captions.

    A classifier makes no pictures: it has none.
    """
    assert network.spec is not None
    if isinstance(recipe.task, Classifier):
        return []
    margin, captions, folder = reach(network.spec), list[Json](), record.path("models", chosen.name, "examples")
    for path, partner in dict.fromkeys((example.path, example.partner) for example in dataset.validation):
        if len(captions) == NUM_EXAMPLES:
            break
        shown = recipe.task.example(run, path, margin=margin, given=partner)
        name = path.stem
        for kind, png in (("before", shown.before_png), ("after", shown.after_png), ("truth", shown.truth_png)):
            write_bytes(folder / f"{name}-{kind}.png", png)
        captions.append(
            {
                "picture": name,
                "source": "validation picture",
                "before": dict(shown.before),
                "after": dict(shown.after),
                "before_label": shown.before_label,
                "crop": list(shown.crop),
            }
        )
    return captions
