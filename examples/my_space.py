"""A search space of your own: a function that builds a network, and asks `pick` for every decision.

    falconet plan recipe.yaml --space examples/my_space.py         how large it is and what its networks cost
    falconet run  recipe.yaml --space examples/my_space.py         another name than `space`: examples/my_space.py:name

It is plain Python: sampling, mutation, shared weights, costs and the report's drawings follow from this one function.
This space is for super-resolution x2 on luma, the default task of recipes.
"""

from falconet.graph import Add, Conv, DepthwiseConv, Draft, LeakyReLU, NetSpec, PixelShuffle, Repeat
from falconet.spaces import Pick

SCALE = 2


def space(pick: Pick) -> NetSpec:
    """The network of the answers that `pick` gives: (name, options) -> one of the options.

    Numbers in ascending order have a smallest and a largest option, which the sandwich rule trains in every step.
    Layers of one name share their weights; so what cannot share must differ in name, as the blocks do by their kind.
    """
    width = pick("width", (8, 12, 16))
    d = Draft(x=1)  # one input, x, of one channel
    y = d.layer("head_act", LeakyReLU(0.1), d.layer("head", Conv(width), "x"))
    blocks = {}
    for number in range(pick("depth", (2, 3, 4))):
        kind = pick(f"block{number}", ("conv", "separable"))  # asked only when the network is that deep
        name = f"b{number}_{kind}"
        if kind == "separable":
            y = d.layer(name, Conv(width, kernel=1), d.layer(f"{name}_depth", DepthwiseConv(5), y))
        else:
            y = d.layer(name, Conv(width), y)
        y = blocks[f"b{number}"] = d.layer(f"{name}_act", LeakyReLU(0.1), y)
    if pick("gather", (False, True)):  # the last layer sees all blocks; the keys say which channels are whose
        y = d.layer("tail_all", Conv(SCALE**2), d.concat("all", **blocks))
    else:
        y = d.layer("tail", Conv(SCALE**2), y)
    y = d.layer("sum", Add(), y, d.layer("repeat", Repeat(SCALE**2), "x"))  # learn only what is missing
    return d.build(d.layer("large", PixelShuffle(SCALE), y))
