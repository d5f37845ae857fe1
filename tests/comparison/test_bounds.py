"""Sounds bounded in RMS, peak and band."""

import pytest
import torch

import audiometamer as am
from audiometamer.comparison.bounds import BoundedSound

NOISE = torch.randn(2, 800, generator=torch.Generator().manual_seed(0))


def rms(sounds):
    return sounds.square().mean(-1).sqrt()


def test_what_is_within_stays():
    bounds = BoundedSound(rms=0.1, band=(100, 1000), sample_rate=4000)
    once = bounds.project(NOISE)
    assert bounds.project(once) == pytest.approx(once, abs=1e-6)
    assert rms(once) == pytest.approx(0.1)
    assert rms(bounds.project(once / 2)) == pytest.approx(0.05)


def test_a_fixed_rms_also_raises():
    assert rms(BoundedSound(rms=0.1, fixed_rms=True).project(NOISE / 1000)) == pytest.approx(0.1)


def test_the_peak_comes_before_the_rms():
    click = torch.zeros(1, 100)
    click[0, 0] = 1
    assert BoundedSound(rms=0.5, fixed_rms=True, low=-0.3, high=0.3).project(click).max() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0.0}, "samples from 0 to 1; a sound has samples below and above 0"),
        ({"rms": 0}, "rms is 0; it must be above 0"),
        ({"fixed_rms": True}, "fixed_rms needs an rms"),
        ({"band": (1, 2)}, "the band from 1 to 2 Hz needs a sample_rate"),
        ({"band": (200, 100), "sample_rate": 400}, "the band is 200 to 100 Hz; it must rise, from 0 to 400 / 2"),
    ],
)
def test_impossible_bounds(options, message):
    with pytest.raises(am.AudioMetamerError) as error:
        BoundedSound(**options)
    assert message in str(error.value)
