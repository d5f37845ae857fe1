"""From the free field to the cochlea: the outer and middle ear of MSBG, as responses in the frequency domain."""

import numpy as np
from scipy.signal import firwin
from scipy.signal.windows import kaiser

from audiometamer.ears.spectra import FloatArray

# Free field (frontal) to eardrum relative to 1 kHz (Shaw 1974), and the loss in the middle ear (Moore, Glasberg & Baer 1997), dB,
# as tabulated in claritychallenge/clarity, msbg_utils.
_HZ = (
    0, 20, 25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 750, 800, 1000, 1250, 1500, 1600, 2000, 2500,
    3000, 3150, 4000, 5000, 6000, 6300, 8000, 9000, 10000, 11200, 12500, 14000, 15000, 16000, 20000, 48000,
)  # fmt: skip
_TO_EARDRUM = (
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0.1, 0.3, 0.5, 0.9, 1.4, 1.6, 1.7, 2.5, 2.7, 2.6, 2.6, 3.2, 5.2, 6.6, 12.0, 16.8, 15.3, 15.2, 14.2,
    10.7, 7.1, 6.4, 1.8, -0.9, -1.6, 1.9, 4.9, 2.0, -2.0, 2.5, 2.5, 2.5,
)  # fmt: skip
_MIDDLE_EAR = (
    50, 39.6, 32, 25.85, 21.4, 18.5, 15.9, 14.1, 12.4, 11.0, 9.6, 8.3, 7.4, 6.2, 4.8, 3.8, 3.3, 2.9, 2.6, 2.6, 4.5, 5.4, 6.1, 8.5,
    10.4, 7.3, 7.0, 6.6, 7.0, 9.2, 10.2, 12.2, 10.8, 10.1, 12.7, 15.0, 18.2, 23.8, 32.3, 50, 50,
)  # fmt: skip

RATE = 44_100  # that the published filters are made for, in Hz
FIELD_DELAY = 507  # of either filter between free field and cochlea, samples at that rate
LOWPASS_DELAY = 66
_GRID = 512  # bins on which the published design samples its response


def field_to_cochlea(frequencies: FloatArray, *, backward: bool = False) -> FloatArray:
    """Zero-phase response of the filter from the free field to the cochlea, or back, at some frequencies in Hz.

    That of the 1015 taps (Kaiser window, β = 4) at 44.1 kHz in MSBG, which follow MATLAB's ``fir2``: a gain between two points
    of the table is interpolated on the bins of a grid, from the bin after that of the point below.
    """
    sign = -1 if backward else 1
    correction = np.subtract(_TO_EARDRUM, _MIDDLE_EAR)
    used = np.array(_HZ) < RATE // 2
    gains = 10 ** (sign * 0.05 * np.append(correction[used], np.interp(RATE // 2, _HZ, correction)))
    last = np.fix(np.append(np.array(_HZ)[used], RATE // 2) / (RATE // 2) * (_GRID + 1)).astype(int) - 1
    sampled = np.zeros(_GRID + 1)
    sampled[0] = gains[0]
    begin = 0
    for i, end in enumerate(last[1:]):
        share = np.zeros(1) if begin == end else np.arange(end - begin + 1) / (end - begin)
        sampled[begin : end + 1] = share * gains[i + 1] + (1 - share) * gains[i]
        begin = end + 1
    taps = np.fft.fftshift(np.fft.irfft(sampled))  # of zero phase, its middle at `_GRID`
    middle = taps[_GRID - FIELD_DELAY : _GRID + FIELD_DELAY + 1] * kaiser(2 * FIELD_DELAY + 1, 4)
    return _zero_phase_response(middle, frequencies)


def lowpass(frequencies: FloatArray) -> FloatArray:
    """Zero-phase response of MSBG's low-pass filter at 18 kHz: 133 taps at 44.1 kHz, Kaiser window, β = 8."""
    return _zero_phase_response(firwin(2 * LOWPASS_DELAY + 1, 18_000 / (RATE / 2), window=("kaiser", 8)), frequencies)


def _zero_phase_response(taps: FloatArray, frequencies: FloatArray) -> FloatArray:
    """Real response of symmetric taps at `RATE` on an even grid of frequencies from 0; zero above its Nyquist frequency."""
    from scipy.signal import czt

    step = frequencies[1] if len(frequencies) > 1 else 0.0
    spectrum = czt(taps, len(frequencies), np.exp(-2j * np.pi * step / RATE))
    turned = spectrum * np.exp(2j * np.pi * frequencies * (len(taps) // 2) / RATE)
    return np.where(frequencies <= RATE / 2, turned.real, 0.0)
