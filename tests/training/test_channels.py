"""Rooms and codecs: what they change, and what must stay in its place."""

import numpy as np
import pytest
import scipy.signal

from audiometamer.training.channels import CODECS, coded, in_room, room_response

RATE = 20_000


def noise(n=RATE, seed=0):
    """Pink-like noise below 4 kHz, which codecs keep."""
    sections = scipy.signal.butter(4, 3000, fs=RATE, output="sos")
    return scipy.signal.sosfilt(sections, np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@pytest.mark.parametrize("t60", [0.1, 0.5])
def test_a_room_decays_by_60_db_in_its_reverberation_time(t60):
    """The energy that is left (Schroeder's backward integral) falls by about as much; high frequencies decay faster."""
    rng = np.random.default_rng(1)
    curves = []
    for _ in range(30):
        response = room_response(rng, RATE, reverberation=(t60, t60), direct=(0, 0))
        tail = response[np.flatnonzero(response)[1] :]
        assert response[0] == 1
        assert np.square(tail, dtype=np.float64).sum() == pytest.approx(1, rel=1e-5)  # 0 dB below the direct sound
        assert 0.002 * RATE - 1 <= len(response) - len(tail) <= 0.02 * RATE + 2
        sections = scipy.signal.butter(2, 300, fs=RATE, output="sos")
        low = scipy.signal.sosfilt(sections, tail)
        curves.append(np.cumsum(np.square(low)[::-1])[::-1][: round(0.9 * t60 * RATE)])
    decay = 10 * np.log10(np.mean(curves, axis=0))
    halfway = round(0.5 * t60 * RATE)
    assert decay[halfway] - decay[round(0.1 * t60 * RATE)] == pytest.approx(-24, abs=4)


def test_high_frequencies_decay_faster():
    rng = np.random.default_rng(0)
    responses = [room_response(rng, RATE, reverberation=(0.4, 0.4), direct=(5, 5))[400:8000] for _ in range(20)]
    early, late = (np.mean([np.abs(np.fft.rfft(r[k : k + 2000])) ** 2 for r in responses], axis=0) for k in (0, 5000))
    low, high = slice(10, 200), slice(600, 1000)  # 100 to 2000 Hz, 6 to 10 kHz
    assert late[high].sum() / late[low].sum() < 0.5 * early[high].sum() / early[low].sum()


def test_a_room_keeps_length_and_place():
    click = np.zeros(1000, dtype=np.float32)
    click[300] = 0.5
    response = np.array([1, 0, 0.25], dtype=np.float32)
    expected = np.zeros(1000)
    expected[[300, 302]] = 0.5, 0.125
    np.testing.assert_allclose(in_room(click, response), expected, atol=1e-7)
    assert in_room(click[:2], response).shape == (2,)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("n_samples", [RATE, 12_345])
def test_a_codec_keeps_length_place_and_level(codec, n_samples):
    sound = 7 * noise(n_samples)  # far above full scale, which the file cannot hold
    decoded = coded(sound, RATE, codec=codec, compression=0.2)
    assert decoded.shape == sound.shape
    assert decoded.dtype == np.float32
    lags = scipy.signal.correlate(decoded, sound)
    assert abs(int(np.argmax(lags)) - (n_samples - 1)) <= 1
    error = np.square(decoded - sound)[500:-500].sum() / np.square(sound)[500:-500].sum()
    assert 10 * np.log10(error) < -10
    assert not np.array_equal(decoded, sound)


def test_compression_costs_fidelity():
    sound = noise()
    errors = [np.square(coded(sound, RATE, codec="VORBIS", compression=c) - sound).sum() for c in (0.0, 0.5, 1.0)]
    assert errors[0] < errors[1] < errors[2]


def test_silence_stays_silent():
    assert not coded(np.zeros(500, dtype=np.float32), RATE, codec="OPUS", compression=0.5).any()
