"""Envelopes of analytic bands, compressed and decimated: band after band, so that what is computed stays in the cache."""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audiometamer.networks.texture_filters import decimation_filter

EXPONENT = 0.3
# The derivative of the power falls again at least below this envelope, 100 dB below the published RMS of 0.01: at 0 it would be
# infinite.
_KNEE = 1e-7
_CHUNK = 2**18  # samples of all bands that are computed at once on a CPU


class PowerEnvelopes(torch.autograd.Function):
    """|a|^0.3 of analytic bands, low-pass filtered and decimated; one Fourier transform for each band there and back.

    Takes the spectra of real signals [shape=(batch, bins)], the bands' one-sided gains [shape=(bands, bins)], the number of
    samples, the decimation's filter as `filter_blocks` gives it, whether it is circular, and the magnitude, relative to each
    band's RMS, below which the derivative of the power falls again. Returns [shape=(batch, bands, frames)].
    """

    @staticmethod
    def forward(
        ctx: Any, spectra: Tensor, gains: Tensor, n_samples: int, taps: Tensor, circular: bool, knee: float = 0.0
    ) -> Tensor:
        frames, slopes = [], []
        for rows in gains.split(_rows(spectra, n_samples)):
            bands = torch.fft.ifft(spectra[:, None] * rows, n=n_samples)
            power = bands.real.square().addcmul_(bands.imag, bands.imag)
            compressed = power.log().mul_(EXPONENT / 2).exp_()  # faster than the power, and 0 at 0
            frames.append(decimated(compressed, taps, circular=circular))
            # d|a|^0.3 = 0.3 |a|^0.3 / |a|² · Re(a* da)
            least = (knee**2 * power.mean(-1, keepdim=True)).clamp_(min=_KNEE**2)
            slopes.append(bands.mul_(compressed.div_(power.maximum(least)).mul_(EXPONENT)))
        ctx.save_for_backward(gains, taps, *slopes)
        ctx.save_for_forward(gains, taps, *slopes)
        ctx.n_samples, ctx.circular = n_samples, circular
        return torch.cat(frames, 1)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        gains, taps, *slopes = ctx.saved_tensors
        frames, chunks = [], gains.split(slopes[0].shape[1])
        for rows, slope in zip(chunks, slopes, strict=True):
            bands = torch.fft.ifft(tangents[0][:, None] * rows, n=ctx.n_samples)
            changes = (torch.view_as_real(slope) * torch.view_as_real(bands)).sum(-1)
            frames.append(decimated(changes, taps, circular=ctx.circular))
        return torch.cat(frames, 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gains, taps, *slopes = ctx.saved_tensors
        size = slopes[0].shape[1]
        total = gains.new_zeros(len(gradients[0]), gains.shape[1], dtype=slopes[0].dtype)
        for rows, slope, gradient in zip(gains.split(size), slopes, gradients[0].split(size, 1), strict=True):
            spectra = torch.fft.fft(slope * _spread(gradient, taps, ctx.n_samples, circular=ctx.circular), norm="forward")[
                ..., : gains.shape[1]
            ]
            total = total + torch.einsum("brk,rk->bk", spectra, rows.to(spectra.dtype))
        return total, None, None, None, None, None


def _rows(spectra: Tensor, n_samples: int) -> int:
    """Number of bands at once: few on a CPU, whose cache is small."""
    return max(_CHUNK // (len(spectra) * n_samples), 1) if spectra.device.type == "cpu" else 2**10


def decimated(values: Tensor, taps: Tensor, *, circular: bool = False) -> Tensor:
    """As MATLAB's ``resample(x, 1, factor)`` along the last dimension.

    Parameters
    ----------
    values : Tensor [shape=(batch, bands, samples)]
    taps : Tensor [shape=(factor, 21)]
        See `filter_blocks`.
    circular : bool
        Whether the beginning follows the end. Default False: zeros lie beyond both, as published.

    Returns
    -------
    Tensor [shape=(batch, bands, frames)]
        Rounded up; circular, the samples must make whole frames.
    """
    factor, n_blocks = taps.shape
    n_frames = -(-values.shape[-1] // factor)
    after = (n_frames + 11) * factor - values.shape[-1]
    padded = F.pad(values, (10 * factor, after), mode="circular" if circular else "constant")
    blocks = padded.unflatten(-1, (-1, factor)) @ taps
    return torch.stack([blocks[..., j : j + n_frames, j] for j in range(n_blocks)]).sum(0)


def _spread(gradient: Tensor, taps: Tensor, n_samples: int, *, circular: bool) -> Tensor:
    """The adjoint of `decimated`: [shape=(..., frames)] to [shape=(..., n_samples)]."""
    windows = F.pad(gradient, (10, 10), mode="circular" if circular else "constant").unfold(-1, taps.shape[1], 1)
    return (windows @ taps.flip(1).T).flatten(-2)[..., :n_samples]


def knee_of(gradient_clip: float | None) -> float:
    """The magnitude, relative to a band's RMS, at which the derivative of the power is so many times that at the RMS."""
    return 0.0 if gradient_clip is None else float(gradient_clip ** (-1 / (1 - EXPONENT)))


@lru_cache(maxsize=4)
def filter_blocks(factor: int) -> Tensor:
    """The decimation's filter in columns of `factor` taps, [shape=(factor, 21)]; the last holds one tap and zeros."""
    taps = decimation_filter(factor)
    return torch.from_numpy(np.pad(taps, (0, factor - 1)).reshape(-1, factor).T.copy())
