"""The null distribution of sounds in files: which excerpts are drawn, and what is said of them."""

import warnings

import numpy as np
import pytest
import soundfile
import tiny_models

import audiometamer as am
from audiometamer.metamers.null_sounds import null_of_sounds


@pytest.fixture
def sounds(tmp_path):
    """Two noises of three excerpts each."""
    for seed in range(2):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(3000)
        soundfile.write(tmp_path / f"{seed}.wav", noise, tiny_models.SAMPLE_RATE, subtype="FLOAT")
    return tmp_path


def test_as_many_excerpts_as_the_pairs_need(sounds):
    model, done = tiny_models.sound_model(), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        null = null_of_sounds(model, [sounds], layers=["relu0"], pairs=4, progress=lambda *state: done.append(state))
    assert (null.sounds, null.pairs, null.source) == (4, 6, f"4 of 6 excerpts of {sounds}")
    assert done[-1] == (1.0, "4 of 4 sounds")
    assert null == null_of_sounds(model, [sounds], layers=["relu0"], pairs=4)
    others = [null_of_sounds(model, [sounds], layers=["relu0"], pairs=4, seed=seed) for seed in range(1, 5)]
    assert any(other.layers != null.layers for other in others)


def test_too_few_are_all_taken_and_a_warning_says_so(sounds):
    with pytest.warns(am.AudioMetamerWarning, match="1000000 pairs need 1415 sounds; 6 give 15 pairs"):
        null = null_of_sounds(tiny_models.sound_model(), [sounds], layers=["final"])
    assert null.pairs == 15
