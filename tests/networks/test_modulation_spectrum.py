"""Modulation spectra of glides, their distance and their picture."""

import math

import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot as plt

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.modulation_spectrum import modulation_spectrum, plot_modulation_spectrum, spectrum_distance
from audiometamer.networks.octave_cochleagram import OctaveCochleagram

mpl.use("agg")


@pytest.fixture(scope="module")
def spectra() -> torch.Tensor:
    """Of tones that rise and fall by four octaves in half a second."""
    time = torch.arange(10_000) / 20_000
    rising = torch.sin(2 * torch.pi * 300 * (torch.exp2(8 * time) - 1) / (8 * math.log(2)))
    sounds = 0.014 * torch.stack([rising, rising.flip(0)])
    return modulation_spectrum(OctaveCochleagram()(sounds), padding_seconds=1)


def test_a_rising_tone_drives_upward_filters_and_a_falling_one_downward(spectra):
    rising, falling = spectra
    assert rising[:, :9].sum() > 3 * rising[:, 9:].sum()
    assert falling[:, 9:].sum() > 3 * falling[:, :9].sum()


def test_distance_by_hand(spectra):
    torch.testing.assert_close(spectrum_distance(spectra, spectra), torch.zeros(2))
    louder = torch.ones(1, 6, 18)
    louder[0, :3] = 100  # 20 dB in half of the places
    assert spectrum_distance(torch.ones(1, 6, 18), louder).item() == pytest.approx(20 / math.sqrt(2), rel=1e-6)
    assert spectrum_distance(torch.ones(1, 6, 18), torch.zeros(1, 6, 18)).item() == pytest.approx(60)
    assert spectrum_distance(spectra[:1], spectra[1:]).item() > 3


def test_picture(spectra):
    _, axes = plt.subplots()
    plot_modulation_spectrum(spectra[0], axes)
    assert axes.get_xlabel() == "rate in Hz (upward sweeps: below 0)"
    assert [tick.get_text() for tick in axes.get_xticklabels()][8:10] == ["-0.5", "0.5"]
    plt.close()


def test_a_single_frame_has_no_spectrum():
    with pytest.raises(AudioMetamerError, match="with two frames or more, not "):
        modulation_spectrum(torch.zeros(1, 217, 1))
