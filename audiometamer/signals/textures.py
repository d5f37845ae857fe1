"""Synthetic sound textures: rain, fire, bubbles, insects, wind and a stream, as loops; our own, from a seed."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError

FloatArray = NDArray[np.floating[Any]]
_RMS = 0.01


def make_texture(kind: str, *, seconds: float = 5.0, sample_rate: int = 20_000, seed: int = 0) -> FloatArray:
    """A synthetic texture that repeats without a seam.

    Parameters
    ----------
    kind : {"rain", "fire", "bubbles", "insects", "wind", "stream"}
    seconds : float
        Default 5.
    sample_rate : int
        Hz. Default 20000.
    seed : int
        Random seed. Default 0.

    Returns
    -------
    array, shape=(samples,)
        RMS 0.01, mean 0.

    Raises
    ------
    AudioMetamerError
        If there is no such kind, or the duration is not above 0.

    Examples
    --------
    >>> sound = make_texture("rain", seconds=2)
    >>> sound.shape, round(float(np.sqrt(np.mean(sound**2))), 4)
    ((40000,), 0.01)
    """
    if kind not in KINDS:
        raise AudioMetamerError(f"there is no texture {kind!r}; there are {', '.join(KINDS)}")
    if not seconds * sample_rate >= 1:
        raise AudioMetamerError(f"a texture of {seconds} s at {sample_rate} Hz has no samples")
    loop = _Loop(round(seconds * sample_rate), sample_rate, np.random.default_rng(seed))
    KINDS[kind](loop)
    sound = loop.sound - loop.sound.mean()
    return sound * (_RMS / np.sqrt(np.mean(sound**2)))


class _Loop:
    """A circular sound to which events and noises are added.

    Parameters
    ----------
    n_samples, sample_rate : int
    random : Generator
    """

    def __init__(self, n_samples: int, sample_rate: int, random: np.random.Generator) -> None:
        self.sound, self.rate, self.random = np.zeros(n_samples), sample_rate, random

    def events(self, per_second: float, make: Callable[[FloatArray], FloatArray], longest: float) -> None:
        """Add events at random times; `make` takes the times in seconds since the beginning of one, up to `longest`."""
        times = np.arange(round(longest * self.rate)) / self.rate
        for begin in self.random.integers(len(self.sound), size=self.random.poisson(per_second * len(self.sound) / self.rate)):
            np.add.at(self.sound, (begin + np.arange(len(times))) % len(self.sound), make(times))

    def noise(self, low: float, high: float, slope: float = 0.0) -> FloatArray:
        """Circular noise of unit RMS from `low` to `high` Hz, whose power falls as frequency to the power of `slope`."""
        frequencies = np.fft.rfftfreq(len(self.sound), 1 / self.rate)
        gains = np.where((frequencies >= low) & (frequencies <= high), np.maximum(frequencies, low) ** (-slope / 2), 0.0)
        noise = np.fft.irfft(np.fft.rfft(self.random.standard_normal(len(self.sound))) * gains, len(self.sound))
        rms = np.sqrt(np.mean(noise**2))
        return noise / rms if rms > 0 else noise


def _rain(loop: _Loop) -> None:
    random = loop.random

    def drop(t: FloatArray) -> FloatArray:
        ring = np.sin(2 * np.pi * random.uniform(1500, 7000) * t) + 0.5 * random.standard_normal(len(t))
        return random.lognormal(0, 0.8) * ring * np.exp(-t / random.uniform(0.0008, 0.003))

    loop.events(700, drop, 0.012)
    loop.sound += 0.15 * loop.noise(800, 9000, 0.5)


def _fire(loop: _Loop) -> None:
    random = loop.random

    def crack(t: FloatArray) -> FloatArray:
        return random.lognormal(1.0, 0.7) * random.standard_normal(len(t)) * np.exp(-t / random.uniform(0.0007, 0.006))

    loop.events(14, crack, 0.03)
    flicker = 1 + 0.4 * loop.noise(0.5, 8)
    loop.sound += 0.35 * loop.noise(40, 1500, 1.5) * flicker


def _bubble(random: np.random.Generator, low: float, high: float) -> Callable[[FloatArray], FloatArray]:
    def bubble(t: FloatArray) -> FloatArray:
        frequency, decay = np.exp(random.uniform(np.log(low), np.log(high))), random.uniform(0.008, 0.03)
        rising = frequency * t * (1 + random.uniform(0.5, 3) * t)
        return random.lognormal(0, 0.6) * np.sin(2 * np.pi * rising) * np.exp(-t / decay) * np.minimum(t / 0.001, 1)

    return bubble


def _bubbles(loop: _Loop) -> None:
    loop.events(40, _bubble(loop.random, 400, 3000), 0.12)
    loop.sound += 0.01 * loop.noise(100, 8000, 1)


def _stream(loop: _Loop) -> None:
    loop.events(400, _bubble(loop.random, 250, 5000), 0.1)
    loop.sound += 0.5 * loop.noise(200, 9000, 1) * (1 + 0.2 * loop.noise(0.5, 4))


def _insects(loop: _Loop) -> None:
    seconds = len(loop.sound) / loop.rate
    t = np.arange(len(loop.sound)) / loop.rate
    for _ in range(6):
        # Whole numbers of cycles in the loop.
        carrier, pulses, chirps = (
            round(loop.random.uniform(*limits) * seconds) / seconds for limits in ((3800, 6500), (35, 65), (2, 5))
        )
        phase = loop.random.uniform(0, 2 * np.pi, 3)
        pulse = np.clip(np.sin(2 * np.pi * pulses * t + phase[0]), 0, None) ** 2
        chirp = np.clip(np.sin(2 * np.pi * chirps * t + phase[1]) + 0.4, 0, None)
        loop.sound += loop.random.uniform(0.3, 1) * np.sin(2 * np.pi * carrier * t + phase[2]) * pulse * chirp
    loop.sound += 0.02 * loop.noise(100, 9000, 1)


def _wind(loop: _Loop) -> None:
    for low, high, depth in ((30, 300, 0.5), (250, 900, 0.8), (700, 2500, 1.0)):
        gust = np.exp(depth * loop.noise(0.2, 1.5))
        loop.sound += (100 / low) ** 0.5 * loop.noise(low, high, 1) * gust


KINDS: dict[str, Callable[[_Loop], None]] = {
    "rain": _rain, "fire": _fire, "bubbles": _bubbles, "insects": _insects, "wind": _wind, "stream": _stream,
}  # fmt: skip
