"""Paths of sounds: crossfades, amplitude modulation, spectral slopes and vocoders, each by one physical parameter."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiometamer.distortions.spaces import envelope, erb_gains
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.io.integers import as_integer

_DEFAULTS: dict[str, tuple[float, ...]] = {
    "crossfade": tuple(k / 10 for k in range(11)),
    "depth": tuple(k / 10 for k in range(11)),
    "slope": tuple(range(-12, 13, 3)),
    "bands": (2, 4, 8, 16, 32),
}


def crossfade(first: Tensor, second: Tensor, mixes: Sequence[float]) -> list[Tensor]:
    """Mixtures (1 − t) x + t y of two sounds, such as a metamer and its original.

    Parameters
    ----------
    first, second : Tensor [shape=signal_shape]
    mixes : sequence of float
        Shares t of the second.

    Examples
    --------
    >>> crossfade(torch.zeros(2), torch.ones(2), [0, 0.25])
    [tensor([0., 0.]), tensor([0.2500, 0.2500])]
    """
    if first.shape != second.shape:
        raise AudioMetamerError(f"the sounds have shapes {tuple(first.shape)} and {tuple(second.shape)}; give equal ones")
    return [(1 - t) * first + t * second for t in mixes]


def modulated(sound: Tensor, depths: Sequence[float], *, sample_rate: int, frequency: float = 4.0) -> list[Tensor]:
    """A sound with sinusoidal amplitude modulation of several depths, each at the sound's RMS.

    Parameters
    ----------
    sound : Tensor [shape=(samples,)]
    depths : sequence of float
        Depths m of 1 + m sin(2π f t), from 0 to 1.
    sample_rate : int
        Hz.
    frequency : float
        f in Hz. Default 4.
    """
    if not all(0 <= depth <= 1 for depth in depths):
        raise AudioMetamerError(f"depths are {', '.join(f'{d:g}' for d in depths)}; give depths from 0 to 1")
    phase = 2 * math.pi * frequency / sample_rate * torch.arange(sound.shape[-1], dtype=torch.float64)
    return [_levelled(sound * (1 + depth * phase.sin()).to(sound), sound) for depth in depths]


def tilted(sound: Tensor, slopes: Sequence[float], *, sample_rate: int, lowest: float = 50.0) -> list[Tensor]:
    """A sound with its spectrum tilted by several slopes, each at the sound's RMS.

    Parameters
    ----------
    sound : Tensor [shape=(samples,)]
    slopes : sequence of float
        dB per octave.
    sample_rate : int
        Hz.
    lowest : float
        Frequency in Hz below which the gain is constant. Default 50.
    """
    octaves = (torch.fft.rfftfreq(sound.shape[-1], 1 / sample_rate, dtype=torch.float64).clamp_min(lowest) / 1000).log2()
    spectrum = torch.fft.rfft(sound.double())
    spectra = [spectrum * 10 ** (slope * octaves / 20) for slope in slopes]
    return [_levelled(torch.fft.irfft(each, n=sound.shape[-1]).to(sound), sound) for each in spectra]


def vocoded(
    sound: Tensor, bands: Sequence[int], *, sample_rate: int, low: float = 50.0, high: float | None = None, seed: int = 0
) -> list[Tensor]:
    """A sound noise-vocoded in several numbers of bands, each at the sound's RMS and from the same noise.

    Parameters
    ----------
    sound : Tensor [shape=(samples,)]
    bands : sequence of int
        Numbers of bands, each at least 2, equally spaced on the ERB-number scale.
    sample_rate : int
        Hz.
    low, high : float
        Centres of the lowest and highest bands in Hz. Default 50 and 0.45 times the sample rate.
    seed : int
        Random seed of the noise. Default 0.
    """
    x = sound.detach().double().cpu()
    noise = torch.randn(len(x), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    made = []
    for number in bands:
        gains = erb_gains(len(x), sample_rate=sample_rate, bands=number, low=low, high=high)
        subbands, carriers = (torch.from_numpy(np.fft.irfft(np.fft.rfft(each.numpy()) * gains, n=len(x))) for each in (x, noise))
        spans = [
            envelope(subband, sample_rate=sample_rate) * carrier / carrier.square().mean().sqrt()
            for subband, carrier in zip(subbands, carriers, strict=True)
        ]
        made.append(_levelled(torch.stack(spans).sum(0).to(sound), sound))
    return made


def path_of(
    kind: str, sounds: Sequence[Tensor], values: Sequence[float] | None = None, *, sample_rate: int | None, seed: int = 0
) -> tuple[list[Tensor], list[float]]:
    """A path by its kind, and the value of its parameter at each sound.

    Parameters
    ----------
    kind : {"sounds", "crossfade", "depth", "slope", "bands"}
        The sounds themselves; `crossfade` of two; `modulated`, `tilted` or `vocoded` from one.
    sounds : sequence of Tensor [shape=signal_shape]
    values : sequence of float, optional
        Rising values of the parameter. Default: 0, 1, …; 0, 0.1, … 1; the same; −12, −9, … 12; 2, 4, 8, 16, 32.
    sample_rate : int or None
        Hz.
    seed : int
        Random seed of the vocoders' noise. Default 0.
    """
    if kind == "sounds":
        return list(sounds), list(map(float, range(len(sounds)) if values is None else values))
    wanted = 2 if kind == "crossfade" else 1
    if len(sounds) != wanted:
        raise AudioMetamerError(f"a path of kind {kind!r} is made from {pluralize(wanted, 'sound')}; {len(sounds)} are given")
    x = list(_DEFAULTS[kind] if values is None else values)
    if kind == "crossfade":
        return crossfade(sounds[0], sounds[1], x), x
    if sample_rate is None or sounds[0].ndim != 1:
        raise AudioMetamerError(f"a path of kind {kind!r} takes a sound of one channel")
    if kind == "depth":
        return modulated(sounds[0], x, sample_rate=sample_rate), x
    if kind == "slope":
        return tilted(sounds[0], x, sample_rate=sample_rate), x
    return vocoded(sounds[0], [as_integer(value, "bands", least=2) for value in x], sample_rate=sample_rate, seed=seed), x


def _levelled(sound: Tensor, like: Tensor) -> Tensor:
    """A sound at the RMS of another."""
    if not sound.norm() > 0:
        raise AudioMetamerError("the sound is silent; a path at its level needs one that is not")
    return sound * (like.norm() / sound.norm())
