"""Modulation filters against numbers of the published implementation, and against a few lines of numpy."""

import numpy as np
import pytest
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.modulation_filters import (
    ModulationFilter,
    ModulationFilterbank,
    padding_of,
    published_filters,
    spectral_response,
    temporal_response,
)

CHANNELS, FRAMES = 31, 200  # 1.3 octaves, half a second
FILTERS = [(4.0, 1.0), (-4.0, 1.0), (16.0, None), (None, 2.0), (0.0, 1.0), (8.0, 0.0)]


def _cochleagram() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((1, CHANNELS, FRAMES)))


def _bank(filters=FILTERS) -> ModulationFilterbank:
    return ModulationFilterbank(filters, padding_octaves=0.5, padding_seconds=0.25)


def test_transfer_functions_are_the_published_ones():
    # spectrotemporal-synthesis-v2 in Octave: filt_temp_mod at 4 Hz on 800 bins, filt_spec_mod at 1 cycle per octave on 313.
    bins = [0, 2, 8, 20, 40]
    real = [-0.0104722, 0.0503405, -0.0130643, 0.0166865, 0.0016186]
    imaginary = [0, 0.1333917, -0.9999146, 0.0346832, 0.0008300]
    np.testing.assert_allclose(temporal_response(4, 800)[bins], np.array(real) + 1j * np.array(imaginary), atol=1e-6)
    lowpass, shifted = temporal_response(4, 800, lowpass=True), temporal_response(4, 800, causal=False)
    np.testing.assert_allclose(lowpass[[0, 8, 20]], [1, -0.1151195 + 0.0053101j, -0.0062884 + 0.0081409j], atol=1e-6)
    np.testing.assert_allclose(
        shifted[[2, 8, 20]], [-0.0729031 + 0.1225261j, -0.4220762 + 0.9065604j, -0.0300825 - 0.0240085j], atol=1e-6
    )
    np.testing.assert_allclose(spectral_response(1, 313)[[0, 5, 13, 20, 30]], [0, 0.3449390, 1, 0.6086098, 0.0724142], atol=1e-6)
    np.testing.assert_allclose(spectral_response(1, 313, lowpass=True)[[0, 5, 13]], [1, 0.6958149, 0.0861504], atol=1e-6)


def test_sum_of_squared_responses_is_the_published_one():
    bank = ModulationFilterbank(padding_octaves=4, padding_seconds=1)
    total = sum(bank.response(tuning, (313, 800)).abs().square() for tuning in bank.filters)
    np.testing.assert_allclose(total[[0, 1, 5, 50, 156], 0], [5.18246107, 3.22188474, 5.9590709, 5.93594344, 4.01276641])
    np.testing.assert_allclose(total[0, [1, 7, 100, 400]], [3.836734, 3.0047464, 2.6034148, 1.4096305], rtol=1e-6)
    np.testing.assert_allclose([total.min(), total.max()], [0.2770082523803451, 6.165457365753727])


def test_padding_is_the_mean_in_front():
    cochleagram = _cochleagram()
    padded = _bank().pad(cochleagram)
    assert padded.shape == (1, CHANNELS + 12, FRAMES + 100)
    torch.testing.assert_close(_bank().unpad(padded), cochleagram, rtol=0, atol=0)
    outside = torch.cat([padded[0, :12].flatten(), padded[0, :, :100].flatten()])
    torch.testing.assert_close(outside, cochleagram.mean().expand_as(outside))
    assert padding_of(None, None) == (8.0, 24.0)  # 2 cycles of 1/4 per octave, 3 of 1/8 Hz


def _by_hand(cochleagram: np.ndarray, rate: float | None, scale: float | None, *, analytic: bool) -> np.ndarray:
    """A filtered map by two-dimensional transforms of the whole plane, as published: frames × channels, real or analytic."""
    padded = np.pad(cochleagram.T, ((100, 0), (12, 0)), constant_values=cochleagram.mean())
    frames, channels = padded.shape
    over_time = np.ones(frames) if rate is None else temporal_response(abs(rate), frames)
    over_frequency = np.ones(channels) if scale is None else spectral_response(scale, channels)
    response = np.outer(over_time, over_frequency)
    signs = [np.sign(np.fft.fftfreq(n)) for n in (frames, channels)]
    for n, sign in zip((frames, channels), signs, strict=True):
        sign[n // 2 : n // 2 + 1] *= n % 2  # Nyquist is of neither sign
    if rate is not None and scale is not None:
        response[np.outer(*signs) * np.sign(rate) < 0] = 0
    if analytic:
        response = response * ((1 + signs[0])[:, None] if rate is not None else 1 + signs[1])
    return np.fft.ifft2(np.fft.fft2(padded) * response)[100:, 12:].T


@pytest.mark.parametrize("analytic", [False, True])
def test_maps_are_those_of_whole_transforms(analytic):
    cochleagram = _cochleagram()
    maps = _bank()(cochleagram, analytic=analytic)
    assert maps.shape == (1, len(FILTERS), CHANNELS, FRAMES)
    for ours, (rate, scale) in zip(maps[0], FILTERS, strict=True):
        expected = _by_hand(cochleagram[0].numpy(), rate, scale, analytic=analytic)
        np.testing.assert_allclose(ours, expected if analytic else expected.real, atol=1e-12)


def test_a_batch_is_filtered_cochleagram_by_cochleagram():
    both = torch.cat([_cochleagram(), 2 * _cochleagram().flip(1)])
    torch.testing.assert_close(_bank()(both)[1:], _bank()(both[1:]), rtol=0, atol=1e-12)


def test_float32_agrees_with_float64():
    cochleagram = _cochleagram()
    torch.testing.assert_close(_bank()(cochleagram.float()).double(), _bank()(cochleagram), rtol=0, atol=1e-6)


def _glide(octaves_per_second: float) -> torch.Tensor:
    """A second of a ridge one sixth of an octave wide that moves along the axis of 6 octaves."""
    channel, frame = torch.arange(145.0, dtype=torch.float64)[:, None] / 24, torch.arange(400.0, dtype=torch.float64) / 400
    place = (frame * abs(octaves_per_second)) % 1 if octaves_per_second > 0 else (-frame * abs(octaves_per_second)) % 1
    return torch.exp(-0.5 * (((channel - place) - (channel - place).round()) * 6) ** 2)[None]


def test_rising_glides_drive_filters_of_negative_rates():
    bank = ModulationFilterbank([(4, 1), (-4, 1)], padding_octaves=2, padding_seconds=1)
    up, down = (bank(_glide(speed)).square().mean((0, 2, 3)) for speed in (4, -4))
    assert up[1] > 20 * up[0]
    assert down[0] > 20 * down[1]


def test_conditions_and_scales_that_do_not_exist_are_refused():
    with pytest.raises(AudioMetamerError, match="there is no condition 'pitch'; there are cochlear, temporal, spectral, full"):
        published_filters("pitch")
    with pytest.raises(AudioMetamerError, match="scale of 13 cycles per octave needs more than 24 channels per octave"):
        spectral_response(13, 313)
    with pytest.raises(AudioMetamerError, match="padding_seconds is -1; it must be 0 or more"):
        ModulationFilterbank([(4, 1)], padding_seconds=-1)
    assert ModulationFilter(-4, 1).direction == -1
    assert ModulationFilter(-4, 0).direction == 0
