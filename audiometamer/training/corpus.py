"""The recordings of all data sets together: labels as numbers, samples in memory if they fit, backgrounds."""

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.devices import free_memory
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, pluralize
from audiometamer.signals.resampling import resample
from audiometamer.training.mixing import Backgrounds, Pool
from audiometamer.training.recordings import SPLITS, Recording, Samples

MISSING = -1  # class number of a recording without a label
HELD_OUT = 0.2  # fraction of the backgrounds, from the end, that is reserved for tests
_MEMORY_SHARE = 0.4  # of the free memory

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
    memory : float, optional
        Maximum bytes of samples kept in memory; larger sets are read from their files each time. Default: 0.4 of what is free.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        tasks: Mapping[str, ClassificationTask],
        *,
        sample_rate: int,
        splits: Sequence[str] = SPLITS,
        memory: float | None = None,
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
        memory = _MEMORY_SHARE * free_memory(torch.device("cpu")) if memory is None else memory
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
                several = pluralize(len(found), "recording")
                warnings.warn(
                    f"{several} of split {split} with a {name} that is not among the {len(known)} classes: {kinds}",
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


def corpus_identity(corpus: Corpus) -> str:
    """SHA-256 of the tasks and of the names and labels of all recordings, in order, independent of their folders."""
    # As tasks were written when the class was called Task: checkpoints of version 0.1 are resumed.
    tasks = ", ".join(f"{name!r}: Task(labels={task.labels!r}, multi={task.multi!r})" for name, task in corpus.tasks.items())
    digest = hashlib.sha256(f"{{{tasks}}}".encode())
    for split, found in corpus.recordings.items():
        for recording in found:
            digest.update(repr((split, Path(recording.name).name, dict(recording.labels))).encode())
    return digest.hexdigest()


def _fits(recordings: Sequence[Recording], seconds: float) -> bool:
    """Whether the total duration of recordings is at most this many seconds."""
    for recording in recordings:
        seconds -= recording.seconds
        if seconds < 0:
            return False
    return True
