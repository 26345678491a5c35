"""The contract of an export target: a runtime, what it can be given, and how its file is written and run.

To add one: a file with a class that satisfies `Target` (no base class is needed) and one line in TARGETS
(`targets.py`); a runtime of its own is an extra in pyproject.toml, imported where it is used. Nothing else in Falconet
asks which target it has: commands, cards, tables and contract tests read the fields below.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from falconet.errors import UserError
from falconet.graph import BatchNorm, Layer, NetSpec, Op

if TYPE_CHECKING:
    from torch import Tensor

Array: TypeAlias = npt.NDArray[Any]
Weights: TypeAlias = "Mapping[str, Tensor] | Mapping[str, Array]"
"""Weight tensors or arrays by "slot.name", as `Network.weights()` and model files give them."""
ArrayRun: TypeAlias = Callable[[Sequence[Array]], Sequence[Array]]
"""What a loaded file offers: float32 inputs bchw to outputs, as numpy arrays."""
Precision: TypeAlias = Literal["float32", "float16", "int8"]
Sizes: TypeAlias = tuple[tuple[int, int], ...]
"""(height, width), one for each input of the network."""
Sample: TypeAlias = tuple[Array, ...]
"""One array for each input of a network, chw or bchw, float32 of 0..1."""

T = TypeVar("T")


class Target(Protocol):
    """A runtime. Its class's docstring begins with one line that says what it is.

    target = TARGETS["ncnn"]()
    path = target.export(small.spec, small.weights(), folder, sizes=((360, 640),))
    (y,) = target.load(path)([x_bchw])
    """

    extra: ClassVar[str]
    """The extra that brings the runtime, `pip install 'falconet[EXTRA]'`; empty for what Falconet always has."""
    packages: ClassVar[tuple[str, ...]]
    """What a machine without Falconet installs to run the file from Python; the first is the runtime."""
    good_for: ClassVar[str]
    """Where one would use it, in one line."""
    any_size: ClassVar[bool]
    """Whether one file takes pictures of any size and batch. If not, a file is for the `sizes` it was exported with."""
    tolerances: ClassVar[Mapping[Precision, float | None]]
    """The precisions there are, and the largest difference from PyTorch each may show (see parity.py). None: a
    difference says little, the task's own quality is measured instead."""
    runs: ClassVar[bool]
    """False: the file can be written, but Falconet has no way to run it, so nothing about it was ever proved."""
    python: ClassVar[str]
    """Lines that define `network(*arrays)`, bchw in and out, from the file FILE in `folder`; numpy is `np`."""
    snippets: ClassVar[Mapping[str, str]]
    """Language -> the lines that run the file in an app; FILE (or STEM, without ending), INPUT, OUTPUT are names."""

    def version(self) -> str:
        """The runtime and its version: "ncnn 1.0.20261020". UserError when it is not installed."""

    def export(
        self,
        spec: NetSpec,
        weights: Weights,
        folder: Path,
        *,
        precision: Precision = "float32",
        sizes: Sizes = (),
        samples: Sequence[Sample] = (),
    ) -> Path:
        """Write the fused network into `folder` and return the path that `load` takes.

        `sizes` are what it will be run at: needed where `any_size` is False, no matter elsewhere. `samples` are real
        inputs, for precisions that need to see some. UserError names the layer and operator that the target cannot
        take, or the extra that is missing.
        """

    def load(self, path: Path, threads: int = 1) -> ArrayRun:
        """What that file computes, run by this runtime. UserError when the file cannot be run."""


def imported(module: str, title: str, extra: str) -> Any:
    """The module of a runtime. UserError, one line, when it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a package says while it is imported is not about our work
            return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{title} is not installed ({error}): pip install 'falconet[{extra}]'") from None


def version_of(package: str, title: str, extra: str) -> str:
    """ "PACKAGE VERSION" of an installed package. UserError, one line, when it is not installed."""
    try:
        return f"{package} {installed_version(package)}"
    except PackageNotFoundError:
        raise UserError(f"{title} is not installed: pip install 'falconet[{extra}]'") from None


def layers_for(spec: NetSpec, emitters: Mapping[type[Op], T], title: str) -> Iterator[tuple[Layer, T]]:
    """Each layer of a flat network and what writes it. UserError names the first that the target cannot take."""
    for layer in spec.layers:
        emit = emitters.get(type(layer.op))  # type: ignore[arg-type]  # the network is flat
        if emit is None:
            raise cannot(layer, title)
        yield layer, emit


def cannot(layer: Layer, title: str, why: str = "has no such operator") -> UserError:
    """The error for a layer that a target cannot take."""
    return UserError(f"layer {layer.name!r} ({type(layer.op).__name__}): {title} {why}")


def array_of(weights: Weights, layer: Layer, name: str) -> Array:
    """The weight `name` of a layer, float32 and contiguous. ValueError when it was not given."""
    key = f"{layer.slot}.{name}"
    if key not in weights:
        raise ValueError(f"layer {layer.name!r} needs the weight {key!r}, which was not given")
    return as_array(weights[key])


def norm_arrays(weights: Weights, layer: Layer, op: BatchNorm) -> tuple[Array, Array, Array, Array]:
    """Gain, shift, mean and variance of a batch norm; without learned ones, gain 1 and shift 0."""
    mean, variance = (array_of(weights, layer, name) for name in ("running_mean", "running_var"))
    if not op.affine:
        return np.ones_like(mean), np.zeros_like(mean), mean, variance
    return array_of(weights, layer, "weight"), array_of(weights, layer, "bias"), mean, variance


def pool_end(kernel: int, stride: int, pad: int, ceil: bool) -> int:
    """The padding behind that makes rounding down do what torch does.

    Rounding up is rounding down with more padding behind: as much as lets one more window begin, but before the
    padding does, which is where torch stops too. Runtimes that round up themselves do not all stop there.

    >>> pool_end(3, 2, 0, ceil=True), pool_end(2, 3, 0, ceil=True)
    (1, 1)
    """
    return pad + min(kernel - pad - 1, stride - 1) if ceil else pad


def as_array(value: Tensor | Array) -> Array:
    """A weight as a contiguous float32 array."""
    found = value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
    return np.ascontiguousarray(found, dtype=np.float32)
