"""What `results.json` of a run folder holds: every figure the report prints that no other file has.

    RUN/results.json   one `Results`; every field may be missing, so a run that was stopped half-way is readable
    RUN/trials.jsonl   the search itself stays there (one `Trial` a line); `SearchResult.id` equals `Trial.search`

The pipeline fills it stage by stage:

    results = read_results(folder)                                     # an empty Results when there is no file yet
    results = results.model_copy(update={"stages": (*results.stages, stage)})
    write_results(folder, results)                                     # whole or not at all

Costs are plain numbers under their usual names: `macs`, `params`, `peak_activation_bytes`. Qualities are maximized,
under the name the task gives them (`psnr_y`). Times are seconds, latencies milliseconds. Nothing here knows how a
figure was found; judging it (ahead, behind, tie) is in `verdict` and done from intervals alone.
"""

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from falconet.errors import UserError
from falconet.files import write_text

RESULTS_FILE = "results.json"


class _Record(BaseModel):
    # A picture restored perfectly has an infinite PSNR; plain JSON has no word for it, so it is written as a string.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Interval(_Record):
    """A confidence interval, `low <= high`."""

    low: float
    high: float
    level: float = 0.95


class SetScore(_Record):
    """Scores on one folder of test pictures: the mean of each metric, and each picture's own.

    Of a classifier, `confusion[i][j]` counts the pictures of class i that it called j. `groups` says which pictures are
    of one thing, such as frames of one sign.
    """

    metrics: dict[str, float]
    num_images: int
    per_image: dict[str, dict[str, float]] = {}
    confusion: tuple[tuple[int, ...], ...] = ()
    groups: dict[str, str] = {}


class LatencyRow(_Record):
    """One network timed on a runtime. `relative` is its time over the reference network's of the same rounds.

    `spread_ms` is the interquartile range; `load` the machine's load average while timing.
    """

    name: str
    min_ms: float
    p10_ms: float
    median_ms: float
    spread_ms: float
    load: float
    relative: float | None = None
    runtime: str = ""
    device: str = ""
    threads: int = 1
    input_size: tuple[int, ...] = ()
    num_samples: int | None = None


class PictureExample(_Record):
    """Captions of one test picture under `models/NAME/examples/`: PICTURE-before.png, -after.png and -truth.png.

    `crop` is (left, top, width, height) when the files show only a part of the picture.
    """

    picture: str
    source: str = ""
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    before_label: str = "bicubic"
    note: str = ""
    crop: tuple[int, int, int, int] | None = None


class Parity(_Record):
    """How closely an exported file agreed with PyTorch: the largest difference over all pictures, values being 0..1."""

    target: str
    max_error: float
    tolerance: float
    num_pictures: int
    sizes: tuple[tuple[int, int], ...] = ()


class ModelResult(_Record):
    """One chosen network. Its drawing comes from `models/NAME/model.json`, its files from that folder.

    `budget` is the limit it was chosen under; `inherited` the validation quality with the supernet's weights, `final`
    after its own training; `weights` says which of the two the files hold. The headline speaks of the first model.
    """

    name: str
    arch: dict[str, object] = {}
    network: str = ""
    budget: dict[str, float] = {}
    costs: dict[str, float] = {}
    inherited: dict[str, float] = {}
    final: dict[str, float] = {}
    weights: Literal["inherited", "final", ""] = ""
    steps: int | None = None
    core_minutes: float | None = None
    test: dict[str, SetScore] = {}
    latency: LatencyRow | None = None
    parity: tuple[Parity, ...] = ()
    examples: tuple[PictureExample, ...] = ()


class BaselineResult(_Record):
    """Something to compare with. Any part may be missing: costs alone are enough for "255 times cheaper than VDSR".

    `origin` says where the figures come from: trained in this run, a published table (`source` cites it), or no
    training at all.
    """

    name: str
    title: str = ""
    kind: Literal["interpolation", "input", "plain", "ecb", "zoo", "random_search", "other"] = "other"
    origin: Literal["trained_here", "published", "no_training", ""] = ""
    source: str = ""
    costs: dict[str, float] = {}
    final: dict[str, float] = {}
    core_minutes: float | None = None
    test: dict[str, SetScore] = {}
    latency: LatencyRow | None = None


class BestTrial(_Record):
    """The best trial that met a budget."""

    budget: dict[str, float]
    quality: float
    network: str = ""
    costs: dict[str, float] = {}
    trial: int | None = None


class SearchResult(_Record):
    """One search over the supernet. `role` tells the search of the recipe from its equal-budget random baseline."""

    id: str
    strategy: str
    role: Literal["search", "random_baseline"] = "search"
    evaluations: int | None = None
    planned_evaluations: int | None = None
    seed: int | None = None
    seconds: float | None = None
    hypervolume: float | None = None
    best: tuple[BestTrial, ...] = ()


class Hypervolume(_Record):
    """How hypervolume was counted: the objectives and the reference point all searches of this run share."""

    objectives: tuple[str, ...] = ()
    reference: tuple[float, ...] = ()
    unit: str = ""


class Comparison(_Record):
    """`left` minus `right`, picture by picture: positive when `left` is better.

    >>> Comparison(left="ours", right="plain", difference=0.02, interval=Interval(low=-0.01, high=0.05)).verdict
    'tie'
    """

    left: str
    right: str
    difference: float
    interval: Interval | None = None
    metric: str = "psnr_y"
    data: str = ""
    num_pairs: int | None = None
    num_groups: int | None = None
    num_seeds: int | None = None
    about: Literal["search_vs_random", "model_vs_baseline", ""] = ""

    @property
    def verdict(self) -> Literal["ahead", "behind", "tie", "open"]:
        """ahead or behind when zero is outside the interval, tie when inside; open when no interval was measured."""
        if self.interval is None:
            return "open"
        if self.interval.low > 0:
            return "ahead"
        return "behind" if self.interval.high < 0 else "tie"


class RankRow(_Record):
    """How well one predictor ranks networks. `within` is "all", or a band such as "macs +-10 %".

    `kind` says what ranks: quality with inherited weights, a cost alone (the bar to clear), or something else.
    """

    kind: Literal["inherited", "cost", "other"]
    predictor: str
    within: str = "all"
    value: float
    interval: Interval | None = None
    num_networks: int | None = None
    num_pairs: int | None = None


class RankPoint(_Record):
    """One network judged twice: by the supernet's weights and after its own training.

    `shared_statistics` is inherited quality with the supernet's own batch-norm statistics, where those are not used.
    """

    inherited: float
    trained: float
    shared_statistics: float | None = None
    macs: float | None = None
    network: str = ""


class RankCorrelation(_Record):
    """Can the supernet be trusted? Its ranking beside that of MACs alone, over all and within bands of equal MACs."""

    measure: str = "Kendall's tau"
    truth: str = ""
    rows: tuple[RankRow, ...] = ()
    points: tuple[RankPoint, ...] = ()


class PredictedPoint(_Record):
    """One network's cost, predicted and then measured."""

    name: str
    predicted: float
    measured: float
    chosen: bool = False


class CostPrediction(_Record):
    """Predicted against measured cost. `predictor` says in words how the prediction is made."""

    cost: str = "latency_ms"
    unit: str = "ms"
    predictor: str = ""
    points: tuple[PredictedPoint, ...] = ()
    median_error: float | None = None
    rank_correlation: float | None = None


class Stage(_Record):
    """One stage of the run: what the plan gave it and what it took. `done` is False while it can still be continued.

    The stage of a search is called ID.STRATEGY.
    """

    name: str
    planned_seconds: float | None = None
    seconds: float | None = None
    planned_steps: int | None = None
    steps: int | None = None
    cores: float = 1.0
    done: bool = True
    note: str = ""


class SkippedFile(_Record):
    """A file that was not used, and why."""

    path: str
    reason: str


Judged: TypeAlias = Literal["supernet", "proxy", "model", "nothing"]


class Results(_Record):
    """All of `results.json`. `judged_with` tells which weights networks had when the search judged them (`inherited`):
    those of a supernet, of a short training, of the model that the run began with, or none that had learned anything.
    """

    schema_version: Literal[1] = 1
    run: str = ""
    quality: str = "psnr_y"
    quality_unit: str = "dB"
    at_output: str = ""
    classes: tuple[str, ...] = ()
    protocol: str = ""
    terms: str = ""
    search: str = ""
    judged_with: Judged = "supernet"
    seeds: dict[str, int] = {}
    stages: tuple[Stage, ...] = ()
    models: tuple[ModelResult, ...] = ()
    baselines: tuple[BaselineResult, ...] = ()
    searches: tuple[SearchResult, ...] = ()
    hypervolume: Hypervolume | None = None
    comparisons: tuple[Comparison, ...] = ()
    rank_correlation: RankCorrelation | None = None
    cost_prediction: CostPrediction | None = None
    test_skipped: dict[str, tuple[SkippedFile, ...]] = {}
    notes: tuple[str, ...] = ()  # sentences the reader should know, printed under the headline


def read_results(folder: Path) -> Results:
    """Return what `folder/results.json` holds; an empty `Results` when there is no such file.

    Raises UserError when the file is there but is not a results file of this version.
    """
    path = folder / RESULTS_FILE
    if not path.exists():
        return Results()
    try:
        return Results.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path} must be a results file of version 1, but at {where}: {first['msg']}. "
            "Run `falconet resume` on its folder to have it written again."
        ) from error


def write_results(folder: Path, results: Results) -> Path:
    """Write `folder/results.json`, whole or not at all, and return its path."""
    path = folder / RESULTS_FILE
    write_text(path, results.model_dump_json(indent=1, exclude_none=True) + "\n")
    return path


def find_model(results: Results, name: str) -> ModelResult | None:
    """Return the model called `name`, or None."""
    return next((model for model in results.models if model.name == name), None)


def with_model(results: Results, model: ModelResult) -> Results:
    """Return results in which `model` stands in the place of the one of its name, or at the end."""
    if find_model(results, model.name) is None:
        return results.model_copy(update={"models": (*results.models, model)})
    return results.model_copy(
        update={"models": tuple(model if old.name == model.name else old for old in results.models)}
    )
