"""Weights that were trained elsewhere, read into a network of the zoo (or any NetSpec) by order and shape.

    network = load_weights(ZOO["dncnn_17"](), Path("dncnn_25.pth"))

Others call the layers of the same network by other names ("model.32.weight"), so names decide only when they are all
ours. Otherwise the tensors are taken in the order in which the file has them and each must have the shape that the next
weight of the network needs. That is safe for plain chains; where neighbours have equal shapes and a file lists them in
another order, nobody can tell: judge the network on pictures with a known figure afterwards.

A .safetensors file keeps no order: its layers are taken by name, numbers in them as numbers.

Files are data: pickles are read with `weights_only=True`, so none of their code is run. Left out: files that hold a
whole pickled module, and half of a network.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from falconet.errors import UserError
from falconet.graph import NetSpec, store_of

if TYPE_CHECKING:
    from torch import Tensor

    from falconet.graph.network import Network

NESTED = ("state_dict", "params_ema", "params", "model", "net", "weights")  # where others put the tensors of a file
LEAVES = ("weight", "bias", "running_mean", "running_var")  # of a layer, in torch's order
COUNTER = "num_batches_tracked"  # of torch's batch norm; it changes nothing


def load_weights(spec: NetSpec, path: Path | str) -> Network:
    """A network of `spec` with the weights of a .pth, .pt or .safetensors file, in evaluation mode.

    UserError when the file cannot be read or its tensors do not fit.
    """
    from falconet.graph.network import from_weights

    return from_weights(spec, matched(spec, read_state(Path(path)), str(path)))


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name, float32, in the file's order. UserError when it holds anything else."""
    if not path.is_file():
        raise UserError(f"there is no weights file {path}")
    found = _safetensors(path) if path.suffix == ".safetensors" else _pickle(path)
    for name, value in found.items():
        if not value.is_floating_point() and not name.endswith(COUNTER):
            raise UserError(f"{path}: {name} holds {value.dtype}; weights are floating-point numbers")
        if not value.isfinite().all():
            raise UserError(f"{path}: {name} holds values that are not finite numbers: the file is damaged")
    return {name: value.float() for name, value in found.items() if not name.endswith(COUNTER)}


def matched(spec: NetSpec, state: Mapping[str, Tensor], source: str = "the weights") -> dict[str, Tensor]:
    """The tensors of `state` under the names that `spec` gives them. UserError names the first that does not fit.

    >>> import torch
    >>> from falconet.graph import Conv, Draft
    >>> d = Draft(x=1)
    >>> spec = d.build(d.layer("head", Conv(4), "x"))
    >>> list(matched(spec, {"model.0.weight": torch.zeros(4, 1, 3, 3), "model.0.bias": torch.zeros(4)}))
    ['head.weight', 'head.bias']
    """
    wanted = {
        f"{slot}.{name}": weight.shape
        for slot, one in store_of(spec).slots.items()
        for name, weight in one.weights.items()
    }
    if wanted.keys() == state.keys():
        pairs = {key: key for key in wanted}
    else:
        pairs = dict(zip(wanted, state, strict=False))
    for ours, theirs in pairs.items():
        if tuple(state[theirs].shape) != wanted[ours]:
            raise UserError(
                f"{source}: {theirs} has shape {_shown(state[theirs].shape)}, but {ours}, which is next in this "
                f"network, needs {_shown(wanted[ours])}; is it the same network, of the same depth, width and channels?"
            )
    if len(state) != len(wanted):
        odd = [*list(wanted)[len(pairs) :], *list(state)[len(pairs) :]][0]
        what = "lacks" if len(state) < len(wanted) else "has more than this network:"
        raise UserError(
            f"{source} {what} {odd}: it holds {len(state)} tensors, and the network has {len(wanted)}; "
            "is it the same network, of the same depth and with batch norm as there?"
        )
    return {ours: state[theirs] for ours, theirs in pairs.items()}


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a safetensors file: {error}") from None
    return {name: found[name] for name in sorted(found, key=_place)}


def _place(name: str) -> tuple[list[tuple[int, str]], int]:
    """Where a weight belongs in a file that keeps no order: "b.9.bias" behind "b.9.weight", before "b.10.weight"."""
    layer, _, leaf = name.rpartition(".")
    numbered = [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"\.|(\d+)", layer) if part]
    return numbered, LEAVES.index(leaf) if leaf in LEAVES else len(LEAVES)


def _pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of what torch.save wrote: at the top, or below one of the usual names."""
    import torch

    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = "" if isinstance(error, pickle.UnpicklingError) else f" ({type(error).__name__}: {str(error)[:200]})"
        raise UserError(
            f"{path} is not a file of weights that can be read without running its code{reason}. "
            "Save the state dict alone: torch.save(net.state_dict(), FILE)"
        ) from None
    while isinstance(content, Mapping):
        if content and all(isinstance(value, torch.Tensor) for value in content.values()):
            return {str(name): value for name, value in content.items()}
        content = next((content[key] for key in NESTED if key in content), None)
    raise UserError(f"{path} holds no tensors by name; save the state dict: torch.save(net.state_dict(), FILE)")
