"""Against the feature extractor of transformers."""

import foreign_models
import pytest
import torch
import transformers

from audiometamer.models.adapters.whisper_features import WhisperFeatures


def compare(extractor, sounds):
    expected = extractor([s.numpy() for s in sounds.values()], sampling_rate=16_000, return_tensors="pt")["input_features"]
    found = WhisperFeatures(extractor)(torch.stack(list(sounds.values())))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    return found


@pytest.mark.parametrize("mels", [80, 128])
def test_what_the_original_computes(several_sounds, mels):
    extractor = transformers.WhisperFeatureExtractor(feature_size=mels, chunk_length=2)
    assert compare(extractor, several_sounds).shape[1:] == (mels, 200)


def test_the_window_of_30_s():
    sounds = foreign_models.sounds(2.0)
    assert compare(transformers.WhisperFeatureExtractor(), sounds).shape[1:] == (80, 3000)


def test_its_gradient(relative_slope_error):
    front_end = WhisperFeatures(transformers.WhisperFeatureExtractor(chunk_length=1))
    assert relative_slope_error(front_end, foreign_models.sounds(0.5)["noise"]) < 1e-3
