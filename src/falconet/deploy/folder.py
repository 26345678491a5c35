"""Model folders: a trained network with everything needed to run it, judge it and trust it.

    NAME/  model.json            task, network, costs, figures, how it was trained (facts.py)
           weights.safetensors   the weights as they ship: branches merged, batch norm folded
           model.onnx            the same network for ONNX Runtime, pictures of any size
           run.py                a short program that runs it without Falconet
           card.md               for people: what it is, its figures, the pictures it learned from and their terms

`write_model` makes the folder whole or not at all, and only if what was exported agrees with PyTorch on real pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from falconet import __version__
from falconet.deploy.card import card
from falconet.deploy.facts import FILE, NAME, Facts, ParityFacts, Training
from falconet.deploy.model import WEIGHTS, Model, read_model
from falconet.deploy.parity import check_parity
from falconet.deploy.place import whole_folder
from falconet.deploy.script import run_script
from falconet.deploy.targets import TARGETS
from falconet.errors import UserError
from falconet.files import write_bytes, write_text
from falconet.graph import NetSpec, costs, flatten, spec_to_json
from falconet.tasks import Task

if TYPE_CHECKING:
    from falconet.graph.network import Network

Array: TypeAlias = npt.NDArray[Any]


def write_model(
    folder: Path,
    *,
    network: Network,
    task: Task,
    samples: Sequence[tuple[Array, ...]],
    sizes: tuple[tuple[int, int], ...],
    arch: Mapping[str, object] | None = None,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    training: Training | None = None,
    targets: Sequence[str] = ("onnxruntime",),
    tolerance: float | None = None,
) -> Model:
    """Write the model folder of `network` (as trained; it is fused here) and read it back. Its name is the folder's.

    `samples` are inputs for the proof that exports agree: one array for each input (chw or bchw, float32, 0..1), real
    pictures of several odd sizes. `sizes` are the (height, width) of each input that costs are counted for. An earlier
    model in `folder` is replaced. `tolerance` stands in for what each target allows. Raises ExportRefused when an
    exported file does not agree with the network, and UserError when `folder` holds something else.
    """
    from falconet.graph.network import deployed

    assert network.spec is not None, "a bare store has no network to ship: extract one first"
    if not re.fullmatch(NAME, folder.name):
        raise UserError(f"a model's name holds letters, digits, dots, - and _ only, not {folder.name!r}")
    if folder.exists() and not (folder / FILE).is_file():
        raise UserError(f"{folder} exists and is not a model folder: choose another place for the model")
    small = deployed(network)
    assert small.spec is not None
    facts = Facts(
        name=folder.name,
        falconet=__version__,
        task=_settings(task),
        network=network.spec.digest,
        arch=dict(arch or {}),
        spec=spec_to_json(small.spec),
        trained_spec=None if flatten(network.spec) == small.spec else spec_to_json(network.spec),
        costs={key: float(value) for key, value in asdict(costs(network.spec, *sizes)).items()},
        costs_at=sizes,
        metrics={name: dict(figures) for name, figures in (metrics or {}).items()},
        protocol=task.protocol,
        training=training or Training(),
    )
    arrays = {key: np.ascontiguousarray(value.detach().cpu().numpy()) for key, value in small.weights().items()}
    with whole_folder(folder) as partial:
        parity, file = _export(small.spec, arrays, partial, network, samples, targets, tolerance)
        facts = facts.model_copy(update={"parity": parity})
        write_bytes(partial / WEIGHTS, save(arrays))
        write_text(partial / "run.py", run_script(facts.name, facts.task, TARGETS[targets[0]](), file))
        write_text(partial / "card.md", card(facts))
        write_text(partial / FILE, facts.text())
    return read_model(folder)


def _settings(task: Task) -> dict[str, Any]:
    """The task's settings as JSON; a task of the user's own that cannot be written down is named only."""
    dump = getattr(task, "model_dump", None)
    return dict(dump(mode="json")) if dump else {"name": task.name}


def _export(
    spec: NetSpec,
    weights: Mapping[str, Array],
    folder: Path,
    network: Network,
    samples: Sequence[tuple[Array, ...]],
    targets: Sequence[str],
    tolerance: float | None,
) -> tuple[tuple[ParityFacts, ...], str]:
    """Write the file of every target and compare it with the network as trained; also the first file's name."""
    found, files = [], []
    for name in targets:
        target = TARGETS[name]()
        path = target.export(spec, weights, folder)
        allowed = target.tolerances["float32"] if tolerance is None else tolerance
        assert allowed is not None
        parity = check_parity(target.load(path), network, samples, allowed, name)
        found.append(ParityFacts(**asdict(parity)))
        files.append(path.name)
    return tuple(found), files[0]
