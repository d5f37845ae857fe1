"""One model's responses to every sound: its logits, and the dissimilarities of its activations between sounds."""

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
from audiometamer.evaluation.collection import Collection, fit_to_model, gain_for
from audiometamer.evaluation.labels import classes_of
from audiometamer.models.activations import Tap
from audiometamer.models.model import Model
from audiometamer.statistics.pairwise import RowStore, gram_matrix, pairwise_correlations

Logits = dict[str, NDArray[np.float64]]  # by task, shape=(sounds, classes)
Rdms = dict[str, NDArray[np.float32]]  # by layer, shape=(sounds, sounds)


@dataclass(frozen=True)
class Judge:
    """A model that recognises sounds.

    Parameters
    ----------
    model : Model
        A model with labels.
    with_layers : bool
        Whether to compute dissimilarities at the layers that the model lists, besides its logits. Default True.
    batch_size : int
        Sounds in one forward pass. Default 8.
    memory : float
        Maximum bytes for activations, besides those of one forward pass; the rest is kept in temporary files. Default 1e9.
    """

    model: Model
    with_layers: bool = True
    batch_size: int = 8
    memory: float = 1e9

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """Classes by task; see `audiometamer.evaluation.labels.classes_of`."""
        return classes_of(self.model)

    @cached_property
    def _taps(self) -> dict[str, Tap]:
        """The layers of the model, and its output as the layer ``TASK:`` for each task."""
        model = self.model
        silence = torch.zeros(1, *model.signal_shape, dtype=model.dtype, device=model.device)
        with torch.no_grad():
            output = model(silence)
        logits = model.logits(output)
        for task, names in self.classes.items():
            n_logits = logits[task].shape[1] if task in logits else 0
            if n_logits != len(names):
                raise AudioMetamerError(f"{model.name} has {len(names)} labels of task {task} but {n_logits} logits")
        layers = {layer: model.tap(layer) for layer in model.layers} if self.with_layers else {}
        return layers | {f"{task}:": Tap("", key=task if isinstance(output, Mapping) else None) for task in self.classes}

    def check(self) -> None:
        """Raise if the model has no labels, or a different number of labels than of logits."""
        _ = self._taps

    def respond(
        self, signals: Iterator[Tensor], n_signals: int, advance: Callable[[int], None] | None = None
    ) -> tuple[Logits, Rdms]:
        """Logits for signals [shape=signal_shape], and 1 − r for each pair of them at each layer.

        r is Pearson's correlation over all activations of a layer; 0 if either is constant.
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
                if advance is not None:
                    advance(len(batch))
            rdms = {layer: _rdm(store, self.memory) for layer, store in stores.items()}
        found = {task: np.concatenate(blocks) for task, blocks in logits.items()}
        for task, values in found.items():
            if not np.isfinite(values).all():
                raise AudioMetamerError(f"the logits of {self.model.name} ({task}) are not all finite, so it recognises nothing")
        return found, rdms

    @torch.no_grad()
    def _activations(self, batch: Tensor) -> dict[str, Tensor]:
        return self.model.activations(batch, self._taps)


def _rdm(store: RowStore, memory: float) -> NDArray[np.float32]:
    rows = store.matrix()
    r = pairwise_correlations(gram_matrix(rows, memory), np.array([row.sum(dtype=np.float64) for row in rows]), store.width)
    full = np.zeros((store.n_rows, store.n_rows), np.float32)
    full[np.triu_indices(store.n_rows, 1)] = 1 - r
    return full + full.T


@dataclass(frozen=True)
class ClipResponses:
    """A model's responses to a collection's clips.

    Parameters
    ----------
    logits : dict of str to array [shape=(clips, classes)]
        Logits by task.
    rdms : dict of str to array [shape=(clips, clips)]
        Dissimilarities by layer.
    gains : list of float
        Gain of each clip, which its metamers share.
    """

    logits: Logits
    rdms: Rdms
    gains: list[float]


@dataclass(frozen=True)
class MetamerResponses:
    """A model's responses to the metamers of one generating model.

    Parameters
    ----------
    numbers : list of int
        Indices of the metamers in the collection.
    logits : dict of str to array [shape=(metamers, classes)]
        Logits by task.
    rdms : dict of (str, int) to dict of str to array [shape=(clips, clips)]
        Dissimilarities of the metamers of a matched layer and seed, by the judge's layer; NaN for clips without such a metamer.
    """

    numbers: list[int]
    logits: Logits
    rdms: dict[tuple[str, int], Rdms]


def judge_clips(judge: Judge, collection: Collection, advance: Callable[[int], None] | None = None) -> ClipResponses:
    """Present every clip of a collection to a model; `advance` is called with the number of clips newly done."""
    gains: list[float] = []

    def clips() -> Iterator[Tensor]:
        for natural in collection.naturals:
            fitted = fit_to_model(judge.model, natural.read(), natural.sample_rate)
            gains.append(gain_for(judge.model, fitted))
            yield gains[-1] * fitted

    logits, rdms = judge.respond(clips(), len(collection.naturals), advance)
    return ClipResponses(logits, rdms, gains)


def judge_metamers(
    judge: Judge, collection: Collection, generator: str, gains: Sequence[float], advance: Callable[[int], None] | None = None
) -> MetamerResponses:
    """Present every metamer of a generating model to a judge; `advance` is called with the number newly done."""
    groups: dict[tuple[str, int], list[int]] = {}
    for i, metamer in enumerate(collection.metamers):
        if metamer.generator == generator:
            groups.setdefault((metamer.layer, metamer.seed), []).append(i)

    def sounds(numbers: Sequence[int]) -> Iterator[Tensor]:
        for i in numbers:
            metamer = collection.metamers[i]
            natural, samples = collection.naturals[metamer.natural], metamer.read()
            if samples.numel() != math.prod(natural.shape):
                raise AudioMetamerError(f"{metamer.path} has {samples.numel()} samples, its clip {math.prod(natural.shape)}")
            yield gains[metamer.natural] * fit_to_model(judge.model, samples, natural.sample_rate)

    logits: dict[str, list[NDArray[np.float64]]] = {task: [] for task in judge.classes}
    rdms = {}
    for group, numbers in groups.items():
        found, matrices = judge.respond(sounds(numbers), len(numbers), advance)
        for task, values in found.items():
            logits[task].append(values)
        naturals = [collection.metamers[i].natural for i in numbers]
        rdms[group] = {layer: _expand(matrix, naturals, len(collection.naturals)) for layer, matrix in matrices.items()}
    all_numbers = [i for numbers in groups.values() for i in numbers]
    return MetamerResponses(all_numbers, {task: np.concatenate(blocks) for task, blocks in logits.items()}, rdms)


def _expand(matrix: NDArray[np.float32], members: Sequence[int], size: int) -> NDArray[np.float32]:
    """Expand a matrix of some clips to all clips, with NaN elsewhere."""
    full = np.full((size, size), np.nan, np.float32)
    full[np.ix_(members, members)] = matrix
    return full
