"""Published figures of the hand-designed networks, and that each of them runs, deploys and is what torch counts."""

import subprocess
import sys
from inspect import signature

import pytest
import torch

from falconet.errors import UserError
from falconet.graph import (
    Contrast,
    Costs,
    NetSpec,
    costs,
    count_params,
    flatten,
    merged,
    reach,
    spec_from_json,
    spec_to_json,
)
from falconet.graph.network import Network, deployed
from falconet.zoo import ZOO, ecbsr, plain_sr

FULL_HD = {2: (360, 640), 4: (180, 320)}  # heights and widths that become 720 and 1280

# name, scale: published multiply-accumulates at 1280x720 (billions), published parameters, how near ours must be.
PUBLISHED = {
    ("espcn", 2): (5, 21e3, 0.03),
    ("espcn", 4): (1, 25e3, 0.45),  # rounded to whole billions
    ("vdsr", 2): (612.6, 665e3, 0.002),
    ("vdsr", 4): (612.6, 665e3, 0.002),
    ("ecbsr_m16c64", 2): (137, 596e3, 0.004),
    ("ecbsr_m16c64", 4): (35, 603e3, 0.015),
    ("ecbsr_m4c8", 2): (0.63, 2.8e3, 0.03),
    ("ecbsr_m4c8", 4): (0.21, 3.6e3, 0.05),
    ("ecbsr_m4c16", 2): (2.3, 10.1e3, 0.01),
    ("ecbsr_m10c32", 2): (21.7, 94.3e3, 0.01),
    ("srcnn", 2): (52.7, 57e3, 0.001),
    ("srcnn", 4): (52.7, 57e3, 0.001),
    ("imdn", 2): (158.8, 694e3, 0.001),
    ("imdn", 4): (40.9, 715e3, 0.001),
}
ENLARGE = [name for name in ZOO if "scale" in signature(ZOO[name]).parameters]
DENOISE = ["dncnn", "dncnn_17", "dncnn_20", "ffdnet", "ffdnet_colour"]


def at_720p(spec: NetSpec, scale: int) -> Costs:
    return costs(spec, FULL_HD[scale])


@pytest.mark.parametrize(("name", "scale"), PUBLISHED, ids=str)
def test_costs_are_the_published_ones(name: str, scale: int) -> None:
    billions, params, tolerance = PUBLISHED[name, scale]
    ours = at_720p(ZOO[name](scale=scale), scale)
    assert ours.macs / 1e9 == pytest.approx(billions, rel=tolerance)
    assert ours.params == pytest.approx(params, rel=0.02)


def test_vdsr_to_the_last_multiplication() -> None:
    weights = 3 * 3 * (64 + 18 * 64 * 64 + 64)  # 664,704, each used at every output pixel
    assert at_720p(ZOO["vdsr"](), 2).macs == weights * 720 * 1280 == 612_591_206_400


@pytest.mark.parametrize(("settings", "weights"), [((56, 12, 4), 12464), ((32, 5, 1), 3937)])
def test_fsrcnn_has_the_weights_that_its_paper_counts(settings: tuple[int, int, int], weights: int) -> None:
    """The paper's table counts kernels; biases and slopes of PReLU come on top."""
    features, shrunk, mappings = settings
    spec = ZOO["fsrcnn"](features=features, shrunk=shrunk, mappings=mappings)
    outputs = 2 * features + shrunk * (1 + mappings)
    assert count_params(spec) == weights + 2 * outputs + 1


@pytest.mark.parametrize(("scale", "billions"), [(2, 6.0), (4, 4.6)])
def test_fsrcnn_counted_as_published(scale: int, billions: float) -> None:
    """Published figures take the transposed convolution at the size of the output; we count what it computes."""
    height, width = FULL_HD[scale]
    ours = at_720p(ZOO["fsrcnn"](scale=scale), scale).macs
    up = 81 * 56
    assert ours == (12464 - up) * height * width + up * height * width
    assert (12464 - up) * height * width + up * 720 * 1280 == pytest.approx(billions * 1e9, rel=0.01)


def test_a_plain_net_costs_what_the_ecb_net_costs_once_deployed() -> None:
    assert at_720p(ZOO["plain_4x16"](), 2).macs == at_720p(ZOO["ecbsr_m4c16"](), 2).macs == 2_289_254_400
    assert at_720p(ZOO["plain_7x20"](), 2).macs == 26_100 * 360 * 640  # 6.0 billion
    assert count_params(ZOO["ecbsr_m4c16"]()) > 3 * count_params(merged(ZOO["ecbsr_m4c16"]()))


@pytest.mark.parametrize(("scale", "billions"), [(2, 91.2), (4, 32.5)])
def test_carn_m_costs_what_is_published(scale: int, billions: float) -> None:
    """Published parameters are kernels alone, of one network with the upsamplers of all three scales."""
    assert at_720p(ZOO["carn_m"](scale=scale), scale).macs == pytest.approx(billions * 1e9, rel=0.001)
    up = {2: 9 * 16 * 256, 3: 9 * 16 * 576, 4: 2 * 9 * 16 * 256}
    ours = kernels(ZOO["carn_m"](scale=scale))
    assert ours - up[scale] + sum(up.values()) == pytest.approx(412e3, rel=0.001)


@pytest.mark.parametrize(("scale", "billions"), [(2, 222.8), (4, 90.9)])
def test_carn_costs_what_is_published(scale: int, billions: float) -> None:
    """As CARN-M, but biases are counted."""
    assert at_720p(ZOO["carn"](scale=scale), scale).macs == pytest.approx(billions * 1e9, rel=0.001)
    up = {2: 577 * 256, 3: 577 * 576, 4: 2 * 577 * 256}
    ours = count_params(ZOO["carn"](scale=scale))
    assert ours - up[scale] + sum(up.values()) == pytest.approx(1592e3, rel=0.001)


def kernels(spec: NetSpec) -> int:
    """Learned values without biases."""
    return sum(value.numel() for value in Network(spec).weights().values() if value.dim() == 4)


def test_imdn_rtc_has_the_20_k_parameters_that_won_its_contest() -> None:
    assert count_params(ZOO["imdn_rtc"]()) == pytest.approx(20e3, rel=0.01)


def test_srcnn_of_three_sizes() -> None:
    assert [kernels(ZOO["srcnn"](middle=k)) for k in (1, 5)] == [8_032, 57_184]  # the two that the paper tabulates
    with pytest.raises(UserError, match="must be 1, 3 or 5; got 4"):
        ZOO["srcnn"](middle=4)


def test_denoisers_cost_what_their_layers_say() -> None:
    a_pixel = {name: costs(ZOO[name](), (64, 64)).macs / 64**2 for name in DENOISE}
    assert a_pixel["dncnn_17"] == 2 * 9 * 64 + 15 * 9 * 64 * 64 == 554_112  # "555 K a pixel"
    assert a_pixel["dncnn_20"] == 2 * 9 * 64 + 18 * 9 * 64 * 64
    assert 4 * a_pixel["ffdnet"] == 9 * 64 * (5 + 13 * 64 + 4)  # a quarter of the pixels
    assert 4 * a_pixel["ffdnet_colour"] == 9 * 96 * (13 + 10 * 96 + 12)
    assert count_params(ZOO["ffdnet"]()) == pytest.approx(485e3, rel=0.001)
    assert count_params(ZOO["ffdnet_colour"]()) == pytest.approx(852e3, rel=0.001)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ENLARGE)
def test_every_network_enlarges_deploys_and_survives_a_file(name: str, scale: int) -> None:
    check(ZOO[name], ZOO[name](scale=scale), scale)


@pytest.mark.parametrize("name", DENOISE)
def test_every_denoiser_keeps_the_size_deploys_and_survives_a_file(name: str) -> None:
    check(ZOO[name], ZOO[name](), 1)


def check(design: object, spec: NetSpec, scale: int) -> None:
    """Any picture comes out `scale` times as large; the deployed network and the file are the same network."""
    torch.manual_seed(0)
    network = Network(spec).eval()
    x = tuple(torch.rand(2, one.channels, 9, 14) for one in spec.inputs)
    with torch.no_grad():
        small = deployed(network)
        y = network(x)
        assert isinstance(y, torch.Tensor)
        assert y.shape == (2, spec.inputs[0].channels, 9 * scale, 14 * scale)
        torch.testing.assert_close(small(x), y, rtol=1e-5, atol=1e-5)
    assert small.spec is not None
    assert costs(small.spec, (9, 14)) == costs(spec, (9, 14))
    assert sum(p.numel() for p in small.parameters()) == costs(spec, (9, 14)).params
    assert spec_from_json(spec_to_json(spec)).digest == spec.digest
    if any(isinstance(layer.op, Contrast) for layer in flatten(spec).layers):
        with pytest.raises(ValueError, match="looks at the whole picture"):
            reach(spec)
    else:
        assert reach(spec) >= 1
    assert design.__doc__


@pytest.mark.parametrize("norm", [False, True])
def test_a_denoiser_that_predicts_no_noise_changes_nothing(norm: bool) -> None:
    """DnCNN predicts the noise: the picture less nothing is the picture."""
    network = Network(ZOO["dncnn"](depth=4, width=6, norm=norm, channels=3)).eval()
    with torch.no_grad():
        for name, value in network.weights().items():
            if name.startswith("conv3"):
                value.zero_()
    x = torch.rand(1, 3, 7, 5)
    assert torch.equal(network(x), x)
    assert sum(name.endswith("running_var") for name in network.state_dict()) == 2 * norm
    with pytest.raises(UserError, match="at least 2"):
        ZOO["dncnn"](depth=1)


def test_ffdnet_sees_the_noise_level_and_every_pixel() -> None:
    torch.manual_seed(0)
    network = Network(ZOO["ffdnet"](depth=3, width=8)).eval()
    x = torch.rand(1, 1, 7, 9)
    with torch.no_grad():
        y = network((x, torch.full_like(x, 0.1)))
        assert isinstance(y, torch.Tensor)
        assert not torch.equal(y, network((x, torch.full_like(x, 0.2))))
        for place in ((0, 0), (6, 8)):  # the last row and column, though the sides are odd
            changed = x.clone()
            changed[0, 0][place] += 1
            assert not torch.equal(network((changed, torch.full_like(x, 0.1)))[0, 0][place], y[0, 0][place])


@pytest.mark.parametrize("design", [ecbsr, plain_sr])
def test_colour(design: object) -> None:
    assert callable(design)
    spec = design(channels=3, scale=3)
    torch.manual_seed(0)
    network = Network(spec)
    with torch.no_grad():
        for value in network.weights().values():
            value.zero_()
        x = torch.rand(1, 3, 4, 5)
        y = network(x)
    assert isinstance(y, torch.Tensor)  # with nothing learned, what comes out is the nearest-neighbour enlargement
    assert torch.equal(y, torch.nn.functional.interpolate(x, scale_factor=3.0, mode="nearest"))


@pytest.mark.parametrize("name", ENLARGE)
def test_a_scale_that_is_not_offered_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="must be 2, 3 or 4; got 5"):
        ZOO[name](scale=5)


def test_the_zoo_needs_no_torch() -> None:
    code = "import sys; from falconet.zoo import ZOO; [f().digest for f in ZOO.values()]; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "False\n"
