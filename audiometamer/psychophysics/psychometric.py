"""Psychometric functions by maximum likelihood: how the proportion correct depends on a level.

Wichmann & Hill 2001, Perception & Psychophysics 63, 1293 (fitting) and 1314 (bootstrap intervals).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import ArrayLike

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.levels import Values

Shape = Literal["logistic", "gaussian", "weibull"]

# F of z = b (x − m), with threshold m and slope b, or for the Weibull function of z = b (log x − log m)
SHAPES: dict[str, Callable[[Values], Values]] = {
    "logistic": scipy.special.expit,
    "gaussian": scipy.special.ndtr,
    "weibull": lambda z: -np.expm1(-np.exp(np.minimum(z, 50.0))),
}
QUANTILES: dict[str, Callable[[Values], Values]] = {  # the z at which F is p
    "logistic": scipy.special.logit,
    "gaussian": scipy.special.ndtri,
    "weibull": lambda p: np.log(-np.log1p(-p)),
}
_START_SLOPES = (0.3, 1.0, 3.0, 10.0, 30.0)  # where the levels are scaled to a range of 1
_START_THRESHOLDS = (-0.25, 0.0, 0.25)
_MAX_SLOPE = 1e3
_MAX_THRESHOLD = 5.0  # distance from the mean of the levels
_FLAT = 1e-3  # log likelihood; a slope is not identifiable if doubling it loses less
_MARGIN = 1e-9  # probabilities stay this far from 0 and 1


class PsychometricFunction(NamedTuple):
    """A fitted function ψ(x) = guess + (1 − guess − lapse) · F(x; threshold, slope).

    Parameters
    ----------
    shape : str
        F: ``logistic``, 1 / (1 + exp(−b(x − m))); ``gaussian``, Φ(b(x − m)); ``weibull``, 1 − exp(−(x / m)ᵇ).
    threshold : float
        m, the level at which F is 1/2, or 1 − 1/e for ``weibull``.
    slope : float
        b; negative where the proportion falls as the level rises.
    guess, lapse : float
        Proportion correct at chance, and lapse rate.
    deviance : float
        −2 · log likelihood ratio to the saturated model; approximately χ² with as many degrees of freedom as levels less free
        parameters, if the function is right and there are many trials.
    intervals : mapping of str to tuple of float
        95 % intervals of the fitted parameters; empty without resampling.
    """

    shape: Shape
    threshold: float
    slope: float
    guess: float
    lapse: float
    deviance: float
    intervals: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __call__(self, levels: ArrayLike) -> Values:
        """The proportion correct at levels [shape=(…)], of the same shape."""
        x = np.asarray(levels, float)
        position = np.log(x / self.threshold) if self.shape == "weibull" else x - self.threshold
        return self.guess + (1 - self.guess - self.lapse) * SHAPES[self.shape](self.slope * position)

    def level(self, proportion: float) -> float:
        """The level at which a proportion is correct: the threshold for that target, unlike the parameter `threshold`.

        Raises
        ------
        AudioMetamerError
            If the function does not have this proportion anywhere.
        """
        if not self.guess < proportion < 1 - self.lapse:
            raise AudioMetamerError(
                f"a proportion of {proportion:g} correct is nowhere on a function from {self.guess:g} to {1 - self.lapse:g}"
            )
        p = np.array((proportion - self.guess) / (1 - self.guess - self.lapse))
        distance = float(QUANTILES[self.shape](p)) / self.slope
        return self.threshold * float(np.exp(distance)) if self.shape == "weibull" else self.threshold + distance


def fit_psychometric(
    levels: ArrayLike,
    correct: ArrayLike,
    trials: ArrayLike,
    *,
    shape: Shape = "logistic",
    guess: float | None = 0.0,
    lapse: float | None = None,
    max_lapse: float = 0.1,
    resamples: int = 0,
    seed: int = 0,
) -> PsychometricFunction:
    """Fit a psychometric function by maximum likelihood.

    Parameters
    ----------
    levels, correct, trials : array [shape=(levels,)]
        What was varied (SNR, number of layers passed, …); the number of correct answers; the number of trials.
    shape : str
        See `PsychometricFunction`; ``weibull`` takes positive levels.
    guess : float or None
        Proportion correct at chance: 0 (default) in an open set, 1/n for n alternatives. None: fitted, between 0 and 1/2.
    lapse : float or None
        Lapse rate. Default None: fitted, between 0 and `max_lapse`.
    max_lapse : float
        Default 0.1.
    resamples : int
        Samples of the parametric bootstrap, drawn from the fitted function. Default 0: no intervals.
    seed : int
        Random seed of the bootstrap. Default 0.

    Returns
    -------
    PsychometricFunction

    Raises
    ------
    AudioMetamerError
        If the arrays do not fit each other, there are fewer than two levels, or the answers do not determine a threshold and a
        slope.
    """
    problem = _checked(levels, correct, trials, shape)
    bounds = [(0.0, 0.5) if guess is None else (guess, guess), (0.0, max_lapse) if lapse is None else (lapse, lapse)]
    best = problem.best(problem.starts(bounds), bounds)
    problem.check_identified(best)
    fitted = problem.function(best)
    fitted = fitted._replace(deviance=_deviance(problem.correct, problem.trials, fitted(problem.levels)))
    if not resamples:
        return fitted
    free = ["threshold", "slope"] + ["guess"] * (guess is None) + ["lapse"] * (lapse is None)
    return fitted._replace(intervals=_intervals(problem, best, bounds, free, resamples=resamples, seed=seed))


Bounds = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Problem:
    """Answers to be fitted; parameters are threshold, slope, guess and lapse, with positions scaled to mean 0 and range 1."""

    levels: Values
    correct: Values
    trials: Values
    shape: Shape

    @property
    def positions(self) -> Values:
        """Levels, or for the Weibull function their logarithms."""
        return np.log(self.levels) if self.shape == "weibull" else self.levels

    @property
    def scaled(self) -> Values:
        """Positions with mean 0 and range 1."""
        return (self.positions - float(self.positions.mean())) / float(np.ptp(self.positions))

    def function(self, parameters: Values) -> PsychometricFunction:
        """The function in the units of the levels."""
        scale = float(np.ptp(self.positions))
        position = float(self.positions.mean()) + float(parameters[0]) * scale
        threshold = float(np.exp(position)) if self.shape == "weibull" else position
        slope, guess, lapse = float(parameters[1]) / scale, float(parameters[2]), float(parameters[3])
        return PsychometricFunction(self.shape, threshold, slope, guess, lapse, float("nan"))

    def starts(self, bounds: Bounds) -> list[Values]:
        """Starting point of the optimiser; the slope has the sign of the data."""
        sign = 1.0 if np.cov(self.scaled, self.correct / self.trials)[0, 1] >= 0 else -1.0
        middles = [sum(bound) / 2 for bound in bounds]
        return [np.array([place, sign * slope, *middles]) for slope in _START_SLOPES for place in _START_THRESHOLDS]

    def best(self, starts: Sequence[Values], bounds: Bounds) -> Values:
        """The parameters of the largest likelihood that is reached from some starts; the slope keeps its sign."""
        slopes = (0.0, _MAX_SLOPE) if starts[0][1] > 0 else (-_MAX_SLOPE, 0.0)
        limits = [(-_MAX_THRESHOLD, _MAX_THRESHOLD), slopes, *bounds]
        scaled = self.scaled
        found = [scipy.optimize.minimize(self.loss, start, args=(scaled,), method="L-BFGS-B", bounds=limits) for start in starts]
        return np.asarray(min(found, key=lambda result: result.fun).x)

    def loss(self, parameters: Values, scaled: Values) -> float:
        """The negative log likelihood, up to a constant."""
        threshold, slope, guess, lapse = parameters
        p = guess + (1 - guess - lapse) * SHAPES[self.shape](slope * (scaled - threshold))
        p = np.clip(p, _MARGIN, 1 - _MARGIN)
        return float(-(self.correct * np.log(p) + (self.trials - self.correct) * np.log1p(-p)).sum())

    def check_identified(self, best: Values) -> None:
        """Raise if a steeper function fits as well, or the threshold is far from all levels."""
        lost = self.loss(best * [1, 2, 1, 1], self.scaled) - self.loss(best, self.scaled)
        if lost < _FLAT or abs(best[0]) > 0.99 * _MAX_THRESHOLD:
            raise AudioMetamerError(
                f"right {', '.join(f'{r:g}/{n:g}' for r, n in zip(self.correct, self.trials, strict=True))} at levels "
                f"{', '.join(f'{level:g}' for level in self.levels)} determine no threshold and slope; levels are needed between "
                "always right and always wrong"
            )


def _intervals(
    problem: _Problem, best: Values, bounds: Bounds, free: Sequence[str], *, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of free parameters by parametric bootstrap."""
    probabilities = np.clip(problem.function(best)(problem.levels), 0, 1)
    counts = np.random.default_rng(seed).binomial(problem.trials.astype(int), probabilities, (resamples, len(problem.levels)))
    resampled = (_Problem(problem.levels, row.astype(float), problem.trials, problem.shape) for row in counts)
    drawn = [each.function(each.best([best], bounds)) for each in resampled]
    ends = {name: np.percentile([getattr(draw, name) for draw in drawn], [2.5, 97.5]) for name in free}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _deviance(correct: Values, trials: Values, expected: Values) -> float:
    """2 Σ (right · log(right / expected) + wrong · log(wrong / expected)), where 0 · log 0 is 0."""
    wrong, p = trials - correct, np.clip(expected, _MARGIN, 1 - _MARGIN)
    terms = scipy.special.xlogy(correct, correct / (trials * p)) + scipy.special.xlogy(wrong, wrong / (trials * (1 - p)))
    return float(2 * terms.sum())


def _checked(levels: ArrayLike, correct: ArrayLike, trials: ArrayLike, shape: Shape) -> _Problem:
    x, right, n = (np.asarray(values, float) for values in (levels, correct, trials))
    if shape not in SHAPES:
        raise AudioMetamerError(f"there is no psychometric function {shape!r}; there are {', '.join(SHAPES)}")
    if not x.shape == right.shape == n.shape or x.ndim != 1:
        raise AudioMetamerError(f"levels, correct and trials have shapes {x.shape}, {right.shape}, {n.shape}; one of each level")
    if len(np.unique(x)) < 2:
        raise AudioMetamerError(f"{len(np.unique(x))} level; a psychometric function needs two or more")
    if not np.isfinite(x).all() or (shape == "weibull" and x.min() <= 0):
        raise AudioMetamerError(
            f"levels from {x.min():g} to {x.max():g}; they must be finite, and for a Weibull function positive"
        )
    if (wrong := (right < 0) | (n <= 0) | (right > n)).any():
        k = int(np.argmax(wrong))
        raise AudioMetamerError(
            f"{right[k]:g} right of {n[k]:g} trials at level {x[k]:g}; there must be trials, and no more right"
        )
    return _Problem(x, right, n, shape)
