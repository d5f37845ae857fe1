"""Paths of sounds: crossfades, amplitude modulation, spectral slopes and vocoders, each by one physical parameter."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiometamer.distortions.spaces import envelope, erb_gains
from audiometamer.errors import AudioMetamerError


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


def _levelled(sound: Tensor, like: Tensor) -> Tensor:
    """A sound at the RMS of another."""
    if not sound.norm() > 0:
        raise AudioMetamerError("the sound is silent; a path at its level needs one that is not")
    return sound * (like.norm() / sound.norm())
