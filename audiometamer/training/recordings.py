"""Recordings to train on, with labels and splits; their samples are read when needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.signals.audio import file_duration, read_samples

Samples = NDArray[np.float32]
SPLITS = ("train", "valid", "test", "background")
NO_LABELS: Mapping[str, tuple[str, ...]] = {}
NO_GROUPS: Mapping[str, str] = {}


class Recording(Protocol):
    """One recording of a data set."""

    @property
    def name(self) -> str:
        """For messages: a path, or a file and a row."""

    @property
    def split(self) -> str:
        """One of ``train``, ``valid``, ``test`` and ``background``."""

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """Names of classes by task; tasks without a label are missing."""

    @property
    def groups(self) -> Mapping[str, str]:
        """What its data set says of it, by column: its source, its voice and the like."""

    @property
    def background(self) -> "Recording | None":
        """The background that the data set pairs with it, if any."""

    @property
    def seconds(self) -> float:
        """Duration, known without reading the samples."""

    def read(self) -> tuple[Samples, int]:
        """Mono samples [shape=(samples,)] and their rate in Hz.

        Raises
        ------
        AudioMetamerError
            If the recording cannot be read, is empty or silent, or holds NaN or infinity; names the recording.
        """


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A recording in a file that libsndfile reads. Several channels are mixed down to one."""

    path: Path
    split: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_LABELS)
    background: None = None
    groups: Mapping[str, str] = field(default_factory=lambda: NO_GROUPS)

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def seconds(self) -> float:
        return file_duration(self.path)

    def read(self) -> tuple[Samples, int]:
        samples, rate = read_samples(self.path, mixed=True)
        return checked(samples[:, 0].astype(np.float32), self.name), rate


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A part of a recording in a file, between two times in seconds."""

    path: Path
    split: str
    labels: Mapping[str, tuple[str, ...]]
    start: float
    stop: float
    background: None = None
    groups: Mapping[str, str] = field(default_factory=lambda: NO_GROUPS)

    @property
    def name(self) -> str:
        return f"{self.path} from {self.start:.4f} to {self.stop:.4f} s"

    @property
    def seconds(self) -> float:
        return self.stop - self.start

    def read(self) -> tuple[Samples, int]:
        samples, rate = AudioFile(self.path, self.split).read()
        return checked(samples[round(self.start * rate) : round(self.stop * rate)], self.name), rate


def checked(samples: Samples, name: str, *, may_be_silent: bool = False) -> Samples:
    """Return the samples after checking that they hold sound.

    Raises
    ------
    AudioMetamerError
        If they are empty, silent or not all finite.
    """
    if not len(samples):
        raise AudioMetamerError(f"{name} holds no samples")
    if not np.isfinite(samples).all():
        raise AudioMetamerError(f"{name} holds {np.count_nonzero(~np.isfinite(samples))} NaN or infinite samples")
    if not may_be_silent and samples.min() == samples.max():
        raise AudioMetamerError(f"{name} is silent")
    return samples
