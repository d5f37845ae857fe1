"""Spaces of distortions: which changes of a sound are allowed, and how their size is measured.

A space maps coefficients z to a change ε = B z of the signal, and the size of the change is ‖z‖. Where the columns of B are
orthonormal that is ε's own size; where they are not, as in `WithinEnvelope`, it is a size relative to the sound.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from audiometamer.cochleagram.filters import hz_to_erb
from audiometamer.errors import AudioMetamerError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SpaceName = Literal["all", "level", "envelope", "cochlea", "band"]


class Space(ABC):
    """A space of changes of a signal: ε = B z, of size ‖z‖.

    Attributes
    ----------
    size : int
        Number of coefficients.
    inputs : int
        Number of values of a signal.
    description : str
        The space in words.
    """

    size: int
    inputs: int
    description: str

    @abstractmethod
    def signals(self, coefficients: Tensor) -> Tensor:
        """B z for rows z [shape=(n, size)]: [shape=(n, inputs)]."""

    @abstractmethod
    def coefficients(self, signals: Tensor) -> Tensor:
        """Bᵀ v for rows v [shape=(n, inputs)]: [shape=(n, size)]."""

    def nearest(self, signals: Tensor) -> Tensor:
        """Coefficients [shape=(n, size)] of the changes in the space nearest to given ones [shape=(n, inputs)]."""
        return self.coefficients(signals)  # of orthonormal columns


class EverySample(Space):
    """All changes of a signal of `inputs` values."""

    description = "all changes, of equal RMS"

    def __init__(self, inputs: int) -> None:
        self.inputs = self.size = inputs

    def signals(self, coefficients: Tensor) -> Tensor:
        return coefficients

    def coefficients(self, signals: Tensor) -> Tensor:
        return signals


class _Basis(Space):
    """The span of orthonormal rows [shape=(size, inputs)]."""

    def __init__(self, rows: "NDArray[np.float64]", description: str) -> None:
        self.rows, self.description = torch.from_numpy(rows), description
        self.size, self.inputs = self.rows.shape

    def signals(self, coefficients: Tensor) -> Tensor:
        return coefficients @ self.rows.to(coefficients)

    def coefficients(self, signals: Tensor) -> Tensor:
        return signals @ self.rows.to(signals).T


class Band(Space):
    """Changes within a frequency band: sines and cosines at the DFT's frequencies, orthonormal.

    Parameters
    ----------
    samples : int
        Number of samples of the sound.
    sample_rate : int
        Hz.
    low, high : float
        Edges of the band in Hz, both included.

    Raises
    ------
    AudioMetamerError
        If the band contains no frequency of the DFT.

    Examples
    --------
    >>> Band(1000, sample_rate=1000, low=10, high=20).size  # a sine and a cosine at each of 10, 11, …, 20 Hz
    22
    """

    def __init__(self, samples: int, *, sample_rate: int, low: float, high: float) -> None:
        frequencies = torch.arange(samples // 2 + 1, dtype=torch.float64) * sample_rate / samples
        self.bins = ((frequencies >= low) & (frequencies <= high)).nonzero()[:, 0]
        if not len(self.bins):
            raise AudioMetamerError(
                f"the band from {low:g} to {high:g} Hz holds no frequency of {samples} samples at {sample_rate} Hz, which has "
                f"multiples of {sample_rate / samples:.3g} Hz up to {sample_rate / 2:g} Hz"
            )
        real = (self.bins == 0) | (self.bins * 2 == samples)  # these have a cosine only
        self.scale = torch.where(real, 1.0, 0.5**0.5).to(torch.float64)
        self.sines = (~real).nonzero()[:, 0]
        self.inputs, self.size = samples, len(self.bins) + len(self.sines)
        self.description = f"changes from {low:g} to {high:g} Hz, of equal RMS"

    def signals(self, coefficients: Tensor) -> Tensor:
        cosines, sines = coefficients.split([len(self.bins), len(self.sines)], dim=1)
        imaginary = torch.zeros_like(cosines)
        imaginary[:, self.sines] = sines
        spectra = torch.zeros(len(coefficients), self.inputs // 2 + 1, dtype=torch.complex128, device=coefficients.device)
        spectra[:, self.bins] = torch.complex(cosines, imaginary).to(spectra) * self.scale.to(coefficients.device)
        return torch.fft.irfft(spectra, n=self.inputs, norm="ortho").to(coefficients)

    def coefficients(self, signals: Tensor) -> Tensor:
        spectra = torch.fft.rfft(signals.double(), norm="ortho")[:, self.bins] / self.scale.to(signals.device)
        return torch.cat([spectra.real, spectra.imag[:, self.sines]], dim=1).to(signals)


class EqualLevel(Space):
    """Changes that leave the RMS of a signal as it is, to first order: those orthogonal to it.

    Its basis is the Householder reflection of the first unit vector to ±x/‖x‖, without its first column.

    Parameters
    ----------
    signal : Tensor

    Raises
    ------
    AudioMetamerError
        If the signal is silent.
    """

    description = "changes that leave the level as it is, of equal RMS"

    def __init__(self, signal: Tensor) -> None:
        mirror = signal.detach().double().flatten().clone()
        length = _length(mirror)
        mirror[0] += math.copysign(length, float(mirror[0]))
        self.mirror = mirror / mirror.norm()
        self.inputs, self.size = len(mirror), len(mirror) - 1

    def _reflected(self, rows: Tensor) -> Tensor:
        mirror = self.mirror.to(rows)
        return rows - 2 * (rows @ mirror)[:, None] * mirror

    def signals(self, coefficients: Tensor) -> Tensor:
        return self._reflected(torch.nn.functional.pad(coefficients, (1, 0)))

    def coefficients(self, signals: Tensor) -> Tensor:
        return self._reflected(signals)[:, 1:]


class WithinEnvelope(Space):
    """Changes that follow the sound's own envelope: ε(t) = e(t) z(t), e the Hilbert envelope, of mean square 1.

    The size ‖z‖ is relative to the envelope, so that changes are largest where the sound is; none is made where the envelope is
    60 dB below its peak.

    Parameters
    ----------
    signal : Tensor [shape=(samples,)]
    sample_rate : int
        Hz.
    cutoff : float
        Frequency in Hz to which the envelope is smoothed, by a Gaussian of that −3-dB point. Default 30.

    Raises
    ------
    AudioMetamerError
        If the signal is silent.
    """

    def __init__(self, signal: Tensor, *, sample_rate: int, cutoff: float = 30.0) -> None:
        sound = signal.detach().double().flatten()
        _length(sound)
        smooth = envelope(sound, sample_rate=sample_rate, cutoff=cutoff)
        self.heard = (smooth > 1e-3 * smooth.max()).nonzero()[
            :, 0
        ]  # no coefficients 60 dB below the peak: B would not be invertible
        self.envelope = (smooth / smooth.square().mean().sqrt())[self.heard]
        self.inputs, self.size = len(sound), len(self.heard)
        self.description = f"changes within the sound's envelope (up to {cutoff:g} Hz), of equal RMS relative to it"

    def signals(self, coefficients: Tensor) -> Tensor:
        rows = coefficients.new_zeros(len(coefficients), self.inputs)
        rows[:, self.heard] = coefficients * self.envelope.to(coefficients)
        return rows

    def coefficients(self, signals: Tensor) -> Tensor:
        return signals[:, self.heard] * self.envelope.to(signals)

    def nearest(self, signals: Tensor) -> Tensor:
        return signals[:, self.heard] / self.envelope.to(signals)


def cochlear_bands(signal: Tensor, *, sample_rate: int, bands: int = 30, low: float = 50.0, high: float | None = None) -> Space:
    """Changes of the level and phase of a sound's subbands: the span of each subband and its Hilbert transform.

    Subbands are cut by half-cosine filters between points equally spaced on the ERB-number scale (Glasberg & Moore 1990), whose
    squares add up to 1 between them.

    Parameters
    ----------
    signal : Tensor [shape=(samples,)]
    sample_rate : int
        Hz.
    bands : int
        Number of bands. Default 30.
    low, high : float
        Centres of the lowest and highest bands in Hz. Default 50 and 0.45 times the sample rate.

    Returns
    -------
    Space
        Of at most 2 · bands coefficients: subbands without energy have none.

    Raises
    ------
    AudioMetamerError
        If the signal is silent, or the frequencies are not in order.
    """
    sound = signal.detach().double().cpu().flatten()
    _length(sound)
    spectra = np.fft.rfft(sound.numpy()) * erb_gains(len(sound), sample_rate=sample_rate, bands=bands, low=low, high=high)
    rows = np.fft.irfft(np.concatenate([spectra, -1j * spectra]), n=len(sound))
    top = f"{0.45 * sample_rate if high is None else high:g}"
    return _Basis(_orthonormal(rows), f"changes of level and phase of {bands} cochlear bands, {low:g}–{top} Hz, of equal RMS")


def erb_gains(
    samples: int, *, sample_rate: int, bands: int, low: float = 50.0, high: float | None = None
) -> "NDArray[np.float64]":
    """Gains of half-cosine filters equally spaced on the ERB-number scale (Glasberg & Moore 1990), with squares that add up to 1.

    Parameters
    ----------
    samples : int
        Number of samples of the sound.
    sample_rate : int
        Hz.
    bands : int
    low, high : float
        Centres of the lowest and highest bands in Hz. Default 50 and 0.45 times the sample rate.

    Returns
    -------
    array [shape=(bands, samples // 2 + 1)]
        At the frequencies of the DFT; the squares add up to 1 between the outer centres.
    """
    high = 0.45 * sample_rate if high is None else high
    if bands < 2 or not 0 < low < high <= sample_rate / 2:
        raise AudioMetamerError(
            f"{bands} bands from {low:g} to {high:g} Hz; give at least 2, and 0 < low < high ≤ {sample_rate / 2:g} Hz"
        )
    centres = np.linspace(float(hz_to_erb(low)), float(hz_to_erb(high)), bands)
    places = np.asarray(hz_to_erb(np.fft.rfftfreq(samples, 1 / sample_rate)))
    offsets = (places - centres[:, None]) / (centres[1] - centres[0])
    return np.where(np.abs(offsets) < 1, np.cos(offsets * math.pi / 2), 0)


def envelope(sound: Tensor, *, sample_rate: int, cutoff: float = 30.0) -> Tensor:
    """The Hilbert envelope of a sound [shape=(samples,)], smoothed by a Gaussian.

    Parameters
    ----------
    sound : Tensor [shape=(samples,)]
    sample_rate : int
        Hz.
    cutoff : float
        Frequency in Hz at which the Gaussian is −3 dB. Default 30.
    """
    import scipy.signal

    n = len(sound)
    magnitude = np.abs(scipy.signal.hilbert(sound.double().cpu().numpy()))
    gains = np.exp2(-0.5 * (np.fft.rfftfreq(n, 1 / sample_rate) / cutoff) ** 2)
    return torch.from_numpy(np.fft.irfft(np.fft.rfft(magnitude) * gains, n).clip(0))


def spanned(signals: Sequence[Tensor] | Tensor, *, description: str = "the span of given signals, of equal RMS") -> Space:
    """The span of given signals.

    Parameters
    ----------
    signals : sequence of Tensor, or Tensor [shape=(n, ...)]
    description : str
        The space in words.
    """
    return _Basis(_orthonormal(torch.stack([s.detach().double().cpu().flatten() for s in signals]).numpy()), description)


def space_named(
    name: SpaceName, signal: Tensor, *, sample_rate: int | None, band: tuple[float, float] | None = None, bands: int = 30
) -> Space:
    """A space by its name.

    Parameters
    ----------
    name : {"all", "level", "envelope", "cochlea", "band"}
        `EverySample`, `EqualLevel`, `WithinEnvelope`, `cochlear_bands` or `Band`.
    signal : Tensor [shape=signal_shape]
    sample_rate : int or None
        Hz; None if it is not a sound.
    band : tuple of float, optional
        Edges in Hz of the band, which ``"band"`` needs. Default: none.
    bands : int
        Number of cochlear bands. Default 30.

    Raises
    ------
    AudioMetamerError
        If the space takes sounds of one channel and this is none, or a band is missing or superfluous.
    """
    if (band is not None) != (name == "band"):
        raise AudioMetamerError("the space band and a band LOW HIGH go together; give both or neither")
    if name == "all":
        return EverySample(signal.numel())
    if name == "level":
        return EqualLevel(signal)
    if signal.ndim != 1 or sample_rate is None:
        raise AudioMetamerError(f"the space {name} takes sounds of one channel, not signals of shape {tuple(signal.shape)}")
    if name == "envelope":
        return WithinEnvelope(signal, sample_rate=sample_rate)
    if name == "cochlea":
        return cochlear_bands(signal, sample_rate=sample_rate, bands=bands)
    assert band is not None
    return Band(len(signal), sample_rate=sample_rate, low=band[0], high=band[1])


def _orthonormal(rows: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Orthonormal rows with the same span."""
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    if not values[0] > 0:
        raise AudioMetamerError("a space of distortions is the span of silent signals; give at least one that is not")
    return np.ascontiguousarray(directions[values > 1e-10 * values[0]])


def _length(sound: Tensor) -> float:
    length = float(sound.norm())
    if not length > 0:
        raise AudioMetamerError("the sound is silent; a space of changes relative to it needs one that is not")
    return length
