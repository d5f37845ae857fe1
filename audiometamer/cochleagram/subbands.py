"""Plan of the fast computation of envelopes: which subbands share which grids."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometamer.cochleagram.filters import Band, FloatArray

# Interpolation of the power from the coarse grid: samples on either side of a point. A block is interpolated from itself and the
# next: windows of two blocks hold one sample more than is needed.
HALF_TAPS = 8
BLOCK = 2 * HALF_TAPS
# The aliasing on the fine grid falls with the square of its rate, and the part that passes the low-pass filter falls with the
# bandwidth: wide subbands need fewer points for their bandwidth. The exponent was found on clicks, the hardest sounds.
_BANDWIDTH_EXPONENT = 2 / 3
# Points of the coarse grid per bandwidth. The power is twice as wide as the subband; the rest is room for the interpolation.
_COARSE_OVERSAMPLING = 3.3


@dataclass(frozen=True)
class SubbandGroup:
    """Subbands of similar bandwidth, which share two grids and are computed together.

    Parameters
    ----------
    rows : tuple of int
        Numbers of their filters.
    coarse : int
        Points per frame of the grid on which their power is sampled.
    fine : int
        Points per frame of the grid on which its root is taken; BLOCK points of the coarse grid have a whole number of these.
    """

    rows: tuple[int, ...]
    coarse: int
    fine: int


def plan_subbands(bandwidths: Sequence[float], *, stride: int, n_samples: int, oversampling: float) -> list[SubbandGroup]:
    """Group subbands by the density of the coarse grid that they need.

    Parameters
    ----------
    bandwidths : sequence of float
        Bandwidth of each subband, in units of the frame rate.
    stride : int
        Samples between frames: the densest grid possible.
    n_samples : int
        Length of the sound.
    oversampling : float
        Points per frame, on the fine grid, of a subband as wide as the frame rate; for the others, in proportion to
        bandwidth ** (2/3). Infinite: the sound's own rate.

    Returns
    -------
    list of SubbandGroup
        In the order of their first subbands. A density of `stride` is the sound's own rate: its grid is the sound's own. Subbands
        that would need a fine grid as dense as that have both grids there.
    """
    groups: dict[int, SubbandGroup] = {}
    for row, bandwidth in enumerate(bandwidths):
        coarse, fine = _densities(bandwidth, stride=stride, n_samples=n_samples, oversampling=oversampling)
        group = groups.get(coarse, SubbandGroup((), coarse, fine))
        groups[coarse] = SubbandGroup((*group.rows, row), coarse, max(fine, group.fine))
    return list(groups.values())


def _densities(bandwidth: float, *, stride: int, n_samples: int, oversampling: float) -> tuple[int, int]:
    """Points per frame of the coarse and the fine grid of one subband."""
    least = max(_COARSE_OVERSAMPLING * bandwidth, 2 * BLOCK / grid_points(1, stride=stride, n_samples=n_samples))
    if math.isinf(oversampling):
        fitting = (1 << k for k in range(stride.bit_length()) if BLOCK * stride % (1 << k) == 0 and n_samples % stride == 0)
        return next((coarse for coarse in fitting if least <= coarse < stride), stride), stride
    coarse = _round_density(least)
    unit = coarse // math.gcd(coarse, BLOCK)  # of its multiples, a block has a whole number of points
    fine = unit * math.ceil(max(oversampling * bandwidth**_BANDWIDTH_EXPONENT, coarse) / unit)
    return (stride, stride) if fine >= stride else (coarse, fine)


def grid_points(density: int, *, stride: int, n_samples: int) -> int:
    """Points of a grid: the sound's own, at a density of `stride`; otherwise those of its frames, rounded up."""
    return n_samples if density == stride else density * -(-n_samples // stride)


def _round_density(at_least: float) -> int:
    """The next 2ᵃ or 3 · 2ᵃ: FFTs are fast at such lengths, and they are few, so that many subbands share one."""
    return min(m << max(math.ceil(math.log2(at_least / m)), 0) for m in (1, 3))


def pack_bands(bands: Sequence[Band], *, n_samples: int, length: int) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """The bands of one group as arrays of equal width.

    Parameters
    ----------
    bands : sequence of Band
    n_samples : int
        Length of the sound, whose FFT bins these are.
    length : int
        Points of the group's coarse grid.

    Returns
    -------
    bins : array, shape=(bands, width)
        FFT bins from the first of each band on, up to the last of the FFT.
    gains : array, shape=(bands, width)
        Gains divided by `n_samples`; zero beyond a band.
    halved : array, shape=(bands, width)
        The same for a real inverse FFT of `length`, which counts every bin twice, but for the first and, if there is one,
        Nyquist's.
    """
    first = np.array([band.first_bin for band in bands])
    gains = np.zeros((len(bands), max(len(band.gains) for band in bands)))
    for row, band in zip(gains, bands, strict=True):
        row[: len(band.gains)] = band.gains / n_samples
    columns = np.arange(gains.shape[1])
    bins = np.minimum(first[:, None] + columns, n_samples // 2)
    return bins, gains, gains * np.where(np.isin(columns, (0, length / 2)), 1, 0.5)
