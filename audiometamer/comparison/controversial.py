"""Controversial sounds: one model hears one word in them, and another model another word.

Golan, Raju & Kriegeskorte 2020, PNAS 117, 29330. The sharpness α of the minimum rises while a sound is optimised; if it starts at
100, as in published code, the gradient passes through one term alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.comparison.bounds import BoundedSound
from audiometamer.comparison.presented import PRESENTATION_RATE, as_16_bits, as_heard
from audiometamer.comparison.rates import at_common_rate
from audiometamer.comparison.scores import (
    ReadOut,
    controversy_terms,
    hard_score,
    smooth_minimum,
    task_with,
    with_words_first,
)
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Domain, Gaussian
from audiometamer.matching.optimizers import Adam, Cosine
from audiometamer.models.model import Model

ALPHAS = (1.0, 10.0, 100.0)  # Golan et al. 2020
LEAST_SCORE = 0.75  # of sounds that are kept (Golan et al. 2020)
_ENOUGH = 0.995  # a sound with this hard score is not optimised further
_PEAK = 0.9  # resampling may add to it
_RATE = 0.05  # of Adam, relative to the RMS of the start


class ControversialSound(NamedTuple):
    """A sound, and how far two models disagree about it.

    Parameters
    ----------
    first, second : str
        Names of the models.
    first_word, second_word : str
        What the first model is to hear, and the second.
    sound : Tensor [shape=(...)]
        At the higher of the models' rates, as optimised.
    written : array of int16 [shape=(..., samples)], or None
        The same at its level in 16 bits at the presentation rate; None of what is not a sound.
    found_score : float
        Hard score of the sound as optimised.
    score : float
        Hard score of the sound as listeners hear it: at its level, in 16 bits, resampled to the presentation rate.
    first_hears, second_hears : str
        Words that the models hear in it then.
    kept : bool
        Whether the score is at least 0.75.
    """

    first: str
    second: str
    first_word: str
    second_word: str
    sound: Tensor
    written: NDArray[np.int16] | None
    found_score: float
    score: float
    first_hears: str
    second_hears: str
    kept: bool


@dataclass(frozen=True)
class Search:
    """How controversial sounds are searched and presented.

    Parameters
    ----------
    read_out : {"softmax", "sigmoid"}
        How logits become probabilities. Default "softmax".
    steps : int
        Steps for each α. Default 150.
    alphas : sequence of float
        Sharpness of the minimum, in turn. Default 1, 10, 100.
    learning_rate : float
        Step size of Adam, relative to the RMS of the start; it falls to 0 along half a cosine. Default 0.05.
    level : float or None
        RMS of the sounds; None leaves it free. Default 0.1.
    band : tuple of float, optional
        Lowest and highest frequency in Hz. Default: all.
    presentation_rate : int
        Sample rate in Hz at which listeners hear them. Default 44100.
    least_score : float
        Least hard score of a sound that is kept. Default 0.75.
    task : str, optional
        Task of the models. Default: each one's first that has both words.
    batch_size : int
        Sounds optimised together. Default 8.
    """

    read_out: ReadOut = "softmax"
    steps: int = 150
    alphas: Sequence[float] = ALPHAS
    learning_rate: float = _RATE
    level: float | None = 0.1
    band: tuple[float, float] | None = None
    presentation_rate: int = PRESENTATION_RATE
    least_score: float = LEAST_SCORE
    task: str | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        checks = (
            (self.read_out in ("softmax", "sigmoid"), f"read_out is {self.read_out!r}; it must be softmax or sigmoid"),
            (self.steps >= 1, f"steps is {self.steps}; it must be at least 1"),
            (bool(self.alphas) and min(self.alphas) > 0, f"alphas are {list(self.alphas)}; they must be above 0"),
            (self.learning_rate > 0, f"learning_rate is {self.learning_rate:g}; it must be above 0"),
            (0 <= self.least_score <= 1, f"least_score is {self.least_score:g}; it must be between 0 and 1"),
            (self.batch_size >= 1, f"batch_size is {self.batch_size}; it must be at least 1"),
            (self.presentation_rate >= 1, f"presentation_rate is {self.presentation_rate}; it must be a rate in Hz"),
        )
        for good, message in checks:
            if not good:
                raise AudioMetamerError(message)

    def domain_for(self, model: Model) -> Domain:
        """Bounds of the sounds of a model; of what is not a sound, the bounds of its signals."""
        if model.sample_rate is None:
            return Gaussian.within(model.bounds)
        return BoundedSound(
            deviation=self.level or 0.1, low=-_PEAK, high=_PEAK, rms=self.level, fixed_rms=self.level is not None, band=self.band,
            sample_rate=model.sample_rate,
        )  # fmt: skip


def word_pairs(models: Sequence[Model], words: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """All ordered pairs of words; default: of those that all models share."""
    if words is None:
        known = [[label for labels in model.named_labels().values() for label in labels] for model in models]
        words = [word for word in dict.fromkeys(known[0]) if all(word in others for others in known)]
    if len(words) < 2:
        raise AudioMetamerError(f"{len(words)} word in common; models disagree about two or more: {', '.join(words) or 'none'}")
    return list(permutations(words, 2))


def controversial_sounds(
    models: Sequence[Model],
    pairs: Sequence[tuple[str, str]],
    *,
    search: Search | None = None,
    domain: Domain | None = None,
    starts: Tensor | None = None,
    seed: int = 0,
    callback: Callable[[int, int], None] | None = None,
) -> list[ControversialSound]:
    """Controversial sounds for pairs of words and all pairs of models.

    Parameters
    ----------
    models : sequence of Model
        Two or more, of the same duration; those of lower sample rates get the sounds resampled.
    pairs : sequence of tuple of str
        What the first model is to hear, and the second; see `word_pairs`.
    search : Search, optional
        Default: `Search()`.
    domain : Domain, optional
        Bounds of the sounds. Default: those of the search.
    starts : Tensor [shape=(pairs, ...)], optional
        Default: noise, another for each pair of words.
    seed : int
        Random seed of the noise. Default 0.
    callback : callable, optional
        Called with the number of sounds done, and of all.

    Returns
    -------
    list of ControversialSound
        For each pair of models, in order, one for each pair of words; also those that are not kept.

    Raises
    ------
    AudioMetamerError
        If there are fewer than two models, they cannot take the same sounds, or a word is not among their classes.
    """
    search = search or Search()
    if len(models) < 2:
        raise AudioMetamerError(f"{len(models)} model; two or more can disagree")
    common = at_common_rate(models)
    rivals = [_Rivals(a, b, list(pairs), search, domain or search.domain_for(a)) for a, b in combinations(common, 2)]
    if starts is None:
        seeds = [seed + k for k in range(len(pairs))]
        first = common[0]
        starts = rivals[0].domain.start(first.signal_shape, seeds=seeds, dtype=first.dtype, device=first.device)
    found: list[ControversialSound] = []
    for pair in rivals:
        for sounds in pair.found(starts):
            found += sounds
            if callback is not None:
                callback(len(found), len(rivals) * len(pairs))
    return found


class _Rivals:
    """Two models that are to disagree about pairs of words."""

    def __init__(self, first: Model, second: Model, pairs: list[tuple[str, str]], search: Search, domain: Domain) -> None:
        self.models, self.pairs, self.search, self.domain = (first, second), pairs, search, domain
        if first.name == second.name:
            raise AudioMetamerError(f"both models are {first.name}; give one of them another name")
        self.places = [[task_with(model, pair, search.task) for pair in pairs] for model in self.models]

    def found(self, starts: Tensor) -> Iterator[list[ControversialSound]]:
        """Sounds, a batch at a time."""
        for begin in range(0, len(self.pairs), self.search.batch_size):
            rows = range(begin, min(begin + self.search.batch_size, len(self.pairs)))
            sounds = self._optimised(starts[rows.start : rows.stop], rows)
            found_scores = self._hard(sounds, rows)
            written, heard = self._presented(sounds)
            scores = self._hard(heard, rows)
            with torch.no_grad():
                hears = [self._words_heard(which, heard, rows) for which in (0, 1)]
            yield [
                ControversialSound(
                    self.models[0].name, self.models[1].name, *self.pairs[row], sounds[k], written[k],
                    float(found_scores[k]), float(scores[k]), hears[0][k], hears[1][k],
                    bool(scores[k] >= self.search.least_score),
                )
                for k, row in enumerate(rows)
            ]  # fmt: skip

    def _optimised(self, starts: Tensor, rows: range) -> Tensor:
        """The sound of the best hard score that each row comes by; each is optimised as if alone."""
        sounds = self.domain.project(starts.detach())
        best, best_score = sounds.clone(), sounds.new_full((len(sounds),), -1.0)
        rms = float(sounds.square().mean().sqrt())
        for alpha in self.search.alphas:
            optimiser = Adam(Cosine(self.search.learning_rate * rms, self.search.steps))
            state = optimiser.init(sounds)
            for step in range(self.search.steps + 1):
                at = sounds.requires_grad_()
                first, second = (self._logits(which, at, rows) for which in (0, 1))
                score = hard_score(first, second, self.search.read_out).detach()
                better = (score > best_score) & (best_score < _ENOUGH)
                best[better], best_score[better] = at.detach()[better], score[better]
                if step == self.search.steps or bool((best_score >= _ENOUGH).all()):
                    break
                loss = -smooth_minimum(controversy_terms(first, second, self.search.read_out), alpha).sum()
                (gradient,) = torch.autograd.grad(loss, at)
                moved, state = optimiser.step(step, at.detach(), gradient, state)
                sounds = self.domain.project(moved)
            sounds = sounds.detach()
        return best

    def _logits(self, which: int, sounds: Tensor, rows: range) -> Tensor:
        """Logits of one model with each row's words first."""
        model = self.models[which]
        by_task = model.logits(model(sounds))
        ordered = [with_words_first(by_task[task][k : k + 1], torch.tensor([words], device=sounds.device))
                   for k, (task, words) in enumerate(self.places[which][row] for row in rows)]  # fmt: skip
        sizes = {each.shape[1] for each in ordered}
        if len(sizes) > 1:
            raise AudioMetamerError(f"words of {model.name} are in several tasks; name one of {', '.join(model.tasks)}")
        return torch.cat(ordered)

    def _hard(self, sounds: Tensor, rows: range) -> Tensor:
        with torch.no_grad():
            return hard_score(self._logits(0, sounds, rows), self._logits(1, sounds, rows), self.search.read_out)

    def _words_heard(self, which: int, sounds: Tensor, rows: range) -> list[str]:
        model = self.models[which]
        by_task = model.logits(model(sounds))
        tasks = [self.places[which][row][0] for row in rows]
        return [model.predicted_label(task, by_task[task][k]) for k, task in enumerate(tasks)]

    def _presented(self, sounds: Tensor) -> tuple[Sequence[NDArray[np.int16] | None], Tensor]:
        """The sounds as they are written, and as listeners hear them; what is not a sound as its file holds it."""
        rate = self.models[0].sample_rate
        if rate is None:
            return [None] * len(sounds), self.domain.as_written(sounds).to(sounds)
        presentation = self.search.presentation_rate
        written = [as_16_bits(s, sample_rate=rate, presentation_rate=presentation, level=self.search.level) for s in sounds]
        heard = [as_heard(w, s, sample_rate=rate, presentation_rate=presentation) for w, s in zip(written, sounds, strict=True)]
        return written, torch.stack(heard)
