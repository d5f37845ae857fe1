"""Against the feature extractor of transformers."""

import foreign_models
import pytest
import torch
import transformers

from audiometamer.models.adapters.transformers_families import FAMILIES
from audiometamer.models.adapters.unit_variance import UnitVariance


@pytest.mark.parametrize("do_normalize", [True, False])
def test_what_the_original_computes(several_sounds, do_normalize):
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    expected = extractor([s.numpy() for s in several_sounds.values()], sampling_rate=16_000, return_tensors="pt")["input_values"]
    front_end = FAMILIES["wav2vec2"].front_end(extractor)
    signals = torch.stack(list(several_sounds.values()))
    found = signals if front_end is None else front_end(signals)
    assert (front_end is None) == (not do_normalize)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_its_gradient(relative_slope_error):
    assert relative_slope_error(UnitVariance(), foreign_models.sounds(0.1)["voice"]) < 1e-4


def test_mean_and_variance_by_hand():
    found = UnitVariance(epsilon=3.0)(torch.tensor([[1.0, 3.0]]))  # mean 2, variance 1
    torch.testing.assert_close(found, torch.tensor([[-0.5, 0.5]]))
