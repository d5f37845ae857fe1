"""Spectra of real signals, and columns gathered from them, with backward passes of their own."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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


class Gather(torch.autograd.Function):
    """Columns of a matrix; `positions` [shape=(most, columns)] are where each went, for the backward pass; see
    `gather_positions`.

    Sums in a fixed order, on every device: a scatter would add in any.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, columns: Tensor, positions: Tensor) -> Tensor:
        ctx.save_for_backward(positions)
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
        (positions,) = ctx.saved_tensors
        padded = torch.cat([gradient, gradient.new_zeros(len(gradient), 1)], dim=1)
        return padded.index_select(1, positions.ravel()).view(-1, *positions.shape).sum(1), None, None


def gather_positions(columns: NDArray[np.int64], used: NDArray[np.bool_], n_columns: int) -> NDArray[np.int64]:
    """The positions of each of n columns among `columns`, where `used`; shape=(most, n), padded with len(columns)."""
    where = np.flatnonzero(used)
    where = where[np.argsort(columns[where], kind="stable")]
    counts = np.bincount(columns[where], minlength=n_columns)
    rank = np.arange(len(where)) - np.repeat(np.cumsum(counts) - counts, counts)
    positions = np.full((counts.max(), n_columns), len(columns))
    positions[rank, columns[where]] = where
    return positions
