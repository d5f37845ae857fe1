"""Networks with two ears whose answers are worked out on paper."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

import audiometamer as am

RATE, SECONDS, LAGS = 4000, 0.25, 8
SIDES = ("left", "centre", "right")


class Powers(nn.Module):
    """Mean squares of both channels: their ratio is the interaural level difference."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean(-1)


class CrossCorrelation(nn.Module):
    """Mean of left[t] · right[t + lag], around the circle, for lags from -8 to 8 samples.

    Of a·sin(ωt) and b·sin(ω(t - d)), whole periods of both, it is ab/2 · cos(ω(lag - d)), with its peak at lag d.
    """

    def forward(self, x: Tensor) -> Tensor:
        left, right = x[:, 0], x[:, 1]
        return torch.stack([(left * right.roll(-lag, -1)).mean(-1) for lag in range(-LAGS, LAGS + 1)], -1)


class Sides(nn.Module):
    """Where a sound is: left where the left ear has it first."""

    def forward(self, correlation: Tensor) -> Tensor:
        before, at, after = correlation.split([LAGS, 1, LAGS], -1)
        return torch.cat([after.amax(-1, keepdim=True), at, before.amax(-1, keepdim=True)], -1)


class TwoEars(nn.Module):
    """Powers, correlation and side of two-channel sounds."""

    sample_rate, duration, channels = RATE, SECONDS, 2
    labels = SIDES

    def __init__(self) -> None:
        super().__init__()
        self.powers, self.correlation, self.sides = Powers(), CrossCorrelation(), Sides()
        self.layers = {"powers": "powers", "correlation": "correlation", "sides": "sides"}

    def forward(self, x: Tensor) -> Tensor:
        self.powers(x)
        return self.sides(self.correlation(x))


def two_ears() -> nn.Module:
    return TwoEars().eval()


class LevelDifference(nn.Module):
    """The difference of both channels' cochleagrams, [shape=(batch, frequency, time)], and its mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.difference, self.mean = nn.Identity(), nn.AdaptiveAvgPool1d(1)
        self.layers = {"difference": "difference", "mean": "mean"}

    def forward(self, x: Tensor) -> Tensor:
        return self.mean(self.difference(x[:, 0] - x[:, 1])).squeeze(-1)


def two_cochleas() -> am.Model:
    ear = am.Cochleagram(
        sample_rate=RATE, n_filters=4, low_limit=50, high_limit=2000, overcompleteness=2, frame_rate=100, window_size=161
    )
    return am.Model(LevelDifference().eval(), front_end=ear, sample_rate=RATE, duration=SECONDS, channels=2, name="two-cochleas")


def tones(gains: tuple[float, float], delay: int = 0, frequency: float = 200.0) -> np.ndarray:
    """A tone at both ears, `delay` samples later at the right one; whole periods, [shape=(2, samples)]."""
    t = np.arange(round(RATE * SECONDS))
    return np.stack([g * np.sin(2 * np.pi * frequency / RATE * (t - d)) for g, d in zip(gains, (0, delay), strict=True)])


def write_tones(path: Path, gains: tuple[float, float], delay: int = 0, frequency: float = 200.0) -> Path:
    soundfile.write(path, tones(gains, delay, frequency).T, RATE, subtype="FLOAT")
    return path


def level_difference(samples: Tensor | np.ndarray) -> float:
    """Of left re right, in dB; [shape=(2, samples)]."""
    left, right = np.square(np.asarray(samples, dtype=np.float64)).mean(-1)
    return float(10 * np.log10(left / right))
