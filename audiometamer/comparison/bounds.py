"""The sounds that a comparison searches: bounded in RMS, peak and frequency band."""

from dataclasses import dataclass

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Waveform


@dataclass(frozen=True)
class BoundedSound(Waveform):
    """Sounds within a frequency band, and no louder than an RMS and a peak.

    Parameters
    ----------
    deviation : float
        Standard deviation of the noise that a sound starts from, before it is projected. Default 0.1.
    low, high : float
        Range of the samples; the peak is the smaller of their magnitudes. Default ±1.
    rms : float, optional
        Largest RMS, over all channels. Default: no limit.
    fixed_rms : bool
        Whether sounds have that RMS exactly, unless their peak forbids it. Default False.
    band : tuple of float, optional
        Lowest and highest frequency in Hz. Default: all.
    sample_rate : int, optional
        Hz; required for a band.

    Examples
    --------
    >>> sounds = BoundedSound(rms=0.1).project(torch.ones(1, 4))
    >>> sounds.tolist()
    [[0.10000000149011612, 0.10000000149011612, 0.10000000149011612, 0.10000000149011612]]
    """

    deviation: float = 0.1
    rms: float | None = None
    fixed_rms: bool = False
    band: tuple[float, float] | None = None
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        if not self.low < 0 < self.high:
            raise AudioMetamerError(f"samples from {self.low:g} to {self.high:g}; a sound has samples below and above 0")
        if self.rms is not None and not self.rms > 0:
            raise AudioMetamerError(f"rms is {self.rms:g}; it must be above 0")
        if self.fixed_rms and self.rms is None:
            raise AudioMetamerError("fixed_rms needs an rms")
        if self.band is not None and self.sample_rate is None:
            raise AudioMetamerError(f"the band from {self.band[0]:g} to {self.band[1]:g} Hz needs a sample_rate")
        if self.band is not None and not 0 <= self.band[0] < min(self.band[1], (self.sample_rate or 0) / 2):
            raise AudioMetamerError(
                f"the band is {self.band[0]:g} to {self.band[1]:g} Hz; it must rise, from 0 to {self.sample_rate} / 2"
            )

    @property
    def peak(self) -> float:
        """Largest magnitude of a sample."""
        return min(-self.low, self.high)

    def project(self, signals: Tensor) -> Tensor:
        """Sounds within the bounds: filtered, then scaled, which keeps the band; a sound that is silent stays so."""
        within = signals if self.band is None else self._filtered(signals)
        rows = within.flatten(1)
        gain = rows.new_ones(len(rows))
        if self.rms is not None:
            wanted = self.rms / rows.square().mean(1).sqrt().clamp_min(1e-12)
            gain = wanted if self.fixed_rms else wanted.clamp_max(1)
        gain = torch.minimum(gain, self.peak / rows.abs().amax(1).clamp_min(1e-12))
        return within * gain.view(-1, *[1] * (signals.ndim - 1))

    def _filtered(self, signals: Tensor) -> Tensor:
        assert self.band is not None
        assert self.sample_rate is not None
        n = signals.shape[-1]
        frequencies = torch.fft.rfftfreq(n, 1 / self.sample_rate, device=signals.device)
        kept = (frequencies >= self.band[0]) & (frequencies <= self.band[1])
        return torch.fft.irfft(torch.fft.rfft(signals) * kept, n)
