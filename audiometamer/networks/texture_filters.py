"""Filters of sound-texture statistics as gains on the bins of an FFT, the decimation of envelopes, and windows of time."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiometamer.cochleagram.filters import CosineFilterbank
from audiometamer.errors import AudioMetamerError

FloatArray = NDArray[np.floating[Any]]
Scale = Literal["log", "linear"]

# Lags in samples of the envelope (McDermott's toolbox 1.4); both copies are shifted, so the real lag is twice as long.
AUTOCORRELATION_LAGS = (
    1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 18, 22, 28, 36, 45, 57, 73, 92, 116, 148, 187, 237, 301,
)  # fmt: skip
_FULL_RATE = 1000.0  # the toolbox divides lags by this, not by the rate of its envelopes


def cochlear_gains(
    n_samples: int, sample_rate: int, *, n_filters: int, limits: tuple[float, float], overcompleteness: int, scale: Scale
) -> FloatArray:
    """Gains of the cochlear filters, [shape=(bands, samples // 2 + 1)]; see `CosineFilterbank`."""
    low, high = limits
    bank = CosineFilterbank(n_filters, low, high, overcompleteness, "erb" if scale == "log" else "linear")
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    gains = np.zeros((len(bank), len(frequencies)))
    for row, band in zip(gains, bank.bands(frequencies), strict=True):
        row[band.first_bin : band.last_bin + 1] = band.gains
    return gains


def modulation_centers(n_filters: int, limits: tuple[float, float], scale: Scale) -> FloatArray:
    """Centre frequencies in Hz of the filters of modulation power, [shape=(filters,)]."""
    low, high = limits
    return np.geomspace(low, high, n_filters) if scale == "log" else np.linspace(low, high, n_filters)


def modulation_gains(n_frames: int, rate: float, centers: FloatArray, *, quality: float, scale: Scale) -> FloatArray:
    """Gains of the filters of modulation power, [shape=(filters, frames // 2 + 1)].

    cos(π (f − cf) / (2 · half-width)) on a linear axis; the half-width is cf / Q, or, for linearly spaced filters, such that they
    overlap as much as the fifth and sixth logarithmic ones, and never beyond 0 Hz. All are divided by the root of the mean of ΣH²
    from the fourth to the fourth last centre (McDermott & Simoncelli 2011, toolbox).
    """
    frequencies = np.fft.rfftfreq(n_frames, 1 / rate)
    widths = centers / quality if scale == "log" else np.full_like(centers, _linear_width(centers, quality))
    gains = _cosines(frequencies[None] - centers[:, None], np.minimum(widths, centers)[:, None], widths[:, None])
    inner = (frequencies >= centers[3]) & (frequencies <= centers[-4])
    if not inner.any() or not gains.any(1).all():
        raise AudioMetamerError(_too_short(n_frames, rate, float(centers[0] + widths[0])))
    return gains / np.sqrt(np.square(gains).sum(0)[inner].mean())


def _linear_width(centers: FloatArray, quality: float) -> float:
    """Half-width of linearly spaced filters that overlap as the fifth and sixth logarithmic ones do."""
    fifth, sixth = np.geomspace(centers[0], centers[-1], len(centers))[4:6]
    overlap = fifth * (1 + 0.5 / quality) - sixth * (1 - 0.5 / quality)
    mean_share = 0.5 * overlap * quality * (1 / fifth + 1 / sixth)
    return float((centers[1] - centers[0]) / (1 - mean_share))


def octave_centers(rate: float, low: float = 1.0) -> FloatArray:
    """Centre frequencies in Hz of the octave filters of the modulation correlations: rate / 4, / 8, …, above `low`; rising."""
    count = math.ceil(math.log2(rate / 2 / low)) - 1
    return rate / 2 / 2.0 ** np.arange(count, 0, -1)


def octave_gains(n_frames: int, rate: float, centers: FloatArray) -> FloatArray:
    """Gains of octave filters, [shape=(filters, frames // 2 + 1)]: cos(π/2 · log2(f / cf)) from cf / 2 to 2 cf."""
    frequencies = np.fft.rfftfreq(n_frames, 1 / rate)
    octaves = np.log2(np.maximum(frequencies, 1e-9))[None] - np.log2(centers)[:, None]
    gains = _cosines(octaves, *[np.ones((len(centers), 1))] * 2)
    if not gains.any(1).all():
        raise AudioMetamerError(_too_short(n_frames, rate, float(2 * centers[0])))
    return gains


def linear_gains(n_frames: int, rate: float, centers: FloatArray) -> FloatArray:
    """Gains of as many filters as there are octave ones, evenly spaced from the first of them up to below half the rate.

    Half a cosine between the neighbours' centres; the first begins at 0 Hz. Shape=(filters, frames // 2 + 1).
    """
    frequencies = np.fft.rfftfreq(n_frames, 1 / rate)
    spacing = (rate / 2 - centers[0]) / len(centers)
    even = (centers[0] + spacing * np.arange(len(centers)))[:, None]
    below = np.full_like(even, spacing)
    below[0] = even[0]
    return _cosines(frequencies[None] - even, below, np.full_like(even, spacing))


def autocorrelation_gains(n_frames: int, rate: float) -> FloatArray:
    """Gains of the low-pass filter of each lag of the autocorrelation, [shape=(lags, frames // 2 + 1)].

    1 up to half a cut-off, then half a cosine down to the cut-off of 1000 / (4 · difference to the lag before) Hz; no filter
    where that is above half the rate.
    """
    frequencies = np.fft.rfftfreq(n_frames, 1 / rate)
    steps = np.diff(AUTOCORRELATION_LAGS, prepend=0)
    rows = []
    for cutoff in _FULL_RATE / (4 * steps):
        if cutoff > rate / 2:
            rows.append(np.ones_like(frequencies))
            continue
        first = int(np.searchsorted(frequencies, cutoff / 2, side="right"))
        last = int(np.searchsorted(frequencies, cutoff, side="left")) - 1
        row = np.where(np.arange(len(frequencies)) <= first, 1.0, 0.0)
        row[first : last + 1] = np.cos(np.pi / 2 * np.arange(last + 1 - first) / max(last - first, 1))
        rows.append(row)
    return np.stack(rows)


def _cosines(distance: FloatArray, below: FloatArray, above: FloatArray) -> FloatArray:
    """Half a cosine of a distance, strictly within half-widths below and above its peak, and 0 elsewhere."""
    position = distance / np.where(distance < 0, below, above)
    return np.where(np.abs(position) < 1, np.cos(np.pi / 2 * position), 0.0)


def _too_short(n_frames: int, rate: float, highest: float) -> str:
    """Message for a sound without an FFT bin in the lowest filter, which ends at `highest` Hz."""
    return (
        f"a sound of {n_frames / rate:g} s is too short for the lowest modulation filter, which ends at {highest:g} Hz: give at "
        f"least {needed_seconds(highest):.1f} s"
    )


def needed_seconds(highest: float = 0.75) -> float:
    """Least duration, in tenths of a second, that has an FFT bin below a frequency in Hz.

    Parameters
    ----------
    highest : float
        Default 0.75, where the lowest filter of modulation power ends.
    """
    return (math.floor(10 / highest) + 1) / 10


def decimation_filter(factor: int) -> FloatArray:
    """The low-pass filter of MATLAB's ``resample(x, 1, factor)``, [shape=(20 · factor + 1,)].

    A sinc cut off at 10 · factor samples on either side, under a Kaiser window of β = 5, with a sum of 1 (MathWorks,
    documentation of ``resample``); `scipy.signal.resample_poly` uses the same one.
    """
    import scipy.signal  # only here: it takes longer to import than the rest

    taps: FloatArray = scipy.signal.firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0))
    return taps


def measurement_window(n_frames: int, rate: float, *, steepness: float = 0.5) -> FloatArray:
    """The published window of measurement, [shape=(frames,)]: a ramp of about a second up, 1, and one down again.

    The sum of N = round(seconds) + 2 raised cosines that overlap by half, halved, without the first and the last: a ramp takes
    ⌊frames / (N − 1)⌋ frames (McDermott & Simoncelli 2011, toolbox).

    Parameters
    ----------
    n_frames : int
    rate : float
        Frames per second.
    steepness : float
        Share of a raised cosine that is its rise, up to 0.5; below, they have a flat top. Default 0.5.

    Raises
    ------
    AudioMetamerError
        If the steepness is not above 0 and at most 0.5.
    """
    if not 0 < steepness <= 0.5:
        raise AudioMetamerError(f"the steepness of a window is {steepness}; it must be above 0 and at most 0.5")
    count = math.floor(n_frames / rate + 0.5) + 2
    if steepness == 0.5:
        flat, ramp = 0, n_frames // (count - 1)
    else:
        top = n_frames * (1 - 2 * steepness) / (count * (1 - steepness) - steepness)
        flat, ramp = int(top), int(top * steepness / (1 - 2 * steepness))
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, ramp + 1) / ramp)
    window = np.zeros(n_frames)
    end = flat + (count - 2) * (flat + ramp)
    window[flat:end] = 1.0
    window[flat : flat + ramp] = rise
    window[end : end + ramp] = 1 - rise
    return window
