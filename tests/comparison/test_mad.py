"""MAD competition against plenoptic's ends, and its bounds."""

from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from torch.nn import functional as F

import audiometamer as am
from audiometamer.comparison.bounds import BoundedSound
from audiometamer.comparison.mad import mad_competition
from audiometamer.comparison.representations import Representation, layer_representation, spectrogram_representation
from audiometamer.matching.domains import Gaussian

REFERENCE = np.load(Path(__file__).parents[1] / "data" / "telling_apart.npz")
ORIGINAL, START = (torch.from_numpy(REFERENCE[key]) for key in ("mad_x", "mad_minA_fixB_init"))


def softplus_units(name):
    weights = torch.from_numpy(REFERENCE[f"mad_w{name}"])
    return Representation(name, lambda sounds: F.softplus(sounds @ weights.T))


def test_the_ends_are_at_least_as_extreme_as_those_of_plenoptic():
    four = mad_competition(
        ORIGINAL, softplus_units("A"), softplus_units("B"), start=START, domain=Gaussian(), steps=150, tolerance=0.01
    )
    assert [(each.extreme, each.optimised) for each in four] == [
        (extreme, name) for name in "AB" for extreme in ("nearest", "farthest")
    ]
    for each in four:
        key = f"mad_{'min' if each.extreme == 'nearest' else 'max'}{each.optimised}_fix{each.held}"
        end, start = REFERENCE[f"{key}_end"][0], REFERENCE[f"{key}_start"]
        assert each.start_distance == pytest.approx(start[0])
        assert each.held_distance == pytest.approx(start[1], rel=0.01)
        assert abs(each.drift) <= 0.01
        assert each.distance <= end if each.extreme == "nearest" else each.distance >= end


def test_representations_of_sounds_within_bounds():
    model = tiny_models.sound_model()
    clip = tiny_models.make_clip("speech", 0).samples
    bounds = BoundedSound(rms=0.11, low=-0.5, high=0.5, band=(100, 1500), sample_rate=4000)
    layer, stft = layer_representation(model, "relu1"), spectrogram_representation(4000)
    four = mad_competition(clip, layer, stft, domain=bounds, steps=4, seed=1)
    for each in four:
        assert abs(each.drift) <= 0.01
        assert (each.distance < each.start_distance) == (each.extreme == "nearest")
        assert each.sound.abs().max() <= 0.5
        assert each.sound.square().mean().sqrt() <= 0.1101
        power = torch.fft.rfft(each.sound.double()).abs().square()
        outside = power[torch.fft.rfftfreq(1000, 1 / 4000) > 1500].sum()
        assert outside < 1e-9 * power.sum()
    assert {each.optimised for each in four} == {"tiny:relu1", "stft"}


def test_what_cannot_compete_is_told_in_a_line():
    a, b = softplus_units("A"), softplus_units("B")
    with pytest.raises(am.AudioMetamerError, match="the start has distance 0 from the original in A"):
        mad_competition(ORIGINAL, a, b, start=ORIGINAL)
    with pytest.raises(am.AudioMetamerError, match="both representations are 'A'"):
        mad_competition(ORIGINAL, a, a)
    with pytest.raises(am.AudioMetamerError, match=r"the start has shape \(3,\)"):
        mad_competition(ORIGINAL, a, b, start=torch.zeros(3))
    with pytest.raises(am.AudioMetamerError, match="steps is 0"):
        mad_competition(ORIGINAL, a, b, steps=0)
    with pytest.raises(am.AudioMetamerError, match="tolerance is 2"):
        mad_competition(ORIGINAL, a, b, tolerance=2)
