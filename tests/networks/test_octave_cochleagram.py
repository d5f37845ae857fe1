"""The cochleagram on an octave axis, step by step against scipy, and sounds from it."""

import numpy as np
import pytest
import torch
from scipy.interpolate import PchipInterpolator
from scipy.signal import hilbert, resample_poly

from audiometamer.cochleagram.filters import erb_to_hz, hz_to_erb
from audiometamer.errors import AudioMetamerError
from audiometamer.networks import octave_cochleagram as octave
from audiometamer.networks.texture_envelopes import decimated, filter_blocks
from audiometamer.networks.texture_filters import decimation_filter

SAMPLES = 4_000


@pytest.fixture(scope="module")
def sound() -> torch.Tensor:
    return 0.01 * torch.from_numpy(np.random.default_rng(1).standard_normal((1, SAMPLES)))


@pytest.fixture(scope="module")
def cochlea() -> octave.OctaveCochleagram:
    return octave.OctaveCochleagram()


def _gains_by_hand() -> tuple[np.ndarray, np.ndarray]:
    """Centres in Hz and gains of the 123 band-pass filters and the nearest of the edge filters on either side."""
    low, high = hz_to_erb(20.0), hz_to_erb(10_000.0)
    places = np.linspace(low, high, 125)
    spacing, position = places[1] - places[0], hz_to_erb(np.fft.rfftfreq(SAMPLES, 1 / 20_000))
    distance = (position[None] - places[1:-1, None]) / spacing
    bandpass = np.where(np.abs(distance) < 4, np.cos(np.pi * distance / 8), 0)
    lowest = np.where(position < places[4], np.sqrt(1 - bandpass[3] ** 2), 0)
    highest = np.where(position > places[-5], np.sqrt(1 - bandpass[-4] ** 2), 0)
    return erb_to_hz(places), np.stack([lowest, *bandpass, highest]) / 2


def test_cochleagram_by_scipy(sound, cochlea):
    centers, gains = _gains_by_hand()
    np.testing.assert_allclose(cochlea.gains(SAMPLES), gains, atol=1e-12)
    bands = np.fft.irfft(np.fft.rfft(sound[0]) * gains, SAMPLES)
    envelopes = resample_poly(np.abs(hilbert(bands)) ** 0.3, 1, 50, axis=-1)
    octaves = np.log2(20) + np.arange(217) / 24
    expected = PchipInterpolator(np.log2(centers), envelopes)(octaves).clip(0)
    np.testing.assert_allclose(cochlea(sound)[0], expected, atol=1e-9)
    np.testing.assert_allclose(cochlea.frequencies, 2**octaves)


def test_interpolation_keeps_its_shape_and_goes_on_beyond_the_ends():
    generator = np.random.default_rng(2)
    positions, values = np.cumsum(generator.random(9)), generator.standard_normal((1, 9, 50))
    wanted = np.linspace(positions[0] - 0.3, positions[-1] + 0.3, 40)
    ours = octave.pchip(*(torch.from_numpy(a) for a in (values, positions, wanted)))
    np.testing.assert_allclose(ours[0], PchipInterpolator(positions, values[0])(wanted), atol=1e-9)


def test_resampling_is_that_of_scipy():
    x = torch.from_numpy(np.random.default_rng(3).standard_normal((1, 2, 130)))
    taps = torch.from_numpy(decimation_filter(50))
    np.testing.assert_allclose(octave.interpolate(x, taps, 50), resample_poly(x, 50, 1, axis=-1), atol=1e-12)
    np.testing.assert_allclose(decimated(x, filter_blocks(50)), resample_poly(x, 1, 50, axis=-1), atol=1e-12)


def test_a_cochleagram_and_its_carrier_give_the_sound_again(sound, cochlea):
    cochleagram, carrier = octave.take_apart(cochlea, sound)
    again = octave.put_together(cochlea, cochleagram, carrier)
    passed = torch.fft.irfft(torch.fft.rfft(sound) * cochlea.gains(SAMPLES).square().sum(0), SAMPLES)
    torch.testing.assert_close(again, passed, rtol=0, atol=1e-9)
    assert carrier.error.abs().max() > 1e-4  # without it, it would not


def test_the_gradient_is_finite_in_silence(cochlea):
    silence = torch.zeros(1, 2_000, requires_grad=True)
    cochlea(silence).sum().backward()
    assert torch.isfinite(silence.grad).all()


def test_gradients_of_the_steps():
    x = torch.from_numpy(np.random.default_rng(6).standard_normal((1, 6, 20))).requires_grad_()
    places, wanted, taps = torch.arange(6.0), torch.linspace(-0.3, 5.3, 9), torch.from_numpy(decimation_filter(2))
    assert torch.autograd.gradcheck(lambda x: octave.pchip(x, places, wanted), x)
    assert torch.autograd.gradcheck(lambda x: decimated(x, filter_blocks(2)), x)
    assert torch.autograd.gradcheck(lambda x: octave.interpolate(x, taps, 2), x)


def test_the_gradient_of_the_cochleagram(cochlea):
    # Loud, so that few envelopes are below the knee of the clipped gradient; the interpolation has kinks.
    x = (50 * torch.from_numpy(np.random.default_rng(4).standard_normal((1, 2_000)))).requires_grad_()
    direction = torch.from_numpy(np.random.default_rng(5).standard_normal((1, 2_000)))
    (gradient,) = torch.autograd.grad(cochlea(x).sum(), x)
    step = 1e-4
    difference = (cochlea(x + step * direction) - cochlea(x - step * direction)).sum() / (2 * step)
    assert (gradient * direction).sum().item() == pytest.approx(difference.item(), rel=0.02)


def test_a_clipped_gradient_changes_no_value_and_is_the_true_one_of_a_tone(sound, cochlea):
    clipped = cochlea.with_gradient_clip(5.0)
    torch.testing.assert_close(clipped(sound[:, :3_970]), cochlea(sound[:, :3_970]), rtol=0, atol=1e-9)
    assert cochlea.gradient_clip is None
    # The envelopes of a tone have no dips; its frequency passes few bands, and others hold next to nothing.
    tone = (0.014 * torch.sin(2 * torch.pi * 0.05 * torch.arange(SAMPLES, dtype=torch.float64)))[None].requires_grad_()
    channels = slice(130, 150)  # 850 to 1,480 Hz
    (gradient,) = torch.autograd.grad(clipped(tone)[:, channels].sum(), tone)
    ahead, behind = (clipped((1 + sign * 1e-5) * tone.detach())[:, channels].sum() for sign in (1, -1))
    assert (gradient * tone).sum().item() == pytest.approx((ahead - behind).item() / 2e-5, rel=5e-3)


def test_odd_lengths_are_refused(cochlea):
    with pytest.raises(AudioMetamerError, match="the sound has 1001 samples; an even number is needed"):
        cochlea(torch.zeros(1, 1001))
