"""Spaces: adjoint maps, orthonormal bases where said, and what each leaves alone."""

import pytest
import torch

from audiometamer.distortions.spaces import Band, EqualLevel, EverySample, WithinEnvelope, cochlear_bands, spanned
from audiometamer.errors import AudioMetamerError

RATE = 4000
SOUND = torch.randn(401, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.linspace(0, 1, 401)


def rows(n, size, seed=1):
    return torch.randn(n, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SPACES = {
    "all": EverySample(401),
    "band": Band(401, sample_rate=RATE, low=300, high=900),
    "all frequencies": Band(400, sample_rate=RATE, low=0, high=2000),
    "level": EqualLevel(SOUND),
    "envelope": WithinEnvelope(SOUND, sample_rate=RATE),
    "cochlea": cochlear_bands(SOUND, sample_rate=RATE, bands=8),
    "span": spanned(rows(3, 401)),
}


@pytest.mark.parametrize("name", SPACES)
def test_the_maps_are_adjoint_and_isometric_where_said(name):
    space = SPACES[name]
    z, v = rows(4, space.size), rows(4, space.inputs, seed=2)
    signals = space.signals(z)
    assert signals.shape == v.shape
    torch.testing.assert_close(space.nearest(signals), z)
    torch.testing.assert_close((signals * v).sum(1), (z * space.coefficients(v)).sum(1))
    if name != "envelope":
        torch.testing.assert_close(space.coefficients(signals), z)


def test_a_band_holds_its_frequencies_only():
    spectrum = torch.fft.rfft(SPACES["band"].signals(rows(2, SPACES["band"].size))).abs()
    frequencies = torch.arange(201) * RATE / 401
    outside = (frequencies < 300) | (frequencies > 900)
    assert float(spectrum[:, outside].max()) < 1e-12 < float(spectrum[:, ~outside].min())
    assert SPACES["all frequencies"].size == 400


def test_an_equal_level_is_kept_to_first_order():
    changes = SPACES["level"].signals(rows(3, 400))
    assert float((changes @ SOUND).abs().max()) < 1e-12


def test_changes_within_an_envelope_are_as_large_as_the_sound_at_each_time():
    """A tone that grows linearly: its envelope, and so the gain of a change, is 9 times as large at 360 as at 40."""
    tone = torch.linspace(0, 1, 401) * torch.sin(torch.arange(401) * 0.8)
    space = WithinEnvelope(tone, sample_rate=RATE, cutoff=300)
    gains = space.signals(torch.ones(1, space.size, dtype=torch.float64))[0]
    assert float(gains[340:381].mean() / gains[20:61].mean()) == pytest.approx(9, rel=0.05)


def test_cochlear_bands_reach_from_the_sound_to_itself():
    """The sound lies in their span, at the frequencies between the outer centres."""
    space = cochlear_bands(SPACES["band"].signals(rows(1, SPACES["band"].size))[0], sample_rate=RATE, bands=12)
    assert space.size <= 24
    assert "12 cochlear bands" in space.description


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Band(100, sample_rate=RATE, low=41, high=79), "the band from 41 to 79 Hz holds no frequency of 100 samples"),
        (lambda: EqualLevel(torch.zeros(9)), "the sound is silent"),
        (lambda: WithinEnvelope(torch.zeros(9), sample_rate=RATE), "the sound is silent"),
        (lambda: cochlear_bands(SOUND, sample_rate=RATE, bands=1), "1 bands from 50 to 1800 Hz; give at least 2"),
        (lambda: cochlear_bands(SOUND, sample_rate=RATE, low=900, high=300), "0 < low < high"),
        (lambda: spanned(torch.zeros(2, 5)), "the span of silent signals"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(make, message):
    with pytest.raises(AudioMetamerError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
