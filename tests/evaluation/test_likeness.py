"""Measures of what metamers keep of their clips, on sounds whose measures follow from how they are made."""

import math

import numpy as np
import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.evaluation.likeness import Measure, compare_likeness, layers_up_to, measure_likeness, third_octaves

RATE = 20_000


def noise(seconds=0.5, seed=0):
    return 0.1 * torch.randn(round(RATE * seconds), generator=torch.Generator().manual_seed(seed))


def sound(name):
    return Measure("", name)


@pytest.fixture(scope="module")
def ear():
    """No network: a cochleagram and its mean over time, at the published rate."""

    class Mean(torch.nn.Module):
        def forward(self, x):
            return x.mean(-1)

    network = torch.nn.Sequential(torch.nn.Identity(), Mean()).eval()
    return am.Model(network, front_end=am.Cochleagram(n_filters=8), sample_rate=RATE, duration=0.5, name="ear")


def test_of_a_quieter_copy_only_the_level_differs(ear):
    found = measure_likeness(ear, [noise()], [0.5 * noise()], "1")
    assert found[sound("level_db")] == pytest.approx(20 * math.log10(0.5))
    assert found[sound("above_4_khz_db")] == pytest.approx(10 * math.log10(0.6), abs=0.2)  # 6 of 10 kHz
    assert found[sound("spectrum_db")] == pytest.approx(0, abs=1e-6)
    assert found[sound("modulation_db")] == pytest.approx(0, abs=1e-3)
    assert found["cochleagram", "spearman_rho"] == pytest.approx(1, abs=1e-4)
    assert found["cochleagram", "snr_db"] == pytest.approx(-20 * math.log10(1 - 0.5**0.3), abs=0.1)  # the power is 0.3


def test_sounds_that_have_no_more_in_common_than_their_statistics(ear):
    found = measure_likeness(ear, [noise(), noise()], [noise(seed=1), noise(seed=2)], "1")
    assert [key.layer for key in found] == [*["cochleagram"] * 2, *["0"] * 2, *["1"] * 2, *[""] * 4]
    assert all(values.shape == (2,) for values in found.values())
    assert (abs(found["0", "spearman_rho"]) < found["1", "spearman_rho"]).all()  # spectra are alike
    assert (found[sound("spectrum_db")] < 3).all()
    pulsed = noise() * (torch.arange(RATE // 2) % 2500 < 1250)  # at 8 Hz
    changed = measure_likeness(ear, [noise()], [pulsed], "0")[sound("modulation_db")]
    assert changed > 2 * found[sound("modulation_db")].max()


def test_third_octaves_of_a_tone_and_of_noise():
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(RATE) / RATE)[None]
    (levels,) = third_octaves(tone, RATE)
    assert levels.argmax() == 10  # 100 Hz · 2^(10/3) is 1 kHz
    assert levels[10] == pytest.approx(0, abs=0.01)
    (levels,) = third_octaves(noise(20.0)[None], RATE)
    assert levels.diff()[8:].numpy() == pytest.approx(10 * math.log10(2 ** (1 / 3)), abs=0.5)  # as wide as they are high


def test_layers_are_those_up_to_the_matched_one():
    model = tiny_models.sound_model()
    assert layers_up_to(model, "relu1") == ["cochleagram", "relu0", "relu1"]
    assert layers_up_to(model, "final+relu0") == ["cochleagram", "relu1", "final", "relu0"]
    assert layers_up_to(model, "relu0/average=time") == ["cochleagram", "relu0", "relu0/average=time"]
    assert layers_up_to(model, "conv1") == ["cochleagram", "relu0", "conv1"]


def test_a_network_without_a_cochleagram_is_given_one():
    model, clip = am.load_model("tiny_models:plain_module"), tiny_models.make_clip("a", 0).samples
    found = measure_likeness(model, [clip], [clip], "conv")
    assert [key for key in found if key.name == "spearman_rho"] == [("cochleagram", "spearman_rho"), ("conv", "spearman_rho")]
    assert found["cochleagram", "spearman_rho"] == pytest.approx(1)


def test_of_what_is_no_sound_the_level_remains():
    model = am.Model(tiny_models.seeded(torch.nn.Sequential(torch.nn.Linear(6, 3))), signal_shape=(6,), name="numbers")
    found = measure_likeness(model, [torch.ones(6)], [-torch.ones(6)], "0")
    assert [key.name for key in found] == ["spearman_rho", "snr_db", "level_db"]
    assert found[sound("level_db")] == 0
    with pytest.raises(am.AudioMetamerError, match="0 metamers of 1 originals"):
        measure_likeness(model, [torch.ones(6)], [], "0")


def test_paired_differences_and_their_intervals():
    key, other = Measure("relu0", "snr_db"), Measure("", "level_db")
    first = {key: np.array([1.0, 2.0, 3.0, math.inf]), other: np.zeros(4)}
    second = {key: np.array([2.0, 4.0, 6.0, 1.0])}
    (found,) = compare_likeness(first, second, ["a", "b", "c", "d"])
    assert found[:5] == ("relu0", "snr_db", 2.0, 4.0, 2.0)
    assert (found.low, found.high, found.clips) == (pytest.approx(1.0), pytest.approx(3.0), 3)
    (same,) = compare_likeness(second, second, ["a", "a", "b", "b"])
    assert same[4:] == (0.0, 0.0, 0.0, 2)
