"""Model folders read: by path, or by the name of a model that ships. Files come from strangers, so all is checked.

Nothing in a folder is run as code: the network is data, the weights are safetensors. Left out: pickles, and files above
their bounds. What a folder holds is described in folder.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from falconet.deploy.card import summary
from falconet.deploy.facts import FILE, Facts, read_facts
from falconet.errors import UserError
from falconet.graph import NetSpec, reach, spec_from_json, store_of
from falconet.tasks import TASKS, Task

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph.network import Network
    from falconet.tasks.images import Picture

Array: TypeAlias = npt.NDArray[Any]

WEIGHTS = "weights.safetensors"
MOST_WEIGHT_BYTES = 2 * 1024**3
SHIPPED = Path(__file__).resolve().parent.parent / "models"
DEFAULT_MODEL = "sr-x2"
DEFAULT_DENOISER = "denoise"
BUILT_BY = frozenset({"name", "scale", "colour", "noise_map"})  # settings of a task that decide what its networks are


@dataclass(frozen=True, eq=False)
class Model:
    """A model folder that was read and found sound. `weights` are arrays by "slot.name"; torch is not imported yet."""

    folder: Path
    facts: Facts
    spec: NetSpec
    weights: Mapping[str, Array]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.facts.name

    @cached_property
    def task(self) -> Task:
        """The task it was made for. UserError when this Falconet has no such task, or the settings do not fit it."""
        name = self.facts.task.get("name")
        if not isinstance(name, str) or name not in TASKS:
            raise UserError(f"{self.folder}: made for the task {name!r}, which is not one of {', '.join(TASKS)}")
        try:
            return TASKS[name].model_validate(self.facts.task)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{self.folder / FILE}: task.{place}: {first['msg']}") from None

    @cached_property
    def network(self) -> Network:
        """The network in PyTorch, in evaluation mode."""
        import torch

        from falconet.graph.network import from_weights

        return from_weights(self.spec, {key: torch.from_numpy(value.copy()) for key, value in self.weights.items()})

    def run(self, xs: tuple[Tensor, ...]) -> Tensor:
        """The network's first output, without gradients: what a task's `test` and `enhance` take."""
        import torch

        with torch.inference_mode():
            out = self.network(tuple(x.contiguous(memory_format=torch.channels_last) for x in xs))
        first: Tensor = out[0] if isinstance(out, tuple) else out
        return first

    def enhance(self, picture: Picture, progress: Callable[[int, int], None] | None = None) -> Picture:
        """The picture made better, by tiles that overlap by the network's reach."""
        return self.task.enhance(self.run, picture, margin=reach(self.spec), progress=progress)

    def strips(self, picture: Picture, progress: Callable[[int, int], None] | None = None) -> Iterator[Picture]:
        """The same from top to bottom in strips, for pictures too large to be held twice."""
        return self.task.strips(self.run, picture, margin=reach(self.spec), progress=progress)

    def judged_as(self, **settings: object) -> Model:
        """The model with some settings of its task changed, such as the noise level: `judged_as(sigma=15)`.

        UserError when a setting does not exist, or a value does not suit; settings that the network was built by
        (scale, colour, noise_map) cannot change.
        """
        known = self.facts.task
        for name, value in settings.items():
            if name not in known or (name in BUILT_BY and value != known[name]):
                why = f"was made for {name} {known[name]}, not {value}" if name in known else f"has no setting {name}"
                raise UserError(f"{self.name} ({known.get('name')}) {why}")
        changed = replace(self, facts=self.facts.model_copy(update={"task": {**known, **settings}}))
        assert changed.task  # the new settings are checked now
        return changed


def read_model(folder: Path) -> Model:
    """The model in `folder`. UserError says which file is missing, damaged, too large or does not fit."""
    facts = read_facts(folder)
    try:
        spec = spec_from_json(facts.spec)
        wanted = _shapes(spec)
    except ValueError as error:
        raise UserError(f"{folder / FILE}: {error}") from None
    return Model(folder, facts, spec, _read_weights(folder / WEIGHTS, wanted))


def load_model(name: Path | str) -> Model:
    """The model in a folder, or one that ships with Falconet by its name. UserError when there is none."""
    path = Path(name)
    if path.is_dir():
        return read_model(path)
    shipped = shipped_models()
    if str(name) in shipped:
        return read_model(SHIPPED / str(name))
    known = f"those that ship are: {', '.join(shipped)}" if shipped else "none ships with this Falconet"
    raise UserError(f"there is no model {str(name)!r}: give a model folder, or the name of a model that ships; {known}")


def shipped_models() -> dict[str, str]:
    """Name -> one line about each model that ships with Falconet."""
    return {path.parent.name: summary(read_facts(path.parent)) for path in sorted(SHIPPED.glob(f"*/{FILE}"))}


def default_model(task: str, scale: int | None = None) -> str:
    """The name of the model that a task is done with unless another is named. UserError when none ships."""
    shipped = {path.parent.name: read_facts(path.parent).task for path in sorted(SHIPPED.glob(f"*/{FILE}"))}
    found = [name for name, its in shipped.items() if its.get("name") == task and scale in (None, its.get("scale"))]
    if not found:
        at = f" at scale {scale}" if scale is not None else ""
        raise UserError(f"no model for {task}{at} ships with this Falconet: give a model folder, --model FOLDER")
    return next((name for name in (DEFAULT_MODEL, DEFAULT_DENOISER) if name in found), found[0])


def _shapes(spec: NetSpec) -> dict[str, tuple[int, ...]]:
    """The shape of every weight that `spec` needs, without building anything."""
    slots = store_of(spec).slots
    found = {slot: one.op.weights(*one.inputs) for slot, one in slots.items()}
    return {f"{slot}.{key}": weight.shape for slot, weights in found.items() for key, weight in weights.items()}


def _read_weights(path: Path, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The arrays of a safetensors file, float32; its shapes are compared before anything large is read."""
    if not path.is_file():
        raise UserError(f"{path} is missing: the model folder is not whole")
    if path.stat().st_size > MOST_WEIGHT_BYTES:
        raise UserError(f"{path} is larger than {MOST_WEIGHT_BYTES >> 30} GiB, which no network here is")
    try:
        with safe_open(path, framework="numpy") as file:
            came = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (no mapping)
            odd = sorted(key for key in wanted.keys() | came.keys() if wanted.get(key) != came.get(key))
            if odd:
                raise UserError(
                    f"{path}: {len(odd)} weights do not fit the network in {FILE}; the first is {odd[0]}: "
                    f"it needs shape {wanted.get(odd[0], 'none')}, the file has {came.get(odd[0], 'none')}"
                )
            arrays = {key: file.get_tensor(key) for key in wanted}
    except (SafetensorError, OSError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    for key, array in arrays.items():
        if array.dtype not in (np.float32, np.float16) or not np.isfinite(array).all():
            raise UserError(f"{path}: {key} must hold finite numbers of 16 or 32 bits")
    return {key: array.astype(np.float32) for key, array in arrays.items()}
