"""Carriers of vocoders: noise, tones, noise without fluctuations, harmonic complexes; the same for the same seed."""

from typing import Literal, get_args

import numpy as np

from audiometamer.ears.spectra import FloatArray
from audiometamer.ears.vocoder_bands import Bands

Carrier = Literal["noise", "identical-noise", "sine", "low-noise", "harmonic", "pshc"]
CARRIERS: tuple[str, ...] = get_args(Carrier)

_FLATTENINGS = 10  # of the envelope of low-noise noise


def carriers(kind: Carrier, bands: Bands, n_samples: int, sample_rate: int, *, f0: float, seed: int) -> FloatArray:
    """Carriers of all bands, [shape=(bands, samples)].

    Those of a shorter sound are the beginning of those of a longer one.

    Parameters
    ----------
    kind : str
        ``noise``: random signs, others in each band. ``identical-noise``: the same in all bands, as egaudrain/vocoder makes it,
        so that bands are correlated where they overlap. ``sine``: tones at the centres. ``low-noise``: noise within the band
        whose envelope is nearly flat (Pumplin 1985), with a period of 1 s. ``harmonic``: harmonics of `f0` within the band in
        cosine phase. ``pshc``: pulse-spreading harmonic complexes (Hilkhuysen & Macherey 2014).
    bands : Bands
    n_samples : int
        Number of samples.
    sample_rate : int
        In Hz.
    f0 : float
        Fundamental frequency of the last two in Hz.
    seed : int
        Random seed.
    """
    time = np.arange(n_samples) / sample_rate
    if kind == "sine":
        return np.sin(2 * np.pi * np.array(bands.centers)[:, None] * time)
    rows = []
    for band, (low, high) in enumerate(zip(bands.edges, bands.edges[1:], strict=False)):
        rng = np.random.default_rng([seed, 0 if kind == "identical-noise" else band])
        if kind in ("noise", "identical-noise"):
            rows.append(np.where(rng.random(n_samples) < 0.5, -1.0, 1.0))
        elif kind == "low-noise":
            rows.append(np.resize(_low_noise(low, high, sample_rate, rng), n_samples))
        elif kind == "harmonic":
            numbers = _harmonics(low, high, f0)
            rows.append(_complex(numbers, np.full(len(numbers), np.pi / 2), f0, time, sample_rate))
        else:
            rows.append(_complex(*_pulse_spreading(low, high, f0, rng), f0, time, sample_rate))
    return np.stack(rows)


def _low_noise(low: float, high: float, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """One second of noise within a band, its envelope divided out ten times, each time followed by the band's filter."""
    bins = np.fft.rfftfreq(sample_rate, 1 / sample_rate)
    inside = (bins >= low) & (bins <= high)
    spectrum = inside * np.exp(2j * np.pi * rng.random(len(bins)))
    for _ in range(_FLATTENINGS):
        analytic = np.fft.ifft(np.concatenate([2 * spectrum, np.zeros(sample_rate - len(spectrum))]))
        spectrum = np.fft.rfft(analytic.real / np.maximum(np.abs(analytic), 1e-12)) * inside
    noise = np.fft.irfft(spectrum, n=sample_rate)
    return noise / np.sqrt(np.mean(noise**2))


def _harmonics(low: float, high: float, f0: float) -> FloatArray:
    """Numbers of the harmonics within a band; of the nearest one if there is none."""
    first, last = np.ceil(low / f0), np.floor(high / f0)
    return np.arange(max(first, 1), last + 1) if last >= max(first, 1) else np.array([max(round((low + high) / 2 / f0), 1)])


def _complex(numbers: FloatArray, phases: FloatArray, f0: float, time: FloatArray, sample_rate: int) -> FloatArray:
    """Harmonics of equal amplitude and given sine phases, with an RMS of 1."""
    scale = np.sqrt(2 / len(numbers))
    period = sample_rate / f0
    if period == round(period) and numbers[-1] < period / 2:  # one period by an inverse FFT
        spectrum = np.zeros(int(period) // 2 + 1, dtype=complex)
        spectrum[numbers.astype(int)] = -0.5j * np.exp(1j * phases) * period
        return scale * np.resize(np.fft.irfft(spectrum, n=int(period)), len(time))
    wave = np.zeros(len(time))
    for number, phase in zip(numbers, phases, strict=True):
        wave += np.sin(2 * np.pi * number * f0 * time + phase)
    return scale * wave


def _pulse_spreading(low: float, high: float, f0: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Numbers and phases of harmonics in k interleaved sets, each a pulse train of k · f0 at its own time.

    k = p(fc) / √f0, with p the cubic 0.0459 fc³ − 0.7964 fc² + 6.9097 fc + 7.2244 of the centre in kHz (egaudrain/vocoder).
    """
    center = np.sqrt(low * high) / 1000
    order = max(round(float(np.polyval([0.0459, -0.7964, 6.9097, 7.2244], center)) / np.sqrt(f0)), 1)
    numbers = np.arange(max(round(low / f0), 1), round(high / f0) + 1, dtype=np.float64)
    places, turns = rng.permutation(order), rng.random(order)
    member = (-numbers % order).astype(int)
    return numbers, 2 * np.pi * (numbers * places[member] / order**2 + turns[member])
