"""Spectral smearing of MSBG: the power spectrum of short frames, blurred as by broadened auditory filters."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from audiometamer.ears.spectra import FloatArray

_HOP_AT_44100 = 64  # samples at 44.1 kHz; frames are 4 hops, FFTs 8
_FLOOR = 1e-20  # power below which a bin counts as silent, relative to full scale


def hop_length(sample_rate: float) -> int:
    """Samples between frames, as long as 64 at 44.1 kHz: 1.45 ms."""
    return max(round(_HOP_AT_44100 * sample_rate / 44_100), 1)


@lru_cache(maxsize=8)
def smearing_matrix(lower: float, upper: float, n_bins: int, sample_rate: float) -> FloatArray:
    """Matrix by which power spectra are multiplied, [shape=(bins, bins)].

    Baer & Moore (1993), as in claritychallenge/clarity: the pattern of excitation by a normal ear of the smeared spectrum is that
    of the spectrum in an ear with broadened filters. The normal filters are continued above the Nyquist frequency, mirrored.

    Parameters
    ----------
    lower, upper : float
        Factors by which filters are broadened below and above their centres.
    n_bins : int
        Number of bins from 0 up to the Nyquist frequency, which is left out.
    sample_rate : float
        In Hz.
    """
    normal, broad = _roex_filters(1, 1, n_bins, sample_rate), _roex_filters(lower, upper, n_bins, sample_rate)
    half = n_bins // 2
    continued = np.concatenate([normal, np.zeros((n_bins, half))], axis=1)
    for i in range(half, n_bins):
        stop = min(2 * i - 1, 3 * half)
        mirrored = normal[i, 2 * i - n_bins : max(1, 2 * i - 3 * half) : -1]
        continued[i, n_bins:stop] = mirrored[: max(stop - n_bins, 0)]
    solved: FloatArray = np.linalg.lstsq(continued, broad, rcond=-1)[0]
    return solved[:n_bins]


def _roex_filters(lower: float, upper: float, n_bins: int, sample_rate: float) -> FloatArray:
    """Rounded-exponential filters (1 + pg) exp(−pg) at every bin, [shape=(centres, bins)], divided by their bandwidth."""
    index = np.arange(n_bins)
    hz = index * sample_rate / (2 * n_bins)
    erb = 24.7 * (0.00437 * hz + 1)
    distance = np.abs(index[:, None] - index) / np.maximum(index, 1)[:, None]
    broadening = np.where(index < index[:, None], lower, upper)
    pg = distance * (4 * hz / erb)[:, None] / broadening
    filters = (1 + pg) * np.exp(-pg) / (erb * (lower + upper) / (2 * 24.7))[:, None]
    filters[0] = 0
    filters[0, 0] = 2 / (lower + upper)
    return filters


def smear(sounds: Tensor, matrix: Tensor, *, lead_in: bool) -> Tensor:
    """Sounds with smeared spectra.

    Parameters
    ----------
    sounds : Tensor [shape=(batch, samples)]
    matrix : Tensor [shape=(bins, bins)]
        See `smearing_matrix`; an FFT has twice as many points, a frame as many as there are bins.
    lead_in : bool
        Whether frames begin before the sound. If not, as published, the first frame is followed by the sound from its second
        hop, which delays it by three hops, and the result is three to four hops longer.

    Returns
    -------
    Tensor [shape=(batch, samples)], longer without `lead_in`
    """
    frame = len(matrix)
    hop, n_samples = frame // 4, sounds.shape[-1]
    n_frames = -(-n_samples // hop) + (3 if lead_in else 0)
    before = 3 * hop if lead_in else 0
    if not lead_in:
        sounds = torch.cat([sounds[:, :frame], sounds[:, hop:]], dim=-1)
        n_samples = sounds.shape[-1]
    padded = torch.nn.functional.pad(sounds, (before, (n_frames + 3) * hop - n_samples - before))
    phase = torch.arange(frame, dtype=sounds.dtype, device=sounds.device) + 0.5
    window = (0.5 - 0.5 * torch.cos(2 * torch.pi * phase / frame)) / 1.5**0.5
    spectra = torch.fft.rfft(padded.unfold(-1, frame, hop) * window, n=2 * frame)[..., :frame]
    power = spectra.real.square() + spectra.imag.square()
    smeared = power @ matrix.mT
    gain = ((smeared.abs() + _FLOOR) / (power + _FLOOR)).sqrt()
    turned = torch.where(smeared < 0, 1j * spectra, spectra)  # the root of a negative power turns the phase by a quarter
    frames = torch.fft.irfft(torch.nn.functional.pad(turned * gain, (0, 1)), n=2 * frame)[..., :frame] * window
    added = _overlap_add(frames, hop)
    return added[..., before : before + n_samples] if lead_in else added


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames [shape=(batch, frames, 4 · hop)] added where they overlap, [shape=(batch, (frames + 3) · hop)]."""
    parts = frames.unflatten(-1, (4, hop))
    shifted = [torch.nn.functional.pad(parts[:, :, i], (0, 0, i, 3 - i)) for i in range(4)]
    return torch.stack(shifted).sum(0).flatten(-2)
