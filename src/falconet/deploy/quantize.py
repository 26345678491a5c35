"""ONNX files of 8-bit integers, made from float32 ones after training, by what values real pictures give.

Activations are unsigned, kernels signed with a scale for each output channel: the pair that ONNX Runtime is fastest
with. What comes behind the last kernel stays float32: its sums and shuffles make the picture, which would otherwise be
rounded to 8 bits before it is finished. Whether the result is good enough, or even faster, is measured by who exports
(`compare.py`): on depthwise networks it is often slower.

Left out: training with rounding, other bit widths, other runtimes than ONNX Runtime.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from falconet.deploy.target import Array, Sample

KERNELS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def quantized(data: bytes, samples: Sequence[Sample]) -> bytes:
    """The network of an ONNX file with 8-bit kernels and activations, calibrated on real inputs.

    `samples` are one array for each input, chw or bchw, float32 of 0..1, of any sizes.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    assert samples, "calibration needs real inputs"
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(data))
    nodes = list(model.graph.node)
    last = max((number for number, node in enumerate(nodes) if node.op_type in KERNELS), default=-1)
    names = [one.name for one in model.graph.input]
    with TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            str(path),
            _Reader(names, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[node.name for node in nodes[last + 1 :]],
        )
        return path.read_bytes()


class _Reader:
    """Hands the samples to ONNX Runtime, one after the other, until None."""

    def __init__(self, names: Sequence[str], samples: Sequence[Sample]) -> None:
        self._feeds: Iterator[dict[str, Array]] = (
            {name: np.ascontiguousarray(x if x.ndim == 4 else x[None]) for name, x in zip(names, xs, strict=True)}
            for xs in samples
        )

    def get_next(self) -> dict[str, Array] | None:
        """The next inputs by name."""
        return next(self._feeds, None)


class _quiet:
    """No advice about preparing the file first: it is fused already."""

    def __enter__(self) -> None:
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)
