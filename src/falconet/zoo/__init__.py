"""Hand-designed networks as functions that return a NetSpec, one file for each family, and the blocks they share."""

from collections.abc import Callable, Mapping

from falconet.graph import NetSpec
from falconet.zoo.blocks import ACTIVATIONS, ecb_block, plain_block, residual_block
from falconet.zoo.carn import carn, carn_m
from falconet.zoo.dncnn import dncnn, dncnn_17, dncnn_20
from falconet.zoo.ecbsr import ecbsr, ecbsr_m4c8, ecbsr_m4c16, ecbsr_m10c32, ecbsr_m16c64
from falconet.zoo.espcn import espcn
from falconet.zoo.ffdnet import ffdnet, ffdnet_colour
from falconet.zoo.fsrcnn import fsrcnn, fsrcnn_s
from falconet.zoo.imdn import imdn, imdn_rtc
from falconet.zoo.plain import plain_4x16, plain_7x20, plain_sr
from falconet.zoo.srcnn import srcnn, srcnn_915
from falconet.zoo.vdsr import vdsr

ZOO: Mapping[str, Callable[..., NetSpec]] = {
    "srcnn": srcnn,
    "srcnn_915": srcnn_915,
    "espcn": espcn,
    "fsrcnn": fsrcnn,
    "fsrcnn_s": fsrcnn_s,
    "vdsr": vdsr,
    "carn": carn,
    "carn_m": carn_m,
    "imdn": imdn,
    "imdn_rtc": imdn_rtc,
    "ecbsr": ecbsr,
    "ecbsr_m4c8": ecbsr_m4c8,
    "ecbsr_m4c16": ecbsr_m4c16,
    "ecbsr_m10c32": ecbsr_m10c32,
    "ecbsr_m16c64": ecbsr_m16c64,
    "plain_sr": plain_sr,
    "plain_4x16": plain_4x16,
    "plain_7x20": plain_7x20,
    "dncnn": dncnn,
    "dncnn_17": dncnn_17,
    "dncnn_20": dncnn_20,
    "ffdnet": ffdnet,
    "ffdnet_colour": ffdnet_colour,
}
"""Networks by name. Each takes its settings as keywords, all with a default: ``ZOO["espcn"](scale=3)``.

Those that enlarge have a `scale`; denoisers have none.
"""

__all__ = [
    "ACTIVATIONS",
    "ZOO",
    "carn",
    "carn_m",
    "dncnn",
    "dncnn_17",
    "dncnn_20",
    "ecb_block",
    "ecbsr",
    "ecbsr_m4c8",
    "ecbsr_m4c16",
    "ecbsr_m10c32",
    "ecbsr_m16c64",
    "espcn",
    "ffdnet",
    "ffdnet_colour",
    "fsrcnn",
    "fsrcnn_s",
    "imdn",
    "imdn_rtc",
    "plain_4x16",
    "plain_7x20",
    "plain_block",
    "plain_sr",
    "residual_block",
    "srcnn",
    "srcnn_915",
    "vdsr",
]
