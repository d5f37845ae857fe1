"""Hearing loss as simulated by MSBG: smeared spectra, broadened filters and loudness recruitment, from sound to sound."""

import math
import warnings
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from audiometamer.ears.audiograms import Audiogram
from audiometamer.ears.ear import Ear, Filters
from audiometamer.ears.msbg_bank import BANKS, Bank
from audiometamer.ears.outer_ear import FIELD_DELAY, LOWPASS_DELAY, RATE, field_to_cochlea, lowpass
from audiometamer.ears.smearing import hop_length, smear, smearing_matrix
from audiometamer.ears.spectra import apply, grid_frequencies, grid_length
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning

Degree = Literal["nothing", "mild", "moderate", "severe"]

_LOWEST_LOSS: dict[Degree, float] = {
    "severe": 56.0,
    "moderate": 35.0,
    "mild": 15.0,
}  # dB HL on average over 2 to 8 kHz, exclusive
_SMEARING = {"mild": (1.6, 1.1), "moderate": (2.4, 1.6), "severe": (4.0, 2.0)}  # broadening below and above a centre
_BANKS = {"nothing": 1.5, "mild": 1.5, "moderate": 2.0, "severe": 3.0}

_TRUSTED = 80.0  # dB HL, beyond which the model says itself that it is unrealistic
_MARGIN = 0.1  # dB below the catch-up level, where the expansion becomes infinite
_ENVELOPE_FLOOR = 1e-9
_PADDING = 0.25  # seconds in which every filter has died away
_MOST_CORRECTION = 10.0  # of the response of the whole, as a factor


class MSBG(Ear):
    """A hearing loss, from sound to sound: the model of Moore, Stone, Baer and Glasberg, differentiable, at any sample rate.

    The chain of ``claritychallenge/clarity`` (``evaluator/msbg``): free field to cochlea, smearing of the spectrum, gammatone
    filters 1.5, 2 or 3 times as broad as normal, recruitment in each channel, their sum, and back to the free field. All filters
    are those of 44.1 kHz, applied in the frequency domain, so that they mean the same at any rate.

    Parameters
    ----------
    audiogram : Audiogram
        Hearing loss of the ear.
    sample_rate : int
        Sample rate in Hz. Default 44100.
    full_scale : float
        Level in dB SPL of a sound whose RMS is 1. Default 120, as published.
    degree : {"nothing", "mild", "moderate", "severe"}, optional
        Which smearing and filters. Default: by the mean loss from 2 to 8 kHz, above 15, 35 and 56 dB HL.
    smearing : bool
        Whether to smear the spectrum. Default True.
    catch_up : float
        Level in dB SPL at which sounds are as loud as for a normal ear. Default 105.
    variant : {"corrected", "published"}
        ``published`` gives the samples of the published program: 1080 samples late at 44.1 kHz, or 1272 and three to four hops
        longer where the spectrum is smeared; lower by as many dB as the level of its active frames exceeds that of the whole; and
        with an uneven response (±1.4 dB) even without a loss. ``corrected`` is in time with the sound, as long and as loud, and
        even without a loss. Default "corrected".

    Raises
    ------
    AudioMetamerError
        If an option is outside its range.

    Warns
    -----
    AudioMetamerWarning
        If a loss exceeds 80 dB HL, beyond which the model is not to be trusted.

    Examples
    --------
    >>> import torch
    >>> from audiometamer.ears import MSBG, flat
    >>> tone = 0.01 * torch.sin(2 * torch.pi * 1000 * torch.arange(20000) / 20000)
    >>> ear = MSBG(flat(40), sample_rate=20000, full_scale=100)
    >>> heard = ear(tone)
    >>> round(float(ear.level(tone))), round(float(ear.level(heard)))
    (57, 24)
    """

    gives_sound = True

    def __init__(
        self,
        audiogram: Audiogram,
        *,
        sample_rate: int = RATE,
        full_scale: float = 120.0,
        degree: Degree | None = None,
        smearing: bool = True,
        catch_up: float = 105.0,
        variant: Literal["corrected", "published"] = "corrected",
    ) -> None:
        super().__init__(sample_rate=sample_rate, full_scale=full_scale)
        if degree is not None and degree not in _BANKS:
            raise AudioMetamerError(f"degree is {degree!r}; it must be one of {', '.join(_BANKS)}")
        if variant not in ("corrected", "published"):
            raise AudioMetamerError(f"variant is {variant!r}; it must be 'corrected' or 'published'")
        if not 60 <= catch_up <= 140:
            raise AudioMetamerError(f"catch_up is {catch_up}; it must be a level of 60 to 140 dB SPL")
        if (worst := max(audiogram.losses)) > _TRUSTED:
            warnings.warn(
                f"{audiogram.name}: a loss of {worst:g} dB HL; MSBG is not realistic above {_TRUSTED:g} dB HL",
                AudioMetamerWarning,
                stacklevel=2,
            )
        self.audiogram, self.catch_up, self.variant = audiogram, catch_up, variant
        self.degree: Degree = degree or degree_of(audiogram)
        self.smearing = smearing and self.degree in _SMEARING
        self.bank: Bank = BANKS[_BANKS[self.degree]]

    def expansion_ratios(self) -> Tensor:
        """Decibels by which each channel's output falls for one of its input, [shape=(channels,)], float64.

        R = C / (C − loss at its centre), C the catch-up level.
        """
        losses = [min(self.audiogram.at(center), self.catch_up - _MARGIN) for center in self._centers()]
        return self.catch_up / (self.catch_up - torch.tensor(losses, dtype=torch.float64))

    def _centers(self) -> tuple[float, ...]:
        return self.bank.centers[: self.bank.up_to(self.sample_rate / 2)]

    def design(self, n_samples: int) -> Filters:
        """Responses of all filters for sounds of a length."""
        smeared = self._smeared_length(n_samples)
        frequencies = grid_frequencies(self._grid(smeared), self.sample_rate)
        bank = self.bank.responses(frequencies)[: len(self._centers())]
        forward, back = field_to_cochlea(frequencies), field_to_cochlea(frequencies, backward=True) * lowpass(frequencies)
        whole = 10 ** (-self.bank.recombination / 20) * back.astype(complex)
        if self.variant == "published":
            whole *= np.exp(-2j * np.pi * frequencies * (FIELD_DELAY + LOWPASS_DELAY) / RATE)
            forward = forward * np.exp(-2j * np.pi * frequencies * FIELD_DELAY / RATE)
        elif self.degree == "nothing":
            whole *= _evening(forward * whole * bank.sum(0))
        hop = hop_length(self.sample_rate)
        return {
            "forward": forward.astype(complex),
            "bank": bank,
            "smoothing": self.bank.smoothing(frequencies)[: len(bank)].astype(complex),
            "back": whole,
            "exponents": self.expansion_ratios().numpy() - 1,
            "smearing": smearing_matrix(*_SMEARING[self.degree], 4 * hop, self.sample_rate) if self.smearing else np.empty(0),
        }

    def _smeared_length(self, n_samples: int) -> int:
        if not (self.smearing and self.variant == "published"):
            return n_samples
        hop = hop_length(self.sample_rate)
        return (-(-n_samples // hop) + 3) * hop

    def _grid(self, n_samples: int) -> int:
        return grid_length(n_samples, math.ceil(_PADDING * self.sample_rate))

    def process(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] as this ear hears them, in the free field."""
        filters = self.filters(sounds)
        published = self.variant == "published"
        if published:
            sounds = sounds * active_gain(sounds, self.sample_rate)
        n_fft = self._grid(self._smeared_length(sounds.shape[-1]))
        at_cochlea = apply(sounds, filters["forward"], n_fft)
        if self.smearing:
            at_cochlea = smear(at_cochlea, filters["smearing"], lead_in=not published)
        channels = apply(at_cochlea, filters["bank"], n_fft)
        envelopes = apply(channels.abs(), filters["smoothing"], n_fft, paired=True)
        recruited = channels * self.recruitment(envelopes, filters["exponents"])
        return apply(recruited.sum(-2), filters["back"], n_fft)

    def recruitment(self, envelopes: Tensor, exponents: Tensor) -> Tensor:
        """Gains of channels: (E / E_max)^(R − 1) for an envelope E, at most 1; E_max is the catch-up level.

        Parameters
        ----------
        envelopes : Tensor [shape=(..., channels, samples)]
            Re full scale.
        exponents : Tensor [shape=(channels,)]
            R − 1.
        """
        most = 10 ** ((self.catch_up - self.full_scale) / 20)
        return (envelopes.clamp(min(_ENVELOPE_FLOOR, most), most) / most) ** exponents[:, None]

    def extra_repr(self) -> str:
        return (
            f"{self.audiogram.name}, degree={self.degree!r}, sample_rate={self.sample_rate}, full_scale={self.full_scale:g}, "
            f"variant={self.variant!r}"
        )


def degree_of(audiogram: Audiogram) -> Degree:
    """The degree of a loss by its mean from 2 to 8 kHz: above 15 mild, above 35 moderate, above 56 dB HL severe."""
    loss = audiogram.high_frequency_loss
    return next((degree for degree, least in _LOWEST_LOSS.items() if loss > least), "nothing")


def active_gain(sounds: Tensor, sample_rate: float) -> Tensor:
    """Gains [shape=(batch, 1)] by which the published program lowers sounds: RMS of the whole over RMS of the active frames.

    Frames of 10 ms are active if their level is at most 12 dB below that of the whole; 1 if none is.
    """
    power = sounds.square().mean(-1, keepdim=True)
    length = round(0.01 * sample_rate)
    n_frames = sounds.shape[-1] // length if length else 0
    if not n_frames:
        return torch.ones_like(power)
    threshold = (power.detach() * 10**-1.2).clamp(min=1e-8)
    frames = sounds[:, : n_frames * length].unflatten(-1, (n_frames, length)).square().mean(-1)
    active = frames.detach() + threshold * 1e-3 >= threshold
    count = active.sum(-1, keepdim=True)
    loud = (frames * active).sum(-1, keepdim=True) / count.clamp(min=1)
    one = torch.ones_like(power)
    return torch.where(count > 0, power / torch.where(count > 0, loud, one), one).sqrt()


def _evening(response: np.ndarray) -> np.ndarray:
    """Response that makes another one even, by at most 20 dB; where it has none, such as above 18 kHz, nothing is added."""
    limited = np.maximum(np.abs(response), 1 / _MOST_CORRECTION)
    return np.conj(response) / (np.abs(response) + 1e-12) / limited
