"""The dual-resonance non-linear filter: a linear and a compressive path in each channel of the basilar membrane."""

import math
from typing import Literal

import numpy as np
import torch
from scipy.signal import butter
from torch import Tensor

from audiometamer.ears.ear import Ear, Filters
from audiometamer.ears.gammatone import erb_space, one_zero_sections
from audiometamer.ears.spectra import ComplexArray, FloatArray, apply, digital_response, grid_frequencies, grid_length
from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer

_STAPES = 0.00014  # m/s per Pa
_PADDING = 0.25  # seconds in which filters have died away
_ORDER = 3

# Lopez-Poveda & Meddis (2001), table III, average: 10^(p0 + m · log10 of the centre in Hz).
_LINEAR_CENTER, _LINEAR_WIDTH = (-0.067, 1.016), (0.037, 0.785)
_CENTER, _WIDTH = (-0.052, 1.016), (-0.031, 0.774)
_A, _B, _EXPONENT = (1.402, 0.819), (1.619, -0.818), (-0.602, 0.0)
_GAIN = {"paper": (4.20405, -0.47909), "brian2hears": (4.2, -0.48)}
_LOWPASSES = (4, 3)  # in cascade after the linear and the compressive path


class DRNL(Ear):
    """Sound to the velocity of the human basilar membrane, with its compression.

    Lopez-Poveda & Meddis (2001): a linear path (gain, gammatone, low-pass filters) and a compressive one (gammatone, broken
    stick, gammatone, low-pass filters) are added.

    Parameters
    ----------
    n_channels : int
        Number of channels, evenly spaced in ERB. Default 50.
    low, high : float
        Lowest and highest centre in Hz. Defaults 60 and 8000.
    variant : {"paper", "brian2hears"}
        ``paper``: second-order Butterworth low-pass filters and a linear gain 10^(4.20405 − 0.47909 log₁₀ f). ``brian2hears``:
        the first-order low-pass filters of that program, and the slope −0.48; as shipped it has +0.48, which makes human hearing
        linear. Default "paper".
    sample_rate : int
        Sample rate in Hz. Default 20000.
    full_scale : float
        Level in dB SPL of a sound whose RMS is 1. Default 94: samples are pascals.

    Raises
    ------
    AudioMetamerError
        If an option is outside its range.

    Examples
    --------
    >>> import torch
    >>> from audiometamer.ears import DRNL
    >>> tone = torch.sin(2 * torch.pi * 1000 * torch.arange(4000) / 20000)
    >>> softer, louder = (DRNL(n_channels=1, low=1000, high=1000, full_scale=level)(tone).std() for level in (50, 60))
    >>> round(float(20 * (louder / softer).log10()))  # dB for 10 dB
    3
    """

    def __init__(
        self,
        *,
        n_channels: int = 50,
        low: float = 60.0,
        high: float = 8000.0,
        variant: Literal["paper", "brian2hears"] = "paper",
        sample_rate: int = 20_000,
        full_scale: float = 94.0,
    ) -> None:
        super().__init__(sample_rate=sample_rate, full_scale=full_scale)
        if variant not in _GAIN:
            raise AudioMetamerError(f"variant is {variant!r}; it must be 'paper' or 'brian2hears'")
        most = sample_rate / (2 if variant == "paper" else math.pi)  # beyond which those low-pass filters are unstable
        if not 0 < low <= high or max(float(_power(_CENTER, high)), float(_power(_LINEAR_CENTER, high))) >= most:
            raise AudioMetamerError(
                f"centres go from {low:g} to {high:g} Hz; they must rise between 0 and {most:.0f} Hz (variant {variant!r} at "
                f"{sample_rate} Hz)"
            )
        self.variant = variant
        self.centers = erb_space(low, high, as_integer(n_channels, "n_channels", least=1))

    def _grid(self, n_samples: int) -> int:
        return grid_length(n_samples, math.ceil(_PADDING * self.sample_rate))

    def design(self, n_samples: int) -> Filters:
        """Responses of both paths, and the parameters of the compression, for sounds of a length."""
        frequencies = grid_frequencies(self._grid(n_samples), self.sample_rate)
        gain = _STAPES * _power(_GAIN[self.variant], self.centers)[:, None]
        linear = self._gammatones(_LINEAR_CENTER, _LINEAR_WIDTH, frequencies)
        compressive = self._gammatones(_CENTER, _WIDTH, frequencies)
        after = [
            self._lowpasses(_power(center, self.centers), frequencies) ** number
            for center, number in zip((_LINEAR_CENTER, _CENTER), _LOWPASSES, strict=True)
        ]
        return {
            "linear": gain * linear * after[0],
            "before": _STAPES * compressive,
            "after": compressive * after[1],
            "a": _power(_A, self.centers)[:, None],
            "b": _power(_B, self.centers)[:, None],
        }

    def _gammatones(self, center: tuple[float, float], width: tuple[float, float], frequencies: FloatArray) -> ComplexArray:
        sections = one_zero_sections(_power(center, self.centers), _power(width, self.centers), self.sample_rate)
        return digital_response(*sections, frequencies, self.sample_rate) ** _ORDER

    def _lowpasses(self, cutoffs: FloatArray, frequencies: FloatArray) -> ComplexArray:
        if self.variant == "paper":
            designs = [butter(2, cutoff, fs=self.sample_rate) for cutoff in cutoffs]
            top, bottom = (np.stack(coefficients) for coefficients in zip(*designs, strict=True))
        else:
            step = 2 * np.pi * cutoffs / self.sample_rate
            top, bottom = step[:, None], np.stack([np.ones_like(step), step - 1], axis=1)
        return digital_response(top, bottom, frequencies, self.sample_rate)

    def process(self, sounds: Tensor) -> Tensor:
        """Sounds [shape=(batch, samples)] to velocities in m/s, low centres first, [shape=(batch, channels, samples)]."""
        filters, n_fft = self.filters(sounds), self._grid(sounds.shape[-1])
        pressure = sounds * self.pascals
        linear = apply(pressure, filters["linear"], n_fft)
        compressed = compress(apply(pressure, filters["before"], n_fft), filters["a"], filters["b"])
        return linear + apply(compressed, filters["after"], n_fft, paired=True)

    def extra_repr(self) -> str:
        low, high = self.centers[[0, -1]]
        return f"{len(self.centers)} channels, {low:g} to {high:g} Hz, variant={self.variant!r}, sample_rate={self.sample_rate}"


def compress(velocity: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """sign(v) · min(a |v|, b |v|^0.25), with a finite gradient at zero."""
    exponent = 10 ** _EXPONENT[0]
    size, knee = velocity.abs(), (b / a) ** (1 / (1 - exponent))
    return velocity.sign() * torch.where(size < knee, a * size, b * torch.maximum(size, knee) ** exponent)


def _power(line: tuple[float, float], frequency: FloatArray | float) -> FloatArray:
    """10^(p0 + m log₁₀ f) for a line (p0, m)."""
    return 10 ** (line[0] + line[1] * np.log10(frequency))
