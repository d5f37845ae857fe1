"""Mel filters against their definition, worked out here: triangles of unit peak whose corners are evenly spaced in mel."""

import numpy as np
import pytest
import torch

import audiometamer as am
from audiometamer.ears import MelSpectrogram


@pytest.mark.parametrize(
    ("sample_rate", "n_mels", "window_size", "limits"),
    [(20_000, 256, 1200, (50.0, 10_000.0)), (16_000, 80, 400, (0.0, 8000.0)), (8000, 12, 512, (100.0, 3500.0))],
)
def test_filters_are_triangles_between_corners_evenly_spaced_in_mel(sample_rate, n_mels, window_size, limits):
    front_end = MelSpectrogram(
        sample_rate=sample_rate, n_mels=n_mels, window_size=window_size, low_limit=limits[0], high_limit=limits[1]
    )
    frequencies = np.arange(window_size // 2 + 1) * sample_rate / window_size
    mels = np.linspace(*(2595 * np.log10(1 + np.array(limits) / 700)), n_mels + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    expected = [
        np.interp(frequencies, [low, peak, high], [0, 1, 0], left=0, right=0)
        for low, peak, high in zip(corners, corners[1:], corners[2:], strict=False)
    ]
    np.testing.assert_allclose(front_end.filters.numpy(), expected, atol=1e-12)


def test_a_tone_has_its_power_in_the_filters_around_it():
    """A sine of amplitude 1 on bin 60 (1 kHz): the Hann window's transform there is half its sum, (600 / 2)² = 90,000."""
    time = torch.arange(20_000, dtype=torch.float64) / 20_000
    mel = MelSpectrogram()(torch.sin(2 * torch.pi * 1000 * time))
    filters = MelSpectrogram().filters
    expected = 300**2 * filters[:, 60] + 150**2 * (filters[:, 59] + filters[:, 61])
    torch.testing.assert_close(mel[:, 100], expected, rtol=1e-9, atol=1e-6)


def test_limits_must_rise_below_half_the_sample_rate():
    with pytest.raises(am.AudioMetamerError, match=r"mel limits are 50\.0 and 10000\.0 Hz; they must rise within 0 to 8000\.0"):
        MelSpectrogram(sample_rate=16_000)
