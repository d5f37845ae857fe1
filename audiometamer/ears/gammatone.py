"""Gammatone filters: the first 50 ms of their impulse responses, or the whole of them in the frequency domain."""

import math
from typing import Literal

import numpy as np
from scipy.signal import lfilter
from torch import Tensor

from audiometamer.ears.ear import Ear, Filters
from audiometamer.ears.spectra import FloatArray, apply, digital_response, grid_frequencies, grid_length
from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer

_DURATION = 0.05  # seconds of the impulse responses
_DECAY = 0.25  # seconds in which the lowest filters have died away

_ROOTS = (math.sqrt(3 + 2**1.5), -math.sqrt(3 + 2**1.5), math.sqrt(3 - 2**1.5), -math.sqrt(3 - 2**1.5))


def erb_space(low: float, high: float, number: int) -> FloatArray:
    """Frequencies in Hz that are evenly spaced in E = 9.2645 ln(1 + 0.00437 f) (Glasberg & Moore 1990), from low to high."""
    first, last = (9.2645 * np.log(1 + 0.00437 * np.asarray(edge, dtype=np.float64)) for edge in (low, high))
    return (np.exp(np.linspace(first, last, number) / 9.2645) - 1) / 0.00437


def gammatone_sections(centers: FloatArray, sample_rate: float) -> tuple[FloatArray, FloatArray]:
    """Four second-order sections of each gammatone filter, with unity gain at its centre.

    Slaney (1993), Apple Technical Report 35: bandwidth 1.019 · 2π · ERB, ERB = f / 9.2644 + 24.7.

    Parameters
    ----------
    centers : array [shape=(channels,)]
        In Hz.
    sample_rate : float
        In Hz.

    Returns
    -------
    numerators : array [shape=(4, channels, 2)]
    denominators : array [shape=(channels, 3)]
        The same for all sections.
    """
    decay = np.exp(-1.019 * 2 * np.pi * (centers / 9.2644 + 24.7) / sample_rate)
    angle = 2 * np.pi * centers / sample_rate
    bottom = np.stack([np.ones_like(decay), -2 * decay * np.cos(angle), decay**2], axis=-1)
    zeros = np.stack([decay * (np.cos(angle) + root * np.sin(angle)) for root in _ROOTS])
    top = np.stack([np.ones_like(zeros), -zeros], axis=-1)
    delay = np.exp(-1j * angle)[:, None] ** np.arange(3)
    at_center = (top * delay[:, :2]).sum(-1).prod(0) / (bottom * delay).sum(-1) ** 4
    top[0] /= np.abs(at_center)[:, None]
    return top, bottom


def one_zero_sections(centers: FloatArray, bandwidths: FloatArray, sample_rate: float) -> tuple[FloatArray, FloatArray]:
    """One section of gammatone filters that are several equal ones in cascade, with unity gain at the centre.

    (1 − r cos ω z⁻¹) / (1 − 2 r cos ω z⁻¹ + r² z⁻²), r = exp(−2π b / rate): MSBG has four of them, DRNL three (Hohmann 2002).

    Parameters
    ----------
    centers, bandwidths : array [shape=(channels,)]
        In Hz; b is that of the envelope's decay exp(−2πbt).
    sample_rate : float
        In Hz.

    Returns
    -------
    numerators, denominators : array [shape=(channels, 3)]
    """
    radius, angle = np.exp(-2 * np.pi * bandwidths / sample_rate), 2 * np.pi * centers / sample_rate
    ones, zeros = np.ones_like(radius), np.zeros_like(radius)
    top = np.stack([ones, -radius * np.cos(angle), zeros], axis=1)
    bottom = np.stack([ones, -2 * radius * np.cos(angle), radius**2], axis=1)
    delay = np.exp(-1j * angle)[:, None] ** np.arange(3)
    return top / np.abs((top * delay).sum(1) / (bottom * delay).sum(1))[:, None], bottom


def gammatone_taps(centers: FloatArray, sample_rate: float) -> FloatArray:
    """The first 50 ms of the impulse responses of `gammatone_sections`, [shape=(channels, taps)]."""
    top, bottom = gammatone_sections(centers, sample_rate)
    taps = np.zeros((len(centers), max(int(_DURATION * sample_rate), 1)))
    taps[:, 0] = 1
    for section in top:
        taps = np.stack([lfilter(b, a, row) for b, a, row in zip(section, bottom, taps, strict=True)])
    return taps


class Gammatone(Ear):
    """Sound to the outputs of gammatone filters.

    Parameters
    ----------
    n_channels : int
        Number of filters, evenly spaced in ERB. Default 50.
    low, high : float
        Lowest and highest centre in Hz. Defaults 60 and 8000, those of phaselocknet (Saddler & McDermott 2024).
    variant : {"fir", "spectral"}
        ``fir``: the first 50 ms of the impulse responses, as phaselocknet has them; ``spectral``: all of them. Default "fir".
    sample_rate : int
        Sample rate in Hz. Default 20000.
    full_scale : float
        Level in dB SPL of a sound whose RMS is 1; filters do not depend on it. Default 94: a sample of 1 is 1 Pa.

    Raises
    ------
    AudioMetamerError
        If an option is outside its range.

    Examples
    --------
    >>> import torch
    >>> from audiometamer.ears import Gammatone
    >>> ear = Gammatone()
    >>> ear(torch.randn(2, 4000)).shape, round(float(ear.centers[0]))
    (torch.Size([2, 50, 4000]), 60)
    """

    def __init__(
        self,
        *,
        n_channels: int = 50,
        low: float = 60.0,
        high: float = 8000.0,
        variant: Literal["fir", "spectral"] = "fir",
        sample_rate: int = 20_000,
        full_scale: float = 94.0,
    ) -> None:
        super().__init__(sample_rate=sample_rate, full_scale=full_scale)
        if variant not in ("fir", "spectral"):
            raise AudioMetamerError(f"variant is {variant!r}; it must be 'fir' or 'spectral'")
        if not 0 < low <= high < sample_rate / 2:
            raise AudioMetamerError(
                f"centres go from {low:g} to {high:g} Hz; they must rise between 0 and half the sample rate of {sample_rate} Hz"
            )
        self.variant = variant
        self.centers = erb_space(low, high, as_integer(n_channels, "n_channels", least=1))

    def grid(self, n_samples: int) -> int:
        """Points of the FFT by which sounds of a length are filtered."""
        padding = _DURATION if self.variant == "fir" else _DECAY
        return grid_length(n_samples, math.ceil(padding * self.sample_rate))

    def design(self, n_samples: int) -> Filters:
        """Responses of the filters for sounds of a length."""
        n_fft = self.grid(n_samples)
        if self.variant == "fir":
            return {"bank": np.fft.rfft(gammatone_taps(self.centers, self.sample_rate), n=n_fft)}
        top, bottom = gammatone_sections(self.centers, self.sample_rate)
        frequencies = grid_frequencies(n_fft, self.sample_rate)
        bank = np.prod([digital_response(section, bottom, frequencies, self.sample_rate) for section in top], axis=0)
        return {"bank": np.where(frequencies == self.sample_rate / 2, bank.real, bank)}

    def process(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] to channels, low first, [shape=(batch, channels, samples)]."""
        return apply(sounds, self.filters(sounds)["bank"], self.grid(sounds.shape[-1]))

    def extra_repr(self) -> str:
        low, high = self.centers[[0, -1]]
        return f"{len(self.centers)} channels, {low:g} to {high:g} Hz, variant={self.variant!r}, sample_rate={self.sample_rate}"
