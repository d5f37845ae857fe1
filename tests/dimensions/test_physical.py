"""Physical distances of moved signals, worked out by hand."""

import pytest
import torch
from tiny_exploration import image_model, images

from audiometamer.dimensions.physical import modulation_distance, physical_distances


def test_physical_distances_of_a_louder_image():
    (image,) = images(1)
    (found,) = physical_distances(image_model(), image.samples[None], 0.9 * image.samples[None])
    assert found.snr_db == pytest.approx(20, abs=1e-3)
    assert found.level_db == pytest.approx(20 * torch.tensor(0.9).log10().item(), abs=1e-3)
    assert found.modulation == pytest.approx(0.1, abs=1e-4)
    (same,) = physical_distances(image_model(), image.samples[None], image.samples[None])
    assert (same.snr_db, same.modulation, same.level_db) == (None, 0, 0)


def test_the_distance_of_modulation_spectra_ignores_mean_and_phase():
    """The spectrum of a cosine has two lines in proportion to its amplitude, wherever it begins and whatever is added."""
    wave = torch.cos(2 * torch.pi * torch.arange(16, dtype=torch.float64) / 8)
    assert modulation_distance(2 * wave, 2 * wave.roll(3) + 5) == pytest.approx(0, abs=1e-12)
    assert modulation_distance(2 * wave, 3 * wave) == pytest.approx(0.5)
    assert modulation_distance(torch.ones(16), torch.ones(16)) == 0
    assert modulation_distance(torch.ones(16), wave) == float("inf")
