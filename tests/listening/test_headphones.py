"""The sounds of the headphone check, against what their papers say of them."""

import numpy as np
import pytest

from audiometamer.listening.headphones import antiphase, huggins

RATE = 44_100


def parts(sound):
    """The three intervals, shape=(samples, 2) each, and what lies between them."""
    gap = round(0.5 * RATE)
    assert len(sound) == 3 * RATE + 2 * gap
    starts = [k * (RATE + gap) for k in range(3)]
    return [sound[s : s + RATE] for s in starts], np.concatenate([sound[s + RATE : s + RATE + gap] for s in starts[:2]])


@pytest.mark.parametrize("right", [1, 2, 3])
def test_huggins_pitch_is_in_one_interval_and_in_neither_ear_alone(right):
    intervals, gaps = parts(huggins(right, sample_rate=RATE, rms=0.05, seed=3))
    assert not gaps.any()
    for k, sound in enumerate(intervals, start=1):
        assert np.sqrt(np.mean(sound**2, axis=0)) == pytest.approx([0.05, 0.05], rel=0.02)
        assert np.array_equal(sound[:, 0], sound[:, 1]) == (k != right)
    left, turned = np.fft.rfft(intervals[right - 1].astype(float), axis=0).T
    frequencies = np.fft.rfftfreq(RATE, 1 / RATE)
    inside = np.abs(frequencies / 600 - 1) < 0.055  # the ramps smear the edges
    outside = np.abs(frequencies / 600 - 1) > 0.065
    cosine = (left * turned.conj()).real / (np.abs(left) * np.abs(turned))
    assert np.median(cosine[inside]) < -0.999
    assert np.median(cosine[outside]) > 0.999
    # Power around 600 Hz is what it is elsewhere, in each ear: within the spread of 66 random bins.
    assert np.mean(np.abs(turned[inside]) ** 2) == pytest.approx(np.mean(np.abs(left[inside]) ** 2), rel=0.1)


@pytest.mark.parametrize("right", [1, 2, 3])
def test_one_tone_is_softer_and_another_cancels_in_the_air(right):
    intervals, gaps = parts(antiphase(right, sample_rate=RATE, rms=0.05, seed=right))
    assert not gaps.any()
    levels = [20 * np.log10(np.sqrt(np.mean(sound**2)) / 0.05) for sound in intervals]
    assert levels == pytest.approx([-6 if k == right else 0 for k in (1, 2, 3)], abs=1e-4)
    cancelled = [not sound.sum(axis=1).any() for sound in intervals]
    assert sum(cancelled) == 1
    assert not cancelled[right - 1]
    assert all(np.argmax(np.abs(np.fft.rfft(sound[:, 0]))) == 200 for sound in intervals)


def test_the_seed_decides_the_noise():
    first, second, third = (huggins(2, sample_rate=RATE, rms=0.05, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, third)
