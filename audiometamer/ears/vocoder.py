"""Vocoders: what is left of a sound in the envelopes of a few bands, as through a cochlear implant, from sound to sound."""

import math
from typing import Literal

import numpy as np
import torch
from scipy.signal import butter, sosfreqz
from torch import Tensor

from audiometamer.ears.carriers import CARRIERS, Carrier, carriers
from audiometamer.ears.ear import Ear, Filters
from audiometamer.ears.spectra import FloatArray, apply, grid_frequencies, grid_length, hilbert_envelope
from audiometamer.ears.vocoder_bands import Spacing, band_response, device_bands, spaced_bands
from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer, as_seed

_PADDING = 0.25  # seconds in which filters have died away
_FLOOR = 1e-24  # of mean squares: silence stays silent, with a finite gradient


class Vocoder(Ear):
    """A vocoder, from sound to sound: envelopes of bands on other carriers, as used to simulate cochlear implants.

    After ``vocode.m`` of ``egaudrain/vocoder`` (Gaudrain & Başkent 2015), with zero-phase filters in the frequency domain where
    that runs filters forwards and backwards: away from the ends of the sound they agree. Each band keeps the RMS that it has in
    the sound, and all of them together that of the sound between their outer edges.

    Parameters
    ----------
    n_bands : int
        Number of bands. Default 8.
    low, high : float
        Outer edges in Hz. Defaults 150 and 7000.
    spacing : {"greenwood", "log", "linear"}
        See `spaced_bands`. Default "greenwood".
    device : {"ci24", "hr90k"}, optional
        Bands of an implant's speech processor instead. Default: none.
    carrier : {"noise", "identical-noise", "sine", "low-noise", "harmonic", "pshc"}
        See `audiometamer.ears.carriers.carriers`. Default "noise", independent in each band; the published program has the same
        noise in all of them, ``identical-noise``.
    shift : float
        Millimetres towards the base by which the bands of the output lie above those of the sound: a shallow insertion.
        Default 0.
    order : float
        Order of the band-pass filters as designed; 2 · order poles on either side in effect. Default 3.
    envelope : {"half-wave", "full-wave", "hilbert"}
        Rectified and low-pass filtered, or the Hilbert envelope. Default "half-wave".
    envelope_limit : float
        Cut-off of that low-pass filter in Hz. Default 250.
    envelope_order : int
        Its order as designed; twice as high in effect. Default 2.
    filter_carriers : bool
        Whether carriers are filtered before they are modulated. Default False.
    filter_after : bool
        Whether modulated carriers are filtered, which removes side bands. Default True.
    n_of_m : int, optional
        Number of bands that are kept at each time, those with the largest envelopes; bands then keep their envelopes, not their
        RMS. Default: all.
    f0 : float
        Fundamental frequency of harmonic carriers in Hz. Default 100; for ``pshc``, 1 is usual.
    seed : int
        Random seed of the carriers. Default 0.
    sample_rate : int
        Sample rate in Hz. Default 20000.
    full_scale : float
        Level in dB SPL of a sound whose RMS is 1; a vocoder does not depend on it. Default 94.

    Raises
    ------
    AudioMetamerError
        If an option is outside its range, or a band reaches half the sample rate.

    Examples
    --------
    >>> import torch
    >>> from audiometamer.ears import Vocoder
    >>> ear = Vocoder(device="ci24", carrier="sine")
    >>> len(ear.analysis), ear(torch.randn(2, 4000)).shape
    (22, torch.Size([2, 4000]))
    """

    gives_sound = True

    def __init__(
        self,
        *,
        n_bands: int = 8,
        low: float = 150.0,
        high: float = 7000.0,
        spacing: Spacing = "greenwood",
        device: str | None = None,
        carrier: Carrier = "noise",
        shift: float = 0.0,
        order: float = 3.0,
        envelope: Literal["half-wave", "full-wave", "hilbert"] = "half-wave",
        envelope_limit: float = 250.0,
        envelope_order: int = 2,
        filter_carriers: bool = False,
        filter_after: bool = True,
        n_of_m: int | None = None,
        f0: float = 100.0,
        seed: int = 0,
        sample_rate: int = 20_000,
        full_scale: float = 94.0,
    ) -> None:
        super().__init__(sample_rate=sample_rate, full_scale=full_scale)
        if carrier not in CARRIERS:
            raise AudioMetamerError(f"carrier is {carrier!r}; it must be one of {', '.join(CARRIERS)}")
        if envelope not in ("half-wave", "full-wave", "hilbert"):
            raise AudioMetamerError(f"envelope is {envelope!r}; it must be 'half-wave', 'full-wave' or 'hilbert'")
        if not 0.5 <= order <= 12 or 2 * order != int(2 * order):
            raise AudioMetamerError(f"order is {order}; it must be 0.5, 1, 1.5, … or 12")
        if not 0 < envelope_limit < sample_rate / 2:
            raise AudioMetamerError(f"envelope_limit is {envelope_limit} Hz; it must be below half the sample rate")
        if f0 <= 0:
            raise AudioMetamerError(f"f0 is {f0} Hz; it must be above 0")
        if device is None:
            n_bands = as_integer(n_bands, "n_bands", least=1)
            self.analysis = spaced_bands(n_bands, low, high, spacing=spacing)
            self.synthesis = spaced_bands(n_bands, low, high, spacing=spacing, shift=shift)
        else:
            self.analysis, self.synthesis = device_bands(device), device_bands(device, shift=shift)
        if (highest := max(self.analysis.edges[-1], self.synthesis.edges[-1])) >= sample_rate / 2:
            raise AudioMetamerError(
                f"the highest band ends at {highest:.0f} Hz; it must be below half the sample rate of {sample_rate} Hz"
            )
        if n_of_m is not None and not 1 <= n_of_m <= len(self.analysis):
            raise AudioMetamerError(f"n_of_m is {n_of_m}; it must be 1 to {len(self.analysis)}, the number of bands")
        self.carrier, self.order, self.envelope, self.n_of_m = carrier, order, envelope, n_of_m
        self.envelope_limit, self.envelope_order = envelope_limit, as_integer(envelope_order, "envelope_order", least=1)
        self.filter_carriers, self.filter_after, self.f0, self.seed = filter_carriers, filter_after, f0, as_seed(seed)

    def design(self, n_samples: int) -> Filters:
        """Responses of all filters, and the carriers, for sounds of a length."""
        frequencies = grid_frequencies(self._grid(n_samples), self.sample_rate)
        edges = self.analysis.edges
        synthesis = self.synthesis.responses(frequencies, self.sample_rate, self.order)
        rows = carriers(self.carrier, self.synthesis, n_samples, self.sample_rate, f0=self.f0, seed=self.seed)
        if self.filter_carriers:
            spectra = np.fft.rfft(rows, n=self._grid(n_samples)) * synthesis
            rows = np.fft.irfft(spectra, n=self._grid(n_samples))[:, :n_samples]
        return {
            "analysis": self.analysis.responses(frequencies, self.sample_rate, self.order).astype(complex),
            "synthesis": synthesis.astype(complex),
            "whole": band_response(edges[0], edges[-1], frequencies, self.sample_rate, math.ceil(self.order)).astype(complex),
            "smoothing": self._smoothing(frequencies).astype(complex),
            "carriers": rows,
        }

    def _smoothing(self, frequencies: FloatArray) -> FloatArray:
        sos = butter(self.envelope_order, self.envelope_limit, output="sos", fs=self.sample_rate)
        return np.abs(sosfreqz(sos, frequencies, fs=self.sample_rate)[1]) ** 2

    def _grid(self, n_samples: int) -> int:
        return grid_length(n_samples, math.ceil(_PADDING * self.sample_rate))

    def envelopes(self, sounds: Tensor) -> Tensor:
        """Envelopes [shape=(batch, bands, samples)] of the bands of sounds [shape=(batch, samples)], each with its band's RMS."""
        bands = self._bands(sounds)
        envelopes = self._envelopes(bands)
        return envelopes * (_rms(bands) / _rms(envelopes))

    def _bands(self, sounds: Tensor) -> Tensor:
        return apply(sounds, self.filters(sounds)["analysis"], self._grid(sounds.shape[-1]))

    def _envelopes(self, bands: Tensor) -> Tensor:
        if self.envelope == "hilbert":
            return hilbert_envelope(bands, _FLOOR**0.5)
        rectified = bands.relu() if self.envelope == "half-wave" else bands.abs()
        smoothing = self.filters(bands[:, 0])["smoothing"]
        return apply(rectified, smoothing, self._grid(bands.shape[-1])).relu()

    def process(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] as the vocoder gives them."""
        filters, n_fft = self.filters(sounds), self._grid(sounds.shape[-1])
        bands = self._bands(sounds)
        envelopes = self._envelopes(bands)
        if self.n_of_m is not None:
            least = envelopes.detach().topk(self.n_of_m, dim=1).values[:, -1:]
            envelopes = torch.where(envelopes >= least, envelopes, torch.zeros_like(envelopes))
        modulated = envelopes * filters["carriers"]
        if self.filter_after:
            modulated = apply(modulated, filters["synthesis"], n_fft, paired=True)
        if self.n_of_m is None:
            modulated = modulated * (_rms(bands) / _rms(modulated))
        together = modulated.sum(1)
        return together * (_rms(apply(sounds, filters["whole"], n_fft)) / _rms(together))

    def extra_repr(self) -> str:
        return f"{len(self.analysis)} bands, carrier={self.carrier!r}, sample_rate={self.sample_rate}, seed={self.seed}"


def _rms(sounds: Tensor) -> Tensor:
    """RMS [shape=(..., 1)] of sounds [shape=(..., samples)]; that of silence is a tiny number."""
    return (sounds.square().mean(-1, keepdim=True) + _FLOOR).sqrt()
