"""Domains: the kinds of signals that are synthesised, where they start and within which bounds they stay."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.matching.straight_through import straight_through
from audiometamer.signals.images import STEPS_16_BIT


class Domain(Protocol):
    """The set of signals that a synthesis moves in.

    Its signals are saved as ``.npy`` arrays; a domain with an attribute `suffix`, ``.wav`` or ``.png``, saves sounds or images.
    """

    def start(self, shape: Sequence[int], *, seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """A random start for each seed, [shape=(seeds, *shape)]."""
        ...

    def project(self, signals: Tensor) -> Tensor:
        """The nearest signals within the domain, [shape=(batch, ...)]; no gradient passes through this."""
        ...

    def signals(self, parameters: Tensor) -> Tensor:
        """Signals as a function of the parameters that are stepped, [shape=(batch, ...)] both; gradients pass through this."""
        ...

    def as_written(self, signals: Tensor) -> Tensor:
        """Signals [shape=(batch, ...)] in float32, rounded as in their files."""
        ...


def check_domain(domain: object) -> None:
    """Raise unless an object is a `Domain`, and not a class of one."""
    parts = ("start", "project", "signals", "as_written")
    if isinstance(domain, type) or not all(callable(getattr(domain, part, None)) for part in parts):
        raise AudioMetamerError(
            f"the domain is {domain!r}; it must be an instance with the methods {', '.join(parts)}, such as "
            "audiometamer.matching.domains.Waveform()"
        )


def _generator(seed: int) -> torch.Generator:
    """A generator for a seed of any size: torch's, on a CPU, ignores all but the lower 32 bits, so the others are folded in."""
    high, low = divmod(seed, 2**32)
    return torch.Generator().manual_seed(low ^ (high * 0x9E3779B9 % 2**32))  # odd, so no two values of `high` give the same


@dataclass(frozen=True)
class Gaussian:
    """Signals bounded from below and above, started from Gaussian noise.

    The noise of a signal depends on its seed only and is drawn on the CPU in float64, so that it is the same for every batch,
    layer, device and dtype.

    Parameters
    ----------
    mean, deviation : float, or tuple of them
        Mean and standard deviation of the noise; a tuple has one value for each place in the last dimension.
    low, high : float
        Bounds; may be infinite.
    """

    mean: float | tuple[float, ...] = 0.0
    deviation: float | tuple[float, ...] = 1.0
    low: float = float("-inf")
    high: float = float("inf")

    @classmethod
    def within(cls, bounds: tuple[float, float]) -> "Gaussian":
        """Signals started in the middle of their bounds, spread by a twentieth of their range; from N(0, 1) if unbounded."""
        low, high = bounds
        if not math.isfinite(high - low):
            return cls(low=low, high=high)
        return cls((low + high) / 2, (high - low) / 20, low, high)

    def start(self, shape: Sequence[int], *, seeds: Sequence[int], dtype: torch.dtype, device: torch.device | str) -> Tensor:
        noise = torch.stack([torch.randn(*shape, generator=_generator(seed), dtype=torch.float64) for seed in seeds])
        mean, deviation = (torch.tensor(moment, dtype=torch.float64) for moment in (self.mean, self.deviation))
        return self.project((mean + deviation * noise).to(dtype=dtype, device=device))

    def project(self, signals: Tensor) -> Tensor:
        return signals.clamp(self.low, self.high)

    def signals(self, parameters: Tensor) -> Tensor:
        return parameters

    def as_written(self, signals: Tensor) -> Tensor:
        return signals.float()


@dataclass(frozen=True)
class Waveform(Gaussian):
    """Sound pressure in [−1, 1], started from noise of standard deviation 1e-7 (Feather et al. 2023)."""

    suffix: ClassVar[str] = ".wav"

    deviation: float = 1e-7
    low: float = -1.0
    high: float = 1.0


@dataclass(frozen=True)
class Image(Gaussian):
    """Pixels in [0, 1], started from noise of mean 0.5 and standard deviation 0.05 (Feather et al. 2023).

    Parameters
    ----------
    mean, deviation, low, high : float
        As for `Gaussian`.
    steps : int
        Number of steps from black to white in files. Default: that of 16 bits.
    """

    mean: float = 0.5
    deviation: float = 0.05
    low: float = 0.0
    high: float = 1.0
    steps: int = STEPS_16_BIT

    suffix: ClassVar[str] = ".png"

    def as_written(self, signals: Tensor) -> Tensor:
        return (signals.double() * self.steps).round().div(self.steps).float()


@dataclass(frozen=True)
class Features(Gaussian):
    """Real features, such as those of the nodes of a graph, started from the moments of a reference (Xu et al. 2025)."""

    @classmethod
    def like(cls, reference: Tensor, *, per_feature: bool = False) -> Self:
        """Unbounded features that start with the mean and the standard deviation of a reference.

        Parameters
        ----------
        reference : Tensor [shape=(..., features)]
        per_feature : bool
            Whether every feature has its own moments. Default False: all share theirs.
        """
        values = reference.detach().double()
        if not per_feature:
            return cls(float(values.mean()), float(values.std(correction=0)))
        rows = values.reshape(-1, values.shape[-1])
        return cls(tuple(rows.mean(0).tolist()), tuple(rows.std(0, correction=0).tolist()))


@dataclass(frozen=True)
class BinaryFeatures(Gaussian):
    """Features that are 0 or 1, with a fixed fraction of ones in each signal (Xu et al. 2025).

    A latent number z is stepped for each, from standard normal noise. The largest z give the ones, and the gradient is that of
    sigmoid(slope · z).

    Parameters
    ----------
    fraction : float
        Fraction of ones, rounded to a whole number of them. Default 0.5.
    slope : float
        Slope of the sigmoid's argument; the steeper, the fewer z near the threshold move. Default 1.

    Raises
    ------
    AudioMetamerError
        If the fraction is not between 0 and 1, or the slope not above 0.
    """

    fraction: float = 0.5
    slope: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise AudioMetamerError(f"the fraction of ones is {self.fraction}; it must be between 0 and 1")
        if self.slope <= 0:
            raise AudioMetamerError(f"the slope is {self.slope}; it must be above 0")

    @classmethod
    def like(cls, reference: Tensor, *, slope: float = 1.0) -> Self:
        """Features with as many ones as a reference [shape=(...)] of zeros and ones."""
        if not ((reference == 0) | (reference == 1)).all():
            raise AudioMetamerError("the reference is not binary: it has values other than 0 and 1")
        return cls(fraction=float(reference.double().mean()), slope=slope)

    def signals(self, parameters: Tensor) -> Tensor:
        latent = parameters.flatten(1)
        largest = latent.detach().topk(round(self.fraction * latent.shape[1]), dim=1).indices
        ones = torch.zeros_like(latent).scatter(1, largest, 1.0).view_as(parameters)
        return straight_through(ones, (self.slope * parameters).sigmoid())
