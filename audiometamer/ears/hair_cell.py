"""Inner hair cells: compression by a broken stick, and the low-pass filter that limits phase locking."""

from typing import Literal

import numpy as np
import torch
from scipy.signal import lfilter
from torch import Tensor

from audiometamer.ears.ear import REFERENCE_PASCAL
from audiometamer.ears.spectra import FloatArray

_ORDER = 7
_DURATION = 0.05  # seconds of the low-pass filter

Taps = Literal["published", "intended"]


def lowpass_taps(cutoff: float, sample_rate: float, *, variant: Taps = "published") -> FloatArray:
    """Taps of the low-pass filter of an inner hair cell: 50 ms, an odd number, that sum to 1.

    Parameters
    ----------
    cutoff : float
        Cut-off frequency of every section in Hz.
    sample_rate : float
        In Hz.
    variant : {"published", "intended"}
        ``intended``: seven first-order low-pass sections by the bilinear transform, as in the model of Bruce, Erfani & Zilany
        (2018) that they are taken from. ``published``: the taps of phaselocknet, in whose program a section adds twice its
        present input instead of the present and the last, and which a Hann window multiplies that begins at zero: −3 dB at
        3.8 kHz for a cut-off of 3 kHz, instead of at 1.9 kHz. Its networks were trained with these. Default "published".
    """
    taps = int(sample_rate * _DURATION) | 1
    pole = (sample_rate - 2 * np.pi * cutoff) / (sample_rate + 2 * np.pi * cutoff)
    impulse = np.zeros(taps)
    impulse[0] = 1
    for _ in range(_ORDER):
        if variant == "published":
            impulse[0] /= 2  # its first sample alone is added once
        impulse = lfilter([2] if variant == "published" else [1, 1], [1, -pole], impulse)
    if variant == "published":
        impulse = impulse * np.hanning(taps)
    return impulse / impulse.sum()


def broken_stick(
    pressure: Tensor, *, power: float, low: float, high: float, variant: Literal["published", "continuous"] = "continuous"
) -> Tensor:
    """Compression |x|^p between two levels, linear below.

    Parameters
    ----------
    pressure : Tensor
        In pascals.
    power : float
        Exponent p.
    low, high : float
        Levels in dB SPL.
    variant : {"published", "continuous"}
        Above the upper level: linear with unity gain, so that there is a jump, as in phaselocknet; or linear without one. Default
        "continuous".
    """
    first, last = (REFERENCE_PASCAL * 10 ** (level / 20) for level in (low, high))
    size = pressure.abs()
    compressed = size.clamp(first, last) ** power
    above = size if variant == "published" else size * last ** (power - 1)
    stick = torch.where(size < first, size * first ** (power - 1), torch.where(size < last, compressed, above))
    return pressure.sign() * stick
