"""Presentation copies of sounds: PCM at a sound card's rate, one level for all, ramps, calibration."""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.draws import Draws

Sound = NDArray[np.float64]
NOISE, TONE = "calibrationnoise", "calibrationtone"

_CALIBRATION_SECONDS = 10.0
_TONE_HZ = 1000.0
_ROLL_OFF = 0.98  # of the lower Nyquist frequency, up to which presented and matched sounds are the same
_BINS = 4097  # of the average spectrum, 6 Hz apart


class Excerpt(NamedTuple):
    """A part of a file of a set: where it begins and how long it is, in seconds."""

    file: str
    start: float
    seconds: float


class PresentationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of presentation copies.

    Parameters
    ----------
    sample_rate : {44100, 48000}
        Hz. Default 48000.
    bits : {16, 24}
        Default 24.
    level : float or None
        RMS of every sound in dB re full scale: a constant 1 has 0 dB, a full-scale sine -3.01 dB. Means are removed.
        Default -30.
    factor : float or None
        Instead of `level`: gain of all sounds, which preserves their level differences.
    peaks : {"lower", "stop"}
        What to do if a sound would clip: lower all by the same amount, or stop. Default "lower".
    ramp : float
        Raised-cosine rise and fall, ms. Default 10.
    seed : int
        Random seed of names, dither and calibration noise, which also depend on a private key. Default 0.
    bids_version : {"current", "coming"}
        ``stim_file`` (BIDS 1.11), or ``stimuli.tsv`` and ``stim_id`` (draft of BIDS extension proposal 44). Default "current".
    reveal : bool
        Write what each sound is to the tables of the export too, not only to the key. Default False.
    """

    sample_rate: int = 48_000
    bits: int = 24
    level: float | None = -30.0
    factor: float | None = None
    peaks: Literal["lower", "stop"] = "lower"
    ramp: float = 10.0
    seed: int = 0
    bids_version: Literal["current", "coming"] = "current"
    reveal: bool = False

    def __post_init__(self) -> None:
        checks = (
            (self.sample_rate in (44_100, 48_000), f"sample rate is {self.sample_rate} Hz; it must be 44100 or 48000"),
            (self.bits in (16, 24), f"bits is {self.bits}; it must be 16 or 24"),
            ((self.level is None) != (self.factor is None), "give a level in dB or a factor: one of them"),
            (self.level is None or -100 <= self.level <= 0, f"level is {self.level} dB re full scale; it must be from -100 to 0"),
            (self.factor is None or 0 < self.factor < math.inf, f"factor is {self.factor}; it must be above 0"),
            (0 <= self.ramp < math.inf, f"ramp is {self.ramp} ms; it must be 0 or more"),
            (self.peaks in ("lower", "stop"), f"peaks is {self.peaks!r}; it must be lower or stop"),
            (self.bids_version in ("current", "coming"), f"BIDS version is {self.bids_version!r}; it must be current or coming"),
            (self.seed >= 0, f"seed is {self.seed}; it must be 0 or more"),
        )
        for good, message in checks:
            if not good:
                raise AudioMetamerError(message)

    @property
    def step(self) -> float:
        """Size of the least significant bit; full scale is 1."""
        return 2.0 ** (1 - self.bits)

    @property
    def highest(self) -> float:
        """Highest peak that does not clip: dither adds up to a step, rounding half a step."""
        return 1 - 2.5 * self.step


class Sounds:
    """Sounds of a set at one level: read once for the highest peak and the average spectrum, and again when requested.

    Parameters
    ----------
    stimulus_set : path
    settings : Settings
    set_files : sequence of str
        Paths relative to the set.
    draws : Draws
        Source of dither and calibration noise.
    """

    def __init__(self, stimulus_set: Path, settings: PresentationSettings, set_files: Sequence[str], draws: Draws) -> None:
        self.stimulus_set, self.settings, self.draws = stimulus_set, settings, draws
        self.gain, self.lowered_db = 1.0, 0.0
        power, spectrum, highest, loudest = 0.0, np.zeros(_BINS), 0.0, ""
        for set_file in set_files:
            sound = presentation_copy(self.stimulus_set / set_file, self.settings)
            power += _rms(sound) ** 2
            spectrum += _spectrum(sound)
            if (peak := float(np.abs(sound).max())) > highest:
                highest, loudest = peak, set_file
        rms = math.sqrt(power / len(set_files)) if settings.level is None else 10 ** (settings.level / 20)
        self.noise, self.tone = _shaped_noise(spectrum, settings, draws), _tone(settings)
        for name, sound in ((NOISE, self.noise), (TONE, self.tone)):
            if (peak := float(np.abs(sound).max()) * rms) > highest:
                highest, loudest = peak, name
        self._keep_from_clipping(highest, loudest)
        self.rms = rms * self.gain  # of the calibration sounds

    def _keep_from_clipping(self, highest: float, loudest: str) -> None:
        limit = self.settings.highest
        if highest <= limit:
            return
        excess = 20 * math.log10(highest / limit)
        if self.settings.peaks == "stop":
            raise AudioMetamerError(
                f"{loudest} would clip: its peak is {highest:.3f} of full scale; lower the level by {excess:.2f} dB, or let the "
                f"whole set be lowered (--peaks lower)"
            )
        self.gain, self.lowered_db = limit / highest, excess
        warnings.warn(f"{loudest} would clip: the whole set is lowered by {excess:.2f} dB", AudioMetamerWarning, stacklevel=2)

    def read(self, set_file: str) -> Sound:
        """A sound as listeners hear it, at the rate and level of the export, ramped; shape=(samples,) or (samples, 2)."""
        return presentation_copy(self.stimulus_set / set_file, self.settings) * self.gain

    def read_excerpt(self, excerpt: Excerpt) -> Sound:
        """An excerpt of a sound as listeners hear it, with level and ramps of its own."""
        part = (excerpt.start, excerpt.seconds)
        return presentation_copy(self.stimulus_set / excerpt.file, self.settings, part=part) * self.gain

    def write_calibration(self, folder: Path, file_of: Callable[[str], str]) -> float:
        """Write calibration noise and tone; returns their RMS in dB re full scale."""
        for name, sound in ((NOISE, self.noise), (TONE, self.tone)):
            write_pcm(folder / file_of(name), sound * self.rms, self.settings, name=name, draws=self.draws)
        return 20 * math.log10(self.rms)


def presentation_copy(path: Path, settings: PresentationSettings, *, part: tuple[float, float] | None = None) -> Sound:
    """A sound as listeners hear it, at the rate and level of the settings, ramped; its peak is not checked.

    The level of a two-channel sound is that of both channels together; both have the same gain.

    Parameters
    ----------
    path : path
    settings : PresentationSettings
    part : tuple of float, optional
        Start and duration of an excerpt in seconds. Default: all of it.

    Returns
    -------
    array [shape=(samples,) or (samples, 2)]

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has more than two channels or samples that are not finite, is silent, or is shorter than two ramps.
    """
    from audiometamer.signals.audio import read_samples
    from audiometamer.signals.resampling import resample_by_fourier

    samples, rate = read_samples(path)
    if samples.shape[1] > 2 or not np.isfinite(samples).all():
        raise AudioMetamerError(f"{path} must have one or two channels and finite samples; it has {samples.shape[1]} channels")
    if part is not None:
        begin, count = (round(seconds * rate) for seconds in part)
        samples = samples[begin : begin + count]
    sound = samples[:, 0] if samples.shape[1] == 1 else samples
    if rate != settings.sample_rate:
        sound = resample_by_fourier(sound.T, rate, settings.sample_rate, roll_off=_ROLL_OFF).T
    if settings.level is not None:
        sound = sound - sound.mean(axis=0)
    sound = _ramped(sound, settings, path)
    if not sound.any():
        raise AudioMetamerError(f"{path} is silent; it cannot be brought to a level")
    return sound * (settings.factor or 10 ** ((settings.level or 0.0) / 20) / _rms(sound))


def in_sequence(sounds: Sequence[Sound], gap: float, settings: PresentationSettings) -> Sound:
    """Concatenate sounds with `gap` seconds of silence between; mono sounds among two-channel ones play at both ears."""
    channels = max(sound.ndim for sound in sounds)
    alike = [sound if sound.ndim == channels else np.stack([sound, sound], axis=1) for sound in sounds]
    silence = np.zeros((round(gap * settings.sample_rate), *alike[0].shape[1:]))
    return np.concatenate([piece for sound in alike for piece in (sound, silence)][:-1])


def _rms(sound: Sound) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def _ramped(sound: Sound, settings: PresentationSettings, path: Path) -> Sound:
    """Apply raised-cosine ramps, 0.5 - 0.5·cos(π (k + 0.5) / n) over n samples, to both ends."""
    n = round(settings.ramp / 1000 * settings.sample_rate)
    if 2 * n > len(sound):
        raise AudioMetamerError(
            f"{path} lasts {1000 * len(sound) / settings.sample_rate:.0f} ms; two ramps of {settings.ramp:g} ms do not fit in it"
        )
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / max(n, 1))
    rise = rise.reshape(n, *[1] * (sound.ndim - 1))
    sound = sound.copy()
    sound[:n] *= rise
    sound[len(sound) - n :] *= rise[::-1]
    return sound


def _spectrum(sound: Sound) -> NDArray[np.float64]:
    """Power by frequency, by Welch's method, each sound counted alike; shape=(bins,)."""
    import scipy.signal

    size = 2 * (_BINS - 1)
    channels = sound.T.reshape(-1, len(sound))
    padded = np.pad(channels, ((0, 0), (0, max(size - len(sound), 0))))
    power: NDArray[np.float64] = scipy.signal.welch(padded, nperseg=size, detrend=False)[1].mean(axis=0)
    return power / power.sum()


def _shaped_noise(spectrum: NDArray[np.float64], settings: PresentationSettings, draws: Draws) -> Sound:
    """Gaussian noise with the average spectrum of the set, RMS 1, ramped."""
    n = round(_CALIBRATION_SECONDS * settings.sample_rate)
    white = np.fft.rfft(draws.generator(1).standard_normal(n))
    amplitude = np.sqrt(np.interp(np.linspace(0, 1, len(white)), np.linspace(0, 1, _BINS), spectrum))
    amplitude[0] = 0
    noise = _ramped(np.fft.irfft(white * amplitude, n), settings, Path(NOISE))
    return noise / _rms(noise)


def _tone(settings: PresentationSettings) -> Sound:
    """1 kHz, RMS 1, ramped."""
    time = np.arange(round(_CALIBRATION_SECONDS * settings.sample_rate)) / settings.sample_rate
    tone = _ramped(np.sin(2 * np.pi * _TONE_HZ * time), settings, Path(TONE))
    return tone / _rms(tone)


def write_pcm(path: Path, sound: Sound, settings: PresentationSettings, *, name: str, draws: Draws) -> None:
    """Write a sound as `pcm_wav` encodes it; its folder is created if missing."""
    wav = pcm_wav(sound, settings, name=name, draws=draws)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav)


def pcm_wav(sound: Sound, settings: PresentationSettings, *, name: str, draws: Draws) -> bytes:
    """Encode a sound as PCM WAV, rounded after adding triangular dither two steps wide (Lipshitz et al. 1992).

    The dither runs through the whole file and is private: a sound that occurs in it twice has different samples each time, even
    for those who know the sound.

    Parameters
    ----------
    sound : array [shape=(samples,) or (samples, channels)]
    settings : Settings
    name : str
        Name of the sound, which determines its dither.
    draws : Draws
        Source of the dither.

    Raises
    ------
    AudioMetamerError
        If a sample would clip, which libsndfile does silently.
    """
    import soundfile

    generator = draws.generator(int.from_bytes(name.encode()))
    dither = generator.random(sound.shape) - generator.random(sound.shape)
    steps = np.floor(sound / settings.step + dither + 0.5).astype(np.int64)
    if np.abs(steps).max() >= 1 / settings.step:
        raise AudioMetamerError(f"{name} would clip, although peaks were checked before: a sound was changed meanwhile")
    left = steps.astype(np.int32) << (32 - settings.bits)
    file = io.BytesIO()
    soundfile.write(file, left, settings.sample_rate, subtype=f"PCM_{settings.bits}", format="WAV")
    return file.getvalue()
