"""Decision models of listening tasks: how sensitivity d′ and proportion correct depend on each other.

Each observation is Gaussian with variance 1, and its mean differs by d′ between the two kinds of sound; the listener is unbiased.
*Independent* observers weigh the likelihoods of the observations themselves, as is possible for listeners who know the two
sounds; *differencing* observers only compare the observations of a trial with each other, as is necessary if the reference
changes from trial to trial (Macmillan & Creelman 2005, Detection Theory: A User's Guide, 2nd ed., chapter 9).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import scipy.optimize
from numpy.typing import ArrayLike
from scipy.special import ndtr, roots_legendre

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.levels import Values

DECISION_RULES = ("differencing", "independent")
_FAMILIES = {"abx": "abx", "odd-one-out": "oddity"}  # model families, by the names of tasks in experiments
_MAX_D_PRIME = 40.0  # proportion correct is 1 to all digits, whatever the task


class DecisionModel(NamedTuple):
    """A task with the observer's decision rule.

    Parameters
    ----------
    guess : float
        Proportion correct at chance.
    correct : callable
        Maps d′ [shape=(…)] to the proportion correct without lapses.
    """

    guess: float
    correct: Callable[[Values], Values]


def proportion_correct(d_prime: ArrayLike, *, task: str, lapse: float = 0.0) -> Values:
    """The proportion correct of a listener with a given sensitivity.

    Parameters
    ----------
    d_prime : array [shape=(…)]
        0 or more, in standard deviations.
    task : str
        A name in `DECISION_MODELS`.
    lapse : float
        Lapse rate: proportion of wrong answers however large d′ is. Default 0. As in a psychometric function, the result is
        guess + (1 − guess − lapse) · (p − guess) / (1 − guess), where p is the proportion without lapses.

    Returns
    -------
    array [shape=(…)]

    Raises
    ------
    AudioMetamerError
        If there is no such task, a d′ is negative, or the lapse rate is not below 1 − chance.
    """
    d, found = np.asarray(d_prime, float), _checked(task, lapse)
    if not (d >= 0).all():
        raise AudioMetamerError(f"d′ of {d[~(d >= 0)].flat[0]:g}; it must be 0 or more")
    share = (found.correct(np.minimum(d, _MAX_D_PRIME)) - found.guess) / (1 - found.guess)
    return np.asarray(found.guess + (1 - found.guess - lapse) * share)


def d_prime(proportion: ArrayLike, *, task: str, lapse: float = 0.0) -> Values:
    """The sensitivity of a listener with a given proportion correct: the inverse of `proportion_correct`.

    Parameters
    ----------
    proportion : array [shape=(…)]
        Proportion correct from chance to below 1 − `lapse`, where d′ is infinite.
    task, lapse
        As in `proportion_correct`.

    Returns
    -------
    array [shape=(…)]

    Raises
    ------
    AudioMetamerError
        If there is no such task, or no d′ gives a proportion.
    """
    p, found = np.asarray(proportion, float), _checked(task, lapse)
    if not (valid := (p >= found.guess) & (p < 1 - lapse)).all():
        raise AudioMetamerError(
            f"{p[~valid].flat[0]:g} correct; {task} has a d′ from chance, {found.guess:.4g}, to below {1 - lapse:.4g}"
        )

    def solved(target: float) -> float:
        if target == found.guess:
            return 0.0

        def excess(d: float) -> float:
            return float(proportion_correct(d, task=task, lapse=lapse)) - target

        return float(scipy.optimize.brentq(excess, 0.0, _MAX_D_PRIME, xtol=1e-12))

    return np.vectorize(solved, otypes=[float])(p)


def _checked(task: str, lapse: float) -> DecisionModel:
    if task not in DECISION_MODELS:
        raise AudioMetamerError(f"no task {task!r}; there are {', '.join(DECISION_MODELS)}")
    if not 0 <= lapse < 1 - DECISION_MODELS[task].guess:
        raise AudioMetamerError(
            f"a lapse rate of {lapse:g}; {task} takes one from 0 to below {1 - DECISION_MODELS[task].guess:.4g}"
        )
    return DECISION_MODELS[task]


def decision_model_for(task: str, *, decision: str = "differencing") -> str:
    """The name in `DECISION_MODELS` of the model of a task of an experiment.

    Parameters
    ----------
    task : {"abx", "odd-one-out"}
    decision : {"differencing", "independent"}
        Default "differencing", for references that change.

    Returns
    -------
    str
    """
    return f"{_FAMILIES[task]}-{decision}"


def _two_interval(d: Values) -> Values:
    """Two intervals, one of each kind: P(x₁ > x₂) = Φ(d′/√2) (Green & Swets 1966)."""
    return ndtr(d / np.sqrt(2))


def _three_interval(d: Values) -> Values:
    """Three intervals, one of them of the stronger kind: ∫ φ(z) Φ(z + d′)² dz (Green & Swets 1966)."""
    return _half_line(lambda z, d: ndtr(d + z) ** 2 + ndtr(d - z) ** 2, d)


def _oddity_differencing(d: Values) -> Values:
    """The odd one is the one that does not belong to the closest pair.

    2 ∫₀^∞ φ(z) [Φ(−z√3 + d′√(2/3)) + Φ(−z√3 − d′√(2/3))] dz
    (Frijters, Kooistra & Vereijken 1980, Perception & Psychophysics 27, 176, eq. 1).
    """
    s, r = np.sqrt(3), np.sqrt(2 / 3)
    return 2 * _half_line(lambda z, d: ndtr(r * d - s * z) + ndtr(-r * d - s * z), d)


def _oddity_independent(d: Values) -> Values:
    """The odd one, stronger or weaker than the two others, is the one with the largest likelihood.

    The rule is that of Versfeld, Dai & Green 1996 (Perception & Psychophysics 58, 10). With observations relative to the midpoint
    of the two means, the likelihood that xₖ is odd is proportional to cosh(d′/2 · (2xₖ − x₁ − x₂ − x₃)). That of x₁ is the
    largest if and only if (x₁ − x₂)·x₃ < 0 and (x₁ − x₃)·x₂ < 0: both others are below 0 and x₁ is above both, or the reverse.
    With means of d′/2 for x₁ and −d′/2 for the others, that has the probability

        Φ(d′/2)³ + Φ(−d′/2)³ + ∫₀^∞ φ(x + d′/2) Φ(d′/2 − x)² + φ(x − d′/2) Φ(−x − d′/2)² dx.
    """
    h = d / 2
    inside = _half_line(
        lambda x, h: np.exp(-h * x - h**2 / 2) * ndtr(h - x) ** 2 + np.exp(h * x - h**2 / 2) * ndtr(-x - h) ** 2, h
    )
    return ndtr(h) ** 3 + ndtr(-h) ** 3 + inside


def _abx_independent(d: Values) -> Values:
    """The order of A and B and the kind of X are decided independently; the answer is right if both or neither are.

    Φ(d′/√2) Φ(d′/2) + Φ(−d′/√2) Φ(−d′/2) (Macmillan, Kaplan & Creelman 1977, Psychological Review 84, 452).
    """
    a, b = d / np.sqrt(2), d / 2
    return ndtr(a) * ndtr(b) + ndtr(-a) * ndtr(-b)


def _abx_differencing(d: Values) -> Values:
    """X is identified as the one of A and B that it is closer to: Φ(d′/√2) Φ(d′/√6) + Φ(−d′/√2) Φ(−d′/√6) (the same source)."""
    a, b = d / np.sqrt(2), d / np.sqrt(6)
    return ndtr(a) * ndtr(b) + ndtr(-a) * ndtr(-b)


def _half_line(function: Callable[[Values, Values], Values], parameter: Values) -> Values:
    """∫₀^∞ φ(z) f(z, parameter) dz by Gauss-Legendre quadrature; beyond 10, φ is below 10⁻²²."""
    nodes, weights = roots_legendre(100)
    z = 5 * (nodes + 1)
    density = 5 * weights * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray(function(z, np.asarray(parameter)[..., None]) @ density)


DECISION_MODELS: Mapping[str, DecisionModel] = MappingProxyType({
    "2afc": DecisionModel(1 / 2, _two_interval),
    "3afc": DecisionModel(1 / 3, _three_interval),
    "oddity-differencing": DecisionModel(1 / 3, _oddity_differencing),
    "oddity-independent": DecisionModel(1 / 3, _oddity_independent),
    "abx-differencing": DecisionModel(1 / 2, _abx_differencing),
    "abx-independent": DecisionModel(1 / 2, _abx_independent),
})  # fmt: skip
"""Decision models by name: the stronger of two or three intervals, the odd one of three (the triangle test), and ABX."""
