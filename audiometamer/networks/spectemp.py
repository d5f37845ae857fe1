"""SpecTemp: a fixed spectrotemporal filterbank with a linear read-out (Feather et al. 2023)."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometamer.networks.heads import Outputs, checked_shape, read_out, read_out_layers

_TEMPORAL_HZ = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_SPECTRAL_CYCLES_PER_ERB = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
_FRAME_RATE_HZ = 200.0
_FILTERS_PER_ERB = 6.0
# Limits of the filters in the published synthesis, stage by stage: a filter is in if its rate or its scale is within either.
_COARSE_TO_FINE = ((0.0, 0.0), (0.5, 0.0625), (1.0, 0.125), (2.0, 0.25), (4.0, 0.5), (8.0, 1.0), (16.0, 2.0))
_INPUT_GAIN = 100.0
_POWER_FLOOR = 1e-8


class SpectrotemporalFilters(nn.Module):
    """Filters tuned to spectral and temporal modulation, upward and downward (after Chi, Ru & Shamma 2005).

    There are 9 × 7 of one direction and 8 × 6 of the other, which lacks the rates of zero: ordered by direction, then spectral,
    then temporal rate. Each filter is the product of a spectral and a temporal response with two opposite quadrants of its plane
    set to zero; only the factors are stored.

    Parameters
    ----------
    shape : tuple of int
        (filters, frames) of the cochleagram.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.padded = (2 * shape[0], 3 * shape[1])
        spectral = np.stack([_spectral_response(f, self.padded[0]) for f in _SPECTRAL_CYCLES_PER_ERB])
        temporal = np.stack([_temporal_response(f, shape[1], self.padded[1]) for f in _TEMPORAL_HZ])
        self.rates = [
            (sign, s, t)
            for sign in (-1, 1)
            for s in range(len(_SPECTRAL_CYCLES_PER_ERB))
            for t in range(len(_TEMPORAL_HZ))
            if sign < 0 or (s > 0 and t > 0)
        ]
        self.register_buffer("spectral", torch.from_numpy(spectral), persistent=False)
        self.register_buffer("temporal", torch.from_numpy(temporal), persistent=False)

    def __len__(self) -> int:
        return len(self.rates)

    def within(self, rate: float, scale: float) -> list[int]:
        """Indices of the filters whose temporal rate is at most `rate` in Hz, or spectral one `scale` in cycles per ERB."""
        return [k for k, (_, s, t) in enumerate(self.rates) if _TEMPORAL_HZ[t] <= rate or _SPECTRAL_CYCLES_PER_ERB[s] <= scale]

    def transfer_functions(self) -> Tensor:
        """All filters, complex [shape=(filters, 2 · rows, 3 · frames)], in double precision."""
        filters = self.get_buffer("spectral")[:, None, :, None] * self.get_buffer("temporal")[None, :, None, :]
        rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64, device=filters.device) for n in self.padded)
        # The sign of the product of frequencies is the quadrant; the lines of zero and of Nyquist frequency belong to both.
        inner = [torch.where(f == -0.5, torch.zeros_like(f), f) for f in (rows, columns)]
        quadrant = torch.sign(inner[0])[:, None] * torch.sign(inner[1])[None, :]
        return torch.stack([filters[s, t] * (quadrant * sign >= 0) for sign, s, t in self.rates])

    def forward(self, cochleagram: Tensor) -> Tensor:
        """Cochleagram [shape=(batch, rows, frames)] to filtered maps [shape=(batch, filters, rows, frames)]."""
        spectrum = torch.fft.fft2(cochleagram, s=self.padded)[:, None]
        transfer = self.transfer_functions().to(spectrum.dtype)
        filtered = torch.fft.ifft2(spectrum * transfer).real
        return filtered[..., : self.shape[0], : self.shape[1]]


class SpecTemp(nn.Module):
    """Cochleagram to word logits through the power of modulation filters, averaged over time.

    Layers: ``filtered_signal``, ``power``, ``avgpool``, ``final``. Only the read-out, ``classification``, is learned.

    Parameters
    ----------
    outputs : int or mapping of str to int
        Number of classes, or classes by task. Default 794.
    cochleagram_shape : tuple of int
        (filters, frames). Default (211, 390), which gives 111 × 211 = 23,421 averaged powers.
    """

    aliases: ClassVar[Mapping[str, str]] = {"input_after_preproc": "cochleagram", "spectempfilter_power": "power"}

    def __init__(self, outputs: Outputs = 794, *, cochleagram_shape: tuple[int, int] = (211, 390)) -> None:
        super().__init__()
        cochleagram_shape = checked_shape(cochleagram_shape)
        self.filtered_signal = SpectrotemporalFilters(cochleagram_shape)
        self.power = _Power()
        self.avgpool = _TimeAverage()
        n_features = len(self.filtered_signal) * cochleagram_shape[0]
        self.classification = read_out(n_features, outputs)
        hidden = ("filtered_signal", "power", "avgpool")
        self.layers: dict[str, str] = {name: name for name in hidden} | read_out_layers("classification", outputs)

    def coarse_to_fine(self, layer: str) -> list[list[int]]:
        """Indices of the filters that each stage of the published synthesis includes at a layer; empty where it has all."""
        if layer not in ("filtered_signal", "power"):
            return []
        return [self.filtered_signal.within(*limits) for limits in _COARSE_TO_FINE]

    def forward(self, cochleagram: Tensor) -> Tensor | dict[str, Tensor]:
        """Logits of a cochleagram [shape=(batch, filters, frames)] or [shape=(batch, 1, filters, frames)]."""
        x = cochleagram.reshape(-1, *cochleagram.shape[-2:]) * _INPUT_GAIN
        x = self.avgpool(self.power(self.filtered_signal(x)))
        logits: Tensor | dict[str, Tensor] = self.classification(torch.flatten(x, start_dim=1))
        return logits


class _Power(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square().clamp(min=_POWER_FLOOR)


class _TimeAverage(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(-1)


def _temporal_response(rate: float, n_frames: int, length: int) -> NDArray[np.complex128]:
    """Transfer function over time, shape=(length,), peak 1: of sin(2πu) · u² · exp(−3.5u), u = rate · t, mean removed.

    The top rate is made high-pass: magnitude 1 from its peak to Nyquist, on both sides. A rate of 0 passes constants only.
    """
    if rate == 0:
        return (np.arange(length) == 0).astype(np.complex128)
    u = rate * np.arange(n_frames) / _FRAME_RATE_HZ
    impulse = np.sin(2 * np.pi * u) * u**2 * np.exp(-3.5 * u)
    spectrum = np.fft.fft(impulse - impulse.mean(), length)
    magnitude, phase = np.abs(spectrum), np.angle(spectrum)
    if rate == max(_TEMPORAL_HZ):
        peak = int(magnitude[: length // 2].argmax())
        magnitude[peak : length - peak + 1] = magnitude.max()
    return magnitude / magnitude.max() * np.exp(1j * phase)


def _spectral_response(rate: float, length: int) -> NDArray[np.float64]:
    """Transfer function over frequency, shape=(length,), peak 1: of R · exp(−R), R = (f / rate)².

    The top rate stays at 1 above its peak. A rate of 0 passes constants only.
    """
    if rate == 0:
        return (np.arange(length) == 0).astype(np.float64)
    frequency = np.abs(np.fft.fftfreq(length)) * _FILTERS_PER_ERB
    ratio = (frequency / rate) ** 2
    response = ratio * np.exp(-ratio)
    if rate == max(_SPECTRAL_CYCLES_PER_ERB):
        response[frequency >= rate] = response.max()
    return response / response.max()
