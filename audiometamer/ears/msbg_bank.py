"""The gammatone filters of MSBG, as responses in the frequency domain at any sample rate."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import bilinear_zpk, ellip, freqz, zpk2tf

from audiometamer.ears.gammatone import one_zero_sections
from audiometamer.ears.outer_ear import RATE
from audiometamer.ears.spectra import ComplexArray, FloatArray, digital_response

_ORDER = 4
_CORNER_GRID = RATE / 8192  # Hz, on which corners of high-pass filters were searched


@dataclass(frozen=True)
class Bank:
    """A bank of gammatone filters whose bandwidths are so many ERBs, with the numbers of the published tables (2013).

    Parameters
    ----------
    broadening : float
        Bandwidth b of exp(−2πbt) in ERBs.
    centers : tuple of float
        Centre frequencies in Hz.
    delays : tuple of int
        Samples at 44.1 kHz by which each channel is advanced.
    first_highpass : int
        Number of the first channel, from 0, that a high-pass filter follows.
    recombination : float
        Decibels by which the sum of all channels is lowered.
    """

    broadening: float
    centers: tuple[float, ...]
    delays: tuple[int, ...]
    first_highpass: int
    recombination: float

    def up_to(self, frequency: float) -> int:
        """Number of channels that reach below a frequency in Hz: centred at most one bandwidth above it."""
        centers = np.array(self.centers)
        return int(np.sum(centers - self.broadening * erb(centers) <= frequency))

    def responses(self, frequencies: FloatArray) -> ComplexArray:
        """Responses of all channels, advanced in time, [shape=(channels, bins)].

        Four equal sections, see `one_zero_sections`; a two-pole Bessel filter keeps low tails of the upper channels down.
        """
        centers = np.array(self.centers)
        top, bottom = one_zero_sections(centers, self.broadening * erb(centers), RATE)
        gammatones = digital_response(top, bottom, frequencies, RATE) ** _ORDER
        for channel in range(self.first_highpass, len(centers)):
            gammatones[channel] *= digital_response(
                *_highpass(top[channel], bottom[channel], centers[channel]), frequencies, RATE
            )
        advance = np.exp(2j * np.pi * frequencies * np.array(self.delays)[:, None] / RATE)
        return gammatones * advance

    def smoothing(self, frequencies: FloatArray) -> FloatArray:
        """Zero-phase responses that turn rectified channels into envelopes, [shape=(channels, bins)].

        Elliptic, order 2, 0.25 dB of ripple and 35 dB down, at ¾ of the ERB but at most of 100 Hz; run forwards and backwards.
        """
        corners = 0.75 * np.minimum(100, erb(np.array(self.centers)))
        designs = [ellip(2, 0.25, 35, corner / (RATE / 2)) for corner in corners]
        return np.stack([np.abs(digital_response(b, a, frequencies, RATE)) ** 2 for b, a in designs])


def erb(frequency: FloatArray) -> FloatArray:
    """Equivalent rectangular bandwidth in Hz at a frequency in Hz: 24.7 (0.00437 f + 1), Glasberg & Moore (1990)."""
    return 24.7 * (0.00437 * frequency + 1)


def _highpass(top: FloatArray, bottom: FloatArray, center: float) -> tuple[FloatArray, FloatArray]:
    """Two-pole Bessel filter where the tail of a gammatone has risen by 1 dB from 0 Hz, with unity gain at its centre."""
    grid = np.arange(4096) * _CORNER_GRID
    gain = np.abs(freqz(top, bottom, grid, fs=RATE)[1]) ** _ORDER
    risen = np.argmax(gain >= gain[0] * 10 ** (1 / 20)) + 1  # of the published tables: one bin further
    corner = 2 * RATE * np.tan(np.pi * grid[risen] / RATE)
    poles = np.roots([1, 3 * corner, 3 * corner**2])
    numerator, denominator = zpk2tf(*bilinear_zpk([0, 0], poles, 1, RATE))
    return numerator / np.abs(freqz(numerator, denominator, [center], fs=RATE)[1]), denominator


BANKS = {
    1.5: Bank(
        1.5,
        (
            72.582018, 97.861305, 129.448977, 168.201914, 214.956778, 270.520852, 335.670918, 411.160171, 497.732218, 596.140635,
            707.172264, 831.672525, 970.571294, 1124.908338, 1299.105178, 1495.717334, 1717.629166, 1968.096188, 2250.792827,
            2569.866329, 2929.997599, 3336.469872, 3795.246219, 4313.057029, 4897.498744, 5557.145301, 6301.673914, 7142.007046,
            8090.472637, 9160.984967, 10369.248775, 11732.989659, 13272.214111, 15009.503021, 16970.342945, 19183.5,
        ),
        (
            485, 442, 396, 349, 311, 272, 239, 210, 186, 162, 143, 126, 111, 98, 87, 77, 69, 61, 54, 47, 42, 37, 33, 29, 26, 23,
            20, 18, 16, 14, 12, 11, 10, 9, 8, 7,
        ),
        14,
        5.133590840990304,
    ),
    2.0: Bank(
        2.0,
        (
            65.826945, 95.55459, 134.883071, 185.570212, 249.409281, 328.231879, 423.940107, 538.565396, 674.347967, 833.829874,
            1019.955709, 1238.681559, 1495.717334, 1797.77303, 2152.733907, 2569.866329, 3060.059667, 3636.110571, 4313.057029,
            5108.57094, 6043.419442, 7142.007046, 8433.012724, 9950.13858, 11732.989659, 13828.107842, 16290.186843, 19183.5,
        ),
        (379, 339, 289, 253, 216, 184, 156, 132, 111, 95, 80, 68, 58, 49, 42, 36, 30, 26, 22, 19, 16, 13, 11, 10, 8, 7, 6, 5),
        12,
        4.967792069637238,
    ),
    3.0: Bank(
        3.0,
        (
            83.317709, 133.067399, 204.097589, 302.164691, 434.025025, 607.851993, 833.829874, 1124.908338, 1495.717334,
            1968.096188, 2569.866329, 3336.469872, 4313.057029, 5557.145301, 7142.007046, 9160.984967, 11732.989659, 15009.503021,
            19183.5,
        ),
        (229, 204, 166, 133, 106, 83, 65, 50, 39, 31, 24, 19, 15, 12, 9, 7, 5, 4, 4),
        9,
        4.240378918292534,
    ),
}  # fmt: skip
