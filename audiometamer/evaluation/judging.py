"""One model hears every sound, once: its logits, and dissimilarities of its activations between sounds."""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.evaluation.collection import Collection, as_taken, gain_for
from audiometamer.evaluation.labels import classes_of
from audiometamer.models.activations import Tap
from audiometamer.models.model import Model
from audiometamer.statistics.pairwise import RowStore, gram_matrix, pairwise_correlations

Logits = dict[str, NDArray[np.float64]]  # by task, shape=(sounds, classes)
Dissimilarities = dict[str, NDArray[np.float32]]  # by layer, shape=(sounds, sounds)


@dataclass(frozen=True)
class Judge:
    """A model that is asked what it hears.

    Parameters
    ----------
    model : Model
        With labels.
    with_layers : bool
        Whether dissimilarities at the layers that it lists are wanted, besides its logits.
    batch_size : int
        Sounds in one forward pass.
    memory : float
        Bytes for activations at most, besides those of one forward pass; what is more lies in temporary files.
    """

    model: Model
    with_layers: bool = True
    batch_size: int = 8
    memory: float = 1e9

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """By task; see `audiometamer.evaluation.labels.classes_of`."""
        return classes_of(self.model)

    @cached_property
    def _taps(self) -> dict[str, Tap]:
        """Its layers, and its output as the layer ``TASK:`` of each task."""
        model = self.model
        silence = torch.zeros(1, *model.signal_shape, dtype=model.dtype, device=model.device)
        with torch.no_grad():
            output = model(silence)
        logits = model.logits(output)
        for task, names in self.classes.items():
            n_logits = logits[task].shape[1] if task in logits else 0
            if n_logits != len(names):
                raise AudioMetamerError(f"{model.name} has {len(names)} labels of task {task} and gives {n_logits} logits")
        layers = {layer: model.tap(layer) for layer in model.layers} if self.with_layers else {}
        return layers | {f"{task}:": Tap("", key=task if isinstance(output, Mapping) else None) for task in self.classes}

    def check(self) -> None:
        """Raise if the model has no labels, or other labels than logits."""
        assert self._taps

    def hear(
        self, signals: Iterator[Tensor], n_signals: int, progress: Callable[[int], None] | None = None
    ) -> tuple[Logits, Dissimilarities]:
        """Logits for signals [shape=signal_shape], and 1 − r between each two of them at each layer.

        r is Pearson's, of all activations of a layer; with a constant activation it counts as 0.
        """
        logits: dict[str, list[NDArray[np.float64]]] = {task: [] for task in self.classes}
        with ExitStack() as stack:
            layers = self.model.layers if self.with_layers else ()
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if layers else Path()
            stores = {layer: RowStore(folder / str(i), self.memory / len(layers)) for i, layer in enumerate(layers)}
            for first in range(0, n_signals, self.batch_size):
                batch = torch.stack([next(signals) for _ in range(min(self.batch_size, n_signals - first))])
                activations = self._activations(batch.to(dtype=self.model.dtype, device=self.model.device))
                for task in logits:
                    logits[task].append(activations[f"{task}:"].double().cpu().numpy())
                for layer, store in stores.items():
                    store.append(activations[layer].flatten(1).float().cpu().numpy())
                if progress is not None:
                    progress(len(batch))
            unlike = {layer: _dissimilarities(store, self.memory) for layer, store in stores.items()}
        found = {task: np.concatenate(blocks) for task, blocks in logits.items()}
        for task, values in found.items():
            if not np.isfinite(values).all():
                raise AudioMetamerError(
                    f"the logits of {self.model.name} ({task}) are not all finite numbers, so it hears nothing"
                )
        return found, unlike

    @torch.no_grad()
    def _activations(self, batch: Tensor) -> dict[str, Tensor]:
        return self.model.activations(batch, self._taps)


def _dissimilarities(store: RowStore, memory: float) -> NDArray[np.float32]:
    rows = store.matrix()
    r = pairwise_correlations(gram_matrix(rows, memory), np.array([row.sum(dtype=np.float64) for row in rows]), store.width)
    full = np.zeros((store.n_rows, store.n_rows), np.float32)
    full[np.triu_indices(store.n_rows, 1)] = 1 - r
    return full + full.T


@dataclass(frozen=True)
class HeardClips:
    """What a model answered for a collection's clips.

    Parameters
    ----------
    logits : dict of str to array [shape=(clips, classes)]
        By task.
    unlike : dict of str to array [shape=(clips, clips)]
        Dissimilarities by layer.
    gains : list of float
        Factor by which each clip was multiplied; it applies to its metamers too.
    """

    logits: Logits
    unlike: Dissimilarities
    gains: list[float]


@dataclass(frozen=True)
class HeardMetamers:
    """What a model answered for the metamers of one generating model.

    Parameters
    ----------
    numbers : list of int
        Indices of the metamers in the collection.
    logits : dict of str to array [shape=(metamers, classes)]
        By task.
    unlike : dict of (str, int) to dict of str to array [shape=(clips, clips)]
        Dissimilarities of the metamers of a matched layer and seed, by the judge's layer; NaN for clips that it lacks.
    """

    numbers: list[int]
    logits: Logits
    unlike: dict[tuple[str, int], Dissimilarities]


def hear_clips(judge: Judge, collection: Collection, progress: Callable[[int], None] | None = None) -> HeardClips:
    """Ask a model about every clip of a collection; `progress` is called with the number done since the last call."""
    gains: list[float] = []

    def clips() -> Iterator[Tensor]:
        for natural in collection.naturals:
            taken = as_taken(judge.model, natural.read(), natural.sample_rate)
            gains.append(gain_for(judge.model, taken))
            yield gains[-1] * taken

    logits, unlike = judge.hear(clips(), len(collection.naturals), progress)
    return HeardClips(logits, unlike, gains)


def hear_metamers(
    judge: Judge, collection: Collection, generator: str, gains: Sequence[float], progress: Callable[[int], None] | None = None
) -> HeardMetamers:
    """Ask a model about every metamer of a generating model; `progress` is called with the number done since the last call."""
    groups: dict[tuple[str, int], list[int]] = {}
    for i, made in enumerate(collection.metamers):
        if made.generator == generator:
            groups.setdefault((made.layer, made.seed), []).append(i)

    def sounds(numbers: Sequence[int]) -> Iterator[Tensor]:
        for i in numbers:
            made = collection.metamers[i]
            natural, samples = collection.naturals[made.natural], made.read()
            if samples.numel() != math.prod(natural.shape):
                raise AudioMetamerError(f"{made.path} has {samples.numel()} samples, its clip {math.prod(natural.shape)}")
            yield gains[made.natural] * as_taken(judge.model, samples, natural.sample_rate)

    logits: dict[str, list[NDArray[np.float64]]] = {task: [] for task in judge.classes}
    unlike = {}
    for group, numbers in groups.items():
        found, matrices = judge.hear(sounds(numbers), len(numbers), progress)
        for task, values in found.items():
            logits[task].append(values)
        here = [collection.metamers[i].natural for i in numbers]
        unlike[group] = {layer: _spread(matrix, here, len(collection.naturals)) for layer, matrix in matrices.items()}
    together = [i for numbers in groups.values() for i in numbers]
    return HeardMetamers(together, {task: np.concatenate(blocks) for task, blocks in logits.items()}, unlike)


def _spread(matrix: NDArray[np.float32], here: Sequence[int], size: int) -> NDArray[np.float32]:
    """A matrix of some clips as one of all, NaN elsewhere."""
    full = np.full((size, size), np.nan, np.float32)
    full[np.ix_(here, here)] = matrix
    return full
