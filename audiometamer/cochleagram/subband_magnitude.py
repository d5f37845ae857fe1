"""Magnitudes of subbands: their power is interpolated from a coarse grid to a fine one, where the root is taken."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiometamer.cochleagram.constants import MAGNITUDE_FLOOR
from audiometamer.cochleagram.filters import FloatArray
from audiometamer.cochleagram.subbands import BLOCK, HALF_TAPS

_KAISER_BETA = 12.0  # of the window of the interpolation: side lobes below −110 dB


class SubbandMagnitude(torch.autograd.Function):
    """Magnitudes of analytic subbands: squared on a coarse grid, interpolated, and the root taken on the finer grid.

    On the coarse grid the real and the imaginary part come from one real inverse FFT each, of the spectrum and of the spectrum
    times −i: as much work as one complex FFT, and each part is contiguous in memory. Each block of the power, with the one after
    it, is multiplied by a matrix [shape=(2 · block, points)] that gives the block's points on the finer grid.
    """

    @staticmethod
    def forward(ctx: Any, spectra: Tensor, parts: Tensor, adjoint_parts: Tensor, matrix: Tensor, length: int) -> Tensor:
        z = SubbandMagnitude._coarse(spectra, parts, length)
        fine = SubbandMagnitude._interpolated(z, z, matrix)
        fine.clamp_(min=MAGNITUDE_FLOOR**2).sqrt_()
        # Not a view of `fine` for autograd: an output that is a view cannot carry a tangent.
        magnitude = torch.ops.aten._unsafe_view(fine, (*z.shape[1:-1], fine.numel() // z.shape[1:-1].numel()))
        if (points := length * matrix.shape[1] // BLOCK) < magnitude.shape[-1]:
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
        # The grid is periodic; the first window begins half a window, less a sample, before it. Blocks may extend past its end.
        begin, end = HALF_TAPS - 1, HALF_TAPS - 1 + length
        power = a.new_empty(*a.shape[1:-1], (-(-length // BLOCK) + 1) * BLOCK)
        torch.mul(a[0], b[0], out=power[..., begin:end]).addcmul_(a[1], b[1])
        power[..., :begin] = power[..., length:end]
        power[..., end:] = power[..., begin : power.shape[-1] - length]
        return power.unfold(-1, 2 * BLOCK, BLOCK).reshape(-1, 2 * BLOCK) @ matrix

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        z, magnitude, parts, matrix = ctx.saved_tensors
        # As in the backward pass, the halves of d√p = dp / 2√p and of d|z|² = 2 (re d re + im d im) cancel.
        half = SubbandMagnitude._interpolated(z, SubbandMagnitude._coarse(tangents[0], parts, z.shape[-1]), matrix)
        half = half.view(*z.shape[1:-1], -1)[..., : magnitude.shape[-1]]
        return torch.where(magnitude > MAGNITUDE_FLOOR, half / magnitude, torch.zeros_like(half)).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        z, magnitude, adjoint_parts, matrix = ctx.saved_tensors
        *shape, length = z.shape[1:]
        n_blocks, points = -(-length // BLOCK), matrix.shape[1]
        begin, end = HALF_TAPS - 1, HALF_TAPS - 1 + length
        # d√p = dp / 2√p above the floor, and d|z|² = 2 (re d re + im d im): the halves cancel. In place: the gradient is fresh
        # from the decimation, nothing else holds it, and on the CPU new memory costs more than the arithmetic.
        torch.ops.aten.threshold_backward(gradient, magnitude, MAGNITUDE_FLOOR, grad_input=gradient)
        gradient.div_(magnitude)
        if surplus := n_blocks * points - gradient.shape[-1]:
            gradient = torch.nn.functional.pad(gradient, (0, surplus))
        windows = (gradient.view(-1, points) @ matrix.T).view(*shape, n_blocks, 2 * BLOCK)
        power = windows.new_empty(*shape, (n_blocks + 1) * BLOCK)
        power[..., :-BLOCK].unflatten(-1, (n_blocks, BLOCK)).copy_(windows[..., :BLOCK])
        power[..., -BLOCK:] = 0
        power[..., BLOCK:].unflatten(-1, (n_blocks, BLOCK)).add_(windows[..., BLOCK:])
        power[..., begin : power.shape[-1] - length] += power[..., end:]
        power[..., length:end] += power[..., :begin]
        turned = torch.fft.rfft(z * power[..., begin:end])[..., : adjoint_parts.shape[-1]]
        return (turned[0] * adjoint_parts[0]).addcmul_(turned[1], adjoint_parts[1]).flatten(1), None, None, None, None


def interpolation_matrix(points: int) -> FloatArray:
    """Kaiser-windowed sincs that interpolate a block of samples at evenly spaced points; shape=(2 · block, points)."""
    x = np.arange(points) * (BLOCK / points) - np.arange(1 - HALF_TAPS, 2 * BLOCK + 1 - HALF_TAPS)[:, None]
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(1 - (x / HALF_TAPS) ** 2, 0))) / np.i0(_KAISER_BETA)
    taps = np.where(np.abs(x) < HALF_TAPS, np.sinc(x) * window, 0)
    return taps / taps.sum(axis=0)  # a constant stays exactly constant
