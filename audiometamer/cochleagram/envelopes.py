"""Down-sampled envelopes of filtered sound, in two ways: as published (`FullRate`) and fast (`Multirate`).

Both compute the same three steps: filter by multiplication in the Fourier domain, take the envelope of each subband, and
low-pass and decimate the envelope with a windowed sinc.

`FullRate` takes every step at the sound's own rate. `Multirate` takes none of them there:

1. A subband occupies few FFT bins, so a short inverse FFT of just those bins gives its samples on a coarse grid, shifted to base
   band, which leaves its magnitude as it was.
2. Its power, the squared magnitude, is smooth: it is band-limited too, and interpolates well from the coarse grid to a finer one.
3. The magnitude is not: it has a kink where the subband passes zero, so the root is taken on the finer grid, and the low-pass
   filter runs there.

Steps 2 and 3 are matrix products. What is neglected is the aliasing of the kinks on the finer grid.
"""

import math
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

# Interpolation of the power: samples on either side, and the shape of their Kaiser window (side lobes below −110 dB). A block is
# interpolated from itself and the next: windows of two blocks hold one sample more than is needed.
_HALF_TAPS = 8
_INTERPOLATION_BETA = 12.0
_BLOCK = 2 * _HALF_TAPS
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

    def taps(self, density: int | None = None) -> FloatArray:
        """Taps on a grid of `density` points per frame; default: one tap per sample, shape=(window_size,).

        Their times run from −window_size / 2, as published. On a coarser grid each tap counts for the samples between.
        """
        step = self.stride / density if density else 1.0
        n = np.arange(0, self.window_size - 0.5, step)
        t = n - self.window_size / 2
        position = 2 * n / (self.window_size - 1) - 1
        window = np.i0(self.kaiser_beta * np.sqrt(np.maximum(1 - position**2, 0))) / np.i0(self.kaiser_beta)
        return step * np.sinc(t / self.stride) / self.stride * window

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

    Subbands of like bandwidth share their grids and are computed together.

    Parameters
    ----------
    filterbank, lowpass, n_samples, sample_rate, dtype, device
        As in `FullRate`.
    oversampling : float
        Points per frame, on the finer grid, of a subband as wide as the frame rate; in proportion to bandwidth ** (2/3) for the
        others. More is more exact and slower.
    """

    # What aliases falls with the square of the finer grid's rate, and what of it the low-pass filter lets pass with the
    # bandwidth: wide subbands need fewer points for their bandwidth. The exponent was found on clicks, the hardest sounds.
    _BANDWIDTH_EXPONENT = 2 / 3
    # Points of the coarse grid per bandwidth. The power is twice as wide as the subband; the rest is room for the interpolation.
    _COARSE_OVERSAMPLING = 3.3

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
        blocks = -(-n_samples // lowpass.stride)
        bands = filterbank.bands(np.fft.rfftfreq(n_samples, 1 / sample_rate))

        groups: dict[int, tuple[int, list[int]]] = {}  # coarse density → density of the finer grid, rows
        for row, band in enumerate(bands):
            bandwidth = len(band.gains) * lowpass.stride / n_samples  # in units of the frame rate, as densities are
            coarse = _round_density(max(self._COARSE_OVERSAMPLING * bandwidth, 2 * _BLOCK / blocks))
            whole = coarse // math.gcd(coarse, _BLOCK)  # of whose multiples a block has a whole number of points
            finer = whole * math.ceil(max(oversampling * bandwidth**self._BANDWIDTH_EXPONENT, coarse) / whole)
            if finer >= lowpass.stride:
                coarse = finer = lowpass.stride
            most, rows = groups.get(coarse, (1, []))
            groups[coarse] = (max(finer, most), [*rows, row])

        self.lengths = [coarse * blocks for coarse in groups]
        self.decimate = nn.ModuleList()
        all_bins, all_used = [], []
        for g, (coarse, (finer, rows)) in enumerate(groups.items()):
            first = np.array([bands[row].first_bin for row in rows])
            gains = np.zeros((len(rows), max(len(bands[row].gains) for row in rows)))
            for i, row in enumerate(rows):
                gains[i, : len(bands[row].gains)] = bands[row].gains / n_samples
            bins = np.minimum(first[:, None] + np.arange(gains.shape[1]), self.n_bins - 1)
            # A real inverse FFT counts every bin twice, but the first and, if there is one, Nyquist's.
            halves = gains * np.where(np.isin(np.arange(gains.shape[1]), (0, self.lengths[g] / 2)), 1, 0.5)
            all_bins.append(bins.ravel())
            all_used.append(gains.ravel() != 0)
            turn = np.array([1, -1j])[:, None, None, None]
            _buffer(self, f"parts{g}", turn * halves, dtype.to_complex(), device)
            _buffer(self, f"adjoint_parts{g}", turn.conj() * gains, dtype.to_complex(), device)
            _buffer(self, f"interpolation{g}", _interpolation(_BLOCK * finer // coarse), dtype, device)
            size: dict[str, Any] = {"n_samples": n_samples, "dtype": dtype, "device": device}
            if n_samples % lowpass.stride == 0:
                self.decimate.append(BlockDecimation(lowpass, finer, **size))
            else:
                self.decimate.append(SpectralDecimation(lowpass, finer * blocks, **size))
        self.widths = [len(b) for b in all_bins]
        bins = np.concatenate(all_bins)
        _buffer(self, "bins", bins, torch.int64, device)
        _buffer(self, "uses", _uses(bins, np.concatenate(all_used), self.n_bins), torch.int64, device)
        order = np.argsort(np.concatenate([rows for _, rows in groups.values()]))
        _buffer(self, "order", order, torch.int64, device)

    def forward(self, sound: Tensor, compress: Compression) -> Tensor:
        """Frames of the envelopes of sound [shape=(batch, samples)], `compress`ed first: [shape=(batch, filters, frames)]."""
        spectrum = Gather.apply(LowSpectrum.apply(sound, self.n_bins), self.get_buffer("bins"), self.get_buffer("uses"))
        frames = []
        for g, (spectra, decimate) in enumerate(zip(spectrum.split(self.widths, dim=1), self.decimate, strict=True)):
            constants = (self.get_buffer(f"{name}{g}") for name in ("parts", "adjoint_parts", "interpolation"))
            frames.append(decimate(compress(SubbandMagnitude.apply(spectra, *constants, self.lengths[g]))))
        return torch.cat(frames, dim=1).index_select(1, self.get_buffer("order"))


class Gather(torch.autograd.Function):
    """Columns of a matrix; `uses` [shape=(most, columns)] tells the backward pass where each went, padded with their number.

    Sums in a fixed order, on every device: a scatter would add in any.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, columns: Tensor, uses: Tensor) -> Tensor:
        ctx.save_for_backward(uses)
        ctx.save_for_forward(columns)
        return values.index_select(1, columns)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (columns,) = ctx.saved_tensors
        return tangents[0].index_select(1, columns)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        (uses,) = ctx.saved_tensors
        padded = torch.cat([gradient, gradient.new_zeros(len(gradient), 1)], dim=1)
        return padded.index_select(1, uses.ravel()).view(-1, *uses.shape).sum(1), None, None


class SubbandMagnitude(torch.autograd.Function):
    """Magnitudes of analytic subbands: squared on a coarse grid, interpolated, and the root taken on the finer grid.

    On the coarse grid the real and the imaginary part come from one real inverse FFT each, of the spectrum and of the spectrum
    turned by −i: as much work as one complex FFT, and each part lies in memory by itself. Each block of the power, with the one
    after it, meets a matrix [shape=(2 · block, points)] that gives the block's points on the finer grid.
    """

    @staticmethod
    def forward(ctx: Any, spectra: Tensor, parts: Tensor, adjoint_parts: Tensor, matrix: Tensor, length: int) -> Tensor:
        z = SubbandMagnitude._coarse(spectra, parts, length)
        fine = SubbandMagnitude._interpolated(z, z, matrix)
        fine.clamp_(min=_MAGNITUDE_FLOOR**2).sqrt_()
        # No view of `fine`, in autograd's eyes: an output that is a view of something else cannot carry a tangent.
        magnitude = torch.ops.aten._unsafe_view(fine, (*z.shape[1:-1], fine.numel() // z.shape[1:-1].numel()))
        if (points := length * matrix.shape[1] // _BLOCK) < magnitude.shape[-1]:
            magnitude = magnitude[..., :points].clone(memory_format=torch.contiguous_format)
        ctx.save_for_backward(z, magnitude, adjoint_parts, matrix)
        ctx.save_for_forward(z, magnitude, parts, matrix)
        return magnitude

    @staticmethod
    def _coarse(spectra: Tensor, parts: Tensor, length: int) -> Tensor:
        """Real and imaginary parts of the subbands on the coarse grid, [shape=(2, batch, rows, length)]."""
        _, _, rows, width = parts.shape
        padded = spectra.new_zeros(2, len(spectra), rows, length // 2 + 1)
        torch.mul(spectra.unflatten(1, (rows, width)), parts, out=padded[..., :width])
        return torch.fft.irfft(padded, n=length, norm="forward")

    @staticmethod
    def _interpolated(a: Tensor, b: Tensor, matrix: Tensor) -> Tensor:
        """Re a · re b + im a · im b, interpolated: [shape=(batch · rows · blocks, points)]."""
        length = a.shape[-1]
        # The grid is periodic; the first window begins half of one, less a sample, before it. Blocks may reach past its end.
        begin, end = _HALF_TAPS - 1, _HALF_TAPS - 1 + length
        power = a.new_empty(*a.shape[1:-1], (-(-length // _BLOCK) + 1) * _BLOCK)
        torch.mul(a[0], b[0], out=power[..., begin:end]).addcmul_(a[1], b[1])
        power[..., :begin] = power[..., length:end]
        power[..., end:] = power[..., begin : power.shape[-1] - length]
        return power.unfold(-1, 2 * _BLOCK, _BLOCK).reshape(-1, 2 * _BLOCK) @ matrix

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        z, magnitude, parts, matrix = ctx.saved_tensors
        # As in the backward pass, the halves of d√p = dp / 2√p and of d|z|² = 2 (re d re + im d im) cancel.
        half = SubbandMagnitude._interpolated(z, SubbandMagnitude._coarse(tangents[0], parts, z.shape[-1]), matrix)
        half = half.view(*z.shape[1:-1], -1)[..., : magnitude.shape[-1]]
        return torch.where(magnitude > _MAGNITUDE_FLOOR, half / magnitude, torch.zeros_like(half)).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        z, magnitude, adjoint_parts, matrix = ctx.saved_tensors
        *shape, length = z.shape[1:]
        n_blocks, points = -(-length // _BLOCK), matrix.shape[1]
        begin, end = _HALF_TAPS - 1, _HALF_TAPS - 1 + length
        # d√p = dp / 2√p above the floor, and d|z|² = 2 (re d re + im d im): the halves cancel. In place: the gradient is fresh
        # from the decimation, nothing else holds it, and on the CPU new memory costs more than the arithmetic.
        torch.ops.aten.threshold_backward(gradient, magnitude, _MAGNITUDE_FLOOR, grad_input=gradient)
        gradient.div_(magnitude)
        if surplus := n_blocks * points - gradient.shape[-1]:
            gradient = torch.nn.functional.pad(gradient, (0, surplus))
        windows = (gradient.view(-1, points) @ matrix.T).view(*shape, n_blocks, 2 * _BLOCK)
        power = windows.new_empty(*shape, (n_blocks + 1) * _BLOCK)
        power[..., :-_BLOCK].unflatten(-1, (n_blocks, _BLOCK)).copy_(windows[..., :_BLOCK])
        power[..., -_BLOCK:] = 0
        power[..., _BLOCK:].unflatten(-1, (n_blocks, _BLOCK)).add_(windows[..., _BLOCK:])
        power[..., begin : power.shape[-1] - length] += power[..., end:]
        power[..., length:end] += power[..., :begin]
        turned = torch.fft.rfft(z * power[..., begin:end])[..., : adjoint_parts.shape[-1]]
        return (turned[0] * adjoint_parts[0]).addcmul_(turned[1], adjoint_parts[1]).flatten(1), None, None, None, None


class BlockDecimation(nn.Module):
    """The low-pass filter on a grid with a whole number of points per frame, as one matrix product.

    Cut into blocks of one frame's points, the signal meets the taps of the j-th block before a frame in column j of a matrix; a
    frame is the sum of a diagonal of the products.
    """

    def __init__(
        self, lowpass: EnvelopeLowpass, density: int, n_samples: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self.n_frames = lowpass.n_frames(n_samples)
        taps = lowpass.taps(density)
        taps = np.pad(taps, (0, -len(taps) % density)).reshape(-1, density)
        _buffer(self, "taps", taps, dtype, device)

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, filters, points)] to frames [shape=(batch, filters, frames)]."""
        frames: Tensor = DiagonalSums.apply(signals, self.get_buffer("taps"), self.n_frames)
        return frames


class DiagonalSums(torch.autograd.Function):
    """Frame f = Σⱼ tapsⱼ · block f + j, both of one block's points; see `BlockDecimation`."""

    @staticmethod
    def forward(ctx: Any, signals: Tensor, taps: Tensor, n_frames: int) -> Tensor:
        ctx.save_for_backward(taps)
        ctx.save_for_forward(taps)
        ctx.signals_shape, ctx.n_frames = signals.shape, n_frames
        return DiagonalSums._sums(signals, taps, n_frames)

    @staticmethod
    def _sums(signals: Tensor, taps: Tensor, n_frames: int) -> Tensor:
        products = taps @ signals.reshape(-1, taps.shape[1]).T
        return DiagonalSums._diagonals(products, signals.shape, n_frames).sum(0)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (taps,) = ctx.saved_tensors
        return DiagonalSums._sums(tangents[0], taps, ctx.n_frames)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        (taps,) = ctx.saved_tensors
        products = gradient.new_zeros(len(taps), ctx.signals_shape.numel() // taps.shape[1])
        DiagonalSums._diagonals(products, ctx.signals_shape, gradient.shape[-1]).copy_(gradient)
        return (products.T @ taps).view(ctx.signals_shape), None, None

    @staticmethod
    def _diagonals(products: Tensor, signals_shape: torch.Size, n_frames: int) -> Tensor:
        """View of products [shape=(J, batch · filters · blocks)] that has block f + j at [j, ..., f]."""
        batch, filters, _ = signals_shape
        n_blocks = products.shape[1] // (batch * filters)
        size = (len(products), batch, filters, n_frames)
        return products.as_strided(size, (products.shape[1] + 1, filters * n_blocks, n_blocks, 1))


class SpectralDecimation(nn.Module):
    """The low-pass filter on a grid that frames fall between: by a product of spectra, evaluated at the frame times.

    The sum Σₖ aₖ e^(2πikn/N) over −reach < k < reach, a₋ₖ = conj(aₖ), is evaluated at n = 0, stride, 2 · stride, … by a chirp-z
    transform (Rabiner et al. 1969).
    """

    # The response of the published low-pass is below −80 dB past this multiple of the frame rate.
    _REACH = 5.0

    def __init__(
        self, lowpass: EnvelopeLowpass, length: int, n_samples: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__()
        self.n_frames = lowpass.n_frames(n_samples)
        self.reach = reach = min(int(self._REACH * n_samples / lowpass.stride), (length + 1) // 2)
        self.length = scipy.fft.next_fast_len(reach + self.n_frames - 1)
        # kn = (k² + n² − (k − n)²) / 2; the phase is reduced in whole numbers, so that it stays exact for long sounds.
        index = np.arange(max(reach, self.n_frames), dtype=np.int64)
        chirp = np.exp(1j * np.pi * (lowpass.stride * index**2 % (2 * n_samples)) / n_samples)
        kernel = np.zeros(self.length, dtype=np.complex128)
        kernel[: self.n_frames] = chirp[: self.n_frames].conj()
        kernel[self.length - reach + 1 :] = chirp[1:reach][::-1].conj()
        weights = 2 * chirp[:reach] * lowpass.response(reach, n_samples) / length
        weights[0] /= 2
        for name, values in (("weights", weights), ("kernel", np.fft.fft(kernel)), ("chirp", chirp[: self.n_frames])):
            _buffer(self, name, values, dtype.to_complex(), device)

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, filters, points)] to frames [shape=(batch, filters, frames)]."""
        coefficients = LowSpectrum.apply(signals, self.reach)
        spectra = torch.fft.fft(coefficients * self.get_buffer("weights"), n=self.length) * self.get_buffer("kernel")
        return (torch.fft.ifft(spectra)[..., : self.n_frames] * self.get_buffer("chirp")).real


class LowSpectrum(torch.autograd.Function):
    """The lowest bins of the FFT of real signals; the backward pass is one real FFT of their own length."""

    @staticmethod
    def forward(ctx: Any, signals: Tensor, reach: int) -> Tensor:
        ctx.length, ctx.reach = signals.shape[-1], reach
        return torch.fft.rfft(signals)[..., :reach]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return torch.fft.rfft(tangents[0])[..., : ctx.reach]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        halved = gradient * 0.5  # an inverse real FFT counts every bin twice, but for the first and, if there is one, Nyquist's
        halved[..., 0] *= 2
        if 2 * (gradient.shape[-1] - 1) == ctx.length:
            halved[..., -1] *= 2
        return torch.fft.irfft(halved, n=ctx.length, norm="forward"), None


def _uses(columns: NDArray[np.int64], used: NDArray[np.bool_], n_columns: int) -> NDArray[np.int64]:
    """Where each of n columns stands among `columns`, where `used`; shape=(most, n), padded with len(columns)."""
    where = np.flatnonzero(used)
    where = where[np.argsort(columns[where], kind="stable")]
    counts = np.bincount(columns[where], minlength=n_columns)
    rank = np.arange(len(where)) - np.repeat(np.cumsum(counts) - counts, counts)
    uses = np.full((counts.max(), n_columns), len(columns))
    uses[rank, columns[where]] = where
    return uses


def _round_density(at_least: float) -> int:
    """The next 2ᵃ or 3 · 2ᵃ: FFTs are fast at such lengths, and they are few, so that many subbands share one."""
    return min(m << max(math.ceil(math.log2(at_least / m)), 0) for m in (1, 3))


def _interpolation(points: int) -> FloatArray:
    """Kaiser-windowed sincs that interpolate a block of samples at evenly spaced points; shape=(2 · block, points)."""
    x = np.arange(points) * (_BLOCK / points) - np.arange(1 - _HALF_TAPS, 2 * _BLOCK + 1 - _HALF_TAPS)[:, None]
    window = np.i0(_INTERPOLATION_BETA * np.sqrt(np.maximum(1 - (x / _HALF_TAPS) ** 2, 0))) / np.i0(_INTERPOLATION_BETA)
    taps = np.where(np.abs(x) < _HALF_TAPS, np.sinc(x) * window, 0)
    return taps / taps.sum(axis=0)  # a constant stays exactly constant


def _buffer(module: nn.Module, name: str, values: np.ndarray, dtype: torch.dtype, device: torch.device) -> None:
    """Register a constant that moves with the module and is not stored in checkpoints."""
    module.register_buffer(name, torch.as_tensor(values).to(device=device, dtype=dtype), persistent=False)
