"""Low-pass filters that decimate envelopes to frames."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audiometamer.cochleagram.filters import FloatArray


class Lowpass(ABC):
    """A low-pass filter that decimates envelopes by correlation with its taps, without padding; a base for your own.

    Attributes
    ----------
    stride : int
        Samples between frames.
    window_size : int
        Length of the filter in samples.
    reach : float
        Its response is negligible beyond this multiple of the frame rate. Default 5.
    """

    stride: int
    window_size: int
    reach: ClassVar[float] = 5.0

    @abstractmethod
    def taps(self, density: int | None = None) -> FloatArray:
        """The taps, one per sample, shape=(window_size,); or on a grid of `density` points per frame.

        On a coarser grid each tap counts for the samples between: it is multiplied by the step, stride / density.
        """

    def n_frames(self, n_samples: int) -> int:
        """Number of frames of a sound of `n_samples`."""
        return (n_samples - self.window_size) // self.stride + 1

    def response(self, bins: int, n_samples: int) -> NDArray[np.complex128]:
        """Σₙ taps[n] e^(2πikn/N): the effect of a correlation with the taps on the lowest FFT bins, shape=(bins,)."""
        return np.conj(np.fft.fft(np.pad(self.taps(), (0, n_samples - self.window_size)))[:bins])


@dataclass(frozen=True)
class EnvelopeLowpass(Lowpass):
    """The published windowed sinc: taps sinc(t / stride) / stride × Kaiser, not normalised.

    Its response is below −80 dB beyond five times the frame rate.

    Parameters
    ----------
    stride : int
        Samples between frames. Default 100 (20 kHz → 200 Hz).
    window_size : int
        Number of taps. Default 1001.
    kaiser_beta : float
        Shape of the Kaiser window. Default 5.
    """

    stride: int = 100
    window_size: int = 1001
    kaiser_beta: float = 5.0

    def taps(self, density: int | None = None) -> FloatArray:
        """See `Lowpass.taps`; their times run from −window_size / 2, as published."""
        step = self.stride / density if density else 1.0
        n = np.arange(0, self.window_size - 0.5, step)
        t = n - self.window_size / 2
        position = 2 * n / (self.window_size - 1) - 1
        window = np.i0(self.kaiser_beta * np.sqrt(np.maximum(1 - position**2, 0))) / np.i0(self.kaiser_beta)
        return step * np.sinc(t / self.stride) / self.stride * window
