"""Which model predicts listeners' answers best: scores with a noise ceiling and intervals over sounds and listeners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.predicting import (
    PredictedChoices,
    PredictedRatings,
    choices_predicted,
    ratings_predicted,
)
from audiometamer.experiment.comparisons.stimuli import Compared
from audiometamer.listening.tables import TrialRow

Floats = NDArray[np.float64]
ALL = "all"  # the kind that stands for all kinds together


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class RankedModel:
    """How well one model predicts the answers.

    Parameters
    ----------
    name : str
        ``model:layer``, or the model.
    score : Interval
        By which the models are ranked: bits per answer above chance, or correlation.
    agreement : Interval or None
        Proportion of answers that the model gives without noise; None for ratings.
    behind : Interval
        Score of the best model minus this one's.
    best : float
        Proportion of bootstrap samples in which the model is the best.
    """

    name: str
    score: Interval
    agreement: Interval | None
    behind: Interval
    best: float


@dataclass(frozen=True)
class Ranking:
    """The models, the best first.

    Parameters
    ----------
    kind : str
        Kind of the sounds; ``all`` for all together.
    measure : str
        The score in words.
    models : list of RankedModel
    ceiling : tuple of Interval
        Lower and upper noise ceiling of the score: how well listeners are predicted by the others, and by all, themselves
        included.
    listeners, sounds, answers : int
        Numbers of listeners, of sounds or pairs, and of answers.
    """

    kind: str
    measure: str
    models: list[RankedModel]
    ceiling: tuple[Interval, Interval]
    listeners: int
    sounds: int
    answers: int


def rank_models(
    trials: Sequence[TrialRow], compared: Mapping[str, Compared], *, resamples: int = 2000, seed: int = 0
) -> list[Ranking]:
    """Rank the models by how well they predict listeners' answers.

    Choices between two sounds are predicted by σ(β Δ), where Δ is the difference of a model's distances and β ≥ 0 is fitted to
    the other items (ten-fold cross-validation); the score is the mean log likelihood in bits, above that of a coin. Ratings of
    words are compared by Pearson's correlation of each listener's ratings of either word with the model's probabilities, averaged
    over listeners, as in Golan et al. (2020). The rating of a word is (1 + 2c) / 3 if it was chosen with confidence c from 0 to
    1, and (1 − c) / 3 if it was not.

    The lower noise ceiling is the score of the other listeners as a model of each, the upper that of all of them (Nili et al.
    2014, PLOS Computational Biology 10, e1003553). Intervals are percentiles of a bootstrap over sounds, all of an item together,
    and listeners.

    Parameters
    ----------
    trials : sequence of TrialRow
        Answers; only those to main trials count.
    compared : mapping of str to Compared
        See `audiometamer.experiment.comparisons.stimuli.read_table_of_compared`.
    resamples : int
        Number of bootstrap samples. Default 2000.
    seed : int
        Random seed of the bootstrap and of the folds. Default 0.

    Returns
    -------
    list of Ranking
        For all sounds together, then for each kind if there are several.

    Raises
    ------
    AudioMetamerError
        If there are fewer than two listeners or two items, a sound is not of the experiment, or all answers are the same.
    """
    main = [trial for trial in trials if trial.kind == "main"]
    for trial in main:
        if trial.stimulus not in compared:
            raise AudioMetamerError(f"{trial.stimulus!r} is no sound of this experiment; give the answers to it")
    kinds = list(dict.fromkeys(compared[trial.stimulus].kind for trial in main))
    rankings = [_ranked(ALL if len(kinds) > 1 else kinds[0], main, compared, resamples, seed)] if main else []
    if not rankings:
        raise AudioMetamerError("there are no answers to main trials")
    if len(kinds) > 1:
        for kind in kinds:
            own = [trial for trial in main if compared[trial.stimulus].kind == kind]
            if len({compared[trial.stimulus].item for trial in own}) > 1:
                rankings.append(_ranked(kind, own, compared, resamples, seed))
    return rankings


def _ranked(kind: str, trials: Sequence[TrialRow], compared: Mapping[str, Compared], resamples: int, seed: int) -> Ranking:
    """The ranking by some trials."""
    listeners = list(dict.fromkeys(trial.listener for trial in trials))
    items = list(dict.fromkeys(compared[trial.stimulus].item for trial in trials))
    if len(listeners) < 2 or len(items) < 2:
        raise AudioMetamerError(f"{len(listeners)} listeners and {len(items)} items of kind {kind!r}; there must be two or more")
    generator = np.random.default_rng(seed)
    counts = [generator.multinomial(len(each), np.full(len(each), 1 / len(each)), resamples) for each in (listeners, items)]
    weights = [np.concatenate([np.ones((1, len(each))), drawn]) for each, drawn in zip((listeners, items), counts, strict=True)]
    words = bool(compared[trials[0].stimulus].words)
    predicted: PredictedChoices | PredictedRatings
    if words:
        predicted = ratings_predicted(trials, compared, listeners, items)
    else:
        predicted = choices_predicted(trials, compared, listeners, items, seed=seed)
    scores = predicted.scores(*weights)  # of the sample, then of each resample: models, lower ceiling, upper ceiling
    names = compared[trials[0].stimulus].representations
    n = len(names)
    order = sorted(range(n), key=lambda k: -scores[0, k])
    best = scores[:, :n].argmax(1)[1:]
    agreements = predicted.agreements(*weights)
    models = [
        RankedModel(
            names[k], _interval(scores[:, k]), None if agreements is None else _interval(agreements[:, k]),
            _interval(scores[:, order[0]] - scores[:, k]), float((best == k).mean()),
        )
        for k in order
    ]  # fmt: skip
    ceiling = _interval(scores[:, n]), _interval(scores[:, n + 1])
    sounds = len({compared[trial.stimulus].pair for trial in trials})
    return Ranking(kind, predicted.measure, models, ceiling, len(listeners), sounds, len(trials))


def _interval(values: Floats) -> Interval:
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return Interval(float(values[0]), float(low), float(high))
