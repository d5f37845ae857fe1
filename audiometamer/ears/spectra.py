"""Filters as multiplications in the frequency domain, on a grid long enough that nothing wraps around."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


def grid_length(n_samples: int, padding: int) -> int:
    """Length of an FFT for sounds of a length, with at least so many zeros after them."""
    return int(next_fast_len(n_samples + max(padding, 1), real=True))


def grid_frequencies(n_fft: int, sample_rate: float) -> FloatArray:
    """Frequencies of the bins of a real FFT in Hz."""
    return np.arange(n_fft // 2 + 1, dtype=np.float64) * (sample_rate / n_fft)


def apply(sounds: Tensor, response: Tensor, n_fft: int, *, paired: bool = False) -> Tensor:
    """Sounds [shape=(..., samples)] filtered by responses on the bins of a real FFT, [shape=(bins,)] or [shape=(filters, bins)].

    Parameters
    ----------
    sounds, response
        As above.
    n_fft : int
        Points of the FFT.
    paired : bool
        Whether the sounds are those of channels, [shape=(..., filters, samples)], each with its own filter. Default False.

    Returns
    -------
    Tensor [shape=(..., samples)] or [shape=(..., filters, samples)]
    """
    spectra = torch.fft.rfft(sounds, n=n_fft)
    if response.ndim == 2 and not paired:
        spectra = spectra.unsqueeze(-2)
    return torch.fft.irfft(spectra * response, n=n_fft)[..., : sounds.shape[-1]]


def digital_response(numerator: FloatArray, denominator: FloatArray, frequencies: FloatArray, sample_rate: float) -> ComplexArray:
    """Responses of digital filters at some frequencies, zero above the Nyquist frequency of the rate they are made for.

    Parameters
    ----------
    numerator, denominator : array [shape=(..., taps)]
        Coefficients of z⁰, z⁻¹, ….
    frequencies : array [shape=(bins,)]
        In Hz.
    sample_rate : float
        Rate that the filters are made for, in Hz.

    Returns
    -------
    array [shape=(..., bins)]
    """
    delay = np.exp(-2j * np.pi * np.minimum(frequencies, sample_rate / 2) / sample_rate)
    top, bottom = (np.polynomial.polynomial.polyval(delay, np.moveaxis(c, -1, 0)) for c in (numerator, denominator))
    return np.where(frequencies <= sample_rate / 2, top / bottom, 0)


def hilbert_envelope(signals: Tensor, floor: float) -> Tensor:
    """Hilbert envelopes of signals [shape=(..., samples)], √(x² + x̂² + floor²): silence has a finite gradient."""
    n = signals.shape[-1]
    gain = torch.zeros(n, dtype=signals.dtype, device=signals.device)
    gain[0] = 1
    gain[1 : (n + 1) // 2] = 2
    if n % 2 == 0:
        gain[n // 2] = 1
    analytic = torch.fft.ifft(torch.fft.fft(signals) * gain)
    return (analytic.real.square() + analytic.imag.square() + floor**2).sqrt()
