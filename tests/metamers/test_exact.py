"""The published computation of the front end in a synthesis: the samples of a loop written out, and who asks for it."""

import threading

import numpy as np
import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.metamers.metamer import settings_of
from audiometamer.models.front_ends import with_exact_front_end


class Clipped(torch.autograd.Function):
    """(max(x, 0) + 1e-8) ** 0.3, whose derivative is at most 5 and is passed through the rectification."""

    @staticmethod
    def forward(ctx, x):
        u = x.clamp(min=0) + 1e-8
        ctx.save_for_backward(u)
        return u**0.3

    @staticmethod
    def backward(ctx, gradient):
        (u,) = ctx.saved_tensors
        return gradient * (0.3 * u**-0.7).clamp(max=5)


def published_steps(model, clip, sizes):
    """Normalised gradient steps from noise of 1e-7 towards relu0, one forward pass at the sound's own rate for each."""
    ears, conv = model.front_end, model.network.conv0
    n_samples = clip.samples.numel()
    gains = np.zeros((len(ears.filterbank), n_samples // 2 + 1))
    for row, band in zip(gains, ears.filterbank.bands(np.fft.rfftfreq(n_samples, 1 / model.sample_rate)), strict=True):
        row[band.first_bin : band.first_bin + len(band.gains)] = band.gains
    gains, taps = torch.from_numpy(gains), torch.from_numpy(ears.lowpass.taps())

    def layer(sound):
        spectra = torch.zeros(len(gains), n_samples, dtype=torch.complex128)
        spectra[:, : gains.shape[1]] = torch.fft.fft(sound)[: gains.shape[1]] * gains
        subbands = torch.view_as_real(torch.fft.ifft(spectra))
        frames = subbands.square().sum(-1).clamp(min=1e-16).sqrt().unfold(1, len(taps), ears.lowpass.stride) @ taps
        given = torch.nn.functional.conv1d(Clipped.apply(frames)[None], conv.weight, conv.bias)
        return given + (given.clamp(min=0) - given).detach()

    target = layer(clip.samples.double()).detach()
    x = 1e-7 * torch.randn(n_samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size in sizes:
        x.requires_grad_()
        (gradient,) = torch.autograd.grad((layer(x) - target).norm() / target.norm(), x)
        x = (x.detach() - size * gradient / gradient.norm()).clamp(-1, 1)
    return x


@pytest.fixture(scope="module")
def double():
    return tiny_models.sound_model().double()


def difference(metamer, expected):
    return float((metamer.samples.double() - expected).norm() / expected.norm())


def test_the_published_procedure_takes_the_published_steps(double, tiny_clip):
    """To the rounding of samples to float32; the fast path leaves it after a few steps."""
    expected = published_steps(double, tiny_clip, [0.5**k for k in range(8)])
    options = {"layers": "relu0", "method": "feather2023", "steps": 8}
    (exact,), (fast,) = (am.synthesize(double, tiny_clip, exact=chosen, **options) for chosen in (None, False))
    assert difference(exact, expected) < 1e-7
    assert difference(fast, expected) > 1e-5
    assert exact.evidence.settings.exact
    assert not fast.evidence.settings.exact


def test_any_method_can_be_exact(tiny, tiny_clip):
    options = {"layers": "relu1", "steps": 5}
    fast, exact, own = (
        am.synthesize(model, tiny_clip, exact=chosen, **options)[0]
        for model, chosen in ((tiny, None), (tiny, True), (with_exact_front_end(tiny), None))
    )
    assert torch.equal(exact.samples, own.samples)
    assert not torch.equal(exact.samples, fast.samples)
    assert not tiny.front_end.exact


def test_exactness_is_a_setting_with_the_default_of_the_method(tiny, tiny_clip):
    def chosen(model, method, exact):
        return settings_of(model, tiny_clip, "final", 0, method=method, steps=None, exact=exact, weights_sha256="x").exact

    assert [chosen(tiny, "default", exact) for exact in (None, True, False)] == [False, True, False]
    assert [chosen(tiny, "feather2023", exact) for exact in (None, True, False)] == [True, True, False]
    rate, duration = tiny_models.SAMPLE_RATE, tiny_models.DURATION
    without = am.Model(tiny_models.plain_module(), sample_rate=rate, duration=duration)
    assert [chosen(without, "feather2023", exact) for exact in (None, True, False)] == [False] * 3


def test_cochleagrams_of_joined_models_are_exact_too_and_those_given_stay_as_they_are(tiny):
    both = am.joined({"a": tiny, "b": tiny_models.sound_model()})
    exact = with_exact_front_end(both)
    assert [ears.exact for ears in exact.modules() if isinstance(ears, am.Cochleagram)] == [True, True]
    assert [ears.exact for ears in both.modules() if isinstance(ears, am.Cochleagram)] == [False, False]
    assert exact.network.joined[0].network.conv0.weight is tiny.network.conv0.weight
    assert with_exact_front_end(exact) is exact


def test_a_model_that_cannot_be_copied_is_refused(tiny_clip):
    model = tiny_models.sound_model()
    model.network.lock = threading.Lock()
    with (
        pytest.warns(am.AudioMetamerWarning, match="cannot be copied"),
        pytest.raises(am.AudioMetamerError, match=r"the front end of tiny cannot be computed exactly.*Cochleagram\(exact=True\)"),
    ):
        am.synthesize(model, tiny_clip, "relu0", method="feather2023", steps=1)


def test_what_is_neither_true_nor_false_is_refused(tiny, tiny_clip):
    with pytest.raises(am.AudioMetamerError, match="exact is 'yes'; it must be True, False or None"):
        am.synthesize(tiny, tiny_clip, "relu0", exact="yes")
