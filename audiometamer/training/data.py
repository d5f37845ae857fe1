"""Labelled clips, and the excerpts with background that a network is trained and tested on.

Every random choice is made by a generator of its own, seeded with (seed, epoch, index): any excerpt of any epoch can be made
again, in any order.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

from audiometamer.audio import resample, set_level
from audiometamer.errors import AudioMetamerError

Samples = NDArray[np.float32]


@dataclass
class LabelledClips:
    """Recordings in memory at one sample rate.

    Parameters
    ----------
    samples : list of array [shape=(samples,)]
    words : list of str
        The word of each, "" where there is none.
    paths : list of str
    sample_rate : int
        Hz.
    """

    sample_rate: int
    samples: list[Samples] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.samples)


def read_clips(folder: Path, *, split: str, sample_rate: int) -> LabelledClips:
    """Read every recording that ``folder/clips.csv`` (columns path, word, split) lists under a split.

    Raises
    ------
    AudioMetamerError
        If clips.csv is missing or lacks a column, or a recording cannot be read.
    """
    table = folder / "clips.csv"
    if not table.is_file():
        raise AudioMetamerError(f"{table} does not exist; a data folder lists its recordings there (columns path, word, split)")
    clips = LabelledClips(sample_rate)
    with table.open(newline="") as file:
        reader = csv.DictReader(file)
        if missing := {"path", "word", "split"} - set(reader.fieldnames or ()):
            raise AudioMetamerError(f"{table} has no column {', '.join(sorted(missing))}")
        rows = [row for row in reader if row["split"] == split]
    for row in rows:
        try:
            samples, rate = soundfile.read(folder / row["path"], dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioMetamerError(f"{folder / row['path']} cannot be read as audio: {error}") from error
        clips.samples.append(resample(samples.mean(axis=1), rate, sample_rate))
        clips.words.append(row["word"])
        clips.paths.append(row["path"])
    return clips


def word_span(samples: Samples, sample_rate: int) -> tuple[int, int]:
    """First sample of the word and the one past its last: where 50 ms of sound come within 30 dB of the loudest 50 ms."""
    hop = sample_rate // 20
    padded = np.pad(samples, (0, -len(samples) % hop))
    energy = np.square(padded, dtype=np.float64).reshape(-1, hop).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() * 1e-3)
    return int(loud[0]) * hop, min((int(loud[-1]) + 1) * hop, len(samples))


def excerpt(samples: Samples, n_samples: int, *, center: int) -> Samples:
    """`n_samples` around a sample, with silence where the recording has ended or not begun."""
    first = center - n_samples // 2
    inside = samples[max(first, 0) : max(first + n_samples, 0)]
    before = max(-first, 0)
    return np.pad(inside, (before, max(n_samples - before - len(inside), 0)))[:n_samples]


def word_in_the_middle(samples: Samples, n_samples: int, sample_rate: int) -> Samples:
    """The excerpt whose middle is the middle of the word."""
    start, stop = word_span(samples, sample_rate)
    return excerpt(samples, n_samples, center=(start + stop) // 2)


def low_pass(samples: Samples, cutoff: float, sample_rate: int) -> Samples:
    """Eighth-order Butterworth low-pass, forwards only; `cutoff` in Hz."""
    sections = scipy.signal.butter(8, cutoff, fs=sample_rate, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, samples), dtype=np.float32)


def mix(speech: Samples, background: Samples, snr: float) -> Samples:
    """Add background at a signal-to-noise ratio in dB, of the RMS over the whole excerpt."""
    power = np.mean(np.square(background, dtype=np.float64))
    if power == 0:
        return speech
    gain = np.sqrt(np.mean(np.square(speech, dtype=np.float64)) / power) * 10 ** (-snr / 20)
    return np.asarray(speech + gain * background, dtype=np.float32)


@dataclass(frozen=True)
class Backgrounds:
    """Background sound: babble of several voices, recorded noise, or noise with the spectrum of speech or of 1/f.

    Parameters
    ----------
    voices : sequence of array
        Speech of people who say none of the words.
    noises : sequence of array
        Other recorded sound.
    """

    voices: Sequence[Samples]
    noises: Sequence[Samples]

    def draw(self, rng: np.random.Generator, n_samples: int) -> Samples:
        """One background, kind and excerpt drawn at random."""
        kinds: list[Callable[[np.random.Generator, int], Samples]] = [_pink]
        if self.voices:
            kinds += [self._babble, self._babble, self._speech_shaped]
        if self.noises:
            kinds.append(self._noise)
        return kinds[rng.integers(len(kinds))](rng, n_samples)

    def _babble(self, rng: np.random.Generator, n_samples: int) -> Samples:
        total = np.zeros(n_samples, dtype=np.float32)
        for _ in range(rng.integers(1, 7)):
            total += set_level(_window(rng, self.voices, n_samples), 0.1)
        return total

    def _speech_shaped(self, rng: np.random.Generator, n_samples: int) -> Samples:
        spectrum = np.abs(np.fft.rfft(_window(rng, self.voices, n_samples)))
        phase = np.exp(2j * np.pi * rng.random(len(spectrum)))
        return np.fft.irfft(spectrum * phase, n_samples).astype(np.float32)

    def _noise(self, rng: np.random.Generator, n_samples: int) -> Samples:
        return _window(rng, self.noises, n_samples)


def _window(rng: np.random.Generator, recordings: Sequence[Samples], n_samples: int) -> Samples:
    """A random excerpt of a random recording, with more than silence in it."""
    recording = recordings[int(rng.integers(len(recordings)))]
    first = int(rng.integers(max(len(recording) - n_samples, 0) + 1))
    return np.resize(recording[first : first + n_samples], n_samples)


def _pink(rng: np.random.Generator, n_samples: int) -> Samples:
    frequencies = np.arange(n_samples // 2 + 1)
    spectrum = np.exp(2j * np.pi * rng.random(len(frequencies))) / np.sqrt(np.maximum(frequencies, 1))
    return np.fft.irfft(spectrum, n_samples).astype(np.float32)


@dataclass(frozen=True)
class Augmentation:
    """How a training excerpt differs from the clip.

    Parameters
    ----------
    snr : tuple of float
        Range of signal-to-noise ratios, in dB, uniform.
    quiet : float
        Share of excerpts without background.
    centered : float
        Share of excerpts with the word in the middle; in the others the word lies anywhere.
    low_pass : float
        Share that is low-passed, at a cut-off drawn from `cutoff` (Hz, uniform in its logarithm).
    speed : float
        Recordings are played faster or slower by up to this factor minus one.
    """

    snr: tuple[float, float] = (-8.0, 20.0)
    quiet: float = 0.25
    centered: float = 0.4
    low_pass: float = 0.5
    cutoff: tuple[float, float] = (2500.0, 9000.0)
    speed: float = 1.15

    def excerpt(
        self, samples: Samples, backgrounds: Backgrounds, rng: np.random.Generator, *, n_samples: int, sample_rate: int
    ) -> Samples:
        """One training excerpt of a recording; mean 0, RMS 0.1."""
        factor = self.speed ** rng.uniform(-1, 1)
        times = np.arange(0, len(samples) - 1, factor)
        samples = np.interp(times, np.arange(len(samples)), samples).astype(np.float32)

        start, stop = word_span(samples, sample_rate)
        spare = max(n_samples - (stop - start), 0) // 2
        shift = 0 if rng.random() < self.centered else int(rng.integers(-spare, spare + 1))
        sound = excerpt(samples, n_samples, center=(start + stop) // 2 + shift)
        if rng.random() < 0.5:  # a recording's own noise floor ends abruptly where it is padded: hide that, as often as not
            sound = mix(sound, rng.standard_normal(n_samples).astype(np.float32), rng.uniform(25, 60))
        if rng.random() < self.low_pass / 2:
            sound = low_pass(sound, self._cutoff(rng), sample_rate)
        if rng.random() >= self.quiet:
            sound = mix(sound, backgrounds.draw(rng, n_samples), rng.uniform(*self.snr))
        if rng.random() < self.low_pass / 2:
            sound = low_pass(sound, self._cutoff(rng), sample_rate)
        return set_level(sound, 0.1)

    def _cutoff(self, rng: np.random.Generator) -> float:
        low, high = np.log(self.cutoff)
        return float(np.exp(rng.uniform(low, high)))
