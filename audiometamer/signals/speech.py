"""Locations of speech and pauses in recordings."""

import itertools
import math
import os
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.integers import as_integer
from audiometamer.signals.audio import Clip, read_samples

_FRAME = 0.04  # seconds over which the level is measured
_HOP = 0.01  # seconds from one frame to the next

Stretch = tuple[float, float]


def find_speech(
    recording: str | os.PathLike[str] | Clip | Tensor | NDArray[np.floating],
    *,
    sample_rate: int | None = None,
    threshold: float = 40.0,
    min_pause: float = 0.3,
    min_duration: float = 0.1,
) -> list[Stretch]:
    """Find the stretches of sound between the pauses of a recording, by its level (`librosa.effects.split`).

    Parameters
    ----------
    recording : path, Clip, Tensor or array [shape=(samples,) or (channels, samples)]
        Any file that `read_clip` reads. Channels are mixed down.
    sample_rate : int, optional
        Hz. Required for samples; files and clips have their own.
    threshold : float
        dB below the loudest 40 ms under which a frame counts as a pause. Default 40.
    min_pause : float
        Seconds; a shorter pause does not end a stretch. Default 0.3.
    min_duration : float
        Seconds; a shorter stretch, such as a click, is left out. Default 0.1.

    Returns
    -------
    list of (start, end)
        In seconds, in order; empty if the recording is silent.

    Raises
    ------
    AudioMetamerError
        If the file cannot be read, samples come without a sample rate, are not finite, or a parameter is out of range.
    """
    for name, value in (("threshold", threshold), ("min_pause", min_pause), ("min_duration", min_duration)):
        if not isinstance(value, int | float | np.number) or not 0 <= value < math.inf:
            raise AudioMetamerError(f"{name} is {value!r}; it must be a number, 0 or more")
    samples, rate = _samples(recording, sample_rate)
    if not samples.any():
        return []
    stretches = _merged(_sounding(samples, rate, threshold), min_pause)
    return [(start, end) for start, end in stretches if end - start >= min_duration]


def pieces(stretches: Iterable[Stretch], longest: float) -> list[Stretch]:
    """Cut stretches that last longer than `longest` seconds into equal pieces that do not."""
    cut: list[Stretch] = []
    for start, end in stretches:
        count = max(math.ceil((end - start) / longest - 1e-9), 1)
        edges = np.linspace(start, end, count + 1).tolist()
        cut += itertools.pairwise(edges)
    return cut


def _samples(recording: object, sample_rate: int | None) -> tuple[NDArray[np.float64], int]:
    """Samples [shape=(samples,)] and their rate."""
    if isinstance(recording, str | os.PathLike):
        samples, rate = read_samples(recording, mixed=True)
        return samples[:, 0], rate
    if isinstance(recording, Clip):
        return _samples(recording.samples, recording.sample_rate)
    if sample_rate is None:
        raise AudioMetamerError("sample_rate is None; samples need one, in Hz, and images have none")
    values = recording.detach().cpu().numpy() if isinstance(recording, Tensor) else np.asarray(recording)
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind not in "fiu":
        raise AudioMetamerError(f"a recording has shape (samples,) or (channels, samples), not {values.shape} of {values.dtype}")
    mixed = np.atleast_2d(values).astype(np.float64).mean(axis=0)
    if not np.isfinite(mixed).all():
        raise AudioMetamerError(f"the recording holds {np.count_nonzero(~np.isfinite(mixed))} NaN or infinite samples")
    return mixed, as_integer(sample_rate, "sample_rate", least=1)


def _sounding(samples: NDArray[np.float64], rate: int, threshold: float) -> list[Stretch]:
    """Stretches whose frames are within `threshold` dB of the loudest, in seconds."""
    import librosa

    frame, hop = max(round(_FRAME * rate), 2), max(round(_HOP * rate), 1)
    scaled = samples / np.abs(samples).max()  # librosa takes all below -100 dB re 1 for equally quiet
    intervals = librosa.effects.split(scaled, top_db=threshold, frame_length=frame, hop_length=hop)
    return [(float(start) / rate, float(end) / rate) for start, end in intervals]


def _merged(stretches: Iterable[Stretch], min_pause: float) -> list[Stretch]:
    merged: list[Stretch] = []
    for start, end in stretches:
        if merged and start - merged[-1][1] < min_pause:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
