import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from falconet.errors import UserError
from falconet.tasks.losses import LOSSES, check_criterion, measured, terms
from falconet.tasks.metrics import psnr as metric
from falconet.tasks.metrics import ssim


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    photo = skimage.data.astronaut()[:48, 200:264].astype(np.float32) / 255
    truth = torch.from_numpy(photo).permute(2, 0, 1)[None]
    return truth + 0.1 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0)), truth


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_at_the_truth_and_pulls_towards_it(name: str, pair: tuple[Tensor, Tensor]) -> None:
    output, truth = pair[0].clone().requires_grad_(), pair[1]
    loss = measured(name, output, truth)
    assert loss.ndim == 0 and 0 <= measured(name, truth, truth) < 2e-3 < loss
    (slope,) = torch.autograd.grad(loss, output)
    nearer = pair[0] - 0.01 * slope / slope.abs().max()
    assert measured(name, nearer, truth) < loss


def test_the_ssim_loss_is_the_metric(pair: tuple[Tensor, Tensor]) -> None:
    ours = [one[0].permute(1, 2, 0).double().numpy() * 255 for one in pair]
    assert 1 - float(measured("ssim", *pair)) == pytest.approx(ssim(*ours), abs=1e-5)


def test_the_psnr_loss_is_the_metric_and_every_picture_weighs_alike(pair: tuple[Tensor, Tensor]) -> None:
    output, truth = pair
    batch = torch.cat([output, truth + 0.1 * (output - truth)]), torch.cat([truth, truth])  # 20 dB apart
    decibels = [
        metric(*(one.permute(1, 2, 0).double().numpy() * 255 for one in both)) for both in zip(*batch, strict=True)
    ]
    assert 6 - float(measured("psnr", *batch)) == pytest.approx(sum(decibels) / 20, abs=0.01)
    batch[0].requires_grad_()
    (slope,) = torch.autograd.grad(measured("psnr", *batch), batch[0])
    assert float(slope[1].norm() / slope[0].norm()) == pytest.approx(10, rel=0.05)


def test_the_fft_loss_by_hand() -> None:
    # An error of 1 at one pixel of 4x4 has a flat spectrum of size 1/4: the mean over real and imaginary parts.
    error = torch.zeros(1, 1, 4, 4)
    error[..., 0, 0] = 1
    assert float(measured("fft", error, torch.zeros_like(error))) == pytest.approx(1 / 8)


def test_sums_and_weights(pair: tuple[Tensor, Tensor]) -> None:
    assert terms("l1 + 0.1*fft+2*ssim") == ((1.0, "l1"), (0.1, "fft"), (2.0, "ssim"))
    expected = measured("l1", *pair) + 0.1 * measured("fft", *pair)
    assert float(measured("l1+0.1*fft", *pair)) == pytest.approx(float(expected))


@pytest.mark.parametrize(
    ("text", "message"),
    [("l3", "must be one of l1"), ("l1+", "got ''"), ("x*l1", "a weight must be a number"), ("0*l1", "above 0")],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_criterion(text)


def test_small_patches_have_no_ssim() -> None:
    with pytest.raises(UserError, match=r"enlarge task\.patch"):
        measured("ssim", torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
