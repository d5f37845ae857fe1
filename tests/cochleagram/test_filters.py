"""The filterbank against the published one and against its own defining property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometamer.cochleagram.filters import CosineFilterbank, erb_to_hz, hz_to_erb
from audiometamer.errors import AudioMetamerError


def dense(filterbank: CosineFilterbank, frequencies: np.ndarray) -> np.ndarray:
    gains = np.zeros((len(filterbank), len(frequencies)))
    for row, band in zip(gains, filterbank.bands(frequencies), strict=True):
        row[band.first_bin : band.last_bin + 1] = band.gains
    return gains


def test_center_frequencies_are_the_published_ones(reference):
    np.testing.assert_allclose(CosineFilterbank().center_frequencies(), reference["filters/center_frequencies_hz"], atol=1e-9)


def test_gains_are_the_published_ones(reference):
    gains = dense(CosineFilterbank(), np.linspace(0, 10_000, 20_001))
    np.testing.assert_allclose(gains[:, ::50], reference["filters/gains_every_50th_bin"], atol=1e-6)


@given(st.floats(0, 20_000))
def test_erb_number_round_trip(frequency):
    assert float(erb_to_hz(hz_to_erb(frequency))) == pytest.approx(frequency, abs=1e-6)


def test_erb_number_in_closed_form():
    # 9.265 · 24.7 · (e − 1) Hz is one e-fold: 9.265 ERB.
    assert float(hz_to_erb(9.265 * 24.7 * (np.e - 1))) == pytest.approx(9.265)


@pytest.mark.parametrize("overcompleteness", [1, 2, 4])
@pytest.mark.parametrize("scale", ["erb", "linear"])
def test_squared_gains_sum_to_one(overcompleteness, scale):
    bank = CosineFilterbank(20, 100, 4000, overcompleteness, scale)
    power = (dense(bank, np.linspace(0, 5000, 5001)) ** 2).sum(axis=0)
    # With s filters on every place, the sum over all is one wherever all of them are whole: away from the edges' seams.
    inside = slice(600, 3000)
    np.testing.assert_allclose(power[inside], 1, atol=1e-9)


@pytest.mark.parametrize(("overcompleteness", "count"), [(1, 50), (2, 101), (4, 203)])
def test_number_of_filters(overcompleteness, count):
    assert len(CosineFilterbank(overcompleteness=overcompleteness, include_edges=False)) == count
    assert len(CosineFilterbank(overcompleteness=overcompleteness)) == count + 2 * overcompleteness


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_filters": 0}, "n_filters is 0"),
        ({"low_limit": 500.0, "high_limit": 400.0}, "500.0 and 400.0"),
        ({"low_limit": -1.0}, "-1.0 and"),
        ({"overcompleteness": 3}, "overcompleteness is 3; it must be 1, 2 or 4"),
        ({"scale": "mel"}, "filter scale is 'mel'"),
    ],
)
def test_bad_values(options, message):
    with pytest.raises(AudioMetamerError, match=message):
        CosineFilterbank(**options)


def test_a_signal_too_short_for_the_narrowest_filter():
    with pytest.raises(AudioMetamerError, match="no FFT bin falls into the filter centred at"):
        CosineFilterbank().bands(np.fft.rfftfreq(200, 1 / 20_000))


def test_broadening() -> None:
    narrow, broad = (CosineFilterbank(n_filters=20, high_limit=8000, broadening=factor) for factor in (1.0, 2.0))
    assert np.array_equal(narrow.center_frequencies(), broad.center_frequencies())
    frequencies = np.linspace(0, 10_000, 20_001)
    middle = len(narrow) // 2
    widths = [
        np.ptp(hz_to_erb(frequencies[[b.first_bin, b.last_bin]]))
        for b in (narrow.bands(frequencies)[middle], broad.bands(frequencies)[middle])
    ]
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.01)
    power = np.zeros(len(frequencies))
    for band in broad.bands(frequencies):
        power[band.first_bin : band.last_bin + 1] += band.gains**2
    assert power[2000:6000] == pytest.approx(np.ones(4000), abs=1e-6)
    with pytest.raises(AudioMetamerError, match=r"broadening is 0\.5"):
        CosineFilterbank(broadening=0.5)
