"""The plan: what a recipe would do here, found out before any training.

How large the space is, what its networks cost, whether the budget can be met, and how long everything takes on this
machine. Minutes of the recipe become steps here, once: a few steps of each kind are timed, and what comes out is
written to plan.json and read back ever after.

    plan.steps      # {"supernet": 9000, "macs-2.5G": 52000, "macs-6.1G": 31000}

Left out: guesses about other machines, and the last stages (export, test sets), which take minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING

from numpy import linspace
from pydantic import BaseModel, ConfigDict, ValidationError

from falconet import __version__
from falconet.errors import UserError
from falconet.evaluate import Budget, format_quantity
from falconet.files import write_text
from falconet.run.devices import device_latencies, named_devices
from falconet.run.pictures import left_out
from falconet.run.predict import LatencyLine, measure_line
from falconet.run.progress import Progress
from falconet.run.recipe import Recipe
from falconet.run.rivals import rival_spec
from falconet.run.rivals import stage_of as rival_stage
from falconet.run.settings import Length
from falconet.run.suits import check_suits, check_takes
from falconet.run.supernet import kinds_of
from falconet.run.teacher import lesson, taught
from falconet.run.wanted import (
    counter,
    guessed_shares,
    is_random,
    main_cost,
    objectives,
    resolved,
    shares_weights,
    sizes,
    strategy_name,
    wanted,
)
from falconet.search import STRATEGIES, Feasible, feasible_sample
from falconet.spaces import Arch, build, largest, sample, size, smallest, union
from falconet.tasks import Classifier
from falconet.tasks.labelled import listing
from falconet.train.settings import TrainSettings

if TYPE_CHECKING:
    from falconet.graph.network import Network
    from falconet.tasks import Dataset
    from falconet.train.paths import Paths

DRAWS = 500  # networks drawn to know what the space costs
CHECKED = 100  # of them, the smallest and the largest among them, are checked to suit the task
TIMED_NETWORKS = 12
MOST_SECONDS = 15.0  # of timing them, five rounds at least
GUESSED = ", roughly: the device's table lacks blocks of it; `falconet device add NAME --recipe` measures them too"
ROOM = 1.5  # the largest network should cost at most this many times the largest budget


class Range(BaseModel):
    """The least, the median and the largest of a cost over the space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float
    median: float
    max: float


class SpaceSize(BaseModel):
    """How many architectures a space has, and how that was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    exact: bool
    how: str


class Plan(BaseModel):
    """What is written to plan.json. Steps and times go by stage: `supernet`, and the names of the networks to keep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space_size: SpaceSize
    costs: dict[str, Range]
    steps: dict[str, int]
    seconds_per_step: dict[str, float]
    seconds_per_evaluation: float
    minutes: dict[str, float]
    latency: LatencyLine
    notes: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write plan.json."""
        write_text(path, self.text())

    def text(self) -> str:
        """The text of plan.json."""
        return self.model_dump_json(indent=2) + "\n"

    @staticmethod
    def read(path: Path) -> Plan:
        """The plan that `write` wrote. Raises UserError when there is none, or not one of this version."""
        try:
            return Plan.model_validate_json(path.read_bytes())
        except (FileNotFoundError, ValidationError) as error:
            raise UserError(
                f"{path} is missing or not as Falconet {__version__} writes it ({str(error).splitlines()[0]}); "
                "start another run"
            ) from None


def make_plan(recipe: Recipe, progress: Progress, dataset: Dataset | None = None, earlier: Plan | None = None) -> Plan:
    """The plan of a recipe. Times a few training steps, one evaluation, a dozen networks; trains and writes nothing.

    `earlier` is the plan of a run whose supernet is searched again: its supernet and its latencies hold on. Raises
    UserError when the pictures cannot be used, and InfeasibleBudget, with the smallest costs there are, when a budget
    cannot be met.
    """
    _check_trust(recipe)
    if recipe.supernet.one_kind:
        kinds_of(recipe)
    check_takes(build(recipe.space, smallest(recipe.space)), recipe.task)
    found = check_feasible(recipe)
    STRATEGIES[strategy_name(recipe)](recipe.space, found, objectives(recipe), recipe.search)  # says what it cannot do
    pictures = dataset or recipe.task.read(recipe.data, recipe.seed)
    check_tests(recipe)
    for name in recipe.rivals.baselines:
        recipe.task.baseline(name)
    for line in left_out(pictures):
        progress.say(line)
    progress.say("planning: drawing networks, timing a few")
    archs = _draws(recipe)
    check_suits(recipe.space, recipe.task, pictures, archs[:CHECKED])
    latency = earlier.latency if earlier else _latency(recipe, archs)
    feasible = check_feasible(recipe, latency)
    drawn = [feasible.costs(arch) for arch in archs]
    ranges = {name: _range([costs[name] for costs in drawn]) for name in drawn[0]}
    count = size(recipe.space)
    seconds, per_evaluation = _time(recipe, pictures, feasible, archs, latency, earlier)
    lengths: dict[str, Length] = {"supernet": recipe.supernet, **dict.fromkeys(wanted(recipe), recipe.final)}
    steps = {name: _steps(length, seconds[name]) for name, length in lengths.items()}
    if earlier:
        steps["supernet"] = earlier.steps["supernet"]
    minutes = {name: seconds[name] * steps[name] / 60 for name in steps if not (earlier and name == "supernet")}
    alike = recipe.final.seeds + int(recipe.rivals.random and not is_random(recipe))
    minutes |= {name: alike * minutes[name] for name in wanted(recipe)}
    if not earlier:
        _plan_comparisons(recipe, pictures, seconds, steps, minutes)
    minutes["search"] = per_evaluation * recipe.search.evaluations * (1 if is_random(recipe) else 2) / 60
    return Plan(
        space_size=SpaceSize(count=count.count, exact=count.exact, how=count.how),
        costs=ranges,
        steps=steps,
        seconds_per_step=seconds,
        seconds_per_evaluation=per_evaluation,
        minutes=minutes,
        latency=latency,
        notes=(*_notes(recipe, ranges), *_device_notes(recipe, archs)),
    )


def _device_notes(recipe: Recipe, archs: list[Arch]) -> list[str]:
    """A remark for each device whose table does not hold all blocks of the space at this size."""
    notes = []
    for cost, predict in device_latencies(recipe.budget).items():
        found = [predict(build(recipe.space, arch), sizes(recipe)) for arch in archs[:CHECKED]]
        rough = [one for one in found if one.how == "linear"]
        if rough:
            notes.append(
                f"{cost}: {len(rough)} of {len(found)} networks hold blocks that the device's table does not know at "
                f"this size, such as {rough[0].unknown[0]!r}; those are priced by a rougher model. Measure this space: "
                "falconet device add NAME --recipe RECIPE"
            )
    return notes


def _plan_comparisons(
    recipe: Recipe, dataset: Dataset, seconds: dict[str, float], steps: dict[str, int], minutes: dict[str, float]
) -> None:
    """Add the rivals' trainings, and those that check the supernet's ranking."""
    import torch

    from falconet.graph.network import Network
    from falconet.train.paths import alone

    for rival in recipe.rivals.nets:
        torch.manual_seed(recipe.seed)
        spec, name = rival_spec(recipe, rival), rival_stage(rival)
        seconds[name] = _step_seconds(Network(spec), recipe, dataset, rival, alone(spec))
        steps[name] = _steps(rival, seconds[name])
        minutes[name] = seconds[name] * steps[name] / 60
    if recipe.trust.networks:
        wanted_steps = [seconds[name] for name in wanted(recipe)]
        minutes["trust"] = recipe.trust.networks * recipe.trust.steps * median(wanted_steps) / 60


def _check_trust(recipe: Recipe) -> None:
    """UserError when the ranking of a supernet is to be checked and there is none."""
    if recipe.trust.networks and not shares_weights(recipe):
        raise UserError(
            "trust.networks checks how a supernet ranks, but here networks are judged by a proxy training and "
            "there is no supernet; set trust.networks to 0"
        )


def check_tests(recipe: Recipe) -> None:
    """Raise UserError when a test set is missing: it is read for the last table only, but missed before hours pass."""
    if recipe.data.holdout and not isinstance(recipe.task, Classifier):
        raise UserError(f"data.holdout is for classifiers; the task {recipe.task.name} takes folders in data.test")
    for test_set in recipe.data.test.values():
        if isinstance(recipe.task, Classifier):
            listing(test_set.folder)
        else:
            test_set.paths()


def check_feasible(recipe: Recipe, latency: LatencyLine | None = None) -> Feasible:
    """The judge of the recipe's budget. Raises InfeasibleBudget unless every network wanted can be had."""
    count = counter(recipe, latency)
    for budget in wanted(recipe).values():
        feasible_sample(recipe.space, Feasible(recipe.space, budget, count), Random(recipe.seed))
    return Feasible(recipe.space, recipe.budget, count)


def describe(recipe: Recipe, plan: Plan) -> list[str]:
    """The plan in lines for people."""
    shares, guessed, recipe = recipe.budget.shares, guessed_shares(recipe), resolved(recipe)
    count = f"{plan.space_size.count:,}" if plan.space_size.exact else f"about {plan.space_size.count:.2g}"
    lines = [f"The space holds {count} architectures ({plan.space_size.how}).", ""]
    lines.append(f"{'cost of a network':<24}{'least':>10}{'median':>10}{'largest':>10}{'budget':>10}")
    limits = recipe.budget.limits()
    for name, cost in plan.costs.items():
        figures = [cost.min, cost.median, cost.max, *([limits[name]] if name in limits else [])]
        lines.append(f"{name:<24}" + "".join(f"{format_quantity(figure):>10}" for figure in figures))
    lines.append(_latency_words(recipe, plan))
    lines += ["The budget can be met." if limits else "There is no budget.", ""]
    lines.append(f"{'core-minutes here':<24}{'minutes':>10}{'steps':>10}")
    for name, minutes in plan.minutes.items():
        lines.append(f"{name:<24}{minutes:>10.1f}" + (f"{plan.steps[name]:>10,}" if name in plan.steps else ""))
    lines.append(f"{'together':<24}{sum(plan.minutes.values()):>10.1f}")
    told = [
        f"{name}: {text} is {format_quantity(limits[name])}" + (GUESSED if name in guessed else "")
        for name, text in shares.items()
    ]
    return [*lines, *told, *(f"Note: {note}" for note in plan.notes)]


def _latency_words(recipe: Recipe, plan: Plan) -> str:
    """Where latencies come from."""
    devices = [f"{one.name} ({one.runtime}, {one.threads} thread(s))" for one in named_devices(recipe.budget).values()]
    if devices:
        return f"(latency predicted for {', '.join(devices)})"
    return f"(latency on {plan.latency.runtime}, one thread here, predicted to {plan.latency.median_error:.0%})"


def _draws(recipe: Recipe) -> list[Arch]:
    """The smallest, the largest and many random architectures of the space, by a fixed seed."""
    rng = Random(recipe.seed)
    return [smallest(recipe.space), largest(recipe.space), *(sample(recipe.space, rng) for _ in range(DRAWS))]


def _latency(recipe: Recipe, archs: list[Arch]) -> LatencyLine:
    """Times a dozen networks, spread over the costs from the smallest to half as much again as the budget."""
    judge = Feasible(recipe.space, recipe.budget, counter(recipe))
    name = "macs_per_pixel" if main_cost(recipe) == "macs_per_pixel" else "macs"
    roomy = ROOM * recipe.budget.limits().get(name, math.inf)
    cost = {arch: judge.costs(arch)[name] for arch in archs if judge.costs(arch)[name] <= roomy}
    ordered = sorted(cost or {archs[0]: 0.0}, key=lambda arch: (cost.get(arch, 0.0), arch.digest))
    spread = [ordered[round(place)] for place in linspace(0, len(ordered) - 1, TIMED_NETWORKS)]
    specs = {arch.digest: build(recipe.space, arch) for arch in spread}
    return measure_line(specs, sizes(recipe), MOST_SECONDS)


def _time(
    recipe: Recipe,
    dataset: Dataset,
    feasible: Feasible,
    archs: list[Arch],
    latency: LatencyLine,
    earlier: Plan | None,
) -> tuple[dict[str, float], float]:
    """Core seconds of a step of each training, and of one evaluation."""
    import torch

    from falconet.evaluate.quality import quality
    from falconet.graph.network import Network
    from falconet.train.paths import alone, paths

    torch.manual_seed(recipe.seed)
    seconds = {"supernet": earlier.seconds_per_step["supernet"] if earlier else 0.0}
    if shares_weights(recipe):
        store = Network(store=union(recipe.space, Random(recipe.seed)))
        if not earlier and recipe.supernet.steps != 0:
            sharing = paths(recipe.space, recipe.supernet.paths, sizes(recipe))
            learning = recipe.model_copy(update={"task": taught(recipe.teacher, recipe.task)})
            seconds["supernet"] = _step_seconds(store, learning, dataset, recipe.supernet, sharing)
    for name, budget in wanted(recipe).items():
        spec = build(recipe.space, _nearest(recipe, feasible, archs, budget, latency))
        student, task = lesson(recipe.teacher, recipe.task, Network(spec), recipe.seed)
        assert student.spec is not None
        learning = recipe.model_copy(update={"task": task})
        seconds[name] = _step_seconds(student, learning, dataset, recipe.final, alone(student.spec))
    proxy, judged = recipe.search.proxy, Network(spec)
    training = 0.0 if proxy is None else proxy.steps * _step_seconds(judged, recipe, dataset, proxy, alone(spec))
    began = time.process_time()
    if proxy is None:
        quality(store, recipe.task, dataset, spec)
    else:
        quality(judged, recipe.task, dataset)
    return seconds, training + time.process_time() - began


def _step_seconds(network: Network, recipe: Recipe, dataset: Dataset, settings: TrainSettings, trained: Paths) -> float:
    from falconet.train.fit import seconds_per_step

    return seconds_per_step(network, recipe.task, dataset, settings, trained, recipe.seed)


def _nearest(recipe: Recipe, feasible: Feasible, archs: list[Arch], budget: Budget, latency: LatencyLine) -> Arch:
    """The dearest of the drawn architectures that meets the budget: what a chosen network will be like."""
    meeting = [arch for arch in archs if not budget.exceeded(feasible.costs(arch))]
    if not meeting:
        count = counter(recipe, latency)
        return feasible_sample(recipe.space, Feasible(recipe.space, budget, count), Random(recipe.seed))
    return max(meeting, key=lambda arch: feasible.costs(arch).get(main_cost(recipe), 0))


def _steps(length: Length, seconds_per_step: float) -> int:
    """The steps of a stage: as given, or as many as its minutes have room for."""
    if length.steps is not None:
        return length.steps
    assert length.minutes is not None
    return max(1, round(length.minutes * 60 / seconds_per_step))


def _range(values: list[float]) -> Range:
    return Range(min=min(values), median=median(values), max=max(values))


def _notes(recipe: Recipe, ranges: Mapping[str, Range]) -> list[str]:
    """Remarks on a recipe that works but could be better."""
    notes = []
    for name, limit in recipe.budget.limits().items():
        if name in ranges and ranges[name].max > ROOM * limit:
            notes.append(
                f"the largest network costs {ranges[name].max / limit:.1f} times the budget of {name}; the supernet "
                f"learns the wanted ones better when it is at most {ROOM} times: leave out the largest options"
            )
    return notes
