"""Read, resample, trim, set the level of, and write sounds. Knows no models."""

import math
import numbers
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import scipy.io.wavfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.files import atomic_write
from audiometamer.io.hashes import file_sha256
from audiometamer.io.integers import as_integer
from audiometamer.io.paths import printable
from audiometamer.signals.clip_names import clip_name, excerpt_name
from audiometamer.signals.resampling import resample

if TYPE_CHECKING:
    from audiometamer.signals.decoding import Sound

SOUND_ENDINGS = frozenset(  # of sounds in a folder; a file that is named may have any suffix
    {
        ".3gp", ".aac", ".aif", ".aifc", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp3", ".nist", ".oga", ".ogg",
        ".opus", ".rf64", ".snd", ".sph", ".w64", ".wav", ".wave", ".webm", ".wma",
    }
)  # fmt: skip
MAX_SECONDS = 3600  # of a clip; the activations of a longer one fit in no memory

_SILENCE_RMS = 1e-7  # below the least significant bit of 16-bit audio by 50 dB
_MAX_SAMPLE = 1e15  # its square fits in float32, with room for sums
_MAX_HASHED = 2**25  # bytes; hashing more would take longer than reading an excerpt


class ClipSource(msgspec.Struct, frozen=True):
    """The file that a clip was read from, and the part that was read.

    Parameters
    ----------
    path : str
        Path as the caller wrote it.
    sha256 : str or None
        SHA-256 of the file; None for pipes and files of more than 32 MiB.
    start, duration : float or None
        The part that was read, in seconds of the recording, without padding; None for an image.
    """

    path: str
    sha256: str | None
    start: float | None
    duration: float | None

    @classmethod
    def of(cls, path: str | os.PathLike[str], start: float | None = None, duration: float | None = None) -> "ClipSource":
        """The source at a path, with its hash."""
        file = Path(path)
        small = file.is_file() and file.stat().st_size <= _MAX_HASHED
        return cls(printable(path), file_sha256(file) if small else None, start, duration)


@dataclass(frozen=True, repr=False)
class Clip:
    """A natural signal as a model takes it: a recording at the model's sample rate, length, level and channels; or an image.

    Parameters
    ----------
    name : str
        Name of the folder of its metamers: the file's name without its suffix, with the excerpt if any, as in ``speech@1.5s``.
    samples : Tensor [shape=(samples,)]
        float32; two channels have [shape=(2, samples)], left first; images [shape=(channels, height, width)].
    sample_rate : int or None
        Hz; None for what is not a sound.
    notices : tuple of str
        Changes to the recording beyond resampling and setting the level, one line each.
    source : ClipSource or None
        The file it was read from.
    """

    name: str
    samples: Tensor
    sample_rate: int | None
    notices: tuple[str, ...] = ()
    source: ClipSource | None = None

    @classmethod
    def from_array(cls, values: Any, sample_rate: int | None, *, name: str = "clip") -> "Clip":
        """A clip of samples that are in memory.

        >>> import audiometamer as am
        >>> model = am.load_model("cochcnn-word")
        >>> noise = 0.1 * torch.randn(40_000)
        >>> (metamer,) = am.synthesize(model, am.Clip.from_array(noise, 20_000, name="noise"), "relu2")

        Parameters
        ----------
        values : array-like of float [shape=(samples,), (2, samples) or (channels, height, width)]
            A tensor, an array or a list; taken as it is: neither resampled nor set to a level.
        sample_rate : int or None
            Hz; None for what is not a sound.
        name : str
            Names the folder of its metamers. Default "clip".

        Raises
        ------
        AudioMetamerError
            If the values are not floating-point numbers, or not all of them are finite.
        """
        if sample_rate is not None:
            sample_rate = as_integer(sample_rate, "sample_rate", least=1)
        try:
            samples = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
        except (TypeError, ValueError):
            raise AudioMetamerError(f"clip {name!r} is a {type(values).__name__}; it must hold floating-point samples") from None
        if not samples.is_floating_point():
            raise AudioMetamerError(f"clip {name!r} holds {samples.dtype}; it must hold floating-point samples")
        if broken := int((~torch.isfinite(samples)).sum()):
            raise AudioMetamerError(f"clip {name!r} holds {broken} NaN or infinite samples")
        return cls(name, samples.float(), sample_rate)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.samples.shape))
        return f"<Clip {self.name!r}: {shape}{f' at {self.sample_rate} Hz' if self.sample_rate else ''}>"

    def _repr_html_(self) -> str:
        """A player and the cochleagram, or the image, for notebooks."""
        from audiometamer.signals.display import Panel, as_html

        return as_html([Panel(self.name, self.samples, self.sample_rate)])


def read_clip(
    path: str | os.PathLike[str],
    *,
    sample_rate: int = 20_000,
    duration: float | None = 2.0,
    channels: int = 1,
    level: float | None = 0.1,
    start: float | None = None,
    length: float | None = None,
    resampler: Callable[[NDArray[np.float32], int, int], NDArray[np.float32]] = resample,
) -> Clip:
    """Read a recording as the clip that a model takes.

    Reads any format, bit depth and number of channels that libsndfile or an installed ``ffmpeg`` decodes, at up to 1 MHz, and
    decodes only the requested part. Stereo is mixed down, and a short recording is padded with equal silence before and after;
    an `AudioMetamerWarning` and the clip's notices report both. A recording that is too long is never cut without a request.

    Parameters
    ----------
    path : path
        A file, a pipe, or ``-`` for the standard input.
    sample_rate : int
        Hz, at most 1 MHz. Default 20000.
    duration : float or None
        Seconds, at most an hour; None reads the whole recording. Default 2.
    channels : {1, 2}
        1 mixes all channels down to one. 2 keeps both channels of a stereo recording, for binaural models. Default 1.
    level : float or None
        RMS of the result over its whole length, after its mean is removed, at most 1; None leaves both. Each channel has its own
        mean; the RMS is over both together, and both have the same gain, which preserves their level difference. Default 0.1
        (Feather et al. 2023).
    start : float or None
        Seconds into the recording where the clip begins. None: at the beginning of a recording that is not longer than
        `duration`.
    length : float or None
        Seconds of the recording to read from there, at most `duration`. Default: `duration`.
    resampler : callable
        Samples [shape=(..., samples)], their rate and the new one in Hz, to samples. Default `resample`.

    Returns
    -------
    Clip
        Named after the file: ``speech``; with a `start` above 0, ``speech@1.5s``; with a `length`, ``speech@1.5-2s``.

    Raises
    ------
    AudioMetamerError
        If the file is missing, empty, truncated, not audio or a folder; if the requested part is silent or holds NaN or
        infinity; if the file is longer than `duration` and no `start` is given; if `start` lies outside it; if `channels` is 2
        and the file has another number; if a parameter is out of range.
    """
    from audiometamer.signals.decoding import MAX_RATE, open_sound

    sample_rate = as_integer(sample_rate, "sample_rate", least=1, most=MAX_RATE)
    _check_request(sample_rate, duration=duration, level=level, start=start, length=length)
    shown = printable(path)
    with open_sound(path) as sound:
        recorded, rate = _part(sound, shown, duration=duration, start=start, length=length), sound.rate
    notices = []
    if channels == 1 and recorded.shape[1] > 1:
        notices.append(f"{shown}: {recorded.shape[1]} channels were mixed down to one")
    if not np.isfinite(recorded).all():
        raise AudioMetamerError(f"{shown} holds {np.count_nonzero(~np.isfinite(recorded))} NaN or infinite samples")
    if (largest := float(max(recorded.max(), -recorded.min()))) > _MAX_SAMPLE:
        raise AudioMetamerError(
            f"{shown} holds samples of up to {largest:.3g}; full scale is 1, and at most {_MAX_SAMPLE:g} is read"
        )
    samples = _as_channels(shown, recorded, channels).astype(np.float32)
    if level is not None:
        samples = samples - samples.mean(axis=-1, keepdims=True)
    if _rms(samples) < _SILENCE_RMS:
        raise AudioMetamerError(f"{shown}{'' if start is None else f', from {start:g} s on,'} {_silence(recorded, level=level)}")
    samples = resampler(samples, rate, sample_rate)
    if duration is not None:
        n_samples = round(duration * sample_rate)
        missing = n_samples - samples.shape[-1]
        if missing > 0.001 * sample_rate:
            notices.append(f"{shown}: {samples.shape[-1] / sample_rate:.3f} s were padded with silence to {duration:g} s")
        samples = pad_or_crop(samples, n_samples)
    if level is not None:  # the mean is gone already; taking it again would lift the silence of the padding off zero
        samples = np.asarray(samples * (level / _rms(samples)), dtype=np.float32)
        if (peak := float(np.abs(samples).max())) > 1:
            notices.append(f"{shown}: at RMS {level:g} its peak is {peak:.2f}; samples beyond ±1 are limited by the models")
    for notice in notices:
        warnings.warn(notice, AudioMetamerWarning, stacklevel=2)
    name = excerpt_name(clip_name(path), start, None if length == duration else length)
    source = ClipSource.of(path, start or 0.0, len(recorded) / rate)
    return Clip(name, torch.from_numpy(np.ascontiguousarray(samples)), sample_rate, tuple(notices), source)


def _as_channels(shown: str, recorded: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """A recording [shape=(samples, channels)] mixed down [shape=(samples,)], or both of its channels [shape=(2, samples)]."""
    if channels not in (1, 2):
        raise AudioMetamerError(f"channels is {channels!r}; it must be 1 or 2")
    if channels == 1:
        mixed: NDArray[np.float64] = recorded.mean(axis=1)
        return mixed
    if (found := recorded.shape[1]) != 2:
        advice = (
            "repeat its channel, as in `ffmpeg -i IN -ac 2 OUT.wav`" if found == 1 else "write the two that are meant to a file"
        )
        raise AudioMetamerError(f"{shown} has {found} channel{'s' * (found != 1)}, and two are wanted: {advice}")
    return recorded.T


def pad_or_crop(samples: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """Samples [shape=(..., samples)] cut at their end to a number of samples, or padded with equal silence before and after."""
    missing = max(n_samples - samples.shape[-1], 0)
    sides = [(0, 0)] * (samples.ndim - 1) + [(missing // 2, missing - missing // 2)]
    return np.pad(samples, sides)[..., :n_samples]


def _check_request(
    sample_rate: int, *, duration: float | None, level: float | None, start: float | None, length: float | None
) -> None:
    """Raise if the arguments of `read_clip` are out of range; NaN fails each of these comparisons."""
    if duration is not None and not (duration * sample_rate > 0.5 and duration <= MAX_SECONDS):
        raise AudioMetamerError(f"duration is {duration} s; it must be at least one sample and at most {MAX_SECONDS} s")
    if level is not None and not 0 < level <= 1:
        raise AudioMetamerError(f"level is {level}; it must be above 0 and at most 1, an RMS")
    longest = MAX_SECONDS if duration is None else duration
    if start is not None and not isinstance(start, numbers.Real):
        raise AudioMetamerError(f"start is {start!r}; it must be a number of seconds")
    if length is not None and not 0 < length <= longest:
        raise AudioMetamerError(f"duration is {length} s; it must be above 0 and at most the model's, {longest:g} s")


def _part(
    sound: "Sound", shown: str, *, duration: float | None, start: float | None, length: float | None
) -> NDArray[np.float64]:
    """The requested part of a recording, shape=(frames, channels); raises if it would have to be cut without a request."""
    is_whole = start is None and length is None and duration is not None
    seconds = duration if length is None else length
    max_frames = MAX_SECONDS * sound.rate
    count = max_frames + 1 if seconds is None else max(round(seconds * sound.rate), 1) + 2 * is_whole
    announced = sound.n_frames
    inside = start is None or 0 <= start < math.inf
    samples = sound.read(round((start or 0) * sound.rate), count) if inside else np.empty((0, sound.channels))
    if is_whole and len(samples) == count:
        lasts = f"more than {duration:g} s" if announced is None else f"{announced / sound.rate:.3f} s"
        raise AudioMetamerError(
            f"{shown} lasts {lasts} and the model takes {duration:g} s; say where to begin with start (--start SECONDS)"
        )
    if len(samples) > max_frames:
        raise AudioMetamerError(f"{shown} lasts more than {MAX_SECONDS} s, the longest that is read; give a duration")
    if len(samples) == 0:
        if start and (n_frames := sound.count()):
            raise AudioMetamerError(f"start is {start} s, but {shown} runs from 0 to {n_frames / sound.rate:.3f} s")
        raise AudioMetamerError(f"{shown} holds no samples")
    return samples


def _silence(channels: NDArray[np.float64], *, level: float | None) -> str:
    """Why a recording is silent once its channels are mixed down."""
    centred = channels if level is None else channels - channels.mean(axis=0)
    if np.sqrt(np.square(centred).mean(axis=0)).max() < _SILENCE_RMS:
        if level is not None and (constant := float(np.abs(channels).max())) > _SILENCE_RMS:
            return f"has the same value, {constant:.3g}, in every sample; a clip must have sound"
        return "is silent; a clip must have sound"
    return "is silent: its channels cancel each other when mixed down; give one of them"


def read_samples(
    path: str | os.PathLike[str], *, start: float = 0.0, length: float | None = None, mixed: bool = False
) -> tuple[NDArray[np.float64], int]:
    """Read samples, shape=(frames, channels), and their rate in Hz.

    Parameters
    ----------
    path : path
        Any file that libsndfile or an installed ``ffmpeg`` decodes; a pipe; or ``-``, the standard input.
    start : float
        Seconds. Default 0.
    length : float, optional
        Seconds; fewer if the file ends earlier. Default: to the end.
    mixed : bool
        Whether to mix all channels down to one. Default False.

    Raises
    ------
    AudioMetamerError
        If the file is missing, empty, truncated, not audio or a folder, ends before `start`, or holds more samples than fit
        in memory.
    """
    from audiometamer.signals.decoding import open_sound

    with open_sound(path) as sound:
        count = None if length is None else round(length * sound.rate)
        samples = sound.read(round(start * sound.rate), count, mixed=mixed)
    if len(samples) == 0:
        raise AudioMetamerError(f"{printable(path)} holds no samples{f' after {start:g} s' if start else ''}")
    return samples, sound.rate


def file_duration(path: Path) -> float:
    """Duration of a file in seconds; raises as `read_samples` does.

    Read from the header, or counted if the header does not state it.
    """
    from audiometamer.signals.decoding import open_sound

    if str(path) == "-" or path.is_fifo() or path.is_socket():
        raise AudioMetamerError(f"{path} is a pipe, which can be read only once; give a file")
    with open_sound(path) as sound:
        return sound.count() / sound.rate


def set_level(samples: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Remove the mean and set the root mean square; silence stays silent; shape=(samples,) in and out."""
    centred = samples - samples.mean()
    rms = _rms(centred)
    return np.asarray(centred * (level / rms) if rms else centred, dtype=np.float32)


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def write_wav(path: str | os.PathLike[str], samples: Tensor | NDArray[np.float32], sample_rate: int) -> None:
    """Write a float32 WAV of one or two channels; equal samples give equal bytes.

    Parameters
    ----------
    path : path
    samples : Tensor or array [shape=(samples,) or (2, samples)]
        Values beyond ±1 are kept; float WAVs do not clip.
    sample_rate : int
        Hz.

    Raises
    ------
    AudioMetamerError
        If a sample is not finite, the shape is different, or the file cannot be written.
    """
    sample_rate = as_integer(sample_rate, "sample_rate", least=1)
    data = np.asarray(torch.as_tensor(samples).detach().cpu().numpy(), dtype=np.float32)
    if data.ndim != 1 and data.shape[:-1] != (2,):
        raise AudioMetamerError(f"a WAV takes samples of shape (samples,) or (2, samples); these have shape {data.shape}")
    if not np.isfinite(data).all():
        raise AudioMetamerError(f"{path} was not written: {np.count_nonzero(~np.isfinite(data))} samples are NaN or infinite")
    with atomic_write(path) as temporary:
        scipy.io.wavfile.write(temporary, sample_rate, data.T)
