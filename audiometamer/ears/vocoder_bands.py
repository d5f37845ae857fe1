"""Bands of vocoders: evenly spaced along the cochlea, in log frequency or in Hz, or those of an implant's speech processor."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.signal import butter, sosfreqz

from audiometamer.ears.spectra import FloatArray
from audiometamer.errors import AudioMetamerError

Spacing = Literal["greenwood", "log", "linear"]

# Edges in Hz of the bands of two devices, as tabulated in egaudrain/vocoder: Cochlear (CI24) and Advanced Bionics (HiRes 90K).
DEVICES: dict[str, tuple[float, ...]] = {
    "ci24": (
        188, 313, 438, 563, 688, 813, 938, 1063, 1188, 1313, 1563, 1813, 2063, 2313, 2688, 3063, 3563, 4063, 4688, 5313, 6063,
        6938, 7938,
    ),
    "hr90k": (250, 416, 494, 587, 697, 828, 983, 1168, 1387, 1648, 1958, 2326, 2762, 3281, 3898, 4630, 8700),
}  # fmt: skip


def hz_to_mm(frequency: FloatArray | float) -> FloatArray:
    """Place on the human cochlea in mm from the apex: log₁₀(f / 165.4 + 1) / 0.06, Greenwood (1990)."""
    return np.log10(np.asarray(frequency, dtype=np.float64) / 165.4 + 1) / 0.06


def mm_to_hz(place: FloatArray | float) -> FloatArray:
    """Frequency in Hz at a place in mm from the apex; the inverse of `hz_to_mm`."""
    return 165.4 * (10 ** (0.06 * np.asarray(place, dtype=np.float64)) - 1)


@dataclass(frozen=True)
class Bands:
    """Contiguous bands.

    Parameters
    ----------
    edges : tuple of float
        In Hz, rising; one more than there are bands.
    centers : tuple of float
        In Hz.
    """

    edges: tuple[float, ...]
    centers: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.centers)

    def responses(self, frequencies: FloatArray, sample_rate: float, order: float) -> FloatArray:
        """Zero-phase responses, [shape=(bands, bins)]: |H|² of Butterworth filters, as of filters run forwards and backwards.

        Parameters
        ----------
        frequencies : array [shape=(bins,)]
            In Hz.
        sample_rate : float
            In Hz.
        order : float
            Order of a band-pass filter as designed; the slopes on either side have 2 · order poles in effect. A whole and a
            half: a high-pass and a low-pass filter of twice the order instead.
        """
        pairs = zip(self.edges, self.edges[1:], strict=False)
        return np.stack([band_response(low, high, frequencies, sample_rate, order) for low, high in pairs])


def band_response(low: float, high: float, frequencies: FloatArray, sample_rate: float, order: float) -> FloatArray:
    """Zero-phase response of one band; see `Bands.responses`."""
    if float(order).is_integer():
        designs = [butter(int(order), (low, high), "bandpass", output="sos", fs=sample_rate)]
    else:
        pair = ((low, "highpass"), (high, "lowpass"))
        designs = [butter(round(2 * order), edge, kind, output="sos", fs=sample_rate) for edge, kind in pair]
    return np.prod([np.abs(sosfreqz(sos, frequencies, fs=sample_rate)[1]) ** 2 for sos in designs], axis=0)


def spaced_bands(n_bands: int, low: float, high: float, *, spacing: Spacing = "greenwood", shift: float = 0.0) -> Bands:
    """Bands that are evenly spaced on a scale.

    Parameters
    ----------
    n_bands : int
        Number of bands.
    low, high : float
        Outer edges in Hz.
    spacing : {"greenwood", "log", "linear"}
        Equal in mm along the cochlea, in log frequency or in Hz. Default "greenwood".
    shift : float
        Millimetres towards the base by which the range is shifted first. Default 0.

    Examples
    --------
    >>> from audiometamer.ears.vocoder_bands import spaced_bands
    >>> [round(edge) for edge in spaced_bands(8, 150, 7000).edges]
    [150, 301, 523, 852, 1338, 2056, 3117, 4684, 7000]
    """
    if n_bands < 1:
        raise AudioMetamerError(f"n_bands is {n_bands}; it must be at least 1")
    if not 0 < low < high:
        raise AudioMetamerError(f"the bands go from {low:g} to {high:g} Hz; they must rise from above 0")
    if spacing not in ("greenwood", "log", "linear"):
        raise AudioMetamerError(f"spacing is {spacing!r}; it must be 'greenwood', 'log' or 'linear'")
    low, high = (float(mm_to_hz(hz_to_mm(edge) + shift)) for edge in (low, high))
    positions = np.arange(2 * n_bands + 1) / (2 * n_bands)  # edges, and centres between them
    if spacing == "greenwood":
        points = mm_to_hz(hz_to_mm(low) + positions * (hz_to_mm(high) - hz_to_mm(low)))
    elif spacing == "log":
        points = low * (high / low) ** positions
    else:
        points = low + positions * (high - low)
    return Bands(tuple(points[::2].tolist()), tuple(points[1::2].tolist()))


def device_bands(device: str, *, shift: float = 0.0) -> Bands:
    """Bands of an implant's speech processor, ``ci24`` or ``hr90k``; centres are geometric means of edges."""
    if device not in DEVICES:
        raise AudioMetamerError(f"there is no device {device!r}; there are {', '.join(DEVICES)}")
    edges = mm_to_hz(hz_to_mm(np.array(DEVICES[device])) + shift) if shift else np.array(DEVICES[device], dtype=np.float64)
    return Bands(tuple(edges.tolist()), tuple(np.sqrt(edges[:-1] * edges[1:]).tolist()))
