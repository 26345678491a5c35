"""Networks to files: export, proof that the file is right, model folders, timing.

Not here, so that importing this stays quick: `falconet.deploy.onnx.to_onnx` (onnx), `falconet.deploy.timing`.
"""

from falconet.deploy.facts import Facts, Training
from falconet.deploy.folder import write_model
from falconet.deploy.model import DEFAULT_MODEL, Model, default_model, load_model, read_model, shipped_models
from falconet.deploy.parity import ExportRefused, Parity, check_parity
from falconet.deploy.runtime import OnnxRun, run_onnx
from falconet.deploy.target import Target
from falconet.deploy.targets import TARGETS

__all__ = [
    "DEFAULT_MODEL",
    "TARGETS",
    "ExportRefused",
    "Facts",
    "Model",
    "OnnxRun",
    "Parity",
    "Target",
    "Training",
    "check_parity",
    "default_model",
    "load_model",
    "read_model",
    "run_onnx",
    "shipped_models",
    "write_model",
]
