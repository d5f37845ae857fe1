"""What lies between a mouth and a file: a room and a lossy codec, drawn at random.

Recordings of one source share both, so that a network could recognise the source by them.
"""

import io

import numpy as np
import scipy.signal
import soundfile

from audiometamer.signals.resampling import resample
from audiometamer.training.recordings import Samples

CODECS = ("VORBIS", "OPUS")
_OPUS_RATE = 24_000  # Hz; Opus has few sample rates, this is the lowest that keeps 10 kHz
_DELAY = (0.002, 0.02)  # s, from the direct sound to the first reflection
_DECAY_60_DB = 3 * np.log(10)  # nepers


def room_response(
    rng: np.random.Generator, sample_rate: int, *, reverberation: tuple[float, float], direct: tuple[float, float]
) -> Samples:
    """A random room impulse response: the direct sound, a pause, and exponentially decaying noise.

    Polack's (1988) statistical model of the late field, with reflections that lose their high frequencies as they decay: at each
    tenth of its length the rest of the noise is low-passed by a one-pole filter.

    Parameters
    ----------
    rng : numpy.random.Generator
    sample_rate : int
        In Hz.
    reverberation : tuple of float
        Range of the reverberation time T60, in seconds, log-uniform.
    direct : tuple of float
        Range of the ratio of direct to reverberant energy, in dB, uniform.

    Returns
    -------
    array [shape=(samples,)]
        The first sample, the direct sound, is 1.

    Examples
    --------
    >>> response = room_response(np.random.default_rng(0), 20_000, reverberation=(0.3, 0.3), direct=(10, 10))
    >>> float(response[0]), round(float(10 * np.log10(1 / np.square(response[1:]).sum())), 2)
    (1.0, 10.0)
    """
    t60 = float(np.exp(rng.uniform(*np.log(reverberation))))
    noise = rng.standard_normal(max(round(t60 * sample_rate), 20))
    time = np.arange(len(noise)) / sample_rate
    tail = noise * np.exp(-_DECAY_60_DB * time / t60)
    for start in range(len(tail) // 10, len(tail), len(tail) // 10):
        tail[start:] = scipy.signal.lfilter([0.7], [1, -0.3], tail[start:])
    tail *= 10 ** (-rng.uniform(*direct) / 20) / np.sqrt(np.square(tail).sum())
    pause = round(rng.uniform(*_DELAY) * sample_rate)
    return np.concatenate([[1.0], np.zeros(pause), tail]).astype(np.float32)


def in_room(samples: Samples, response: Samples) -> Samples:
    """Convolve with a room's response; as long as before, the direct sound in its place."""
    return np.asarray(scipy.signal.oaconvolve(samples, response)[: len(samples)], dtype=np.float32)


def coded(samples: Samples, sample_rate: int, *, codec: str, compression: float) -> Samples:
    """Encode and decode with a lossy codec.

    Parameters
    ----------
    samples : array [shape=(samples,)]
        Scaled to a peak of 0.9 for the codec, and back.
    sample_rate : int
        In Hz.
    codec : {"VORBIS", "OPUS"}
    compression : float
        From 0, the highest bit rate, to 1, the lowest: libsndfile's compression level.

    Returns
    -------
    array [shape=(samples,)]
        As long as before, and aligned with it.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if not peak:
        return samples
    rate = _OPUS_RATE if codec == "OPUS" else sample_rate
    file = io.BytesIO()
    scaled = resample(samples * np.float32(0.9 / peak), sample_rate, rate)
    soundfile.write(file, scaled, rate, format="OGG", subtype=codec, compression_level=compression)
    file.seek(0)
    decoded = resample(soundfile.read(file, dtype="float32")[0], rate, sample_rate)[: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded))) * np.float32(peak / 0.9)
