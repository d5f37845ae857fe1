"""Half-cosine cochlear filters, as gains on the bins of an FFT."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError

FloatArray = NDArray[np.floating[Any]]

# Equivalent rectangular bandwidth of the human auditory filter, Glasberg & Moore (1990), in the form ERB = 24.7 + f / 9.265.
_EAR_Q = 9.265
_MIN_BANDWIDTH_HZ = 24.7


def hz_to_erb(frequency: FloatArray | float) -> FloatArray:
    """ERB number of a frequency.

    Parameters
    ----------
    frequency : float or array
        Frequency in Hz.

    Returns
    -------
    array
        9.265 · ln(1 + f / (24.7 · 9.265)), Glasberg & Moore (1990).
    """
    return _EAR_Q * np.log1p(np.asarray(frequency, dtype=np.float64) / (_MIN_BANDWIDTH_HZ * _EAR_Q))


def erb_to_hz(erb: FloatArray | float) -> FloatArray:
    """Frequency in Hz of an ERB number; the inverse of `hz_to_erb`."""
    return _MIN_BANDWIDTH_HZ * _EAR_Q * np.expm1(np.asarray(erb, dtype=np.float64) / _EAR_Q)


@dataclass(frozen=True)
class Band:
    """One filter: its gains on consecutive FFT bins; zero on all the others."""

    first_bin: int
    gains: FloatArray

    @classmethod
    def from_gains(cls, gains: FloatArray) -> "Band":
        """The filter of gains on all FFT bins, shape=(bins,); zeros at both ends are left out.

        Raises
        ------
        AudioMetamerError
            If all are zero: no bin falls into the filter.
        """
        used = np.flatnonzero(gains)
        if not used.size:
            raise AudioMetamerError("a filter has no gain at any FFT bin: use a longer signal, or wider filters")
        return cls(int(used[0]), gains[used[0] : used[-1] + 1])

    @property
    def last_bin(self) -> int:
        return self.first_bin + len(self.gains) - 1


class Filterbank(Protocol):
    """A bank of filters with real gains on the bins of an FFT, low frequencies first; the interface of your own."""

    def __len__(self) -> int:
        """Number of filters."""

    def center_frequencies(self) -> FloatArray:
        """Centre frequency of every filter in Hz, shape=(filters,)."""

    def bands(self, frequencies: FloatArray) -> list[Band]:
        """Gains of every filter on the frequencies of FFT bins in Hz, rising from 0; see `Band.from_gains`."""


@dataclass(frozen=True)
class CosineFilterbank:
    """A bank of half-cosine filters, evenly spaced and equally wide on an ERB or linear scale.

    The squared gains of all filters sum to one at every frequency when the low- and high-pass filters are included.

    Parameters
    ----------
    n_filters : int
        Number of band-pass filters before overcompleteness: n of McDermott & Simoncelli (2011). Default 50.
    low_limit, high_limit : float
        Edges of the bank in Hz. Defaults 50 and 10000 (Feather et al. 2023).
    overcompleteness : int
        Factor s = 1, 2 or 4: the grid is s times as dense, with filters as wide as at s = 1 and gains divided by √s.
        There are s · (n + 1) − 1 band-pass filters. Default 4.
    scale : {"erb", "linear"}
        Scale on which filters are evenly spaced. Default "erb".
    include_edges : bool
        Whether to add the s low-pass and s high-pass filters that complete the sum of squared gains. Default True.
    broadening : float
        Factor by which every filter is widened, 1 to 10, as in an impaired ear: 1.5 for a mild, 2 for a moderate and 3 for a
        severe loss, say. Centres stay where they are. Gains are divided by its root: the sum of squared gains stays one away
        from the edges. Default 1.

    Raises
    ------
    AudioMetamerError
        If a value is outside its range.
    """

    n_filters: int = 50
    low_limit: float = 50.0
    high_limit: float = 10_000.0
    overcompleteness: int = 4
    scale: Literal["erb", "linear"] = "erb"
    include_edges: bool = True
    broadening: float = 1.0

    def __post_init__(self) -> None:
        if self.n_filters < 1:
            raise AudioMetamerError(f"n_filters is {self.n_filters}; it must be at least 1")
        if not 0 <= self.low_limit < self.high_limit:
            raise AudioMetamerError(f"filter limits are {self.low_limit} and {self.high_limit} Hz; they must rise from 0 or more")
        if self.overcompleteness not in (1, 2, 4):
            raise AudioMetamerError(f"overcompleteness is {self.overcompleteness}; it must be 1, 2 or 4")
        if self.scale not in ("erb", "linear"):
            raise AudioMetamerError(f"filter scale is {self.scale!r}; it must be 'erb' or 'linear'")
        if not 1 <= self.broadening <= 10:
            raise AudioMetamerError(f"broadening is {self.broadening}; it must be 1 to 10")

    @property
    def _n_bandpass(self) -> int:
        return self.overcompleteness * (self.n_filters + 1) - 1

    @property
    def _n_edges(self) -> int:
        return self.overcompleteness if self.include_edges else 0

    def __len__(self) -> int:
        return self._n_bandpass + 2 * self._n_edges

    def _to_scale(self, hz: FloatArray | float) -> FloatArray:
        return hz_to_erb(hz) if self.scale == "erb" else np.asarray(hz, dtype=np.float64)

    def _to_hz(self, position: FloatArray) -> FloatArray:
        return erb_to_hz(position) if self.scale == "erb" else position

    def _grid(self) -> tuple[float, float]:
        """Lower end and spacing of the grid of centres, on the filter scale."""
        low, high = float(self._to_scale(self.low_limit)), float(self._to_scale(self.high_limit))
        return low, (high - low) / (self._n_bandpass + 1)

    def center_frequencies(self) -> FloatArray:
        """Centre frequency of every filter in Hz, low first; the grid is extended evenly for low- and high-pass filters.

        Returns
        -------
        array, shape=(filters,)
            Values for the low-pass filters may be below 0 Hz on a linear scale.
        """
        low, spacing = self._grid()
        steps = np.arange(1 - self._n_edges, self._n_bandpass + self._n_edges + 1)
        return self._to_hz(low + spacing * steps)

    def bands(self, frequencies: FloatArray) -> list[Band]:
        """Gains of every filter on a rising grid of frequencies.

        Parameters
        ----------
        frequencies : array, shape=(bins,)
            Frequency of each FFT bin in Hz, rising from 0.

        Returns
        -------
        list of Band
            One per filter, low first. A band-pass filter has gain cos(π (x − centre) / (2 · half-width)) strictly inside its
            band and 0 elsewhere, x on the filter scale, half-width = broadening · s · spacing. A low-pass filter complements the
            band-pass filter s places above it, √(1 − cos²), on the bins up to that filter's centre; high-pass filters mirror
            this at the top. All are divided by √(broadening · s). After McDermott & Simoncelli (2011).
        """
        position = self._to_scale(frequencies)
        low, spacing = self._grid()
        half_width = self.broadening * self.overcompleteness * spacing
        norm = np.sqrt(self.broadening * self.overcompleteness)

        bandpass = []
        for center in low + spacing * np.arange(1, self._n_bandpass + 1):
            first = int(np.searchsorted(position, center - half_width, side="right"))
            stop = int(np.searchsorted(position, center + half_width, side="left"))
            if first >= stop:
                raise AudioMetamerError(
                    f"no FFT bin falls into the filter centred at {float(self._to_hz(center)):.1f} Hz: use a longer signal, "
                    f"or raise low_limit (now {self.low_limit} Hz)"
                )
            bandpass.append(Band(first, np.cos(np.pi * (position[first:stop] - center) / (2 * half_width))))
        if not self.include_edges:
            return [Band(b.first_bin, b.gains / norm) for b in bandpass]

        centers = self.center_frequencies()[self._n_edges : -self._n_edges]
        lowpass, highpass = [], []
        for i in range(self._n_edges):
            below = int(np.searchsorted(frequencies, centers[i], side="left"))  # bins below the centre
            lowpass.append(Band(0, _complement(bandpass[i], 0, below)))
            above = int(np.searchsorted(frequencies, centers[-1 - i], side="right"))
            highpass.append(Band(above, _complement(bandpass[-1 - i], above, len(frequencies))))
        rows = [*lowpass, *bandpass, *reversed(highpass)]
        return [Band(b.first_bin, b.gains / norm) for b in rows]


def _complement(band: Band, start: int, stop: int) -> FloatArray:
    """√(1 − gain²) of a band on the bins from `start` up to `stop`."""
    gains = np.zeros(max(stop - start, 0))
    first, last = max(band.first_bin, start), min(band.last_bin + 1, stop)
    gains[first - start : last - start] = band.gains[first - band.first_bin : last - band.first_bin]
    return np.sqrt(1 - gains**2)
