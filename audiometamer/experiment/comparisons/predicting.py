"""How well models, and listeners, predict answers: log likelihoods of choices, and correlations with ratings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.stimuli import Compared
from audiometamer.listening.tables import TrialRow

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]
_FOLDS = 10
_STEEPEST = 50.0  # slope per root mean square difference


@dataclass(frozen=True)
class PredictedChoices:
    """Choices between two sounds: for each model, then the lower and the upper noise ceiling.

    Parameters
    ----------
    listener, item : array [shape=(answers,)]
        Numbers of the listener and the item of each answer.
    bits : array [shape=(models + 2, answers)]
        Log₂ likelihood of each answer, plus 1.
    right : array [shape=(models + 2, answers)]
        Whether the answer was the more likely one; 0.5 if both were equally likely.
    """

    listener: Integers
    item: Integers
    bits: Floats
    right: Floats
    measure: str = "bits per answer above chance"

    def scores(self, listeners: Floats, items: Floats) -> Floats:
        """Mean bits [shape=(resamples, models + 2)], by weights of listeners and items [shape=(resamples, …)]."""
        return self._means(self.bits, listeners, items)

    def agreements(self, listeners: Floats, items: Floats) -> Floats | None:
        """Mean proportion of answers that were the more likely ones, likewise."""
        return self._means(self.right, listeners, items)

    def _means(self, values: Floats, listeners: Floats, items: Floats) -> Floats:
        cells = (listeners.shape[1], items.shape[1])
        flat = np.ravel_multi_index((self.listener, self.item), cells)
        tables = np.stack([np.bincount(flat, row, np.prod(cells)) for row in (np.ones(values.shape[1]), *values)])
        summed = np.einsum("bl,kli,bi->bk", listeners, tables.reshape(-1, *cells), items, optimize=True)
        with np.errstate(invalid="ignore"):
            means: Floats = summed[:, 1:] / summed[:, :1]
        return means


def choices_predicted(
    trials: Sequence[TrialRow], compared: Mapping[str, Compared], listeners: Sequence[str], items: Sequence[str], *, seed: int
) -> PredictedChoices:
    """Predict which of two sounds is called further from the original.

    Raises
    ------
    AudioMetamerError
        If all answers are the same: that one listens to one interval only.
    """
    heard = [compared[trial.stimulus] for trial in trials]
    if len({trial.answer for trial in trials}) < 2:
        raise AudioMetamerError(f"all answers are {trials[0].answer!r}; no model can predict that")
    second = np.array([trial.answer == "2" for trial in trials])
    swapped = np.array([one.swapped for one in heard])
    chosen = (second == swapped).astype(float)  # whether the first of the pair, in its first order
    listener = np.array([listeners.index(trial.listener) for trial in trials])
    item = np.array([items.index(one.item) for one in heard])
    sign = np.where(swapped, -1.0, 1.0)
    differences = sign * (np.array([one.first for one in heard]) - np.array([one.second for one in heard])).T
    probabilities = [cross_validated(row, chosen, item, seed=seed) for row in differences]
    _, pair = np.unique([one.pair for one in heard], return_inverse=True)
    ceilings = _by_other_listeners(chosen, pair, listener), _by_all(chosen, pair)
    likely = np.array([*probabilities, *ceilings])
    bits = np.log2(np.maximum(np.where(chosen, likely, 1 - likely), 1e-12)) + 1
    favoured = np.array([np.sign(row) for row in (*differences, *(ceiling - 0.5 for ceiling in ceilings))])
    right = np.where(favoured == 0, 0.5, (favoured > 0) == chosen)
    return PredictedChoices(listener, item, bits, right)


def cross_validated(differences: Floats, chosen: Floats, item: Integers, *, seed: int = 0) -> Floats:
    """Probability σ(β Δ) of each choice, with β ≥ 0 fitted to the items of the other folds, shape=(answers,).

    β is at least 0: a model that is wrong throughout predicts nothing.

    Parameters
    ----------
    differences : array [shape=(answers,)]
        Δ.
    chosen : array [shape=(answers,)]
        1 if the first was chosen, otherwise 0.
    item : array of int [shape=(answers,)]
    seed : int
        Random seed of the ten folds, or as many as there are items. Default 0.

    Examples
    --------
    >>> found = cross_validated(np.array([1.0, -1, 1, -1]), np.array([1.0, 0, 1, 0]), np.array([0, 0, 1, 1]))
    >>> (found > 0.99).tolist()
    [True, False, True, False]
    """
    scale = float(np.sqrt(np.square(differences).mean()))
    scaled = differences / scale if scale > 0 else differences
    names = np.random.default_rng(seed).permutation(np.unique(item))
    found = np.full(len(chosen), 0.5)
    for fold in np.array_split(names, min(_FOLDS, len(names))):
        inside = np.isin(item, fold)
        slope = _slope(scaled[~inside], chosen[~inside])
        found[inside] = 1 / (1 + np.exp(-slope * scaled[inside]))
    return found


def _slope(differences: Floats, chosen: Floats) -> float:
    """The slope β ≥ 0 of largest likelihood."""
    signed = np.where(chosen, differences, -differences)
    found = minimize_scalar(lambda slope: np.logaddexp(0, -slope * signed).sum(), bounds=(0, _STEEPEST), method="bounded")
    return float(found.x) if found.fun < len(signed) * np.log(2) else 0.0


def _by_all(chosen: Floats, pair: Integers) -> Floats:
    """Proportion of all answers to the same pair."""
    proportions: Floats = np.bincount(pair, chosen) / np.bincount(pair)
    return proportions[pair]


def _by_other_listeners(chosen: Floats, pair: Integers, listener: Integers) -> Floats:
    """Proportion of the other listeners' answers to the same pair, with half an answer added to either side."""
    cells = (pair.max() + 1, listener.max() + 1)
    flat = np.ravel_multi_index((pair, listener), cells)
    firsts, all_of = (np.bincount(flat, weights, np.prod(cells)).reshape(cells) for weights in (chosen, np.ones(len(chosen))))
    others, n = ((table.sum(1, keepdims=True) - table)[pair, listener] for table in (firsts, all_of))
    proportion: Floats = (others + 0.5) / (n + 1)
    return proportion


@dataclass(frozen=True)
class PredictedRatings:
    """Ratings of words: those of each listener, the models', and the other listeners'.

    Parameters
    ----------
    ratings : array [shape=(listeners, values)]
        A value for each sound and each of its two words; NaN where a listener did not hear it.
    predictions : array [shape=(models + 2, listeners, values)]
        The models' probabilities, and the mean ratings of the other listeners and of all.
    item : array of int [shape=(values,)]
    """

    ratings: Floats
    predictions: Floats
    item: Integers
    measure: str = "correlation with ratings"

    def scores(self, listeners: Floats, items: Floats) -> Floats:
        """Mean correlation [shape=(resamples, models + 2)], by weights of listeners and items [shape=(resamples, …)]."""
        of_values = items[:, self.item]
        correlations = np.stack(
            [[_correlations(own, other, of_values) for own, other in zip(self.ratings, row, strict=True)]
             for row in self.predictions]
        )  # fmt: skip
        known = np.isfinite(correlations)
        with np.errstate(invalid="ignore"):
            summed = np.einsum("bl,klb->bk", listeners, np.where(known, correlations, 0))
            means: Floats = summed / np.einsum("bl,klb->bk", listeners, known.astype(float))
        return means

    def agreements(self, _listeners: Floats, _items: Floats) -> Floats | None:
        """Ratings have none."""
        return None


def ratings_predicted(
    trials: Sequence[TrialRow], compared: Mapping[str, Compared], listeners: Sequence[str], items: Sequence[str]
) -> PredictedRatings:
    """Predict how sure listeners are of either word.

    Raises
    ------
    AudioMetamerError
        If an answer has no confidence, or a listener rates all words alike.
    """
    pairs = {compared[trial.stimulus].pair: compared[trial.stimulus] for trial in trials}
    sums, n = (np.zeros((len(listeners), len(pairs), 2)) for _ in range(2))
    place = {pair: k for k, pair in enumerate(pairs)}
    for trial in trials:
        one = compared[trial.stimulus]
        at = listeners.index(trial.listener), place[one.pair]
        sums[at] += [rating(trial, word) for word in one.words]
        n[at] += 1
    with np.errstate(invalid="ignore"):
        ratings = (sums / n).reshape(len(listeners), -1)
    for name, row in zip(listeners, ratings, strict=True):
        if not np.nanstd(row) > 0:
            raise AudioMetamerError(
                f"listener {name} rates all words alike, which correlates with nothing: exclude this listener"
            )
    models = np.array([np.stack([one.first, one.second], -1) for one in pairs.values()])  # pairs, models, words
    shape = (models.shape[1], *ratings.shape)
    of_models = np.broadcast_to(models.transpose(1, 0, 2).reshape(shape[0], 1, -1), shape)
    known = np.isfinite(ratings)
    total, count = np.where(known, ratings, 0).sum(0), known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        others = (total - np.where(known, ratings, 0)) / (count - known)
        everyone = np.broadcast_to(total / count, ratings.shape)
    item = np.repeat([items.index(one.item) for one in pairs.values()], 2)
    return PredictedRatings(ratings, np.concatenate([of_models, others[None], everyone[None]]), item)


def rating(trial: TrialRow, word: str) -> float:
    """Probability that an answer gives to a word: (1 + 2c) / 3 if it was chosen with confidence c, (1 − c) / 3 if it was not.

    Examples
    --------
    >>> trial = TrialRow(listener="1", trial=1, kind="main", answer="yes", correct=False, confidence=100)
    >>> rating(trial, "yes"), rating(trial, "no")
    (1.0, 0.0)
    """
    if trial.confidence is None:
        raise AudioMetamerError(
            f"listener {trial.listener}, trial {trial.trial}: there is no confidence; such answers are no ratings"
        )
    confidence = trial.confidence / 100
    return (1 + 2 * confidence) / 3 if trial.answer == word else (1 - confidence) / 3


def _correlations(own: Floats, other: Floats, weights: Floats) -> Floats:
    """Weighted correlations [shape=(resamples,)] of values that are known in both; 0 if the other is constant."""
    known = np.isfinite(own) & np.isfinite(other)
    x, y = own[known] - own[known].mean(), other[known] - other[known].mean()
    moments = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    n, sx, sy, sxx, syy, sxy = (weights[:, known] @ moments).T
    with np.errstate(invalid="ignore", divide="ignore"):
        vx, vy = sxx / n - (sx / n) ** 2, syy / n - (sy / n) ** 2
        found: Floats = (sxy / n - sx * sy / n**2) / np.sqrt(vx * vy)
    found[(vx > 1e-12) & (vy <= 1e-12)] = 0.0
    found[vx <= 1e-12] = np.nan
    return found
