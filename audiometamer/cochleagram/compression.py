"""Compressive nonlinearities of the cochlea, with bounded gradients."""

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.straight_through import straight_through


class PowerCompression(nn.Module):
    """y = (scale · max(x, 0) + offset) ** power.

    The rectification passes the gradient unchanged, and the derivative of the power, power · u ** (power − 1), is clipped, since
    it grows without bound near silence (Feather et al. 2023).

    Parameters
    ----------
    power : float
        Exponent. Default 0.3.
    offset : float
        Added before the power. Default 1e-8.
    scale : float
        Factor applied before the offset. Default 1.
    gradient_clip : float or None
        Largest derivative of the power; None leaves it unbounded. Default 5.
    straight_through : bool
        Whether the rectification passes the gradient unchanged. Default True, as published.
    """

    def __init__(
        self,
        *,
        power: float = 0.3,
        offset: float = 1e-8,
        scale: float = 1.0,
        gradient_clip: float | None = 5.0,
        straight_through: bool = True,
    ) -> None:
        super().__init__()
        if not 0 < power < 1:
            raise AudioMetamerError(f"compression power is {power}; it must be between 0 and 1")
        if offset <= 0:
            raise AudioMetamerError(f"compression offset is {offset}; it must be above 0")
        self.power, self.offset, self.scale, self.gradient_clip = power, offset, scale, gradient_clip
        self.straight_through = straight_through

    def forward(self, x: Tensor) -> Tensor:
        """Compress envelopes of any shape."""
        u = _rectified(x, self.straight_through) * self.scale + self.offset
        y = u**self.power
        if self.gradient_clip is None:
            return y
        # power · u ** (power − 1) exceeds the clip exactly where u is below the knee: there the surrogate is a straight line.
        knee = (self.power / self.gradient_clip) ** (1 / (1 - self.power))
        return torch.where(u > knee, y, straight_through(y.detach(), self.gradient_clip * u))

    def extra_repr(self) -> str:
        return f"power={self.power}, offset={self.offset}, scale={self.scale}, gradient_clip={self.gradient_clip}"


class DecibelCompression(nn.Module):
    """y = 20 · log10(scale · max(x, 0) + offset), in dB, with a clipped derivative as in `PowerCompression`.

    Parameters
    ----------
    offset : float
        Added before the logarithm; sets the floor, 20 · log10(offset). Default 1e-8 (−160 dB).
    scale : float
        Factor applied before the offset. Default 1.
    gradient_clip : float or None
        Largest derivative of the logarithm in dB per unit; None leaves it unbounded. Default 5000, the true derivative at −55 dB.
    straight_through : bool
        Whether the rectification passes the gradient unchanged. Default True.
    """

    _DB_PER_NEPER = 8.685889638065035  # 20 / ln 10

    def __init__(
        self, *, offset: float = 1e-8, scale: float = 1.0, gradient_clip: float | None = 5000.0, straight_through: bool = True
    ) -> None:
        super().__init__()
        if offset <= 0:
            raise AudioMetamerError(f"compression offset is {offset}; it must be above 0")
        self.offset, self.scale, self.gradient_clip = offset, scale, gradient_clip
        self.straight_through = straight_through

    def forward(self, x: Tensor) -> Tensor:
        """Compress envelopes of any shape."""
        u = _rectified(x, self.straight_through) * self.scale + self.offset
        y = self._DB_PER_NEPER * torch.log(u)
        if self.gradient_clip is None:
            return y
        knee = self._DB_PER_NEPER / self.gradient_clip
        return torch.where(u > knee, y, straight_through(y.detach(), self.gradient_clip * u))

    def extra_repr(self) -> str:
        return f"offset={self.offset}, scale={self.scale}, gradient_clip={self.gradient_clip}"


def _rectified(x: Tensor, passes_gradient: bool) -> Tensor:
    return straight_through(x.clamp(min=0), x) if passes_gradient else x.clamp(min=0)
