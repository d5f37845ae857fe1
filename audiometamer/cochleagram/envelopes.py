"""Down-sampled envelopes of filtered sound, in two ways: as published (`FullRate`) and fast (`Multirate`).

Both compute the same three steps: filter by multiplication in the Fourier domain, take the envelope of each subband, and
low-pass and decimate the envelope with a windowed sinc.

`FullRate` takes every step at the sound's own rate. `Multirate` computes each analytic subband at a rate a few times its own
bandwidth: a subband occupies few FFT bins, so a short inverse FFT of just those bins gives its samples on a coarse grid, shifted
to base band, which leaves the envelope as it was. The envelope's low frequencies are then read off a short FFT, multiplied by
the low-pass filter's response, and evaluated at the frame times. Only aliasing of the envelope's far spectrum is neglected.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.cochleagram.filters import CosineFilterbank, FloatArray

Compression = Callable[[Tensor], Tensor]

_MAGNITUDE_FLOOR = 1e-8  # as published: √max(re² + im², 1e-16), whose gradient stays finite


@dataclass(frozen=True)
class EnvelopeLowpass:
    """Windowed-sinc decimation of envelopes: taps sinc(t / stride) / stride × Kaiser, not normalised, no padding.

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

    def taps(self) -> FloatArray:
        """Taps, shape=(window_size,). Their times run from −window_size / 2 in steps of one sample, as published."""
        t = np.arange(self.window_size) - self.window_size / 2
        return np.sinc(t / self.stride) / self.stride * np.kaiser(self.window_size, self.kaiser_beta)

    def n_frames(self, n_samples: int) -> int:
        """Frames that `n_samples` give."""
        return (n_samples - self.window_size) // self.stride + 1

    def response(self, bins: int, n_samples: int) -> NDArray[np.complex128]:
        """Σₙ taps[n] e^(2πikn/N): what a correlation with the taps does to the lowest FFT bins, shape=(bins,)."""
        return np.conj(np.fft.fft(np.pad(self.taps(), (0, n_samples - self.window_size)))[:bins])


def _magnitude(z: Tensor) -> Tensor:
    return (z.real.square() + z.imag.square()).clamp(min=_MAGNITUDE_FLOOR**2).sqrt()


class FullRate(nn.Module):
    """Envelopes computed at the sound's own rate: the published computation, step by step.

    Parameters
    ----------
    filterbank : CosineFilterbank
    lowpass : EnvelopeLowpass
    envelope : {"hilbert", "rectified"}
    n_samples : int
    sample_rate : float
        Hz.
    dtype, device
        Of the input that will come.
    """

    def __init__(
        self,
        filterbank: CosineFilterbank,
        lowpass: EnvelopeLowpass,
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
        _buffer(self, "gains", gains, dtype, device)
        _buffer(self, "taps", lowpass.taps()[None, None], dtype, device)

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


class Multirate(nn.Module):
    """Hilbert envelopes computed with each subband at a rate a few times its own bandwidth.

    Parameters
    ----------
    filterbank, lowpass, n_samples, sample_rate, dtype, device
        As in `FullRate`.
    oversampling : float
        Samples per FFT bin of a subband. More is more exact and slower.
    """

    # The response of the published low-pass is below −65 dB past this multiple of the frame rate, and so is what lies there.
    _LOWPASS_REACH = 2.0
    # Samples per frame at least: the narrowest bands are cheap to compute well.
    _SHORTEST_GRID = 4.0

    def __init__(
        self,
        filterbank: CosineFilterbank,
        lowpass: EnvelopeLowpass,
        *,
        n_samples: int,
        sample_rate: float,
        dtype: torch.dtype,
        device: torch.device,
        oversampling: float,
    ) -> None:
        super().__init__()
        self.n_bins = n_samples // 2 + 1
        frames = n_samples / lowpass.stride
        self.reach = min(int(self._LOWPASS_REACH * frames), self.n_bins)
        bands = filterbank.bands(np.fft.rfftfreq(n_samples, 1 / sample_rate))

        rows_by_length: dict[int, list[int]] = {}
        for row, band in enumerate(bands):
            length = _grid_length(max(oversampling * len(band.gains), self._SHORTEST_GRID * frames), n_samples)
            rows_by_length.setdefault(length, []).append(row)
        self.lengths = list(rows_by_length)
        for g, (length, rows) in enumerate(rows_by_length.items()):
            width = max(len(bands[row].gains) for row in rows)
            first = np.array([bands[row].first_bin for row in rows])
            gains = np.zeros((len(rows), width))
            for i, row in enumerate(rows):
                gains[i, : len(bands[row].gains)] = bands[row].gains
            _buffer(self, f"gains{g}", gains * length / n_samples, dtype, device)
            bins = np.minimum(first[:, None] + np.arange(width), self.n_bins - 1)
            _buffer(self, f"bins{g}", bins.ravel(), torch.int64, device)

        order = np.argsort(np.concatenate(list(rows_by_length.values())))
        lengths = np.repeat(self.lengths, [len(r) for r in rows_by_length.values()])
        _buffer(self, "order", order, torch.int64, device)
        _buffer(self, "response", lowpass.response(self.reach, n_samples) / lengths[:, None], dtype.to_complex(), device)
        self.frames = FrameTimes(self.reach, n_samples, lowpass, dtype=dtype, device=device)

    def forward(self, sound: Tensor, compress: Compression) -> Tensor:
        """Frames of the envelopes of sound [shape=(batch, samples)], `compress`ed first: [shape=(batch, filters, frames)]."""
        spectrum = LowSpectrum.apply(sound, self.n_bins)
        low_spectra = []
        for g, length in enumerate(self.lengths):
            envelopes = BandMagnitude.apply(spectrum, self.get_buffer(f"bins{g}"), self.get_buffer(f"gains{g}"), length)
            low = LowSpectrum.apply(compress(envelopes), self.reach)
            low_spectra.append(torch.nn.functional.pad(low, (0, self.reach - low.shape[-1])))
        frames: Tensor = self.frames(torch.cat(low_spectra, dim=1) * self.get_buffer("response"))
        return frames.index_select(1, self.get_buffer("order"))


class BandMagnitude(torch.autograd.Function):
    """Magnitudes of analytic subbands on a coarse grid; the backward pass is written out, to touch each value few times."""

    @staticmethod
    def forward(ctx: Any, spectrum: Tensor, bins: Tensor, gains: Tensor, length: int) -> Tensor:
        subbands = spectrum.index_select(1, bins).view(-1, *gains.shape) * gains
        z = torch.fft.ifft(subbands, n=length)
        magnitude = _magnitude(z)
        ctx.save_for_backward(z, magnitude, bins, gains)
        ctx.n_bins = spectrum.shape[1]
        return magnitude

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        z, magnitude, bins, gains = ctx.saved_tensors
        gradient = torch.where(magnitude > _MAGNITUDE_FLOOR, gradient / magnitude, 0)
        gradient = torch.fft.fft(z * gradient, norm="forward")[..., : gains.shape[1]] * gains
        out = torch.zeros(len(z), ctx.n_bins, dtype=z.dtype, device=z.device)
        out.scatter_add_(1, bins.expand(len(z), -1), gradient.view(len(z), -1))
        return out, None, None, None


class LowSpectrum(torch.autograd.Function):
    """The lowest bins of the FFT of real signals; the backward pass is one real FFT of their own length."""

    @staticmethod
    def forward(ctx: Any, signals: Tensor, reach: int) -> Tensor:
        ctx.length = signals.shape[-1]
        return torch.fft.rfft(signals)[..., :reach]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        halved = gradient * 0.5  # an inverse real FFT counts every bin twice, but for the first and, if there is one, Nyquist's
        halved[..., 0] *= 2
        if 2 * (gradient.shape[-1] - 1) == ctx.length:
            halved[..., -1] *= 2
        return torch.fft.irfft(halved, n=ctx.length, norm="forward"), None


class FrameTimes(nn.Module):
    """Evaluate Σₖ aₖ e^(2πikn/N) over −reach < k < reach, a₋ₖ = conj(aₖ), at the frame times n = 0, stride, 2 · stride, ….

    When the stride divides N, the frames are every p-th point of an inverse FFT; otherwise a chirp-z transform (Rabiner et al.
    1969) evaluates the sum at exactly those times.
    """

    def __init__(self, reach: int, n_samples: int, lowpass: EnvelopeLowpass, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.n_frames = lowpass.n_frames(n_samples)
        self.on_grid = n_samples % lowpass.stride == 0
        if self.on_grid:
            per_stride = n_samples // lowpass.stride
            self.step = -(-(2 * reach - 1) // per_stride)
            self.length = per_stride * self.step
            return
        self.length = scipy.fft.next_fast_len(reach + self.n_frames - 1)
        # kn = (k² + n² − (k − n)²) / 2; the phase is reduced in whole numbers, so that it stays exact for long sounds.
        index = np.arange(max(reach, self.n_frames), dtype=np.int64)
        chirp = np.exp(1j * np.pi * (lowpass.stride * index**2 % (2 * n_samples)) / n_samples)
        kernel = np.zeros(self.length, dtype=np.complex128)
        kernel[: self.n_frames] = chirp[: self.n_frames].conj()
        kernel[self.length - reach + 1 :] = chirp[1:reach][::-1].conj()
        weights = 2 * chirp[:reach]
        weights[0] = 1
        for name, values in (("weights", weights), ("kernel", np.fft.fft(kernel)), ("chirp", chirp[: self.n_frames])):
            _buffer(self, name, values, dtype.to_complex(), device)

    def forward(self, coefficients: Tensor) -> Tensor:
        """Coefficients [shape=(..., reach)] to frames [shape=(..., frames)]."""
        if self.on_grid:
            points = torch.fft.irfft(coefficients, n=self.length, norm="forward")
            return points[..., :: self.step][..., : self.n_frames]
        spectra = torch.fft.fft(coefficients * self.get_buffer("weights"), n=self.length) * self.get_buffer("kernel")
        return (torch.fft.ifft(spectra)[..., : self.n_frames] * self.get_buffer("chirp")).real


def _grid_length(at_least: float, n_samples: int) -> int:
    """A length that FFTs are fast at, from a sparse set, so that many subbands share it; never more than the signal's own."""
    octave = 2 ** int(np.ceil(np.log2(at_least)))
    candidates = (octave * 5 // 8, octave * 3 // 4, octave * 7 // 8, octave)
    return min(min(c for c in candidates if c >= at_least or c == octave), n_samples)


def _buffer(module: nn.Module, name: str, values: np.ndarray, dtype: torch.dtype, device: torch.device) -> None:
    """Register a constant that moves with the module and is not stored in checkpoints."""
    module.register_buffer(name, torch.as_tensor(values).to(device=device, dtype=dtype), persistent=False)
