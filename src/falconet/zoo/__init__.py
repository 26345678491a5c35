"""Hand-designed networks as functions that return a NetSpec, one file for each family, and the blocks they share."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import TypeAlias

from falconet.errors import UserError
from falconet.graph import NetSpec
from falconet.zoo.alexnet import alexnet
from falconet.zoo.blocks import ACTIVATIONS, ecb_block, gated_block, plain_block, residual_block
from falconet.zoo.carn import carn, carn_m
from falconet.zoo.dncnn import dncnn, dncnn_17, dncnn_20
from falconet.zoo.ecbsr import ecbsr, ecbsr_m4c8, ecbsr_m4c16, ecbsr_m10c32, ecbsr_m16c64
from falconet.zoo.espcn import espcn
from falconet.zoo.ffdnet import ffdnet, ffdnet_colour
from falconet.zoo.fractalnet import fractalnet
from falconet.zoo.fsrcnn import fsrcnn, fsrcnn_s
from falconet.zoo.googlenet import googlenet
from falconet.zoo.imdn import imdn, imdn_rtc
from falconet.zoo.mobilenet import mobilenet_v2, mobilenet_v3_large, mobilenet_v3_small
from falconet.zoo.plain import plain_4x16, plain_7x20, plain_sr
from falconet.zoo.published import PUBLISHED, PUBLISHED_X2, Published
from falconet.zoo.resnet import (
    resnet18,
    resnet20,
    resnet32,
    resnet34,
    resnet50,
    resnet56,
    resnet101,
    resnet110,
    resnet152,
)
from falconet.zoo.shufflenet_v1 import (
    shufflenet_v1_g1,
    shufflenet_v1_g2,
    shufflenet_v1_g3,
    shufflenet_v1_g4,
    shufflenet_v1_g8,
)
from falconet.zoo.shufflenet_v2 import (
    shufflenet_v2_plus_large,
    shufflenet_v2_plus_medium,
    shufflenet_v2_plus_small,
    shufflenet_v2_x0_5,
    shufflenet_v2_x1_0,
    shufflenet_v2_x1_5,
    shufflenet_v2_x2_0,
)
from falconet.zoo.srcnn import srcnn, srcnn_915
from falconet.zoo.vdsr import vdsr
from falconet.zoo.xception import xception

Design: TypeAlias = Callable[..., NetSpec]

SUPER_RESOLUTION: Mapping[str, Design] = {
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
}
"""Networks that enlarge; each has a `scale`."""

DENOISING: Mapping[str, Design] = {
    "dncnn": dncnn,
    "dncnn_17": dncnn_17,
    "dncnn_20": dncnn_20,
    "ffdnet": ffdnet,
    "ffdnet_colour": ffdnet_colour,
}
"""Networks that clean a picture of its own size."""

CLASSIFICATION: Mapping[str, Design] = {
    "alexnet": alexnet,
    "googlenet": googlenet,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet56": resnet56,
    "resnet110": resnet110,
    "fractalnet": fractalnet,
    "xception": xception,
    "shufflenet_v1_g1": shufflenet_v1_g1,
    "shufflenet_v1_g2": shufflenet_v1_g2,
    "shufflenet_v1_g3": shufflenet_v1_g3,
    "shufflenet_v1_g4": shufflenet_v1_g4,
    "shufflenet_v1_g8": shufflenet_v1_g8,
    "shufflenet_v2_x0_5": shufflenet_v2_x0_5,
    "shufflenet_v2_x1_0": shufflenet_v2_x1_0,
    "shufflenet_v2_x1_5": shufflenet_v2_x1_5,
    "shufflenet_v2_x2_0": shufflenet_v2_x2_0,
    "shufflenet_v2_plus_small": shufflenet_v2_plus_small,
    "shufflenet_v2_plus_medium": shufflenet_v2_plus_medium,
    "shufflenet_v2_plus_large": shufflenet_v2_plus_large,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": mobilenet_v3_large,
    "mobilenet_v3_small": mobilenet_v3_small,
}
"""Networks that tell classes apart; each has `classes`. PUBLISHED has the input size of each."""

GROUPS: Mapping[str, Mapping[str, Design]] = {
    "super_resolution": SUPER_RESOLUTION,
    "denoising": DENOISING,
    "classification": CLASSIFICATION,
}
"""The networks by what they are for."""

ZOO: Mapping[str, Design] = {**SUPER_RESOLUTION, **DENOISING, **CLASSIFICATION}
"""Networks by name. Each takes its settings as keywords, all with a default: ``ZOO["espcn"](scale=3)``."""


def designed(name: str, options: Mapping[str, int | float | str | bool], **shared: int | None) -> NetSpec:
    """The network of that name with its own `options`, and of the `shared` settings those that it takes and are known.

    UserError when it has no such option.

    >>> designed("espcn", {}, scale=3, classes=None) == ZOO["espcn"](scale=3)
    True
    >>> len(designed("dncnn", {"depth": 5}, scale=1).layers)
    10
    """
    taken = signature(ZOO[name]).parameters
    for option in options:
        if option not in taken:
            raise UserError(f"{name} has no option {option!r}; it has {', '.join(taken) or 'none'}")
    own = {key: value for key, value in shared.items() if value is not None and key in taken}
    return ZOO[name](**{**own, **options})


__all__ = [
    "ACTIVATIONS",
    "CLASSIFICATION",
    "DENOISING",
    "GROUPS",
    "PUBLISHED",
    "PUBLISHED_X2",
    "SUPER_RESOLUTION",
    "ZOO",
    "Design",
    "Published",
    "alexnet",
    "carn",
    "carn_m",
    "designed",
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
    "fractalnet",
    "fsrcnn",
    "fsrcnn_s",
    "gated_block",
    "googlenet",
    "imdn",
    "imdn_rtc",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "plain_4x16",
    "plain_7x20",
    "plain_block",
    "plain_sr",
    "residual_block",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet50",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "shufflenet_v1_g1",
    "shufflenet_v1_g2",
    "shufflenet_v1_g3",
    "shufflenet_v1_g4",
    "shufflenet_v1_g8",
    "shufflenet_v2_plus_large",
    "shufflenet_v2_plus_medium",
    "shufflenet_v2_plus_small",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
    "srcnn",
    "srcnn_915",
    "vdsr",
    "xception",
]
