"""Speech is found where it was put, to within a frame."""

import math

import numpy as np
import pytest
import soundfile
import torch

import audiometamer as am
from audiometamer.signals.speech import pieces

RATE = 16_000


def recording(*parts):
    """Noise and pauses in turn: seconds of noise, of pause, of noise, …; -80 dB in the pauses."""
    rng = np.random.default_rng(0)
    levels = [0.1 if k % 2 == 0 else 1e-5 for k in range(len(parts))]
    sounds = [level * rng.standard_normal(round(seconds * RATE)) for level, seconds in zip(levels, parts, strict=True)]
    return np.concatenate(sounds).astype(np.float32)


def test_stretches_lie_between_the_pauses():
    found = am.find_speech(recording(1.0, 0.5, 2.0, 0.8, 0.5), sample_rate=RATE)
    np.testing.assert_allclose(found, [(0, 1.0), (1.5, 3.5), (4.3, 4.8)], atol=0.03)


def test_a_short_pause_does_not_end_a_stretch_and_a_click_is_none():
    sound = recording(1.0, 0.2, 1.0, 0.5, 0.02, 0.5, 0.6)
    np.testing.assert_allclose(am.find_speech(sound, sample_rate=RATE), [(0, 2.2), (3.22, 3.82)], atol=0.03)
    parted = am.find_speech(sound, sample_rate=RATE, min_pause=0.1, min_duration=0.0)
    np.testing.assert_allclose(parted, [(0, 1), (1.2, 2.2), (2.7, 2.72), (3.22, 3.82)], atol=0.03)


def test_the_threshold_is_relative_to_the_loudest():
    rng = np.random.default_rng(0)
    sound = np.concatenate([level * rng.standard_normal(RATE) for level in (0.1, 0.001, 0.1)])  # 40 dB below in the middle
    assert len(am.find_speech(sound, sample_rate=RATE, threshold=30)) == 2
    assert len(am.find_speech(sound, sample_rate=RATE, threshold=50)) == 1
    assert am.find_speech(sound * 1e-3, sample_rate=RATE, threshold=30) == am.find_speech(sound, sample_rate=RATE, threshold=30)


def test_files_clips_tensors_and_arrays_give_the_same(tmp_path):
    sound = recording(0.6, 0.5, 0.7)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, sound], axis=1), RATE, subtype="FLOAT")
    expected = am.find_speech(sound, sample_rate=RATE)
    assert len(expected) == 2
    assert am.find_speech(tmp_path / "a.wav") == expected
    assert am.find_speech(am.Clip("a", torch.from_numpy(sound), RATE)) == expected
    assert am.find_speech(torch.from_numpy(np.stack([sound, sound])), sample_rate=RATE) == expected


def test_silence_has_no_speech():
    assert am.find_speech(np.zeros(1000), sample_rate=RATE) == []


def test_long_stretches_are_cut_into_equal_pieces():
    assert pieces([(0.0, 1.0), (2.0, 6.5)], 2.0) == [(0.0, 1.0), (2.0, 3.5), (3.5, 5.0), (5.0, 6.5)]
    assert pieces([(1.0, 3.0)], 2.0) == [(1.0, 3.0)]


@pytest.mark.parametrize(
    ("samples", "keys", "message"),
    [
        (np.ones(10), {}, "sample_rate is None"),
        (np.ones((2, 3, 4)), {"sample_rate": 8000}, r"not \(2, 3, 4\) of float64"),
        (np.ones(0), {"sample_rate": 8000}, r"not \(0,\) of float64"),
        (np.array([1, np.nan]), {"sample_rate": 8000}, "holds 1 NaN or infinite samples"),
        (np.ones(10), {"sample_rate": 0}, "sample_rate is 0; it must be at least 1"),
        (np.ones(10), {"sample_rate": 8000, "threshold": math.nan}, "threshold is nan; it must be a number, 0 or more"),
        (np.ones(10), {"sample_rate": 8000, "min_pause": -1}, "min_pause is -1; it must be a number, 0 or more"),
        (np.ones(10), {"sample_rate": 8000, "threshold": "40"}, "threshold is '40'; it must be a number, 0 or more"),
    ],
)
def test_bad_input(samples, keys, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.find_speech(samples, **keys)


def test_a_missing_file(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="does not exist"):
        am.find_speech(tmp_path / "a.wav")
