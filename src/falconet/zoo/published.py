"""What was published about the networks of the zoo: input size, multiply-accumulates, parameters, who counts how.

The one place where these facts stand: `falconet inspect` takes a classifier's input size from here, the tests hold each
network against its figures, docs/zoo.md shows both. Figures are those of the sources; none was measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from falconet.graph.shape import Size

IMAGENET: Size = (224, 224)
CIFAR: Size = (32, 32)


@dataclass(frozen=True, slots=True)
class Published:
    """Published figures of one network at its published settings: None where none is known.

    `size` is (height, width); `within` is how near our count must come (a share), wider where `note` says why.
    """

    source: str
    size: Size
    mega_macs: float | None
    mega_params: float | None
    macs_within: float = 0.01
    params_within: float = 0.01
    note: str = ""


HE = "He et al. 2016"
SHUFFLE_V1 = "Zhang et al. 2018"
SHUFFLE_V2 = "Ma et al. 2018"
RELEASE = "the authors' release"
VISION = "figures of torchvision's documentation; the paper says {}"
EARLY = VISION + ", with the stride of early=True: {}"

PUBLISHED: Mapping[str, Published] = {
    "alexnet": Published("Krizhevsky et al. 2012", IMAGENET, 720, 60, 0.01, 0.02, "MACs as Zhang et al. 2018 count"),
    "googlenet": Published(
        "Szegedy et al. 2015", IMAGENET, 1502, 6.8, 0.06, 0.03,
        "sums of the paper's table, whose first row has 2.7 K weights for 7x7x3x64 and whose MACs are rounded",
    ),
    "resnet18": Published(HE, IMAGENET, 1814, 11.69, note=VISION.format("1.8 G")),
    "resnet34": Published(HE, IMAGENET, 3664, 21.80, note=VISION.format("3.6 G")),
    "resnet50": Published(HE, IMAGENET, 4090, 25.56, note=EARLY.format("3.8 G", "3.86 G")),
    "resnet101": Published(HE, IMAGENET, 7801, 44.55, note=EARLY.format("7.6 G", "7.57 G")),
    "resnet152": Published(HE, IMAGENET, 11514, 60.19, note=EARLY.format("11.3 G", "11.3 G")),
    "resnet20": Published(HE, CIFAR, None, 0.27, params_within=0.02),
    "resnet32": Published(HE, CIFAR, None, 0.46, params_within=0.02),
    "resnet56": Published(HE, CIFAR, None, 0.85, params_within=0.02),
    "resnet110": Published(HE, CIFAR, None, 1.7, params_within=0.02),
    "fractalnet": Published(
        "Larsson et al. 2017", CIFAR, None, 38.6, params_within=0.13,
        note="as Huang et al. 2017 quote it; the published channels make 33.7 M, and we could not find the rest",
    ),
    "xception": Published("Chollet 2017", (299, 299), 8400, 22.855952, params_within=1e-9, note="MACs as timm counts"),
    "shufflenet_v1_g1": Published(SHUFFLE_V1, IMAGENET, 143, None),
    "shufflenet_v1_g2": Published(SHUFFLE_V1, IMAGENET, 140, None),
    "shufflenet_v1_g3": Published(SHUFFLE_V1, IMAGENET, 138, 1.9, params_within=0.02, note=f"as {RELEASE}"),
    "shufflenet_v1_g4": Published(SHUFFLE_V1, IMAGENET, 133, None, 0.015),
    "shufflenet_v1_g8": Published(SHUFFLE_V1, IMAGENET, 138, 2.4, params_within=0.02, note=f"as {RELEASE}"),
    "shufflenet_v2_x0_5": Published(SHUFFLE_V2, IMAGENET, 41, 1.4, 0.015, 0.03),
    "shufflenet_v2_x1_0": Published(SHUFFLE_V2, IMAGENET, 146, 2.3),
    "shufflenet_v2_x1_5": Published(SHUFFLE_V2, IMAGENET, 299, 3.5),
    "shufflenet_v2_x2_0": Published(SHUFFLE_V2, IMAGENET, 591, 7.4),
    "shufflenet_v2_plus_small": Published(RELEASE, IMAGENET, 156, 5.1),
    "shufflenet_v2_plus_medium": Published(RELEASE, IMAGENET, 222, 5.6, params_within=0.015),
    "shufflenet_v2_plus_large": Published(RELEASE, IMAGENET, 360, 6.7, params_within=0.015),
    "mobilenet_v2": Published("Sandler et al. 2018", IMAGENET, 300, 3.4, params_within=0.035),
    "mobilenet_v3_large": Published(
        "Howard et al. 2019", IMAGENET, 219, 5.4, 0.015, 0.02, "217 M and 5.4 M by the ShuffleNet authors' count"
    ),
    "mobilenet_v3_small": Published("Howard et al. 2019", IMAGENET, 56, 2.5, params_within=0.02),
}  # fmt: skip
"""Published figures of classifiers by the network's name in the zoo."""

HALF_HD: Size = (360, 640)  # twice as large: 1280x720
ZEROS = "published MACs let the transposed convolution multiply the zeros between pixels"
THREE_SCALES = "published parameters are of upsamplers for three scales together"

PUBLISHED_X2: Mapping[str, Published] = {
    "srcnn": Published("Dong et al. 2014", HALF_HD, 52700, 0.057),
    "espcn": Published("Shi et al. 2016", HALF_HD, 5000, 0.021, 0.03, 0.02, "published MACs are rounded"),
    "fsrcnn": Published("Dong et al. 2016", HALF_HD, 6000, 0.012, 0.53, 0.07, ZEROS + "; parameters without biases"),
    "vdsr": Published("Kim et al. 2016", HALF_HD, 612600, 0.665),
    "carn": Published("Ahn et al. 2018", HALF_HD, 222800, 1.592, params_within=0.4, note=THREE_SCALES),
    "carn_m": Published("Ahn et al. 2018", HALF_HD, 91200, 0.412, params_within=0.4, note=THREE_SCALES),
    "imdn": Published("Hui et al. 2019", HALF_HD, 158800, 0.694),
    "ecbsr_m4c8": Published("Zhang et al. 2021", HALF_HD, 630, 0.0028, 0.03, 0.02, "published MACs count biases too"),
    "ecbsr_m4c16": Published("Zhang et al. 2021", HALF_HD, 2300, 0.0101),
    "ecbsr_m10c32": Published("Zhang et al. 2021", HALF_HD, 21700, 0.0943),
    "ecbsr_m16c64": Published("Zhang et al. 2021", HALF_HD, 137000, 0.596),
}
"""Published figures of networks that enlarge, at scale 2 to 1280x720."""
