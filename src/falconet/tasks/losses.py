"""What training makes small: the losses that recipes name, alone or as weighted sums such as "l1+0.1*fft".

Each takes output and target, both bchw of 0..1, and returns a scalar: a mean, so that a loss does not grow with the
batch or the patch. Left out: losses that need a network of their own (perceptual, adversarial).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from falconet.errors import UserError
from falconet.tasks.metrics import SSIM_SIGMA, SSIM_WINDOW

if TYPE_CHECKING:
    from torch import Tensor

# (output, target) tensors to a scalar tensor. Any: torch is not imported here.
Criterion = Callable[[Any, Any], Any]


def l1(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error."""
    return (output - target).abs().mean()


def l2(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error: what PSNR is the logarithm of. Large errors weigh most."""
    difference = output - target
    return (difference * difference).mean()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """How far PSNR is below 60 dB, in tens of decibels, the mean over the pictures of a batch.

    log10(1 + mean squared error / 1e-6). Each picture weighs alike, however little noise it has, as in the mean PSNR of
    a test set; in `l1` and `l2` the noisiest decide. Chen et al. (HINet), 2021, train with the negative PSNR itself.
    """
    difference = output - target
    return (1 + (difference * difference).mean(dim=(1, 2, 3)) * 1e6).log10().mean()


def charbonnier(output: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(error^2 + 1e-6): the absolute error, smooth at 0 (Lai et al., LapSRN, 2017, eq. 4)."""
    difference = output - target
    return (difference * difference + 1e-6).sqrt().mean()


def fft(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error of the real and imaginary parts of the spectrum: errors of texture and blur weigh more.

    Cho et al., "Rethinking coarse-to-fine approach in single image deblurring" (MIMO-UNet), 2021, eq. 5. Unlike theirs
    the transform keeps the length of a vector, so that the loss is of the size of `l1` whatever the patch.
    """
    import torch

    difference = torch.fft.rfft2(output - target, norm="ortho")
    return torch.view_as_real(difference).abs().mean()


def ssim(output: Tensor, target: Tensor) -> Tensor:
    """1 less the mean structural similarity, each channel by itself (Wang et al. 2004, eq. 13); sides of 11 at least.

    It says nothing about a small shift in brightness; mix it with `l1`: "l1+0.2*ssim".
    """
    import torch
    from torch.nn.functional import conv2d

    if min(output.shape[-2:]) < SSIM_WINDOW:
        raise UserError(
            f"the loss ssim needs patches of {SSIM_WINDOW} pixels a side, got {tuple(output.shape[-2:])}; "
            "enlarge task.patch"
        )
    offsets = torch.arange(SSIM_WINDOW, device=output.device, dtype=output.dtype) - SSIM_WINDOW // 2
    window = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA**2))
    window = window / window.sum()
    height, width = output.shape[-2:]
    x, y = (one.reshape(-1, 1, height, width) for one in (output, target))
    stack = torch.cat([x, y, x * x, y * y, x * y])
    means = conv2d(conv2d(stack, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    mean_x, mean_y, xx, yy, xy = means.chunk(5)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * product + c1) * (2 * (xy - product) + c2) / ((squares + c1) * (xx + yy - squares + c2))
    return 1 - similarity.mean()


LOSSES: Mapping[str, Criterion] = {
    "l1": l1,
    "l2": l2,
    "psnr": psnr,
    "charbonnier": charbonnier,
    "fft": fft,
    "ssim": ssim,
}
OWN = "own"  # what a model folder says of a loss that was passed as a function


def terms(text: str) -> tuple[tuple[float, str], ...]:
    """(weight, name) of each loss in a sum. ValueError when it is none.

    >>> terms("l1"), terms("l1+0.1*fft")
    (((1.0, 'l1'),), ((1.0, 'l1'), (0.1, 'fft')))
    """
    found = []
    for part in text.split("+"):
        weight, star, name = part.rpartition("*")
        name = name.strip()
        try:
            factor = float(weight) if star else 1.0
        except ValueError:
            raise ValueError(f"a weight must be a number, as in l1+0.1*fft; got {part.strip()!r}") from None
        if name not in LOSSES:
            known = ", ".join(LOSSES)
            raise ValueError(f"must be one of {known}, or a sum of them such as l1+0.1*fft; got {name!r}")
        if not 0 < factor < float("inf"):
            raise ValueError(f"a weight must be above 0; got {part.strip()!r}")
        found.append((factor, name))
    return tuple(found)


def check_criterion(value: str | Criterion) -> str | Criterion:
    """The setting itself, when it names losses that there are, or is a function. ValueError otherwise."""
    if isinstance(value, str) and value != OWN:
        terms(value)
    return value


def measured(criterion: str | Criterion, output: Tensor, target: Tensor) -> Tensor:
    """The loss that a task's setting `criterion` means. UserError when it was a function that a file cannot hold."""
    if criterion == OWN:
        raise UserError("this task was made with a loss of your own; pass it again: criterion=...")
    if not isinstance(criterion, str):
        own: Tensor = criterion(output, target)
        return own
    parts: list[Tensor] = [weight * LOSSES[name](output, target) for weight, name in terms(criterion)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
