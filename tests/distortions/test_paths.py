"""Paths of sounds: levels, and the physical parameter of each."""

import math

import pytest
import torch

from audiometamer.distortions.paths import crossfade, modulated, path_of, tilted, vocoded
from audiometamer.errors import AudioMetamerError

RATE = 8000
TIME = torch.arange(4000) / RATE
SOUND = torch.sin(2 * math.pi * 500 * TIME) + torch.sin(2 * math.pi * 1000 * TIME)


def rms(sounds):
    return [float(sound.square().mean().sqrt()) for sound in sounds]


def test_every_sound_is_at_the_level_of_the_first():
    level = rms([SOUND])[0]
    for path in (
        modulated(SOUND, [0, 0.5, 1], sample_rate=RATE),
        tilted(SOUND, [-6, 0, 6], sample_rate=RATE),
        vocoded(SOUND, [2, 8], sample_rate=RATE),
    ):
        assert rms(path) == pytest.approx([level] * len(path), rel=1e-5)
    torch.testing.assert_close(modulated(SOUND, [0], sample_rate=RATE)[0], SOUND)
    torch.testing.assert_close(tilted(SOUND, [0], sample_rate=RATE)[0], SOUND, atol=1e-5, rtol=0)


def test_a_depth_is_the_modulation_of_a_constant():
    (sound,) = modulated(torch.ones(4000), [0.5], sample_rate=RATE, frequency=4)
    assert float((sound.max() - sound.min()) / (sound.max() + sound.min())) == pytest.approx(0.5, abs=1e-4)


def test_a_slope_is_in_decibels_per_octave():
    (sound,) = tilted(SOUND, [-6], sample_rate=RATE)
    spectrum = torch.fft.rfft(sound).abs()
    assert 20 * math.log10(float(spectrum[500] / spectrum[250])) == pytest.approx(-6, abs=0.01)  # bins of 2 Hz


def test_more_bands_keep_more_of_the_spectrum():
    """The share of power within 150 Hz of the two tones rises with the number of bands."""

    def share(sound):
        power = torch.fft.rfft(sound).abs().square()
        near = torch.zeros(len(power), dtype=torch.bool)
        near[175:325], near[425:575] = True, True
        return float(power[near].sum() / power.sum())

    few, many = vocoded(SOUND, [3, 24], sample_rate=RATE)
    assert share(many) > share(few) + 0.2
    torch.testing.assert_close(vocoded(SOUND, [3], sample_rate=RATE)[0], few)


def test_paths_by_their_kind():
    for kind, number in (("crossfade", 11), ("depth", 11), ("slope", 9), ("bands", 5), ("sounds", 2)):
        sounds = [SOUND, SOUND.flip(0)] if kind in ("crossfade", "sounds") else [SOUND]
        path, values = path_of(kind, sounds, sample_rate=RATE)
        assert len(path) == len(values) == number
        assert values == sorted(set(values))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crossfade(torch.ones(2), torch.ones(3), [0]), r"the sounds have shapes \(2,\) and \(3,\)"),
        (lambda: modulated(SOUND, [0, 2], sample_rate=RATE), "depths are 0, 2; give depths from 0 to 1"),
        (lambda: tilted(torch.zeros(9), [1], sample_rate=RATE), "the sound is silent"),
        (lambda: vocoded(SOUND, [1], sample_rate=RATE), "1 bands from 50 to 3600 Hz; give at least 2"),
    ],
)
def test_what_has_no_path_is_refused_in_a_line(call, message):
    with pytest.raises(AudioMetamerError, match=message):
        call()
