"""Where a network can go: one entry for each runtime (the contract is in target.py)."""

from __future__ import annotations

from collections.abc import Mapping

from falconet.deploy.coreml import CoreMl
from falconet.deploy.executorch import ExecuTorch
from falconet.deploy.litert import LiteRt
from falconet.deploy.ncnn import Ncnn
from falconet.deploy.onnx_runtime import OnnxRuntime
from falconet.deploy.openvino import OpenVino
from falconet.deploy.target import Target

TARGETS: Mapping[str, type[Target]] = {
    "onnxruntime": OnnxRuntime,
    "ncnn": Ncnn,
    "openvino": OpenVino,
    "litert": LiteRt,
    "executorch": ExecuTorch,
    "coreml": CoreMl,
}
