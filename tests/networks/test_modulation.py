"""Moments of modulation, their comparison and their loss."""

import numpy as np
import pytest
import scipy.stats
import torch

from audiometamer.networks.modulation import ModulationMoments, compare_moments, moment_loss, moments, robust_moment_loss


@pytest.fixture(scope="module")
def cochleagram() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).gamma(2, size=(1, 30, 100)))


@pytest.fixture(scope="module")
def network() -> ModulationMoments:
    return ModulationMoments(padding_octaves=1, padding_seconds=0.25)


def test_moments_are_those_of_scipy(cochleagram):
    x = cochleagram[0].numpy()
    expected = [x.mean(-1), x.var(-1, ddof=1), scipy.stats.skew(x, -1), scipy.stats.kurtosis(x, -1, fisher=False)]
    np.testing.assert_allclose(moments(cochleagram)[0], np.stack(expected, -1), rtol=1e-10)


def test_constants_have_neither_skewness_nor_kurtosis():
    x = torch.full((3, 50), 0.3, requires_grad=True)
    found = moments(x)
    assert found[:, 2:].abs().max() == 0
    found.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_layers_are_the_four_conditions(network, cochleagram):
    found = {}
    for name in network.layers:
        getattr(network, name).register_forward_hook(lambda *_, name=name: found.update({name: _[-1]}))
    network(cochleagram)
    assert {name: tuple(x.shape) for name, x in found.items()} == {
        "cochlear": (1, 1, 30, 4), "temporal": (1, 10, 30, 4), "spectral": (1, 8, 30, 4), "full": (1, 143, 30, 4),
    }  # fmt: skip
    groups = network.groups(cochleagram)
    torch.testing.assert_close(found["full"], torch.cat(list(groups.values()), dim=1))
    torch.testing.assert_close(groups["spectral"][:, 3], moments(network.banks["spectral"](cochleagram))[:, 3])


def test_comparison_by_numpy():
    generator = np.random.default_rng(1)
    target, found = generator.standard_normal((2, 3, 5, 4))
    measured = compare_moments(torch.from_numpy(target), torch.from_numpy(found))
    t, m = target.reshape(-1, 4), found.reshape(-1, 4)
    np.testing.assert_allclose(measured["snr_db"], np.median(20 * np.log10(np.abs(t / (m - t))), axis=0))
    r = [np.corrcoef(t[:, k], m[:, k])[0, 1] for k in range(4)]
    np.testing.assert_allclose(measured["signed_r2"], np.sign(r) * np.square(r))


def test_the_loss_of_one_filter_by_hand():
    # One channel: σₜ = 1, σ = e, both raised by 0.01 of the largest σₜ; equal skewness; kurtosis 3 and 7.
    target, found = torch.tensor([0.0, 1.0, 0.5, 3.0]), torch.tensor([2.0, np.e**2, 0.5, 7.0])
    expected = (2 / 1.01) ** 2 + np.log((np.e + 0.01) / 1.01) ** 2 + np.log(8 / 4) ** 2
    loss = moment_loss(found.view(1, 1, 1, 4), target.view(1, 1, 1, 4))
    assert loss.item() == pytest.approx(np.sqrt(expected), rel=1e-6)
    assert moment_loss(target.view(1, 1, 1, 4), target.view(1, 1, 1, 4)).item() < 1e-15


def test_the_robust_loss_of_one_filter_by_hand():
    # The cochleagram, which counts twice: mean 2, not 1; σ = 3, not 1; skewness 0.5, not 0.4; kurtosis 6, not 3.
    target, found = torch.tensor([1.0, 1.0, 0.4, 3.0]), torch.tensor([2.0, 9.0, 0.5, 6.0])
    errors = 1 / (1 + 0.03 * 1.01), np.log(3.01 / 1.01), 0.1 / 0.5, np.log(2)
    expected = [weight * np.log(1 + 4 * e**2) for weight, e in zip((0.5, 1, 0.125, 0.25), errors, strict=True)]
    loss = robust_moment_loss(found.view(1, 1, 1, 4), target.view(1, 1, 1, 4))
    assert loss.item() == pytest.approx(2 * sum(expected), rel=1e-6)
    assert robust_moment_loss(target.view(1, 1, 1, 4), target.view(1, 1, 1, 4)).item() == 0


def test_groups_of_filters_count_alike_in_the_robust_loss(network, cochleagram):
    target = network(cochleagram)
    by_group = []
    for part in (slice(1), slice(1, 10), slice(10, 17), slice(17, 143)):
        found = target.clone()
        found[:, part, :, 2] = -target[:, part, :, 2]
        errors = 2 * target[:, part, :, 2] / (target[:, part, :, 2].abs() + 0.1)
        by_group.append((robust_moment_loss(found, target).item(), 0.125 * torch.log1p(4 * errors.square()).mean().item()))
    losses, means = zip(*by_group, strict=True)
    assert losses == pytest.approx(np.multiply((2, 1, 1, 1), means), rel=1e-6)


def test_the_gradient_of_the_moments(network, cochleagram):
    target = network(cochleagram.flip(-1))
    direction = torch.from_numpy(np.random.default_rng(2).standard_normal(cochleagram.shape))
    x = cochleagram.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(moment_loss(network(x), target).sum(), x)
    step = 1e-6
    losses = [moment_loss(network(cochleagram + sign * step * direction), target).item() for sign in (1, -1)]
    assert (gradient * direction).sum().item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-5)
