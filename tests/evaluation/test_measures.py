"""Measures of logits that can be read off."""

import numpy as np
import pytest
from tiny_evaluation import LETTERS

from audiometamer.evaluation import measures

CLIP = np.array([[8, 7, 6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 9, 0, 0, 0, 0]], dtype=float)
METAMER = np.array([[16, 14, 12, 10, 8, 6, 4, 2], [8, 7, 6, 5, 4, 3, 2, 1], [5, 5, 5, 5, 5, 5, 5, 5]], dtype=float)


def test_each_measure_of_three_metamers():
    """Twice the clip's logits; the clip's in reverse; all equal (the first of equals counts as the highest)."""
    found = measures.metamer_measures(CLIP, METAMER, LETTERS, ["a", "h", "d"], ["a", "a", None])
    expected = {
        "accuracy": [1, 0, 0],
        "generator_agreement": [1, 1, np.nan],
        "label_agreement": [1, 0, 0],
        "top5_accuracy": [1, 0, 1],
        "top5_agreement": [1, 0, 1],
        "top5_overlap": [1, 2 / 5, 1],
        "logit_correlation": [1, -1, 0],
    }
    assert found.keys() == expected.keys()
    for measure, values in expected.items():
        np.testing.assert_allclose(found[measure], values, atol=1e-12, err_msg=measure)


def test_clips_are_only_compared_with_labels():
    found = measures.clip_measures(CLIP, LETTERS, ["a", None, "z"], ["b", "h", "d"])
    np.testing.assert_array_equal(found["accuracy"], [1, np.nan, np.nan])
    np.testing.assert_array_equal(found["generator_agreement"], [0, 1, 1])
    assert set(found) == {"accuracy", "generator_agreement", "top5_accuracy"}


@pytest.mark.parametrize("n", [2, 5])
def test_with_five_classes_or_fewer_there_is_no_top_five(n):
    found = measures.metamer_measures(CLIP[:, :n], METAMER[:, :n], LETTERS[:n], [None] * 3, [None] * 3)
    assert set(found) == {"accuracy", "generator_agreement", "label_agreement", "logit_correlation"}
