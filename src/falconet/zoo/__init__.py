"""Hand-designed networks as functions that return a NetSpec, one file for each family, and the blocks they share."""

from collections.abc import Callable, Mapping

from falconet.graph import NetSpec
from falconet.zoo.blocks import ACTIVATIONS, ecb_block, plain_block, residual_block
from falconet.zoo.ecbsr import ecbsr, ecbsr_m4c8, ecbsr_m4c16, ecbsr_m10c32, ecbsr_m16c64
from falconet.zoo.espcn import espcn
from falconet.zoo.fsrcnn import fsrcnn, fsrcnn_s
from falconet.zoo.plain import plain_4x16, plain_7x20, plain_sr
from falconet.zoo.vdsr import vdsr

ZOO: Mapping[str, Callable[..., NetSpec]] = {
    "espcn": espcn,
    "fsrcnn": fsrcnn,
    "fsrcnn_s": fsrcnn_s,
    "vdsr": vdsr,
    "ecbsr": ecbsr,
    "ecbsr_m4c8": ecbsr_m4c8,
    "ecbsr_m4c16": ecbsr_m4c16,
    "ecbsr_m10c32": ecbsr_m10c32,
    "ecbsr_m16c64": ecbsr_m16c64,
    "plain_sr": plain_sr,
    "plain_4x16": plain_4x16,
    "plain_7x20": plain_7x20,
}
"""Networks by name. Each takes its settings as keywords, all with a default: ``ZOO["espcn"](scale=3)``."""

__all__ = [
    "ACTIVATIONS",
    "ZOO",
    "ecb_block",
    "ecbsr",
    "ecbsr_m4c8",
    "ecbsr_m4c16",
    "ecbsr_m10c32",
    "ecbsr_m16c64",
    "espcn",
    "fsrcnn",
    "fsrcnn_s",
    "plain_4x16",
    "plain_7x20",
    "plain_block",
    "plain_sr",
    "residual_block",
    "vdsr",
]
