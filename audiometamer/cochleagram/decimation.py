"""The low-pass filter and decimation of envelopes on grids other than the sound's own."""

from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor, nn

from audiometamer.cochleagram.constants import add_constant
from audiometamer.cochleagram.lowpass import Lowpass
from audiometamer.cochleagram.spectra import LowSpectrum


class BlockDecimation(nn.Module):
    """The low-pass filter on a grid with a whole number of points per frame, as one matrix product.

    The signal is divided into blocks of one frame's points. Row j of a matrix holds the taps for the j-th block of a frame; a
    frame is the sum of a diagonal of the products with all blocks.
    """

    def __init__(self, lowpass: Lowpass, density: int, n_samples: int, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.n_frames = lowpass.n_frames(n_samples)
        taps = lowpass.taps(density)
        taps = np.pad(taps, (0, -len(taps) % density)).reshape(-1, density)
        add_constant(self, "taps", taps, dtype, device)

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
    """The low-pass filter on a grid whose points are not frame times: a product of spectra, evaluated at the frame times.

    The sum Σₖ aₖ e^(2πikn/N) over −reach < k < reach, a₋ₖ = conj(aₖ), is evaluated at n = 0, stride, 2 · stride, … by a chirp-z
    transform (Rabiner et al. 1969).
    """

    def __init__(self, lowpass: Lowpass, length: int, n_samples: int, *, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.n_frames = lowpass.n_frames(n_samples)
        self.reach = reach = min(int(lowpass.reach * n_samples / lowpass.stride), (length + 1) // 2)
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
            add_constant(self, name, values, dtype.to_complex(), device)

    def forward(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, filters, points)] to frames [shape=(batch, filters, frames)]."""
        coefficients = LowSpectrum.apply(signals, self.reach)
        spectra = torch.fft.fft(coefficients * self.get_buffer("weights"), n=self.length) * self.get_buffer("kernel")
        return (torch.fft.ifft(spectra)[..., : self.n_frames] * self.get_buffer("chirp")).real
