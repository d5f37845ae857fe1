"""Against the feature extractor of transformers."""

import foreign_models
import pytest
import torch
import transformers

from audiometamer.models.adapters.ast_features import ASTFeatures


def compare(extractor, sounds):
    # The original computes in float32: of natural logarithms down to −16, that are not divided by 9, 2e-4 is rounding.
    tolerance = 1e-4 if extractor.do_normalize else 5e-4
    expected = extractor([s.numpy() for s in sounds.values()], sampling_rate=16_000, return_tensors="pt")["input_values"]
    found = ASTFeatures(extractor)(torch.stack(list(sounds.values())))
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    return found


@pytest.mark.parametrize("options", [{}, {"do_normalize": False}, {"num_mel_bins": 64, "mean": -3.0, "std": 2.0}])
def test_what_the_original_computes(several_sounds, options):
    extractor = transformers.ASTFeatureExtractor(max_length=200, **options)  # 2 s have 198 frames, 2.5 s 248
    assert compare(extractor, several_sounds).shape[1:] == (200, options.get("num_mel_bins", 128))


def test_the_published_window():
    assert compare(transformers.ASTFeatureExtractor(), foreign_models.sounds(2.0)).shape[1:] == (1024, 128)


def test_its_gradient(relative_slope_error):
    front_end = ASTFeatures(transformers.ASTFeatureExtractor(max_length=100))
    assert relative_slope_error(front_end, foreign_models.sounds(0.5)["noise"]) < 1e-3
