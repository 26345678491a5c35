"""A denoiser of grey pictures, made one of colour: brightness by the network as it is, colour at half resolution.

            .-> levels ------------------.
    x (rgb) +                            v
            '-> planes -+-> Y ---------> luma -------------------.
                        '-> Cb, Cr -> small -> chroma, each -> up -+-> back (rgb)

Eyes and JPEG files see colour at half the resolution of brightness, and the noise of cameras is mostly in brightness,
where R, G and B share it: a network that has learned grey pictures is a good start for it. `luma` and `chroma` are two
copies, which begin equal; the planes are those of JPEG, full range. A noise map is made inside, `levels`: it begins as
one level everywhere, that of white noise in each of R, G and B, and may learn how strong noise is where it is bright.
All of it is ordinary layers: it costs one and a half times the grey network, and is trained on, fused and exported as
any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from falconet.errors import UserError
from falconet.graph import AvgPool, Conv, Crop, Draft, NetSpec, Resize, Slice

if TYPE_CHECKING:
    from falconet.graph.network import Network

YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
"""Y, Cb and Cr of R, G and B: JPEG (ITU-T T.871). Cb and Cr are around 0."""
GREY = 0.5  # added to Cb and Cr, which are then of 0 to 1 as the network has learned


def in_colour(grey: NetSpec) -> NetSpec:
    """The network for RGB of a network for grey pictures with a noise map.

    UserError unless its inputs are a picture of one channel and `sigma`.
    """
    if [(one.name, one.channels) for one in grey.inputs] != [("x", 1), ("sigma", 1)]:
        has = ", ".join(f"{one.name} of {one.channels}" for one in grey.inputs)
        raise UserError(
            f"in_colour takes a denoiser of grey pictures that is told the noise level; this one takes {has}"
        )
    d = Draft(x=3)
    planes, levels = d.layer("planes", Conv(3, 1), "x"), d.layer("levels", Conv(2, 1), "x")
    y, y_level = d.layer("y", Slice(0, 1), planes), d.layer("y_level", Slice(0, 1), levels)
    small = d.layer("small", AvgPool(ceil=True), d.layer("c", Slice(1, 3), planes))
    c_level = d.layer("small_level", AvgPool(ceil=True), d.layer("c_level", Slice(1, 2), levels))
    luma = d.layer("luma", grey, y, y_level)
    cb = d.layer("cb_clean", grey, d.layer("cb", Slice(0, 1), small), c_level, weights="chroma")
    cr = d.layer("cr_clean", grey, d.layer("cr", Slice(1, 2), small), c_level, weights="chroma")
    large = d.layer("up", Resize(2, "bilinear"), d.concat("colours", cb=cb, cr=cr))
    clean = d.concat("clean", y=luma, c=d.layer("cut", Crop(), large, luma))
    return d.build(d.layer("back", Conv(3, 1), clean))


def give_weights(network: Network, grey: Network, level: float) -> None:
    """Put those of `grey` into `network`, the one `in_colour` of it, told a noise of `level` (of 255) in R, G and B."""
    import torch

    to = torch.tensor(YCBCR, dtype=torch.float64)
    back, grey_point = torch.linalg.inv(to), torch.tensor([0, GREY, GREY], dtype=torch.float64)
    stds = to.square().sum(1).sqrt() * level / 255
    own = {
        "planes.weight": to[..., None, None],
        "planes.bias": grey_point,
        "levels.weight": torch.zeros(2, 3, 1, 1),
        "levels.bias": torch.stack([stds[0], stds[1:].mean() / 2]),  # of white noise, the mean of four has half
        "back.weight": back[..., None, None],
        "back.bias": -back @ grey_point,
    }
    learned = grey.state_dict()
    copies = {f"{part}.{name}": value for part in ("luma", "chroma") for name, value in learned.items()}
    network.load_state_dict({**{name: value.float() for name, value in own.items()}, **copies})
