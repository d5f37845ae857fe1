"""Down-sampled envelopes computed at the sound's own rate, as published."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from audiometamer.cochleagram.constants import MAGNITUDE_FLOOR, Compression, add_constant
from audiometamer.cochleagram.filters import Filterbank
from audiometamer.cochleagram.lowpass import Lowpass


class FullRate(nn.Module):
    """Envelopes computed at the sound's own rate: the published computation, step by step.

    Parameters
    ----------
    filterbank : Filterbank
    lowpass : Lowpass
    envelope : {"hilbert", "rectified"}
    n_samples : int
        Length of the sounds.
    sample_rate : float
        Sample rate in Hz.
    dtype, device
        Type and device of the sounds.
    """

    def __init__(
        self,
        filterbank: Filterbank,
        lowpass: Lowpass,
        *,
        envelope: Literal["hilbert", "rectified"],
        n_samples: int,
        sample_rate: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.envelope, self.n_samples, self.stride = envelope, n_samples, lowpass.stride
        frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
        gains = np.zeros((len(filterbank), len(frequencies)))
        for row, band in zip(gains, filterbank.bands(frequencies), strict=True):
            row[band.first_bin : band.last_bin + 1] = band.gains
        add_constant(self, "gains", gains, dtype, device)
        add_constant(self, "taps", lowpass.taps()[None, None], dtype, device)

    def forward(self, sound: Tensor, compress: Compression) -> Tensor:
        """Frames of the envelopes of sound [shape=(batch, samples)], `compress`ed first: [shape=(batch, filters, frames)]."""
        spectra = torch.fft.rfft(sound)[:, None] * self.get_buffer("gains")
        if self.envelope == "hilbert":
            # Negative frequencies stay zero and positive ones are not doubled: half the Hilbert envelope, as published.
            envelopes = _magnitude(torch.fft.ifft(spectra, n=self.n_samples))
        else:
            envelopes = torch.fft.irfft(spectra, n=self.n_samples).relu()
        envelopes = compress(envelopes)
        flat = envelopes.reshape(-1, 1, self.n_samples)
        return torch.nn.functional.conv1d(flat, self.get_buffer("taps"), stride=self.stride).view(*envelopes.shape[:2], -1)


def _magnitude(z: Tensor) -> Tensor:
    return (z.real.square() + z.imag.square()).clamp(min=MAGNITUDE_FLOOR**2).sqrt()
