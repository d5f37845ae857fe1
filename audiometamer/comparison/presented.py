"""Sounds as listeners hear them: at a level, in 16 bits, at the rate of the presentation."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.signals.resampling import resample_by_fourier

STEPS = 32768  # of 16 bits, for one sign
PRESENTATION_RATE = 44_100


def as_16_bits(sound: Tensor, *, sample_rate: int, presentation_rate: int, level: float | None) -> NDArray[np.int16]:
    """A sound [shape=(..., samples)] as 16-bit samples at another rate, shape=(..., samples at that rate).

    Parameters
    ----------
    sound : Tensor [shape=(..., samples)]
    sample_rate, presentation_rate : int
        Hz.
    level : float or None
        RMS; None keeps the sound's own.

    Raises
    ------
    AudioMetamerError
        If it is silent or would clip.
    """
    samples = sound.detach().cpu().double().numpy()
    if level is not None:
        rms = float(np.sqrt(np.square(samples).mean()))
        if not rms > 0:
            raise AudioMetamerError(f"a silent sound cannot be brought to an RMS of {level:g}")
        samples = samples * (level / rms)
    if presentation_rate != sample_rate:
        samples = resample_by_fourier(samples, sample_rate, presentation_rate)
    rounded = np.round(samples * STEPS)
    if rounded.size and max(rounded.max(), -rounded.min() - 1) >= STEPS:
        raise AudioMetamerError(
            f"a sound has a peak of {np.abs(samples).max():.3f} at {presentation_rate} Hz and clips; lower its level"
        )
    return rounded.astype(np.int16)


def as_heard(written: NDArray[np.int16], like: Tensor, *, sample_rate: int, presentation_rate: int) -> Tensor:
    """What a model takes of 16-bit samples: resampled to its rate, in the shape, dtype and on the device of a sound."""
    samples = written / STEPS
    if presentation_rate != sample_rate:
        samples = resample_by_fourier(samples, presentation_rate, sample_rate)
    n = like.shape[-1]
    samples = np.pad(samples[..., :n], [(0, 0)] * (samples.ndim - 1) + [(0, max(0, n - samples.shape[-1]))])
    return torch.from_numpy(samples).to(like)


def write_16_bits(path: Path, samples: NDArray[np.int16], sample_rate: int) -> None:
    """Write 16-bit samples [shape=(..., samples)] as a WAV file; the same samples give the same bytes."""
    import scipy.io.wavfile

    with atomic_write(path) as temporary:
        scipy.io.wavfile.write(temporary, sample_rate, samples.T)
