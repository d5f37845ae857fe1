"""Modulation spectra: how much a sound varies at each rate and scale, upward and downward; their picture and distance."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.modulation_filters import (
    RATES_HZ,
    SCALES_CYCLES_PER_OCTAVE,
    ModulationFilter,
    ModulationFilterbank,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATES = tuple(rate for rate in RATES_HZ if rate)
SIGNED_RATES_HZ = (*(-rate for rate in reversed(_RATES)), *_RATES)  # upward sweeps on the left
_SCALES = tuple(scale for scale in SCALES_CYCLES_PER_OCTAVE if scale)
_RANGE_DB = 60.0


@torch.no_grad()
def modulation_spectrum(cochleagrams: Tensor, *, padding_seconds: float | None = None) -> Tensor:
    """Power of cochleagrams at each scale and rate: the variance of the filtered maps, averaged over channels.

    Parameters
    ----------
    cochleagrams : Tensor [shape=(batch, channels, frames)]
        Of `OctaveCochleagram`.
    padding_seconds : float, optional
        See `ModulationFilterbank`. Default: 6 s, three cycles of the slowest rate here.

    Returns
    -------
    Tensor [shape=(batch, 6, 18)]
        Scales from 0.25 to 8 cycles per octave; rates from −128 Hz, upward sweeps, by −0.5 and 0.5 to 128 Hz, downward ones.

    Raises
    ------
    AudioMetamerError
        If a cochleagram has fewer than two frames.

    Examples
    --------
    >>> frame = torch.arange(200) / 400
    >>> ridge = (2 * torch.pi * (torch.arange(60)[:, None] / 24 + 8 * frame)).cos()  # 1 cycle per octave falls at 8 octaves/s
    >>> scale, rate = divmod(int(modulation_spectrum(ridge[None]).argmax()), len(SIGNED_RATES_HZ))
    >>> SIGNED_RATES_HZ[rate]
    8.0
    """
    if cochleagrams.ndim != 3 or cochleagrams.shape[-1] < 2:
        raise AudioMetamerError(
            f"a modulation spectrum needs cochleagrams of shape (batch, channels, frames) with two frames or more, not "
            f"{tuple(cochleagrams.shape)}"
        )
    filters = [ModulationFilter(rate, scale) for scale in _SCALES for rate in SIGNED_RATES_HZ]
    bank = ModulationFilterbank(filters, padding_seconds=padding_seconds)
    powers = torch.stack([filtered.var(-1).mean(-1) for filtered in bank.maps(cochleagrams)], dim=1)
    return powers.unflatten(1, (len(_SCALES), len(SIGNED_RATES_HZ)))


def spectrum_distance(spectra: Tensor, others: Tensor) -> Tensor:
    """Root mean square of the differences of modulation spectra in dB, [shape=(batch,)].

    What is more than 60 dB below the largest power of both counts as that.

    Parameters
    ----------
    spectra, others : Tensor [shape=(batch, scales, rates)]

    Examples
    --------
    >>> spectrum_distance(torch.ones(1, 6, 18), 10 * torch.ones(1, 6, 18)).item()
    10.0
    """
    largest = torch.maximum(spectra, others).flatten(1).amax(1)[:, None, None]
    ours, theirs = (10 * torch.log10(each.maximum(largest * 10 ** (-_RANGE_DB / 10))) for each in (spectra, others))
    distances: Tensor = (ours - theirs).square().mean((1, 2)).sqrt()
    return distances


def plot_modulation_spectrum(spectrum: Tensor, axes: "Axes | None" = None) -> "Axes":
    """Draw a modulation spectrum in dB: rates of upward sweeps on the left, of downward ones on the right.

    Parameters
    ----------
    spectrum : Tensor [shape=(6, 18)]
    axes : Axes, optional
        Default: the current ones.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.gca()
    level = 10 * torch.log10(spectrum.detach().cpu() / spectrum.max().cpu())
    image = axes.pcolormesh(level.numpy(), vmin=-_RANGE_DB / 2, vmax=0)
    axes.set_xticks([k + 0.5 for k in range(len(SIGNED_RATES_HZ))], [f"{rate:g}" for rate in SIGNED_RATES_HZ], rotation=90)
    axes.set_yticks([k + 0.5 for k in range(len(_SCALES))], [f"{scale:g}" for scale in _SCALES])
    axes.set(xlabel="rate in Hz (upward sweeps: below 0)", ylabel="scale in cycles per octave")
    axes.figure.colorbar(image, ax=axes, label="power in dB")
    return axes
