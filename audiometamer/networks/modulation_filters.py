"""Spectrotemporal modulation filters on an octave axis (Chi, Ru & Shamma 2005; Norman-Haignere & McDermott 2018)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.cochleagram.filters import FloatArray
from audiometamer.errors import AudioMetamerError

FRAME_RATE_HZ = 400.0
CHANNELS_PER_OCTAVE = 24.0
RATES_HZ = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
SCALES_CYCLES_PER_OCTAVE = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SLOW_RATES_HZ = (0.125, 0.25)  # they spread the energy of a synthesis over its whole length
_DECAY = 3.5  # of the temporal impulse response, per cycle

Condition = Literal["cochlear", "temporal", "spectral", "full"]
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


class ModulationFilter(NamedTuple):
    """The tuning of one filter.

    Parameters
    ----------
    rate : float or None
        Temporal modulation rate in Hz: positive for downward sweeps, negative for upward ones. 0 passes the mean over time only;
        None passes everything, so that the filter is one of scale alone.
    scale : float or None
        Spectral modulation scale in cycles per octave; 0 and None in the same sense.
    """

    rate: float | None
    scale: float | None

    @property
    def direction(self) -> int:
        """1 for downward sweeps, −1 for upward ones, 0 for filters without a direction."""
        return int(np.sign(self.rate)) if self.rate and self.scale else 0


def published_filters(condition: Condition = "full", *, lowest_rate: float = 0.0) -> list[ModulationFilter]:
    """The filters that a condition of Norman-Haignere & McDermott (2018) matches beside the cochleagram itself.

    Parameters
    ----------
    condition : {"cochlear", "temporal", "spectral", "full"}
        None; 12 temporal filters; 7 spectral ones; or 143: both, and their combinations. Default "full".
    lowest_rate : float
        Rate in Hz below which filters are left out, but those of rate 0. Default 0: none.

    Raises
    ------
    AudioMetamerError
        If there is no such condition, or no rate that high.

    Examples
    --------
    >>> [len(published_filters(condition)) for condition in ("cochlear", "temporal", "spectral", "full")]
    [0, 12, 7, 143]
    """
    if condition not in CONDITIONS:
        raise AudioMetamerError(f"there is no condition {condition!r}; there are {', '.join(CONDITIONS)}")
    rates = (0.0, *rates_from(lowest_rate))
    temporal = [ModulationFilter(rate, None) for rate in rates]
    spectral = [ModulationFilter(None, scale) for scale in SCALES_CYCLES_PER_OCTAVE]
    both = [
        ModulationFilter(sign * rate, scale)
        for rate in rates
        for scale in SCALES_CYCLES_PER_OCTAVE
        for sign in ((1, -1) if rate and scale else (1,))
    ]
    slow = [ModulationFilter(rate, None) for rate in SLOW_RATES_HZ if rate >= lowest_rate]
    return {"cochlear": [], "temporal": temporal + slow, "spectral": spectral, "full": temporal + spectral + both + slow}[
        condition
    ]


def rates_from(lowest: float) -> list[float]:
    """The published rates in Hz above 0, from one on.

    Raises
    ------
    AudioMetamerError
        If there is none.
    """
    if not 0 <= lowest <= RATES_HZ[-1]:
        raise AudioMetamerError(f"lowest_rate is {lowest:g} Hz; give 0 to {RATES_HZ[-1]:g} Hz")
    return [rate for rate in RATES_HZ[1:] if rate >= lowest]


def temporal_response(
    rate: float, length: int, *, frame_rate: float = FRAME_RATE_HZ, lowpass: bool = False, causal: bool = True
) -> NDArray[np.complex128]:
    """Transfer function over time, on the bins of an FFT.

    That of sin(2πu) · u² · exp(−3.5u), u = rate · t, divided by its largest magnitude.

    Parameters
    ----------
    rate : float
        Best rate in Hz; 0 passes the mean only.
    length : int
        Length of the FFT.
    frame_rate : float
        In Hz. Default 400.
    lowpass : bool
        Whether the sine is left out. Default False.
    causal : bool
        Whether the response begins at time 0; otherwise its envelope peaks there, and it wraps around. Default True.

    Returns
    -------
    array, shape=(length,), complex
    """
    if rate == 0:
        return (np.arange(length) == 0).astype(np.complex128)
    t = np.arange(length) / frame_rate
    if not causal:
        t = t + 2 / (_DECAY * rate)
        t = np.where(t >= length / frame_rate, t % (length / frame_rate), t)
    u = rate * t
    impulse = u**2 * np.exp(-_DECAY * u) * (1.0 if lowpass else np.sin(2 * np.pi * u))
    response = np.fft.fft(impulse)
    return np.asarray(response / np.abs(response).max(), dtype=np.complex128)


def spectral_response(
    scale: float, length: int, *, channels_per_octave: float = CHANNELS_PER_OCTAVE, lowpass: bool = False
) -> FloatArray:
    """Transfer function over the octave axis, on the bins of an FFT, of zero phase.

    q · exp(−q), q = (Ω / scale)², divided by its largest value: a second derivative of a Gaussian.

    Parameters
    ----------
    scale : float
        Best scale in cycles per octave; 0 passes the mean only.
    length : int
        Length of the FFT.
    channels_per_octave : float
        Default 24.
    lowpass : bool
        Whether the response is exp(−(πΩ / (2 · scale))²). Default False.

    Returns
    -------
    array, shape=(length,)

    Raises
    ------
    AudioMetamerError
        If the scale is beyond half the number of channels per octave.
    """
    if scale == 0:
        return (np.arange(length) == 0).astype(np.float64)
    omega = np.abs(np.fft.fftfreq(length, 1 / channels_per_octave))
    if scale > omega.max():
        raise AudioMetamerError(
            f"a scale of {scale:g} cycles per octave needs more than {channels_per_octave:g} channels per octave: give at most "
            f"{omega.max():.4g}"
        )
    if lowpass:
        return np.asarray(np.exp(-((np.pi * omega / (2 * scale)) ** 2)), dtype=np.float64)
    q = (omega / scale) ** 2
    response = q * np.exp(-q)
    return np.asarray(response / response.max(), dtype=np.float64)


def padding_of(
    octaves: float | None, seconds: float | None, filters: Sequence[ModulationFilter] | None = None
) -> tuple[float, float]:
    """Padding in front in octaves and seconds: what is given, or 2 cycles of the lowest scale and 3 of the lowest rate above 0.

    Parameters
    ----------
    octaves, seconds : float, optional
    filters : sequence of ModulationFilter, optional
        Default: the 143 published ones, with 8 octaves and 24 s.

    Raises
    ------
    AudioMetamerError
        If one is below 0.

    Examples
    --------
    >>> padding_of(None, None)
    (8.0, 24.0)
    """
    listed = published_filters() if filters is None else filters
    rates = [abs(each.rate) for each in listed if each.rate]
    scales = [each.scale for each in listed if each.scale]
    octaves = 2 / min(scales, default=np.inf) if octaves is None else octaves
    seconds = 3 / min(rates, default=np.inf) if seconds is None else seconds
    for value, name in ((octaves, "padding_octaves"), (seconds, "padding_seconds")):
        if not 0 <= value < np.inf:
            raise AudioMetamerError(f"{name} is {value}; it must be 0 or more")
    return octaves, seconds


class ModulationFilterbank(nn.Module):
    """Modulation filters on cochleagrams whose axis is in octaves.

    The cochleagram is padded in front, below its lowest channel and before its first frame, with its mean: filters are causal, so
    what wraps around falls into the padding.

    Parameters
    ----------
    filters : sequence of ModulationFilter
        Default: the 143 of Norman-Haignere & McDermott (2018).
    padding_octaves : float, optional
        Default: 2 cycles of the lowest scale above 0, which is 8 octaves.
    padding_seconds : float, optional
        Default: 3 cycles of the lowest rate above 0, which is 24 s. Less is quicker; the slowest filters then see the end of the
        sound before its beginning.
    """

    def __init__(
        self,
        filters: Sequence[ModulationFilter] | None = None,
        *,
        padding_octaves: float | None = None,
        padding_seconds: float | None = None,
    ) -> None:
        super().__init__()
        self.filters = published_filters() if filters is None else [ModulationFilter(*each) for each in filters]
        octaves, seconds = padding_of(padding_octaves, padding_seconds, self.filters)
        self.padding = round(octaves * CHANNELS_PER_OCTAVE), round(seconds * FRAME_RATE_HZ)
        self._responses: dict[tuple[object, ...], Tensor] = {}

    def __len__(self) -> int:
        return len(self.filters)

    def pad(self, cochleagram: Tensor) -> Tensor:
        """A cochleagram [shape=(batch, channels, frames)] with the mean of each in front of both dimensions."""
        channels, frames = self.padding
        padded = cochleagram.mean((1, 2))[:, None, None].expand(
            -1, cochleagram.shape[1] + channels, cochleagram.shape[2] + frames
        )
        padded = padded.clone()
        padded[:, channels:, frames:] = cochleagram
        return padded

    def unpad(self, padded: Tensor) -> Tensor:
        """The cochleagram, or a map of it, without its padding."""
        return padded[..., self.padding[0] :, self.padding[1] :]

    def response(self, tuning: ModulationFilter, shape: tuple[int, int], *, analytic: bool = False) -> Tensor:
        """The transfer function of a filter, complex [shape=(channels, frames // 2 + 1)], in double precision.

        Parameters
        ----------
        tuning : ModulationFilter
        shape : tuple of int
            Channels and frames, with their padding.
        analytic : bool
            Whether the half of positive rates, or of positive scales of a filter without a rate, is doubled and the other left
            out; the real part of its output is that of the filter. Default False.
        """
        like = torch.zeros(0, dtype=torch.complex128)
        over_frequency, over_time = self.factors(tuning, like, shape)
        response = over_frequency * over_time
        if analytic and tuning.rate is not None:
            response = response * _doubled(shape[1])[: shape[1] // 2 + 1]
        elif analytic and tuning.scale is not None:
            response = response * _doubled(shape[0])[:, None]
        return response

    def _factors(self, tuning: ModulationFilter, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Responses over time [shape=(frames // 2 + 1,)] and frequency [shape=(channels,)], kept for the next sound."""
        channels, frames = shape
        keys = (("rate", tuning.rate and abs(tuning.rate), frames), ("scale", tuning.scale, channels))
        for name, value, length in keys:
            if (name, value, length) in self._responses:
                continue
            if value is None:
                made: NDArray[np.complex128] = np.ones(length, dtype=np.complex128)
            elif name == "rate":
                made = temporal_response(value, length)
            else:
                made = spectral_response(value, length).astype(np.complex128)
            kept = made[: length // 2 + 1] if name == "rate" else made
            self._responses[name, value, length] = torch.from_numpy(kept)
        return self._responses[keys[0]], self._responses[keys[1]]

    def spectrum(self, cochleagram: Tensor) -> Tensor:
        """Fourier transform of the padded cochleagram, [shape=(batch, channels, frames // 2 + 1)], padding included."""
        return torch.fft.fft(torch.fft.rfft(self.pad(cochleagram)), dim=1)

    def padded_shape(self, cochleagram: Tensor) -> tuple[int, int]:
        """Channels and frames of a cochleagram with its padding."""
        return cochleagram.shape[-2] + self.padding[0], cochleagram.shape[-1] + self.padding[1]

    def by_scale_and_direction(self) -> list[list[ModulationFilter]]:
        """The filters in groups that differ in rate only."""
        groups: dict[tuple[float | None, int], list[ModulationFilter]] = {}
        for tuning in self.filters:
            groups.setdefault((tuning.scale, tuning.direction), []).append(tuning)
        return list(groups.values())

    def factors(self, tuning: ModulationFilter, like: Tensor, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What a filter does along frequency [shape=(channels, 1 or frames // 2 + 1)] and along time [shape=(frames // 2 + 1,)].

        Their product is its transfer function; filters of one scale and direction share the former.

        Parameters
        ----------
        tuning : ModulationFilter
        like : Tensor
            Spectrum whose type and device they have.
        shape : tuple of int
            Channels and frames, with their padding.
        """
        over_time, over_frequency = (factor.to(like) for factor in self._factors(tuning, shape))
        over_frequency = over_frequency[:, None]
        if tuning.direction:
            over_frequency = over_frequency * _quadrant(tuning.direction, shape).to(like.device)
        return over_frequency, over_time

    def maps(self, cochleagram: Tensor, *, analytic: bool = False) -> Iterator[Tensor]:
        """The filtered maps one after the other, [shape=(batch, channels, frames)] each; see `forward`."""
        spectrum, shape = self.spectrum(cochleagram), self.padded_shape(cochleagram)
        shared: dict[tuple[float | None, int], Tensor] = {}
        for tuning in self.filters:
            over_frequency, over_time = self.factors(tuning, spectrum, shape)
            if analytic and tuning.rate is None:
                yield self.unpad(_analytic_over_frequency(spectrum * over_frequency, shape))
                continue
            key = tuning.scale, tuning.direction
            if key not in shared:
                shared[key] = torch.fft.ifft(spectrum * over_frequency, dim=1)[:, self.padding[0] :]
            spectra = shared[key] * over_time
            if analytic:
                one_sided = spectra * _doubled(shape[1])[: shape[1] // 2 + 1].to(spectrum)
                yield torch.fft.ifft(one_sided, n=shape[1])[..., self.padding[1] :]
            else:
                yield torch.fft.irfft(spectra, n=shape[1])[..., self.padding[1] :]

    def forward(self, cochleagram: Tensor, *, analytic: bool = False) -> Tensor:
        """Filtered maps of a cochleagram.

        Parameters
        ----------
        cochleagram : Tensor [shape=(batch, channels, frames)]
            Channels at 24 per octave, low frequency first; frames at 400 Hz.
        analytic : bool
            Whether maps are analytic signals, whose magnitude is the map's envelope. Default False.

        Returns
        -------
        Tensor [shape=(batch, filters, channels, frames)]
        """
        return torch.stack(list(self.maps(cochleagram, analytic=analytic)), dim=1)


def _inner(length: int) -> Tensor:
    """Frequencies of an FFT in cycles per sample; 0 for that of Nyquist, which is of both signs."""
    frequencies = torch.fft.fftfreq(length, dtype=torch.float64)
    return torch.where(frequencies == -0.5, torch.zeros_like(frequencies), frequencies)


@lru_cache(maxsize=8)
def _quadrant(direction: int, shape: tuple[int, int]) -> Tensor:
    """Where a filter of a direction passes, [shape=(channels, frames // 2 + 1)]; lines of zero and Nyquist frequency do."""
    over_time = _inner(shape[1])[: shape[1] // 2 + 1]
    return torch.sign(_inner(shape[0]))[:, None] * torch.sign(over_time) * direction >= 0


def _doubled(length: int) -> Tensor:
    """Factors that make a spectrum analytic, [shape=(length,)]."""
    return 1 + torch.sign(_inner(length))


def _analytic_over_frequency(filtered: Tensor, shape: tuple[int, int]) -> Tensor:
    """The analytic map of a filtered spectrum without a rate: its real map, and that in quadrature along the frequency axis."""
    quarter = -1j * torch.sign(_inner(shape[0])).to(filtered)[:, None]
    parts = [torch.fft.ifft(filtered * turn, dim=1) for turn in (1, quarter)]
    return torch.complex(*(torch.fft.irfft(part, n=shape[1]) for part in parts))
