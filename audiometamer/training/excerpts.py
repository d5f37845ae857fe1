"""Training excerpts, epoch after epoch, and batches of them.

Every excerpt has its own random generator, seeded with (seed, epoch, index): any excerpt of any epoch can be reproduced, in any
order, by any process.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.training.corpus import Corpus, Targets
from audiometamer.training.mixing import Augmentation, Backgrounds, between, mix
from audiometamer.training.recordings import Recording, Samples
from audiometamer.training.selection import Sources, source_of, weights


class TrainingBatch(NamedTuple):
    """Sounds [shape=(batch, samples)] and their targets by task, see `ClassificationTask.encoded` [shape=(batch, ...)]."""

    sounds: Tensor
    targets: dict[str, Tensor]

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
