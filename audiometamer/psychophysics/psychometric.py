"""Psychometric functions by maximum likelihood: how the proportion correct changes with a level."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
from numpy.typing import ArrayLike, NDArray

from audiometamer.errors import AudioMetamerError

Values = NDArray[np.float64]
Shape = Literal["logistic", "gaussian", "weibull"]

# F of the level x with threshold m and slope b, of z = b (x - m), or for Weibull's of z = b (log x - log m)
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
_SLOPES = (0.3, 1.0, 3.0, 10.0, 30.0)  # to start from; the levels are scaled to a range of 1
_STEEPEST = 1e3
_FARTHEST = 5.0  # from the middle of the levels, that a threshold is looked for
_TOLD = 1e-3  # of log likelihood: what twice the slope must lose, or no slope is told
_EVEN = 1e-9  # probabilities are kept this far from 0 and 1


class Psychometric(NamedTuple):
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
        The proportion that is right at chance, and that is wrong where nothing is hard.
    deviance : float
        −2 · log likelihood ratio to the model that has each proportion as it was found; about χ² with as many degrees of freedom
        as levels, less the free parameters, if the function is right and there are many trials.
    intervals : mapping of str to tuple of float
        95 % intervals of the fitted parameters; empty if none were asked for.
    """

    shape: Shape
    threshold: float
    slope: float
    guess: float
    lapse: float
    deviance: float
    intervals: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __call__(self, levels: ArrayLike) -> Values:
        """The proportion correct at some levels, of the same shape."""
        x = np.asarray(levels, float)
        position = np.log(x / self.threshold) if self.shape == "weibull" else x - self.threshold
        return self.guess + (1 - self.guess - self.lapse) * SHAPES[self.shape](self.slope * position)

    def level(self, proportion: float) -> float:
        """The level at which a proportion is correct: the threshold for a stated target, which `threshold` itself is not.

        Raises
        ------
        AudioMetamerError
            If the function has this proportion nowhere.
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
) -> Psychometric:
    """Fit a psychometric function (Wichmann & Hill 2001, Perception & Psychophysics 63, 1293 and 1314).

    Parameters
    ----------
    levels, correct, trials : array [shape=(levels,)]
        What was varied (SNR, number of layers passed, …); how many answers were right; of how many.
    shape : str
        See `Psychometric`; ``weibull`` takes positive levels.
    guess : float or None
        Default 0: an open set. 1/n for n alternatives; None: fitted, between 0 and 1/2.
    lapse : float or None
        Default None: fitted, between 0 and `max_lapse`.
    max_lapse : float
        Default 0.1.
    resamples : int
        Of the parametric bootstrap, which draws answers from the fitted function; default 0, no intervals.
    seed : int
        Of the bootstrap; default 0.

    Returns
    -------
    Psychometric

    Raises
    ------
    AudioMetamerError
        If the arrays do not fit each other, there are fewer than two levels, or answers change nowhere or so suddenly that no
        slope can be told.
    """
    x, right, of = _checked(levels, correct, trials, shape)
    position = np.log(x) if shape == "weibull" else x
    origin, scale = float(position.mean()), float(np.ptp(position))
    scaled = (position - origin) / scale
    bounds = [(0.0, 0.5) if guess is None else (guess, guess), (0.0, max_lapse) if lapse is None else (lapse, lapse)]

    def function(found: Values) -> Psychometric:
        """In the levels' own units."""
        middle = origin + float(found[0]) * scale
        threshold = float(np.exp(middle)) if shape == "weibull" else middle
        return Psychometric(shape, threshold, float(found[1]) / scale, float(found[2]), float(found[3]), float("nan"))

    sign = 1.0 if np.cov(scaled, right / of)[0, 1] >= 0 else -1.0
    middles = [sum(bound) / 2 for bound in bounds]
    starts = [np.array([place, sign * slope, *middles]) for slope in _SLOPES for place in (-0.25, 0.0, 0.25)]
    best = _maximum(scaled, right, of, shape, starts, bounds)
    steeper = best * [1, 2, 1, 1]
    lost = _loss(steeper, scaled, right, of, shape) - _loss(best, scaled, right, of, shape)
    if lost < _TOLD or abs(best[0]) > 0.99 * _FARTHEST:
        raise AudioMetamerError(
            f"right {', '.join(f'{r:g}/{n:g}' for r, n in zip(right, of, strict=True))} at levels "
            f"{', '.join(f'{level:g}' for level in x)} tell no threshold and slope; levels are needed between always right and "
            "always wrong"
        )
    psychometric = function(best)
    expected = psychometric(x)
    psychometric = psychometric._replace(deviance=_deviance(right, of, expected))
    if not resamples:
        return psychometric
    counts = np.random.default_rng(seed).binomial(of.astype(int), np.clip(expected, 0, 1), (resamples, len(x)))
    drawn = [function(_maximum(scaled, row.astype(float), of, shape, [best], bounds)) for row in counts]
    fitted = ["threshold", "slope"] + ["guess"] * (guess is None) + ["lapse"] * (lapse is None)
    ends = {name: np.percentile([getattr(draw, name) for draw in drawn], [2.5, 97.5]) for name in fitted}
    return psychometric._replace(intervals={name: (float(low), float(high)) for name, (low, high) in ends.items()})


def _maximum(
    x: Values, right: Values, of: Values, shape: str, starts: Sequence[Values], bounds: Sequence[tuple[float, float]]
) -> Values:
    """Threshold, slope, guess and lapse of the largest likelihood that is reached from some starts; the slope keeps its sign."""
    steepest = (0.0, _STEEPEST) if starts[0][1] > 0 else (-_STEEPEST, 0.0)
    limits = [(-_FARTHEST, _FARTHEST), steepest, *bounds]
    found = [
        scipy.optimize.minimize(_loss, start, args=(x, right, of, shape), method="L-BFGS-B", bounds=limits) for start in starts
    ]
    return np.asarray(min(found, key=lambda result: result.fun).x)


def _loss(parameters: Values, x: Values, right: Values, of: Values, shape: str) -> float:
    """-log likelihood of threshold, slope, guess and lapse, but for what does not depend on them."""
    threshold, slope, guess, lapse = parameters
    p = np.clip(guess + (1 - guess - lapse) * SHAPES[shape](slope * (x - threshold)), _EVEN, 1 - _EVEN)
    return float(-(right * np.log(p) + (of - right) * np.log1p(-p)).sum())


def _deviance(right: Values, of: Values, expected: Values) -> float:
    """2 Σ (right · log(right / expected) + wrong · log(wrong / expected)), where 0 · log 0 is 0."""
    wrong, p = of - right, np.clip(expected, _EVEN, 1 - _EVEN)
    return float(2 * (scipy.special.xlogy(right, right / (of * p)) + scipy.special.xlogy(wrong, wrong / (of * (1 - p)))).sum())


def _checked(levels: ArrayLike, correct: ArrayLike, trials: ArrayLike, shape: str) -> tuple[Values, Values, Values]:
    x, right, of = (np.asarray(values, float) for values in (levels, correct, trials))
    if shape not in SHAPES:
        raise AudioMetamerError(f"there is no psychometric function {shape!r}; there are {', '.join(SHAPES)}")
    if not x.shape == right.shape == of.shape or x.ndim != 1:
        raise AudioMetamerError(f"levels, correct and trials have shapes {x.shape}, {right.shape}, {of.shape}; one of each level")
    if len(np.unique(x)) < 2:
        raise AudioMetamerError(f"{len(np.unique(x))} level; a psychometric function needs two or more")
    if not np.isfinite(x).all() or (shape == "weibull" and x.min() <= 0):
        raise AudioMetamerError(
            f"levels from {x.min():g} to {x.max():g}; they must be finite, and for a Weibull function positive"
        )
    if (wrong := (right < 0) | (of <= 0) | (right > of)).any():
        k = int(np.argmax(wrong))
        raise AudioMetamerError(
            f"{right[k]:g} right of {of[k]:g} trials at level {x[k]:g}; there must be trials, and no more right"
        )
    return x, right, of
