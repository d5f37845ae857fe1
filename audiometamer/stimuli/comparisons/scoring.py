"""Sounds scored as they are written: in 16 bits, at the rate of the files, resampled to the models' rate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from msgspec.structs import replace
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.comparison.controversial import LEAST_SCORE
from audiometamer.comparison.presented import STEPS, as_16_bits, as_heard
from audiometamer.comparison.scores import hard_score, task_with, with_words_first
from audiometamer.models.model import Model
from audiometamer.stimuli.comparison_records import SoundRecord
from audiometamer.stimuli.comparisons.items import OpenedModels
from audiometamer.stimuli.comparisons.making import MadeSound, Task, search_of

_MOST_DRIFT = 0.01  # of a held distance
_LESS_DB = 1.0  # of a metamer's SNR, for its 16 bits


@dataclass(frozen=True)
class WrittenSound:
    """A sound in 16 bits, and as the models take it.

    Parameters
    ----------
    samples : array of int16 [shape=(..., samples)]
    heard : Tensor [shape=signal_shape]
    """

    samples: NDArray[np.int16]
    heard: Tensor

    @classmethod
    def of(cls, sound: Tensor, *, sample_rate: int, rate: int, level: float | None = None) -> "WrittenSound":
        """A sound at `sample_rate` written at `rate`, both in Hz; `level` is its RMS, None keeps it.

        Raises
        ------
        AudioMetamerError
            If it is silent or would clip.
        """
        samples = as_16_bits(sound, sample_rate=sample_rate, presentation_rate=rate, level=level)
        return cls(samples, as_heard(samples, sound, sample_rate=sample_rate, presentation_rate=rate))


def write_as_heard(task: Task, made: Sequence[MadeSound], sample_rate: int) -> tuple[WrittenSound | None, list[WrittenSound]]:
    """The clip of an item in 16 bits, if it has one, and its sounds."""
    level = search_of(task.comparison, task.level, task.rate).level if task.words else None
    written = [WrittenSound.of(each.sound, sample_rate=sample_rate, rate=task.rate, level=level) for each in made]
    if task.clip is None:
        return None, written
    return WrittenSound.of(task.signal, sample_rate=sample_rate, rate=task.rate), written


def scored(
    task: Task, opened: OpenedModels, made: MadeSound, written: WrittenSound, original: WrittenSound | None, file: str
) -> SoundRecord:
    """The record of a sound that will be written to a file, still without its hash."""
    values = written.samples / STEPS
    record = SoundRecord(
        file, "", made.contrast, made.level, [], [], [], [], None, None, None, None,
        float(np.sqrt(np.square(values).mean())), float(np.abs(values).max()),
    )  # fmt: skip
    with torch.no_grad():
        if original is None:
            return _with_words(task, opened.models, record, written.heard[None])
        return _with_distances(task, opened, record, made, written.heard[None], original.heard[None])


def _with_words(task: Task, models: Sequence[Model], record: SoundRecord, heard: Tensor) -> SoundRecord:
    """Probabilities of the two words in every model, and the hard score in the two that the sound is for."""
    words, read_out = (task.words[0], task.words[1]), search_of(task.comparison, task.level, task.rate).read_out
    logits, hears = {}, []
    for model in models:
        name, places = task_with(model, words, task.comparison.task)
        by_class = model.logits(model(heard))[name]
        logits[model.name] = with_words_first(by_class, torch.tensor([places], device=by_class.device))
        hears.append(model.predicted_label(name, by_class[0]))
    chances = [torch.sigmoid(z) if read_out == "sigmoid" else torch.softmax(z, -1) for z in logits.values()]
    (first, _), (second, _) = task.places
    score = float(hard_score(logits[first.name], logits[second.name], read_out))
    return replace(
        record, first_scores=[float(p[0, 0]) for p in chances], second_scores=[float(p[0, 1]) for p in chances], hears=hears,
        score=score, passed=score >= LEAST_SCORE,
    )  # fmt: skip


def _with_distances(
    task: Task, opened: OpenedModels, record: SoundRecord, made: MadeSound, heard: Tensor, original: Tensor
) -> SoundRecord:
    """Distances from the clip in every representation, and what the sound was held to."""
    squares = {}
    for representation in opened.representations:
        squares[representation.name] = float(representation.distance(heard, representation.features(original)))
    record = replace(record, distances=[square**0.5 for square in squares.values()])
    if made.held:
        drift = squares[made.held] / made.held_distance - 1
        return replace(record, drift=drift, passed=abs(drift) <= _MOST_DRIFT)
    if made.least_snr is not None:
        model, layer = task.places[0]
        representation = next(each for each in opened.representations if each.name == f"{model.name}:{layer}")
        target = float(representation.features(original).square().mean())
        snr = 10 * float(np.log10(target / max(squares[representation.name], np.finfo(float).tiny)))
        return replace(record, snr_db=snr, passed=snr >= made.least_snr - _LESS_DB)
    return record
