"""QUEST+ and Psi: the next level is the one whose answer is expected to tell most about the listener."""

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

_EVEN = 1e-12  # probabilities are kept this far from 0 and 1: no answer may be impossible to all listeners
_TIE = 1e-12  # nats; levels that tell as much but for rounding, which differs among machines


@dataclass(frozen=True, kw_only=True)
class QuestPlus:
    """QUEST+ (Watson 2017, J. Vision 17(3):10) for one dimension of levels and answers that are correct or not.

    A listener is taken to be ψ(x) = guess + (1 − guess − lapse) · F(slope · (x − threshold)), where x and threshold are
    levels, or their natural logarithms if `spacing` is ``log``; F is as in `audiometamer.psychophysics.psychometric`. All
    combinations of the listed thresholds, slopes and lapses are equally likely before the first answer.

    The next level is the listed one at which the entropy of their posterior is expected to be least after the answer. As the
    entropy is expected to shrink by the mutual information of answer and listener, that is the one of largest
    h(∑ w ψ(x)) − ∑ w h(ψ(x)), with weights w of the posterior and h(p) = −p·log p − (1 − p)·log(1 − p); two products of a matrix
    and a vector. Of levels that tell as much, the last and easiest is taken. A level is chosen as if it were reached: where
    others are reached, the estimate stays right, but trials are spent beside the threshold; a staircase would find its way.

    Parameters
    ----------
    levels : sequence of float
        That may be presented; rising, so that the first and the last bound them.
    thresholds : sequence of float
        Of the listeners that are thought of, rising, in the units of the levels.
    slopes : sequence of float
        Positive; per unit of x.
    lapses : sequence of float
        Default 0.02 alone.
    guess : float
        The proportion correct at chance: `DecisionModel.guess` of the task.
    target : float
        The proportion correct that defines the threshold that is estimated; default 0.794, as three-down one-up
        has it.
    trials : int
        The procedure ends after so many; default 60.
    shape : str
        F: ``logistic`` (default), ``gaussian``, or ``weibull``, which takes ``log`` spacing.
    spacing : str
        ``linear`` (default) or ``log``.

    Raises
    ------
    AudioMetamerError
        If the settings do not fit each other.
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
            If there are more trials than the procedure has, or a level that cannot be.
        """
        if len(trials) > self.trials:
            raise AudioMetamerError(f"{len(trials)} trials of a procedure that ended after {self.trials}")
        if len(trials) == self.trials:
            return None
        return self.levels[int(self.best(self.posterior(trials)))]

    def threshold(self, trials: Sequence[AdaptiveTrial]) -> ThresholdEstimate:
        """The posterior's mean of the level at which the proportion correct is `target`, and its central 95 %.

        Both are of x: the mean is geometric if `spacing` is ``log``. The estimate is at the bound if the likeliest threshold is
        the first or the last that is listed.

        Raises
        ------
        AudioMetamerError
            If a trial has a level that cannot be.
        """
        weights = self.posterior(trials)
        order = np.argsort(self.targets, kind="stable")
        below = np.cumsum(weights[order]) - weights[order] / 2
        likely = int(weights.reshape(len(self.thresholds), -1).sum(1).argmax())
        found = (weights @ self.targets, *np.interp([0.025, 0.975], below, self.targets[order]))
        mean, low, high = (level_at(position, self.spacing) for position in found)
        return ThresholdEstimate(mean, low, high, likely in (0, len(self.thresholds) - 1))

    def progress(self, trials: Sequence[AdaptiveTrial]) -> float:
        """The share of the trials."""
        return len(trials) / self.trials

    def posterior(self, trials: Sequence[AdaptiveTrial]) -> Values:
        """How likely each listener is after the trials [shape=(listeners,)]; thresholds vary slowest, lapses fastest."""
        told = [trial for trial in trials if not np.isnan(trial.level)]
        right = np.array([trial.correct for trial in told], bool)
        answers = self.correct(np.array([trial.level for trial in told], float))
        np.subtract(1, answers, out=answers, where=~right[:, None])
        log_likelihood = np.log(answers, out=answers).sum(0)
        likelihood = np.exp(log_likelihood - log_likelihood.max())
        return np.asarray(likelihood / likelihood.sum())

    def correct(self, levels: Values) -> Values:
        """Every listener's probability to be correct at some levels [shape=(levels, listeners)]."""
        x, m = positions(levels, self.spacing), positions(self.thresholds, self.spacing)
        heard = SHAPES[self.shape](np.multiply.outer(x[:, None] - m, np.array(self.slopes)))
        ceilings = 1 - self.guess - np.array(self.lapses)
        p = np.multiply.outer(heard, ceilings).reshape(len(x), self.targets.size)
        p += self.guess
        return np.clip(p, _EVEN, 1 - _EVEN, out=p)

    def best(self, posterior: Values) -> NDArray[np.intp]:
        """Which of the levels tells most, for one posterior or many [shape=(…, listeners)]."""
        correct, entropy = self._tables
        mean = posterior @ correct.T
        information = entr(mean) + entr(1 - mean) - posterior @ entropy.T
        as_good = information >= information.max(-1, keepdims=True) - _TIE
        return np.asarray(len(self.levels) - 1 - np.argmax(as_good[..., ::-1], axis=-1))

    @cached_property
    def targets(self) -> Values:
        """Where every listener's proportion correct is `target`, on the scale of x [shape=(listeners,)]."""
        heard = (self.target - self.guess) / (1 - self.guess - np.array(self.lapses))
        beyond = np.divide.outer(1.0, np.array(self.slopes))[:, None] * QUANTILES[self.shape](heard)
        return np.add.outer(positions(self.thresholds, self.spacing), beyond).ravel()

    @cached_property
    def _tables(self) -> tuple[Values, Values]:
        """The probability to be correct and the entropy of the answer, in nats [shape=(levels, listeners)]."""
        correct = self.correct(np.array(self.levels))
        return correct, entr(correct) + entr(1 - correct)


def psi(*, lapse: float = 0.02, **settings: Any) -> QuestPlus:
    """The Psi method (Kontsevich & Tyler 1999, Vision Research 39, 2729): QUEST+ of threshold and slope, with one lapse rate.

    Parameters
    ----------
    lapse : float
        Default 0.02.
    **settings
        Of `QuestPlus`, but for `lapses`.

    Returns
    -------
    QuestPlus

    Raises
    ------
    AudioMetamerError
        If the settings do not fit each other.
    """
    return QuestPlus(lapses=(lapse,), **settings)
