"""Simulated listeners answer as the model of difference scaling says."""

import numpy as np
import pytest
from scipy.stats import norm

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.observers import ScaleListener


def test_answers_have_the_probability_of_their_noise(triads):
    scale = np.array([0, 0.1, 0.3, 0.6, 1])
    reply, generator = ScaleListener.of(triads, scale, sigma=0.3), np.random.default_rng(0)
    for stimulus, entry in [*triads.key.items()][:3]:
        first, middle, last = (scale[int(file[1])] for file in entry.sequence)
        given = [reply(stimulus, ["1", "2"], generator)[0] for _ in range(1000)]
        expected = norm.cdf((abs(last - middle) - abs(middle - first)) / 0.3)
        assert given.count("2") / 1000 == pytest.approx(expected, abs=0.05)


def test_without_noise_and_with_lapses(triads):
    stimulus, entry = next(iter(triads.key.items()))
    x = [int(file[1]) for file in entry.sequence]
    generator = np.random.default_rng(0)
    certain, lapsing = (ScaleListener.of(triads, np.arange(5.0) ** 2, sigma=0, guesses=g) for g in (0, 1))
    answer = "2" if abs(x[2] ** 2 - x[1] ** 2) > abs(x[1] ** 2 - x[0] ** 2) else "1"
    assert {certain(stimulus, ["1", "2"], generator)[0] for _ in range(20)} == {answer}
    assert {lapsing(stimulus, ["1", "2"], generator)[0] for _ in range(20)} == {"1", "2"}


def test_what_is_no_listener(triads):
    with pytest.raises(AudioMetamerError, match="sigma is -1; it must be 0 or more"):
        ScaleListener.of(triads, sigma=-1)
    with pytest.raises(AudioMetamerError, match="guesses is 2; it must be from 0 to 1"):
        ScaleListener.of(triads, guesses=2)
    with pytest.raises(AudioMetamerError, match=r"the scale has shape \(3,\); give a number for each of 5 sounds"):
        ScaleListener.of(triads, [0, 0.5, 1])
