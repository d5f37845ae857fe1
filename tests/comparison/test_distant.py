"""Metamers far apart: they stay metamers, and differ more than they did."""

import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.comparison.distant import distant_metamers
from audiometamer.comparison.representations import spectrogram_representation


def test_they_stay_metamers_and_move_apart():
    model, clip = tiny_models.sound_model(), tiny_models.make_clip("speech", 0)
    starts = [m for seed in (0, 1) for m in am.synthesize(model, clip, "final", seed=seed, steps=20)]
    found = distant_metamers(model, clip, "final", spectrogram_representation(4000), starts=starts, rounds=1, steps=3)
    assert min(found.snr) >= min(found.start_snr) - 0.05  # dB, 1 %
    assert found.gain > 1
    assert found.distances == pytest.approx(found.distances.T)
    assert (found.distances.diagonal() == 0).all()
    loudest = max(float(each.samples.square().mean().sqrt()) for each in starts)
    assert found.sounds.square().mean(-1).sqrt().max() <= 1.01 * loudest
    assert torch.isfinite(found.sounds).all()


def test_numbers_out_of_range():
    model, clip = tiny_models.sound_model(), tiny_models.make_clip("speech", 0)
    stft = spectrogram_representation(4000)
    with pytest.raises(am.AudioMetamerError, match="count is 1; it must be at least 2"):
        distant_metamers(model, clip, "final", stft, count=1)
    with pytest.raises(am.AudioMetamerError, match="0 metamer; two or more can be apart"):
        distant_metamers(model, clip, "final", stft, starts=[])
