"""From recordings to the excerpts that a network is trained on: position, cut, filter, add background, set the level.

Every random function takes a generator: the same generator gives the same excerpt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import scipy.signal
from msgspec import Meta

from audiometamer.errors import AudioMetamerError
from audiometamer.signals.audio import set_level
from audiometamer.training.channels import CODECS, coded, in_room, room_response
from audiometamer.training.recordings import Samples

Share = Annotated[float, Meta(ge=0, le=1)]
Decibels = Annotated[float, Meta(ge=-200, le=200)]
Positive = Annotated[float, Meta(gt=0)]
Reverberation = Annotated[float, Meta(gt=0, le=20)]  # s

KINDS: Mapping[str, float] = {"babble": 2, "speech_shaped": 1, "noise": 1, "pink": 1}
N_VOICES = (1, 6)
_LEVEL_OF_VOICES = 0.1
_SHORTEST = 32  # samples that a phase vocoder needs
_PAUSE = (0.0, 0.12)  # s, between a word and its neighbours
_NEIGHBOURS_DB = (-6.0, 3.0)  # RMS of neighbouring words relative to the word


def word_span(samples: Samples, sample_rate: int) -> tuple[int, int]:
    """First sample of the word and one past its last: from the first to the last 50 ms within 30 dB of the loudest 50 ms.

    The whole recording if it is silent.
    """
    hop = sample_rate // 20
    padded = np.pad(samples, (0, -len(samples) % hop))
    energy = np.square(padded, dtype=np.float64).reshape(-1, hop).mean(axis=1)
    loud = np.flatnonzero(energy >= energy.max() * 1e-3)
    return int(loud[0]) * hop, min((int(loud[-1]) + 1) * hop, len(samples))


def excerpt(samples: Samples, n_samples: int, *, center: int) -> Samples:
    """`n_samples` around a sample, padded with silence beyond the ends of the recording."""
    first = center - n_samples // 2
    inside = samples[max(first, 0) : max(first + n_samples, 0)]
    before = max(-first, 0)
    return np.pad(inside, (before, max(n_samples - before - len(inside), 0)))[:n_samples]


def word_in_the_middle(samples: Samples, n_samples: int, sample_rate: int) -> Samples:
    """The excerpt centred on the word; a recording of exactly this length was cut before and is returned unchanged."""
    if len(samples) == n_samples:
        return samples
    start, stop = word_span(samples, sample_rate)
    return excerpt(samples, n_samples, center=(start + stop) // 2)


def between_words(
    word: Samples, before: Samples, after: Samples, rng: np.random.Generator, sample_rate: int
) -> tuple[Samples, tuple[int, int]]:
    """A word between two others, as in running speech, each cut to its own span; and the span of the word in the middle."""
    parts = [samples[slice(*word_span(samples, sample_rate))] for samples in (before, word, after)]
    levels = [np.sqrt(np.mean(np.square(part, dtype=np.float64))) for part in parts]
    for k in (0, 2):
        if levels[k]:
            parts[k] = parts[k] * np.float32(levels[1] / levels[k] * 10 ** (between(_NEIGHBOURS_DB, rng) / 20))
    pauses = [np.zeros(round(rng.uniform(*_PAUSE) * sample_rate), dtype=np.float32) for _ in range(2)]
    start = len(parts[0]) + len(pauses[0])
    joined = np.concatenate([parts[0], pauses[0], parts[1], pauses[1], parts[2]])
    return joined, (start, start + len(parts[1]))


def low_pass(samples: Samples, cutoff: float, sample_rate: int) -> Samples:
    """Eighth-order Butterworth low-pass, forwards only; `cutoff` in Hz, without effect above half the sample rate."""
    if cutoff >= sample_rate / 2:
        return samples
    sections = scipy.signal.butter(8, cutoff, fs=sample_rate, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, samples), dtype=np.float32)


def between(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number between two limits."""
    return rng.uniform(limits[0], limits[1] + 0.0)  # numpy rejects the limits 0 and -0


def mix(speech: Samples, background: Samples, snr: float) -> Samples:
    """Add background at a signal-to-noise ratio in dB, of the RMS over the whole excerpt; silence adds nothing."""
    powers = [np.mean(np.square(sound, dtype=np.float64)) for sound in (speech, background)]
    if not all(powers):
        return background if powers[1] else speech
    gain = np.sqrt(powers[0] / powers[1]) * 10 ** (-snr / 20)
    return np.asarray(speech + gain * background, dtype=np.float32)


def pink(rng: np.random.Generator, n_samples: int) -> Samples:
    """Noise whose power falls as 1/f; periodic."""
    frequencies = np.arange(n_samples // 2 + 1)
    spectrum = np.exp(2j * np.pi * rng.random(len(frequencies))) / np.sqrt(np.maximum(frequencies, 1))
    return np.fft.irfft(spectrum, n_samples).astype(np.float32)


def speech_shaped(rng: np.random.Generator, speech: Samples) -> Samples:
    """Noise with the spectrum of an excerpt of speech, and random phase; shape=(samples,) in and out."""
    spectrum = np.abs(np.fft.rfft(speech))
    return np.fft.irfft(spectrum * np.exp(2j * np.pi * rng.random(len(spectrum))), len(speech)).astype(np.float32)


def stretched(samples: Samples, rate: float) -> Samples:
    """A recording `rate` times as fast, its pitch unchanged; one of fewer than 32 samples is unchanged."""
    from librosa.effects import time_stretch

    if len(samples) < _SHORTEST:
        return samples
    return np.asarray(time_stretch(samples, rate=rate, n_fft=_window(samples)), dtype=np.float32)


def shifted(samples: Samples, semitones: float, sample_rate: int) -> Samples:
    """A recording shifted up by this many semitones, its duration unchanged; one of fewer than 32 samples is unchanged."""
    from librosa.effects import pitch_shift

    if len(samples) < _SHORTEST:
        return samples
    return np.asarray(pitch_shift(samples, sr=sample_rate, n_steps=semitones, n_fft=_window(samples)), dtype=np.float32)


def _window(samples: Samples) -> int:
    """Librosa's default window, 2048 samples, or the longest power of two that fits into a shorter recording."""
    return int(min(2048, 1 << (len(samples).bit_length() - 1)))


@dataclass(frozen=True)
class Pool:
    """Recordings to draw excerpts from, each within a part of its length.

    Parameters
    ----------
    recordings : sequence of array [shape=(samples,)]
    members : range, optional
        Indices of the recordings in the pool. Default: all.
    part : tuple of float
        Start and end of the part, from 0 (the beginning) to 1 (the end). Default: the whole recording.
    """

    recordings: Sequence[Samples] = ()
    members: range | None = None
    part: tuple[float, float] = (0.0, 1.0)

    def __len__(self) -> int:
        return len(self.recordings if self.members is None else self.members)

    def draw(self, rng: np.random.Generator, n_samples: int) -> tuple[int, Samples]:
        """The index of a random recording and a random excerpt of it, repeated if it is too short."""
        index = int(rng.integers(len(self))) + (0 if self.members is None else self.members.start)
        recording = self.recordings[index]
        first, stop = (round(len(recording) * share) for share in self.part)
        first += int(rng.integers(max(stop - first - n_samples, 0) + 1))
        return index, np.resize(recording[first : min(first + n_samples, stop)], n_samples)


@dataclass(frozen=True)
class Backgrounds:
    """Background sound of several kinds.

    Parameters
    ----------
    voices : Pool
        Speech, for ``babble`` and for the spectrum of ``speech_shaped`` noise.
    noises : Pool
        Other recorded sounds, for ``noise``.
    clips : Pool
        Labelled clips, for ``clips``.
    kinds : mapping of str to float
        Relative frequency of each kind. A kind without recordings is left out.
    n_voices : tuple of int
        Minimum and maximum number of voices in a babble.

    Raises
    ------
    AudioMetamerError
        If a kind does not exist, or no kind can be drawn.
    """

    voices: Pool = field(default_factory=Pool)
    noises: Pool = field(default_factory=Pool)
    clips: Pool = field(default_factory=Pool)
    kinds: Mapping[str, float] = field(default_factory=lambda: KINDS)
    n_voices: tuple[int, int] = N_VOICES

    def __post_init__(self) -> None:
        if unknown := self.kinds.keys() - self._sources().keys():
            known = ", ".join(self._sources())
            raise AudioMetamerError(f"there is no kind of background {', '.join(sorted(unknown))}; there are {known}")
        if not 1 <= self.n_voices[0] <= self.n_voices[1]:
            raise AudioMetamerError(
                f"n_voices is {self.n_voices}; it must be the minimum (at least 1) and the maximum number of voices in a babble"
            )
        if not self._weights():
            raise AudioMetamerError(f"there are no recordings for background of kind {', '.join(self.kinds) or '(none named)'}")

    def _sources(self) -> dict[str, tuple[bool, Callable[[np.random.Generator, int], tuple[int | None, Samples]]]]:
        """By kind: whether it has recordings, and the function that draws a background."""
        return {
            "babble": (len(self.voices) > 0, self._babble),
            "speech_shaped": (len(self.voices) > 0, self._speech_shaped),
            "noise": (len(self.noises) > 0, self.noises.draw),
            "clips": (len(self.clips) > 0, self.clips.draw),
            "pink": (True, lambda rng, n_samples: (None, pink(rng, n_samples))),
        }

    def _weights(self) -> dict[str, float]:
        sources = self._sources()
        return {kind: weight for kind, weight in self.kinds.items() if weight > 0 and sources[kind][0]}

    def draw(self, rng: np.random.Generator, n_samples: int) -> tuple[str, int | None, Samples]:
        """A background: its kind, the index of the recording in its pool if it is a recording, and its samples."""
        weights = self._weights()
        shares = np.array(list(weights.values())) / sum(weights.values())
        kind = list(weights)[int(rng.choice(len(weights), p=shares))]
        index, samples = self._sources()[kind][1](rng, n_samples)
        return kind, index, samples

    def _babble(self, rng: np.random.Generator, n_samples: int) -> tuple[int | None, Samples]:
        total = np.zeros(n_samples, dtype=np.float32)
        for _ in range(rng.integers(self.n_voices[0], self.n_voices[1] + 1)):
            voice = self.voices.draw(rng, n_samples)[1]
            if voice.any():
                total += set_level(voice, _LEVEL_OF_VOICES)
        return None, total

    def _speech_shaped(self, rng: np.random.Generator, n_samples: int) -> tuple[int | None, Samples]:
        return None, speech_shaped(rng, self.voices.draw(rng, n_samples)[1])


@dataclass(frozen=True)
class Augmentation:
    """How a training excerpt differs from the recording.

    Parameters
    ----------
    snr : tuple of float
        Range of signal-to-noise ratios, in dB, uniform. Default −10 to 10 (Feather et al. 2023).
    quiet : float
        Proportion of excerpts without background. Default 0.
    centered : float
        Proportion of excerpts with the word in the middle; in the others its position is random. From speech longer than the
        excerpt, these others are cut at a random position. Default 1.
    low_pass : float
        With half this probability the speech is low-passed, so that the bandwidth of a source carries no information, and
        independently, with the same probability, the mixture is low-passed. Default 0.
    cutoff : tuple of float
        Range of the cut-off frequency in Hz, log-uniform. Default 2500 to 9000.
    noise_floor : float
        Proportion with white noise 25 to 60 dB below the speech, which masks the ends of a recording's own noise. Default 0.
    speed : float
        Maximum factor by which recordings are played faster or slower, which also shifts their pitch. Default 1: unchanged.
    stretch : float
        Maximum factor by which recordings are made faster or slower at constant pitch (librosa's phase vocoder). Default 1:
        unchanged.
    pitch : float
        Maximum shift up or down, in semitones, at constant speed. Default 0: unchanged.
    gain : tuple of float
        Range of gains in dB after the level is set, uniform. Default: none.
    jitter : float
        Maximum displacement of the word from the middle, in seconds, uniform; also where the data set's authors put it there,
        which they do to within some tens of milliseconds. Default 0.
    neighbours : float
        Proportion of isolated words (recordings shorter than the excerpt) that get another one of the same voice directly before
        and after, as in running speech. Default 0.
    room : float
        Proportion of excerpts whose speech is in a room; see `audiometamer.training.channels.room_response`. Default 0.
    reverberation : tuple of float
        Range of reverberation times T60, in seconds. Default 0.1 to 0.5.
    direct : tuple of float
        Range of ratios of direct to reverberant energy, in dB. Default 0 to 15.
    codec : float
        Proportion of mixtures that are encoded and decoded by a lossy codec. Default 0.
    codecs : dict of str to float
        Relative frequencies of ``VORBIS`` and ``OPUS``, whose encoder takes seven times as long. Default 6 to 1.
    compression : tuple of float
        Range of the codec's compression, from 0 (highest bit rate) to 1. Default 0.3 to 0.95.
    """

    snr: tuple[Decibels, Decibels] = (-10.0, 10.0)
    quiet: Share = 0.0
    centered: Share = 1.0
    low_pass: Share = 0.0
    cutoff: tuple[Positive, Positive] = (2500.0, 9000.0)
    noise_floor: Share = 0.0
    speed: Annotated[float, Meta(ge=1, le=10)] = 1.0
    stretch: Annotated[float, Meta(ge=1, le=10)] = 1.0
    pitch: Annotated[float, Meta(ge=0, le=24)] = 0.0
    gain: tuple[Decibels, Decibels] = (0.0, 0.0)
    jitter: Annotated[float, Meta(ge=0, le=10)] = 0.0
    neighbours: Share = 0.0
    room: Share = 0.0
    reverberation: tuple[Reverberation, Reverberation] = (0.1, 0.5)
    direct: tuple[Decibels, Decibels] = (0.0, 15.0)
    codec: Share = 0.0
    codecs: dict[str, Annotated[float, Meta(ge=0)]] = field(default_factory=lambda: {"VORBIS": 6.0, "OPUS": 1.0})
    compression: tuple[Share, Share] = (0.3, 0.95)

    def __post_init__(self) -> None:
        for name in ("snr", "cutoff", "gain", "reverberation", "direct", "compression"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is [{low:g}, {high:g}]; the smaller number comes first")
        if self.codecs.keys() - set(CODECS) or not sum(self.codecs.values()):
            raise ValueError(f"codecs are {self.codecs}; they must be relative frequencies of {' and '.join(CODECS)}")

    def speech(
        self,
        samples: Samples,
        rng: np.random.Generator,
        *,
        n_samples: int,
        sample_rate: int,
        other_word: Callable[[np.random.Generator], Samples | None] = lambda _: None,
    ) -> Samples:
        """An excerpt of a recording, before background is added; `other_word` draws another isolated word of the same voice."""
        is_cut = len(samples) == n_samples  # by the authors of the data set: the word is in place
        is_short = len(samples) < n_samples
        samples = self._played(samples, rng, sample_rate)
        start, stop = (0, len(samples)) if is_cut else word_span(samples, sample_rate)
        spare = abs(n_samples - (stop - start)) // 2
        if self.neighbours and is_short and rng.random() < self.neighbours:
            before, after = other_word(rng), other_word(rng)
            if before is not None and after is not None:
                samples, (start, stop) = between_words(samples, before, after, rng, sample_rate)
        shift = 0 if rng.random() < self.centered else int(rng.integers(-spare, spare + 1))
        if self.jitter:
            shift += round(rng.uniform(-self.jitter, self.jitter) * sample_rate)
        sound = excerpt(samples, n_samples, center=(start + stop) // 2 + shift)
        if not sound.any():  # a pause in long speech
            sound = excerpt(samples, n_samples, center=(start + stop) // 2)
        if rng.random() < self.noise_floor:
            sound = mix(sound, rng.standard_normal(n_samples).astype(np.float32), rng.uniform(25, 60))
        if self.room and rng.random() < self.room:
            sound = in_room(sound, room_response(rng, sample_rate, reverberation=self.reverberation, direct=self.direct))
        return self._filtered(sound, rng, sample_rate)

    def finished(self, sound: Samples, rng: np.random.Generator, *, level: float, sample_rate: int) -> Samples:
        """Finish a mixture: perhaps encode and low-pass it, remove its mean, set its level."""
        if self.codec and rng.random() < self.codec:
            shares = np.array([self.codecs.get(name, 0.0) for name in CODECS])
            codec = CODECS[int(rng.choice(len(CODECS), p=shares / shares.sum()))]
            sound = coded(sound, sample_rate, codec=codec, compression=between(self.compression, rng))
        return set_level(self._filtered(sound, rng, sample_rate), level * 10 ** (between(self.gain, rng) / 20))

    def _played(self, samples: Samples, rng: np.random.Generator, sample_rate: int) -> Samples:
        """Change speed and pitch; nothing is drawn for a change that is off, which keeps the other draws the same."""
        if self.speed != 1 and len(samples) > 1:
            times = np.arange(0, len(samples) - 1, self.speed ** rng.uniform(-1, 1))
            samples = np.interp(times, np.arange(len(samples)), samples).astype(np.float32)
        if self.stretch != 1:
            samples = stretched(samples, self.stretch ** rng.uniform(-1, 1))
        if self.pitch:
            samples = shifted(samples, rng.uniform(-self.pitch, self.pitch), sample_rate)
        return samples

    def _filtered(self, sound: Samples, rng: np.random.Generator, sample_rate: int) -> Samples:
        if rng.random() >= self.low_pass / 2:
            return sound
        low, high = np.log(self.cutoff)
        return low_pass(sound, float(np.exp(rng.uniform(low, high))), sample_rate)
