"""FractalNet: as deep as residual networks without residuals (Larsson, Maire, Shakhnarovich 2017, "FractalNet:
Ultra-Deep Neural Networks without Residuals").

A block of C columns is built by one rule: two blocks of C - 1 columns one behind the other, and beside them one
convolution; where columns meet, their mean is taken. Convolutions are 3x3, followed by dropout, batch norm and a
rectifier. As in the authors' code, columns are pooled before the last join of a block.

Drop-path: joins leave out inputs at random in training (`drop_path`, the paper's local form, drawn for each image; the
authors draw once for a batch). The global form, one column of the whole network for half of the batches, is not an
operator's affair: ``fractalnet(column=2)`` is that column alone, a sub-network under the same names, which a training
loop may run on the weights of the whole (`network(x, sub)`). Nothing here does so by itself: a deviation.

The network is reported with 38.6 M parameters; its published channels make 33.7 M, and we could not find the rest.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from falconet.errors import UserError
from falconet.graph import BatchNorm, Draft, Dropout, MaxPool, Mean, NetSpec, ReLU
from falconet.zoo.classify import Steps, check_classes, classify, conv

WIDTHS = (64, 128, 256, 512, 512)


@lru_cache(maxsize=256)
def fractal_block(inp: int, out: int, columns: int, drop_path: float, dropout: float, column: int = 0) -> NetSpec:
    """A block of so many columns that halves the picture; of one column alone where `column` says which, from 1.

    Column c has 2^(c-1) convolutions, called `c3_0`, `c3_1`, ...
    """
    d = Draft(x=inp)
    counts: Counter[str] = Counter()

    def numbered(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind] - 1}"

    def joined(names: list[str]) -> str:
        return names[0] if len(names) == 1 else d.layer(numbered("join"), Mean(drop_path), *names)

    def ends(c: int, y: str) -> list[str]:
        """What has to be joined at the end of a fractal of c columns, the shallowest first."""
        here = columns - c + 1
        own = []
        if column in (0, here):
            name = numbered(f"c{here}")
            steps: Steps = [(name, conv(out, 3)), *([(f"{name}_drop", Dropout(dropout))] if dropout else [])]
            own = [d.chain([*steps, (f"{name}_norm", BatchNorm()), (f"{name}_act", ReLU())], y)]
        if c == 1 or column == here:
            return own
        return own + ends(c - 1, joined(ends(c - 1, y)))

    return d.build(joined([d.layer(numbered("pool"), MaxPool(2, 2, 0), y) for y in ends(columns, "x")]))


def fractalnet(
    classes: int = 10, columns: int = 3, drop_path: float = 0.15, dropout: float = 0.1, column: int = 0
) -> NetSpec:
    """FractalNet for 32x32 pictures: 5 blocks of 3 columns, 20 convolutions deep; 33.7 M parameters (see its module).

    `dropout` grows by that much from block to block, from none; 4 columns make it 40 deep.
    """
    check_classes(classes)
    if not 1 <= columns <= 8 or not 0 <= column <= columns:
        raise UserError(f"FractalNet takes 1 to 8 columns, and one of these as column; got {columns} and {column}")
    d = Draft(x=3)
    y, channels = "x", 3
    for i, width in enumerate(WIDTHS):
        block = fractal_block(channels, width, columns, drop_path, round(dropout * i, 6), column)
        y, channels = d.layer(f"block{i}", block, y), width
    return d.build(classify(d, y, classes))
