"""Bayesian adaptive procedures, QUEST+ and Psi: the next level is the one whose answer is expected to be most informative."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.levels import LevelSpacing, Values, level_at, positions
from audiometamer.psychophysics.protocol import DEFAULT_TARGET, AdaptiveTrial, ThresholdEstimate
from audiometamer.psychophysics.psychometric import QUANTILES, SHAPES, Shape

_MARGIN = 1e-12  # probabilities stay this far from 0 and 1: no answer may be impossible for all listeners
_TIE = 1e-12  # nats; levels whose information differs by less tie, as rounding differs between machines


@dataclass(frozen=True, kw_only=True)
class QuestPlus:
    """QUEST+ (Watson 2017, J. Vision 17(3):10) for levels of one dimension and answers that are correct or not.

    A listener is modelled as ψ(x) = guess + (1 − guess − lapse) · F(slope · (x − threshold)), where x and threshold are
    levels, or their natural logarithms if `spacing` is ``log``; F is as in `audiometamer.psychophysics.psychometric`. The prior
    is uniform over all combinations of the listed thresholds, slopes and lapse rates.

    The next level is the listed one at which the expected entropy of the posterior is least. As the entropy is expected to shrink
    by the mutual information of answer and listener, it is the one with the largest h(∑ w ψ(x)) − ∑ w h(ψ(x)), with weights w of
    the posterior and h(p) = −p·log p − (1 − p)·log(1 − p): two products of a matrix and a vector. Of levels that tie, the last
    and easiest is taken. Levels are chosen as if they were presented exactly: where others are presented, the estimate stays
    right, but trials are wasted away from the threshold; a staircase would correct for this.

    Parameters
    ----------
    levels : sequence of float
        Levels that may be presented, rising.
    thresholds : sequence of float
        Thresholds in the prior, rising, in the units of the levels.
    slopes : sequence of float
        Slopes in the prior, rising and positive, per unit of x.
    lapses : sequence of float
        Lapse rates in the prior, rising. Default 0.02 alone.
    guess : float
        Proportion correct at chance; see `DecisionModel.guess`.
    target : float
        Proportion correct at the threshold that is estimated. Default 0.794, as of three-down one-up.
    trials : int
        Number of trials after which the procedure ends. Default 60.
    shape : str
        F: ``logistic`` (default), ``gaussian``, or ``weibull``, which takes ``log`` spacing.
    spacing : str
        ``linear`` (default) or ``log``.

    Raises
    ------
    AudioMetamerError
        If the settings contradict each other.
    """

    levels: Sequence[float]
    thresholds: Sequence[float]
    slopes: Sequence[float]
    lapses: Sequence[float] = (0.02,)
    guess: float
    target: float = DEFAULT_TARGET
    trials: int = 60
    shape: Shape = "logistic"
    spacing: LevelSpacing = "linear"

    def __post_init__(self) -> None:
        for name in ("levels", "thresholds", "slopes", "lapses"):
            values = tuple(float(value) for value in getattr(self, name))
            object.__setattr__(self, name, values)
            if not values or any(b <= a for a, b in itertools.pairwise(values)):
                raise AudioMetamerError(f"{name} {values}; there must be one or more, and they must rise")
            if name in ("levels", "thresholds"):
                positions(values, self.spacing)
        if self.shape not in SHAPES or (self.shape == "weibull" and self.spacing != "log"):
            raise AudioMetamerError(
                f"shape {self.shape!r} with {self.spacing!r} spacing; there are {', '.join(SHAPES)}, and weibull takes 'log'"
            )
        if self.slopes[0] <= 0:
            raise AudioMetamerError(f"a slope of {self.slopes[0]:g}; slopes must be positive")
        if not (0 <= self.guess < 1 and self.lapses[0] >= 0 and self.lapses[-1] < 1 - self.guess):
            raise AudioMetamerError(
                f"guess {self.guess:g} and lapses up to {self.lapses[-1]:g}; neither is negative, and together they are below 1"
            )
        if not self.guess < self.target < 1 - self.lapses[-1]:
            raise AudioMetamerError(
                f"a target of {self.target:g}; it must be between guess, {self.guess:g}, and 1 − lapse, {1 - self.lapses[-1]:g}"
            )
        if self.trials < 1:
            raise AudioMetamerError(f"{self.trials} trials; there must be one or more")

    def next(self, trials: Sequence[AdaptiveTrial]) -> float | None:
        """The level of the next trial, or None when the procedure has ended.

        Raises
        ------
        AudioMetamerError
            If there are trials after the end of the procedure, or an invalid level.
        """
        if len(trials) > self.trials:
            raise AudioMetamerError(f"{len(trials)} trials of a procedure that ended after {self.trials}")
        if len(trials) == self.trials:
            return None
        return self.levels[int(self.best(self.posterior(trials)))]

    def threshold(self, trials: Sequence[AdaptiveTrial]) -> ThresholdEstimate:
        """The posterior mean of the level at which the proportion correct is `target`, and its central 95 % interval.

        Both are computed on the scale of x: the mean is geometric if `spacing` is ``log``. The estimate is at a bound if the most
        probable threshold is the first or the last of the prior.

        Raises
        ------
        AudioMetamerError
            If a trial has an invalid level.
        """
        weights = self.posterior(trials)
        order = np.argsort(self.targets, kind="stable")
        below = np.cumsum(weights[order]) - weights[order] / 2
        likely = int(weights.reshape(len(self.thresholds), -1).sum(1).argmax())
        found = (weights @ self.targets, *np.interp([0.025, 0.975], below, self.targets[order]))
        mean, low, high = (level_at(position, self.spacing) for position in found)
        return ThresholdEstimate(mean, low, high, likely in (0, len(self.thresholds) - 1))

    def progress(self, trials: Sequence[AdaptiveTrial]) -> float:
        """The share of the trials that are done."""
        return len(trials) / self.trials

    def posterior(self, trials: Sequence[AdaptiveTrial]) -> Values:
        """The probability of each listener of the prior [shape=(listeners,)]; thresholds vary slowest, lapse rates fastest."""
        on_scale = [trial for trial in trials if not np.isnan(trial.level)]
        right = np.array([trial.correct for trial in on_scale], bool)
        answers = self.correct(np.array([trial.level for trial in on_scale], float))
        np.subtract(1, answers, out=answers, where=~right[:, None])
        log_likelihood = np.log(answers, out=answers).sum(0)
        likelihood = np.exp(log_likelihood - log_likelihood.max())
        return np.asarray(likelihood / likelihood.sum())

    def correct(self, levels: Values) -> Values:
        """The probability of each listener to be correct at some levels [shape=(levels, listeners)]."""
        x, m = positions(levels, self.spacing), positions(self.thresholds, self.spacing)
        detected = SHAPES[self.shape](np.multiply.outer(x[:, None] - m, np.array(self.slopes)))
        ceilings = 1 - self.guess - np.array(self.lapses)
        p = np.multiply.outer(detected, ceilings).reshape(len(x), self.targets.size)
        p += self.guess
        return np.clip(p, _MARGIN, 1 - _MARGIN, out=p)

    def best(self, posterior: Values) -> NDArray[np.intp]:
        """The index of the most informative level, for one posterior or many [shape=(…, listeners)]."""
        correct, entropy = self._tables
        mean = posterior @ correct.T
        information = entr(mean) + entr(1 - mean) - posterior @ entropy.T
        ties = information >= information.max(-1, keepdims=True) - _TIE
        return np.asarray(len(self.levels) - 1 - np.argmax(ties[..., ::-1], axis=-1))

    @cached_property
    def targets(self) -> Values:
        """The x at which each listener's proportion correct is `target` [shape=(listeners,)]."""
        detected = (self.target - self.guess) / (1 - self.guess - np.array(self.lapses))
        beyond = np.divide.outer(1.0, np.array(self.slopes))[:, None] * QUANTILES[self.shape](detected)
        return np.add.outer(positions(self.thresholds, self.spacing), beyond).ravel()

    @cached_property
    def _tables(self) -> tuple[Values, Values]:
        """The probability of a correct answer, and the entropy of the answer in nats, both [shape=(levels, listeners)]."""
        correct = self.correct(np.array(self.levels))
        return correct, entr(correct) + entr(1 - correct)


def psi(*, lapse: float = 0.02, **settings: Any) -> QuestPlus:
    """The Psi method (Kontsevich & Tyler 1999, Vision Research 39, 2729): QUEST+ of threshold and slope, with one lapse rate.

    Parameters
    ----------
    lapse : float
        Lapse rate. Default 0.02.
    **settings
        Settings of `QuestPlus`, except `lapses`.

    Returns
    -------
    QuestPlus

    Raises
    ------
    AudioMetamerError
        If the settings contradict each other.
    """
    return QuestPlus(lapses=(lapse,), **settings)
