"""Representations by name, at the highest rate of their models."""

import numpy as np
import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.comparison.rates import at_common_rate
from audiometamer.comparison.representations import cochleagram_representation, representations, spectrogram_representation
from audiometamer.models.adapters.resampled import resampled


def test_names():
    made, model = representations(["tiny:relu1", "cochleagram", "stft"], lambda _: tiny_models.sound_model())
    assert [each.name for each in made] == ["tiny:relu1", "cochleagram", "stft"]
    sounds = 0.1 * torch.randn(2, *model.signal_shape, generator=torch.Generator().manual_seed(0))
    for each in made:
        distances = each.distance(sounds, each.features(sounds[:1]))
        assert distances[0] == pytest.approx(0, abs=1e-9)
        assert distances[1] > 0
        at = sounds.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(each.distance(at, each.features(sounds).detach()).sum(), at)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mel"], "'mel' is no representation; there are MODEL:LAYER, cochleagram and stft"),
        (["stft", "cochleagram"], "stft and cochleagram say nothing of the sounds' rate"),
        (["tiny:relu9"], "has no layer 'relu9'"),
    ],
)
def test_wrong_names(names, message):
    with pytest.raises(am.AudioMetamerError) as error:
        representations(names, lambda _: tiny_models.sound_model())
    assert message in str(error.value)


def test_windows_must_hold_samples():
    with pytest.raises(am.AudioMetamerError, match="each must have four samples or more"):
        spectrogram_representation(100, windows=[0.01])


def test_models_of_different_rates_hear_the_same_sound():
    slow, fast = tiny_models.sound_model(), resampled(tiny_models.sound_model(), 8000)
    both = at_common_rate([slow, fast])
    assert [model.sample_rate for model in both] == [8000, 8000]
    time = np.arange(2000) / 8000
    tone = torch.from_numpy(0.1 * np.sin(2 * np.pi * 500 * time)).float()[None]
    first, second = (am.record(model, tone, "final") for model in both)
    assert first == pytest.approx(second, abs=1e-5)


def test_models_of_different_durations_are_refused():
    longer = am.Model(tiny_models.seeded(torch.nn.Linear(8, 2)), signal_shape=(8,), sample_rate=16, duration=0.5, check=False)
    with pytest.raises(am.AudioMetamerError, match=r"tiny 0\.25 s of sound in 1 channel, Linear 0\.5 s"):
        at_common_rate([tiny_models.sound_model(), longer])
    shapeless = am.Model(tiny_models.seeded(torch.nn.Linear(8, 2)), signal_shape=(8,), check=False)
    with pytest.raises(am.AudioMetamerError, match=r"Linear signals of shape \(8,\)"):
        at_common_rate([tiny_models.sound_model(), shapeless])
    assert at_common_rate([shapeless, shapeless]) == [shapeless, shapeless]


def test_the_cochleagram_of_a_low_rate():
    assert cochleagram_representation(4000).features(torch.zeros(1, 1000)).shape[0] == 1
