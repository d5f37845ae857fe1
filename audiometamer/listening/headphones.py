"""Headphone checks: three intervals, one of which only a listener with headphones can identify."""

import numpy as np
from numpy.typing import NDArray

Stereo = NDArray[np.float64]
N_INTERVALS = 3
_SECONDS = 1.0
GAP_SECONDS = 0.5  # between intervals
PAIR_GAP_SECONDS = 0.5  # further, between pairs of intervals


def huggins(right: int, *, sample_rate: int, rms: float, seed: int) -> Stereo:
    """White noise to both ears three times; in one interval a faint pitch, which neither ear alone can hear.

    There, the noise of one ear has the phase of its band of 600 Hz ± 6 % turned by 180° (Milne et al. 2021). Intervals last 1 s
    with 30 ms ramps; 0.5 s lie between them.

    Parameters
    ----------
    right : int
        Interval with the pitch, from 1.
    sample_rate : int
        In Hz.
    rms : float
        RMS of each interval in each ear; full scale is 1.
    seed : int

    Returns
    -------
    array [shape=(samples, 2)]
    """
    generator, n = np.random.default_rng(seed), round(_SECONDS * sample_rate)
    band = np.abs(np.fft.rfftfreq(n, 1 / sample_rate) / 600 - 1) <= 0.06
    intervals = []
    for k in range(1, N_INTERVALS + 1):
        spectrum = np.fft.rfft(generator.standard_normal(n))
        turned = np.where(band, -spectrum, spectrum) if k == right else spectrum
        intervals.append(np.fft.irfft(np.stack([spectrum, turned], axis=1), n, axis=0))
    return _joined(intervals, [rms] * N_INTERVALS, sample_rate=sample_rate, ramp=0.03)


def antiphase(right: int, *, sample_rate: int, rms: float, seed: int) -> Stereo:
    """Three tones of 200 Hz, one 6 dB softer; one of the two others is in antiphase between the ears (Woods et al. 2017).

    Over loudspeakers the antiphase tone cancels and sounds softest. Tones last 1 s with 100 ms ramps; 0.5 s lie between them.
    Parameters and result as `huggins`; `right` is the softest, `rms` that of the two others.
    """
    time = np.arange(round(_SECONDS * sample_rate)) / sample_rate
    tone = np.sin(2 * np.pi * 200 * time)
    others = [k for k in range(1, N_INTERVALS + 1) if k != right]
    inverted = others[int(np.random.default_rng(seed).integers(len(others)))]
    intervals = [np.stack([tone, -tone if k == inverted else tone], axis=1) for k in range(1, N_INTERVALS + 1)]
    levels = [rms * 10 ** (-6 / 20) if k == right else rms for k in range(1, N_INTERVALS + 1)]
    return _joined(intervals, levels, sample_rate=sample_rate, ramp=0.1)


def _joined(intervals: list[NDArray[np.float64]], levels: list[float], *, sample_rate: int, ramp: float) -> Stereo:
    """The intervals ramped, each at its level, with silence between them; `ramp` in seconds."""
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(round(ramp * sample_rate)) + 0.5) / round(ramp * sample_rate))
    pieces = []
    for sound, level in zip(intervals, levels, strict=True):
        shaped = sound.copy()
        shaped[: len(rise)] *= rise[:, None]
        shaped[len(shaped) - len(rise) :] *= rise[::-1, None]
        pieces += [shaped * (level / np.sqrt(np.mean(shaped**2))), np.zeros((round(GAP_SECONDS * sample_rate), 2))]
    return np.concatenate(pieces[:-1])
