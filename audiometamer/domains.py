"""What is synthesised: where it starts, what it may be, how it is kept there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from audiometamer.images import STEPS_16_BIT


class Domain(Protocol):
    """The set of signals that a synthesis moves in."""

    def start(self, shape: Sequence[int], *, seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """A random first signal for each seed, [shape=(seeds, *shape)]."""
        ...

    def project(self, signals: Tensor) -> Tensor:
        """The nearest signals of the domain, [shape=(batch, ...)]; differentiation never passes through here."""
        ...

    def as_written(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, ...)] rounded as their files are, in float32."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Signals bounded from below and above, started from normal noise.

    The noise of a signal depends on its own seed only and is drawn on the CPU in float64, so it is the same for every batch,
    layer, device and dtype.

    Parameters
    ----------
    mean, deviation : float
        Of the noise.
    low, high : float
        Bounds; may be infinite.
    """

    mean: float = 0.0
    deviation: float = 1.0
    low: float = float("-inf")
    high: float = float("inf")

    @classmethod
    def within(cls, bounds: tuple[float, float]) -> "Gaussian":
        """Bounded signals, started from their middle with a twentieth of their range, as `Image` is; unbounded from N(0, 1)."""
        low, high = bounds
        if not math.isfinite(high - low):
            return cls(low=low, high=high)
        return cls((low + high) / 2, (high - low) / 20, low, high)

    def start(self, shape: Sequence[int], *, seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str) -> Tensor:
        noise = torch.stack(
            [torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in seeds]
        )
        return self.project((self.mean + self.deviation * noise).to(dtype=dtype, device=device))

    def project(self, signals: Tensor) -> Tensor:
        return signals.clamp(self.low, self.high)

    def as_written(self, signals: Tensor) -> Tensor:
        return signals.float()


@dataclass(frozen=True)
class Waveform(Gaussian):
    """Sound pressure in [−1, 1], started from noise of standard deviation 1e-7 (Feather et al. 2023)."""

    deviation: float = 1e-7
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True)
class Image(Gaussian):
    """Pixels in [0, 1], started from noise of mean 0.5 and standard deviation 0.05 (Feather et al. 2023)."""

    mean: float = 0.5
    deviation: float = 0.05
    low: float = 0.0
    high: float = 1.0

    def as_written(self, signals: Tensor) -> Tensor:
        return (signals.double() * STEPS_16_BIT).round().div(STEPS_16_BIT).float()
