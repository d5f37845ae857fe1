"""The recordings of all data sets together: labels as numbers, samples in memory if they fit, training batches.

Every excerpt has its own random generator, seeded with (seed, epoch, index): any excerpt of any epoch can be reproduced, in any
order, by any process.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.signals.resampling import resample
from audiometamer.training.mixing import Augmentation, Backgrounds, Pool, between, mix
from audiometamer.training.recordings import SPLITS, Recording, Samples
from audiometamer.training.selection import Sources, source_of, weights

MISSING = -1  # class number of a recording without a label
HELD_OUT = 0.2  # fraction of the backgrounds, from the end, that is reserved for tests
MEMORY = 4e9  # bytes

Targets = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class ClassificationTask:
    """A classification of sounds.

    Parameters
    ----------
    labels : tuple of str
        Names of the classes, in order.
    multi : bool
        Whether a sound can have several of these labels, or none. Default False: exactly one.
    """

    labels: tuple[str, ...]
    multi: bool = False

    def encoded(self, labels: Sequence[str] | None) -> NDArray[np.generic]:
        """The class number or `MISSING`, shape=(); for a multi-label task zeros and ones, or NaN, shape=(classes,)."""
        numbers = [self.labels.index(label) for label in labels or () if label in self.labels]
        if not self.multi:
            return np.asarray(numbers[0] if len(numbers) == 1 else MISSING, dtype=np.int64)
        ones = np.full(len(self.labels), np.nan if labels is None else 0.0, dtype=np.float32)
        ones[numbers] = 1.0
        return ones

    def known(self, targets: Tensor) -> Tensor:
        """Whether targets [shape=(batch,) or (batch, classes)] are known; bool [shape=(batch,)]."""
        return ~targets.isnan().any(1) if self.multi else targets != MISSING


class Waveforms(Sequence[Samples]):
    """Samples of recordings at one sample rate, in Hz; kept in memory, or read each time."""

    def __init__(self, recordings: Sequence[Recording], sample_rate: int, *, kept: bool) -> None:
        self.recordings, self.sample_rate = recordings, sample_rate
        self._samples: list[Samples] | None = None
        if kept:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                self._samples = list(pool.map(self._read, recordings))

    def _read(self, recording: Recording) -> Samples:
        samples, rate = recording.read()
        return resample(samples, rate, self.sample_rate)

    def __len__(self) -> int:
        return len(self.recordings)

    @overload
    def __getitem__(self, index: int) -> Samples: ...
    @overload
    def __getitem__(self, index: slice) -> list[Samples]: ...
    def __getitem__(self, index: int | slice) -> Samples | list[Samples]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._read(self.recordings[index]) if self._samples is None else self._samples[index]


class Corpus:
    """All recordings that have a label for one of the tasks, by split, and the backgrounds.

    Background recordings with a label of task ``speaker`` are voices, the others noises. The last fifth of the voices, and of
    each noise, is reserved for tests.

    Parameters
    ----------
    recordings : sequence of Recording
    tasks : mapping of str to Task
    sample_rate : int
        In Hz.
    splits : sequence of str
        Splits to load. Default: all.
    memory : float
        Maximum bytes of samples kept in memory; larger sets are read from their files each time. Default 4e9.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        tasks: Mapping[str, ClassificationTask],
        *,
        sample_rate: int,
        splits: Sequence[str] = SPLITS,
        memory: float = MEMORY,
    ) -> None:
        self.tasks, self.sample_rate = dict(tasks), sample_rate
        self.all_recordings = recordings
        self._check(recordings)
        self.recordings: dict[str, list[Recording]] = {
            split: [r for r in recordings if r.split == split and (split == "background" or self._is_labelled(r))]
            for split in splits
        }
        backgrounds = self.recordings.pop("background", [])
        self.recordings["voices"] = [r for r in backgrounds if "speaker" in r.labels]
        self.recordings["noises"] = [r for r in backgrounds if "speaker" not in r.labels]
        kept = _fits([r for found in self.recordings.values() for r in found], memory / (4 * sample_rate))
        self.waveforms = {name: Waveforms(found, sample_rate, kept=kept) for name, found in self.recordings.items()}

    def _check(self, recordings: Sequence[Recording]) -> None:
        """Raise if a recording is in two splits, or has several labels of a task that takes one."""
        splits: dict[str, str] = {}
        single = [name for name, task in self.tasks.items() if not task.multi]
        for recording in (r for r in recordings if r.split != "background"):
            if (before := splits.setdefault(recording.name, recording.split)) != recording.split:
                raise AudioMetamerError(
                    f"{recording.name} is in split {before} and in split {recording.split}; it must be in one"
                )
            labels = recording.labels
            for name in single:
                if len(labels.get(name, ())) > 1:
                    found = ", ".join(labels[name])
                    raise AudioMetamerError(f"{recording.name} has several labels of task {name} ({found}), which takes one")

    def _is_labelled(self, recording: Recording) -> bool:
        labels = recording.labels
        return recording.background is not None or any(
            task in labels and (classes.multi or set(labels[task]) & set(classes.labels)) for task, classes in self.tasks.items()
        )

    def backgrounds(self, kinds: Mapping[str, float], n_voices: tuple[int, int], *, for_tests: bool = False) -> Backgrounds:
        """The sources of backgrounds: the first four fifths for training, the last fifth for tests."""
        voices, noises = self.waveforms["voices"], self.waveforms["noises"]
        kept = len(voices) - int(len(voices) * HELD_OUT)
        return Backgrounds(
            Pool(voices, members=range(kept, len(voices)) if for_tests else range(kept)),
            Pool(noises, part=(1 - HELD_OUT, 1.0) if for_tests else (0.0, 1 - HELD_OUT)),
            Pool(() if for_tests else self.waveforms["train"]),
            kinds,
            n_voices,
        )

    def draw_background(
        self, recording: Recording, backgrounds: Backgrounds, rng: np.random.Generator, n_samples: int
    ) -> tuple[Recording | None, Samples]:
        """The recording's own background if it has one, or a random one: the recording that labels it, if any, and samples."""
        if recording.background is not None:
            (samples,) = Waveforms([recording.background], self.sample_rate, kept=False)
            return recording.background, np.resize(samples, n_samples)
        kind, index, samples = backgrounds.draw(rng, n_samples)
        pool = {"clips": "train", "noise": "noises"}.get(kind)
        return (None if pool is None or index is None else self.recordings[pool][index]), samples

    def targets(self, *recordings: Recording | None) -> Targets:
        """Targets for a mixture of recordings: the labels of the first or, for multi-label tasks, of all of them."""
        labels = [r.labels for r in recordings if r is not None]
        encoded = {}
        for name, task in self.tasks.items():
            found = [by_task[name] for by_task in (labels if task.multi else labels[:1]) if name in by_task]
            encoded[name] = task.encoded([label for some in found for label in some] if found else None)
        return encoded

    def warn_of_unknown_labels(self, split: str) -> None:
        """Warn of recordings of a split whose label is not among the classes: they are left out of the task."""
        for name, task in self.tasks.items():
            known = set(task.labels)
            found = [
                label for r in self.all_recordings if r.split == split for label in r.labels.get(name, ()) if label not in known
            ]
            if found:
                kinds = ", ".join(sorted(set(found))[:5]) + (", …" if len(set(found)) > 5 else "")
                warnings.warn(
                    f"{len(found)} recordings of split {split} have a {name} that is not among the {len(known)} classes: {kinds}",
                    AudioMetamerWarning,
                    stacklevel=2,
                )

    def check_classes(self) -> None:
        """Raise if a class of a task has no recording in split ``train``.

        Raises
        ------
        AudioMetamerError
            If so, naming the task and the missing classes.
        """
        if not self.recordings["train"]:
            raise AudioMetamerError(f"no recording of split 'train' has a label of task {', '.join(self.tasks)}")
        noises = self.recordings["noises"]
        for name, task in self.tasks.items():
            missing = set(task.labels)
            for recording in (*self.recordings["train"], *(noises if task.multi else ())):
                sounds = (recording, recording.background) if task.multi else (recording,)
                for sound in sounds:
                    missing.difference_update(() if sound is None else sound.labels.get(name, ()))
                if not missing:
                    break
            if missing:
                raise AudioMetamerError(f"no recording of split 'train' has the {name} {', '.join(sorted(missing))}")


class TrainingBatch(NamedTuple):
    """Sounds [shape=(batch, samples)] and their targets by task, see `ClassificationTask.encoded` [shape=(batch, ...)].

    Instead of the sounds there may be their cochleagrams [shape=(batch, filters, frames)].
    """

    sounds: Tensor
    targets: dict[str, Tensor]
    cochleagrams: Tensor | None = None

    @classmethod
    def stack(cls, examples: Sequence[tuple[Samples, Targets]]) -> "TrainingBatch":
        """Stack single sounds and their targets."""
        tasks = examples[0][1]
        return cls(
            torch.from_numpy(np.stack([sound for sound, _ in examples])),
            {task: torch.from_numpy(np.stack([targets[task] for _, targets in examples])) for task in tasks},
        )


class TrainingSet:
    """Excerpts of the training recordings, epoch after epoch.

    Parameters
    ----------
    corpus : Corpus
    augmentation : Augmentation
    backgrounds : Backgrounds
    n_samples : int
        Number of samples in an excerpt.
    level : float
        RMS of an excerpt.
    seed : int
    batch_size : int
    balanced : str, optional
        Task whose classes are drawn equally often. Default: every recording once in an epoch.
    sources : mapping of str to SourceRecipe
        How often the recordings of each source are drawn. Default: all alike.
    synthetic_share : float, optional
        Share of synthetic voices in each class that has both kinds.
    excerpts : int, optional
        Number of excerpts in an epoch. Default: as many as there are recordings.
    cached_epochs : int
        Number of epochs after which excerpts are repeated, in another order of batches. Default 0: never.
    """

    def __init__(
        self,
        corpus: Corpus,
        augmentation: Augmentation,
        backgrounds: Backgrounds,
        *,
        n_samples: int,
        level: float,
        seed: int,
        batch_size: int,
        balanced: str | None = None,
        sources: Sources | None = None,
        synthetic_share: float | None = None,
        excerpts: int | None = None,
        cached_epochs: int = 0,
    ) -> None:
        self.corpus, self.augmentation, self.backgrounds = corpus, augmentation, backgrounds
        self.n_samples, self.level, self.seed, self.batch_size = n_samples, level, seed, batch_size
        self.recordings, self.waveforms = corpus.recordings["train"], corpus.waveforms["train"]
        self.classes = self._classes(balanced)
        self.weights = weights(self.recordings, sources or {}, classes=self.classes, synthetic_share=synthetic_share)
        self.excerpts, self.cached_epochs = excerpts or len(self.recordings), cached_epochs
        self._words = self._isolated_words() if augmentation.neighbours else {}
        self._latest: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        """Number of excerpts in an epoch."""
        return self.excerpts

    @property
    def batches_per_epoch(self) -> int:
        """Number of complete batches in an epoch."""
        return len(self) // self.batch_size

    def _classes(self, balanced: str | None) -> NDArray[np.int64]:
        """The class of each recording in the balanced task; one class for all without such a task."""
        if balanced is None:
            return np.zeros(len(self.recordings), dtype=np.int64)
        if balanced not in self.corpus.tasks or self.corpus.tasks[balanced].multi:
            raise AudioMetamerError(f"balanced is {balanced!r}; it must be one of the tasks with one label for each sound")
        return np.array([self.corpus.targets(r)[balanced] for r in self.recordings], dtype=np.int64)

    def _isolated_words(self) -> dict[str, list[int]]:
        """Numbers of the recordings shorter than an excerpt, by voice (or speaker, or source)."""
        words: dict[str, list[int]] = defaultdict(list)
        seconds = self.n_samples / self.corpus.sample_rate
        for number, recording in enumerate(self.recordings):
            if recording.seconds < seconds:
                words[_voice(recording)].append(number)
        return words

    def _other_word(self, recording: Recording) -> Callable[[np.random.Generator], Samples | None]:
        """A function that draws the samples of another isolated word in the voice of a recording, if there is one."""
        words = self._words.get(_voice(recording), [])
        return lambda rng: self.waveforms[words[int(rng.integers(len(words)))]] if words else None

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Indices of the recordings of an epoch, in order, each drawn in proportion to its weight."""
        if self._latest is None or self._latest[0] != epoch:
            self._latest = epoch, self._draw_order(epoch)
        return self._latest[1]

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, epoch, len(self)])
        by_class = np.argsort(self.classes, kind="stable")  # classes adjacent, so that each gets its share to within one
        edges = np.cumsum(self.weights[by_class])
        drawn = np.searchsorted(edges, (np.arange(len(self)) + rng.random()) * (edges[-1] / len(self)), side="right")
        order: NDArray[np.int64] = rng.permutation(by_class[np.minimum(drawn, len(by_class) - 1)])
        return order

    def excerpt(self, epoch: int, index: int) -> tuple[Samples, Targets]:
        """Excerpt number `index` of an epoch and its targets; reproducible."""
        rng = np.random.default_rng([self.seed, epoch, index])
        number = int(self.order(epoch)[index])
        recording, rate = self.recordings[number], self.corpus.sample_rate
        sound = self.augmentation.speech(
            self.waveforms[number], rng, n_samples=self.n_samples, sample_rate=rate, other_word=self._other_word(recording)
        )
        background_recording = None
        if rng.random() >= self.augmentation.quiet:
            background_recording, background = self.corpus.draw_background(recording, self.backgrounds, rng, self.n_samples)
            sound = mix(sound, background, between(self.augmentation.snr, rng))
        sound = self.augmentation.finished(sound, rng, level=self.level, sample_rate=rate)
        return sound, self.corpus.targets(recording, background_recording)

    def place(self, epoch: int, step: int) -> tuple[int, int]:
        """Epoch and step whose excerpts make up a batch: its own, or those that it repeats."""
        if not self.cached_epochs:
            return epoch, step
        order = np.random.default_rng([self.seed, epoch, self.batches_per_epoch]).permutation(self.batches_per_epoch)
        return epoch % self.cached_epochs, int(order[step])

    def batch(self, epoch: int, step: int, *, share: tuple[int, int] = (0, 1)) -> TrainingBatch:
        """Batch number `step` of an epoch, or process `share[0]`'s part of it if `share[1]` processes train together."""
        epoch, step = self.place(epoch, step)
        return TrainingBatch.stack([self.excerpt(epoch, index) for index in self._indices(step, share)])

    def _indices(self, step: int, share: tuple[int, int]) -> range:
        first = step * self.batch_size
        return range(first, first + self.batch_size)[share[0] :: share[1]]


def _voice(recording: Recording) -> str:
    return recording.groups.get("voice", "") or ";".join(recording.labels.get("speaker", ())) or source_of(recording)


def batches_of(examples: Iterator[tuple[Samples, Targets]], size: int) -> Iterator[TrainingBatch]:
    """Stack examples into batches; the last may be smaller."""
    waiting: list[tuple[Samples, Targets]] = []
    for example in examples:
        waiting.append(example)
        if len(waiting) == size:
            yield TrainingBatch.stack(waiting)
            waiting = []
    if waiting:
        yield TrainingBatch.stack(waiting)


def _fits(recordings: Sequence[Recording], seconds: float) -> bool:
    """Whether the total duration of recordings is at most this many seconds."""
    for recording in recordings:
        seconds -= recording.seconds
        if seconds < 0:
            return False
    return True
