"""The auditory nerve: firing rates of three types of fibres behind gammatone filters and inner hair cells."""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from audiometamer.ears.ear import REFERENCE_PASCAL, Filters
from audiometamer.ears.gammatone import Gammatone
from audiometamer.ears.hair_cell import Taps, broken_stick, lowpass_taps
from audiometamer.ears.spectra import apply, grid_length, hilbert_envelope
from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer, as_seed

_THRESHOLDS = (0.0, 12.0, 28.0)  # dB SPL, of fibres of high, medium and low spontaneous rate (phaselocknet)
_DYNAMIC_RANGES = (20.0, 40.0, 80.0)  # dB from 2.5 to 97.5 % of the largest rate
_FIBRES = (384, 160, 96)
_MOST = 250.0  # spikes per second
_SILENCE = 1e-3 * REFERENCE_PASCAL  # −60 dB SPL: below, rates and their gradients vanish


def rates(pressure: Tensor) -> Tensor:
    """Rates of three types of fibres in spikes per second: sigmoids of the level 20 log₁₀(p / 20 µPa), 0 for no pressure.

    Thresholds of 0, 12 and 28 dB SPL, at which the rate is 2.5 % of 250 per second, and dynamic ranges of 20, 40 and 80 dB
    (phaselocknet; Saddler & McDermott 2024).

    Parameters
    ----------
    pressure : Tensor [shape=(batch, channels, samples)]
        In pascals, not negative.

    Returns
    -------
    Tensor [shape=(batch, 3, channels, samples)]
    """
    level = 20 * (pressure.clamp(min=_SILENCE) / REFERENCE_PASCAL).log10().unsqueeze(-3)
    threshold, span = (
        torch.tensor(values, dtype=pressure.dtype, device=pressure.device)[:, None, None]
        for values in (_THRESHOLDS, _DYNAMIC_RANGES)
    )
    slope = math.log(39) / (span / 2)
    return _MOST * torch.sigmoid(slope * (level - threshold - span / 2)) * (pressure > 0).unsqueeze(-3)


class Nerve(Gammatone):
    """Sound to firing rates of the auditory nerve, with a limit of phase locking.

    The model of ``msaddler/phaselocknet_torch`` (Saddler & McDermott 2024): gammatone filters, half-wave rectification, the
    low-pass filter of inner hair cells, and sigmoids of the level for three types of fibres.

    Parameters
    ----------
    cutoff : float
        Cut-off of the low-pass filter in Hz; published are 50, 320, 1000 and 3000. Default 3000.
    taps : {"published", "intended"}
        See `audiometamer.ears.hair_cell.lowpass_taps`. Default "published", with which the published networks were trained.
    by_envelope : bool
        Whether the sigmoid is that of the Hilbert envelope, and the fine structure is multiplied by it, as published; otherwise
        of the pressure at each time. Default True.
    compression : float, optional
        Exponent of a broken stick from 20 to 90 dB SPL before rectification; see `audiometamer.ears.hair_cell.broken_stick`.
        Default: none.
    spikes : {"none", "additive"}
        Rates in spikes per second; or counts of spikes of 384, 160 and 96 fibres per frame, with Gaussian noise instead of
        binomial chance, differentiable. Default "none".
    seed : int
        Random seed of that noise, which is the same for every sound. Default 0.
    output_rate : int, optional
        Frames per second, a divisor of the sample rate. Default: half the sample rate.
    full_scale : float
        Level in dB SPL of a sound whose RMS is 1. Default 94: samples are pascals.
    n_channels, low, high, variant, sample_rate
        See `Gammatone`.

    Raises
    ------
    AudioMetamerError
        If an option is outside its range.

    Examples
    --------
    >>> import torch
    >>> from audiometamer.ears import Nerve
    >>> tone = 0.02 * torch.sin(2 * torch.pi * 500 * torch.arange(4000) / 20000)  # 57 dB SPL
    >>> Nerve()(tone).shape
    torch.Size([3, 50, 2000])
    """

    def __init__(
        self,
        *,
        cutoff: float = 3000.0,
        taps: Taps = "published",
        by_envelope: bool = True,
        compression: float | None = None,
        spikes: Literal["none", "additive"] = "none",
        seed: int = 0,
        output_rate: int | None = None,
        n_channels: int = 50,
        low: float = 60.0,
        high: float = 8000.0,
        variant: Literal["fir", "spectral"] = "fir",
        sample_rate: int = 20_000,
        full_scale: float = 94.0,
    ) -> None:
        super().__init__(
            n_channels=n_channels, low=low, high=high, variant=variant, sample_rate=sample_rate, full_scale=full_scale
        )
        if not 0 < cutoff < sample_rate / 2:
            raise AudioMetamerError(f"cutoff is {cutoff:g} Hz; it must be below half the sample rate of {sample_rate} Hz")
        if taps not in ("published", "intended"):
            raise AudioMetamerError(f"taps is {taps!r}; it must be 'published' or 'intended'")
        if spikes not in ("none", "additive"):
            raise AudioMetamerError(f"spikes is {spikes!r}; it must be 'none' or 'additive'")
        if compression is not None and not 0 < compression <= 1:
            raise AudioMetamerError(f"compression is {compression}; it must be an exponent above 0, at most 1")
        chosen = sample_rate // 2 if output_rate is None else as_integer(output_rate, "output_rate", least=1)
        if not chosen or sample_rate % chosen:
            raise AudioMetamerError(f"output_rate is {chosen} Hz; it must divide the sample rate of {sample_rate} Hz")
        self.cutoff, self.taps, self.by_envelope, self.compression = cutoff, taps, by_envelope, compression
        self.spikes, self.seed, self.stride = spikes, as_seed(seed), sample_rate // chosen

    def design(self, n_samples: int) -> Filters:
        """Responses of all filters, and the noise, for sounds of a length."""
        lowpass = lowpass_taps(self.cutoff, self.sample_rate, variant=self.taps)
        frames = -(-n_samples // self.stride)
        noise = np.random.default_rng(self.seed).standard_normal((frames, 3, len(self.centers)))
        spectrum = np.fft.rfft(lowpass, n=grid_length(n_samples, len(lowpass)))
        return {**super().design(n_samples), "lowpass": spectrum, "noise": np.moveaxis(noise, 0, -1).copy()}

    def process(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] to rates or counts [shape=(batch, 3, channels, frames)]."""
        filters = self.filters(sounds)
        channels = super().process(sounds) * self.pascals
        if self.compression is not None:
            channels = broken_stick(channels, power=self.compression, low=20.0, high=90.0)
        grid = grid_length(sounds.shape[-1], int(self.sample_rate * 0.05) | 1)
        potential = apply(channels.relu(), filters["lowpass"], grid)[..., :: self.stride]
        rate = self._rates(potential)
        if self.spikes == "none":
            return rate
        fibres = torch.tensor(_FIBRES, dtype=sounds.dtype, device=sounds.device)[:, None, None]
        return (rate * (self.stride / self.sample_rate) * fibres + filters["noise"]).relu()

    def _rates(self, potential: Tensor) -> Tensor:
        if not self.by_envelope:
            return rates(potential.relu())
        envelope = hilbert_envelope(potential, _SILENCE)
        return rates(envelope) * (potential / envelope).unsqueeze(-3)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, cutoff={self.cutoff:g}, taps={self.taps!r}, spikes={self.spikes!r}"
