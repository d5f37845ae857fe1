"""Statistical power: the number of listeners that an effect needs, from experiments simulated and analysed like real ones."""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from audiometamer.errors import AudioMetamerError
from audiometamer.statistics.arrays import FloatArray
from audiometamer.statistics.contrasts import f_ratio

FACTORS = ("layer", "model")
_CHUNK = 2**21  # values that are simulated together; results do not depend on it


class Power(NamedTuple):
    """The power of an experiment, estimated by simulation.

    Parameters
    ----------
    listeners : int
        Number of listeners.
    power : float
        Proportion of simulated experiments that find the effect.
    se : float
        Standard error of `power`, from the number of simulated experiments.
    untested : float
        Proportion of experiments without an F, as listeners do not differ; they count as not finding the effect.
    """

    listeners: int
    power: float
    se: float
    untested: float = 0.0


def power(
    accuracy: ArrayLike,
    *,
    listeners: int,
    trials: int,
    effect: str = "layer",
    spread: float = 0.5,
    scatter: float = 0.0,
    lapse: float = 0.0,
    alpha: float = 0.05,
    experiments: int = 1000,
    seed: int = 0,
) -> Power:
    """Estimate the power of an experiment by simulation.

    A simulated listener differs from the median one by a normal deviate in log odds, and by another at each condition; the
    number of correct answers is binomial. Experiments are judged by analysis of variance of the proportions correct with the
    Greenhouse–Geisser correction.

    Parameters
    ----------
    accuracy : array [shape=(layers,) or (layers, models)]
        Proportion correct of the median listener at each condition.
    listeners, trials : int
        Number of listeners, at least 2, and number of trials of each of them at each condition.
    effect : str
        ``layer``, ``model`` or ``layer × model`` (also written ``layer*model``).
    spread, scatter : float
        Standard deviations between listeners, and between the conditions of a listener beyond that, log odds. Default 0.5 and 0.
    lapse : float
        Lapse rate: probability of a wrong answer whatever is played. Default 0.
    alpha : float
        Significance level. Default 0.05.
    experiments, seed : int
        Number of simulated experiments, and random seed. Default 1000 and 0.

    Returns
    -------
    Power

    Raises
    ------
    AudioMetamerError
        If a number is out of range, or the accuracies lack a factor of the effect.
    """
    table = np.asarray(accuracy, float)
    within = _factors(table, effect)
    _check_numbers(listeners, trials, experiments, spread=spread, scatter=scatter, lapse=lapse, alpha=alpha)
    rng = np.random.default_rng((seed, listeners))
    groups = np.zeros(listeners, np.intp)
    found, untested, done, chunk = 0, 0, 0, max(_CHUNK // (listeners * table.size), 1)
    while done < experiments:
        number = min(chunk, experiments - done)
        shape = (number, listeners, *table.shape)
        p = f_ratio(_proportions(table, shape, trials, spread, scatter, lapse, rng), groups, within=within).p_gg
        found += int((p < alpha).sum())
        untested += int(np.isnan(p).sum())
        done += number
    share = found / experiments
    return Power(listeners, share, math.sqrt(share * (1 - share) / experiments), untested / experiments)


def _proportions(
    accuracy: FloatArray,
    shape: tuple[int, ...],
    trials: int,
    spread: float,
    scatter: float,
    lapse: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Proportions correct of simulated experiments; `shape` is (experiments, listeners, layers, …)."""
    logits = scipy.special.logit(accuracy) + spread * rng.standard_normal((*shape[:2], *[1] * accuracy.ndim))
    logits = logits + scatter * rng.standard_normal(shape)
    return rng.binomial(trials, (1 - lapse) * scipy.special.expit(logits)) / trials


def listeners_needed(accuracy: ArrayLike, *, wanted: float = 0.8, most: int = 500, **settings: Any) -> list[Power]:
    """Find the smallest number of listeners with the wanted power, by doubling and bisection.

    Parameters
    ----------
    accuracy : array
        As in `power`.
    wanted : float
        Power to reach. Default 0.8.
    most : int
        Largest number of listeners to try. Default 500.
    **settings
        Further keywords of `power`.

    Returns
    -------
    list of Power
        All numbers that were tried, in order; the first with at least the wanted power is the answer.

    Raises
    ------
    AudioMetamerError
        If even `most` listeners do not reach it, and as `power`.
    """
    if not 0 < wanted < 1:
        raise AudioMetamerError(f"a power of {wanted:g} is wanted; it must be between 0 and 1")
    tried: dict[int, Power] = {}

    def enough(listeners: int) -> bool:
        tried[listeners] = power(accuracy, listeners=listeners, **settings)
        return tried[listeners].power >= wanted

    low, high = 1, 2
    while not enough(high):
        if high >= most:
            untested = f" ({100 * share:.0f} % have no F: listeners do not differ)" if (share := tried[high].untested) else ""
            raise AudioMetamerError(f"{high} listeners have a power of {tried[high].power:.3g}{untested}; {wanted:g} was wanted")
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return [tried[listeners] for listeners in sorted(tried)]


def _factors(table: FloatArray, effect: str) -> Collection[int]:
    """The factors that an effect names, counted from 0; raises if the accuracies lack one, or are out of range."""
    named = [word.strip() for word in effect.replace("*", "×").split("×")]
    if table.ndim not in (1, 2) or any(name not in FACTORS[: table.ndim] for name in named) or len(set(named)) < len(named):
        raise AudioMetamerError(
            f"effect {effect!r} of accuracies of shape {table.shape}; there are {', '.join(FACTORS[: table.ndim])}"
            + (" and layer × model" if table.ndim == 2 else "; for an effect of model, give accuracies of several models")
        )
    within = [FACTORS.index(name) for name in named]
    if any(table.shape[k] < 2 for k in within):
        raise AudioMetamerError(f"effect {effect!r} of accuracies of shape {table.shape}; a factor needs two levels or more")
    if not ((table > 0) & (table < 1)).all():
        raise AudioMetamerError(f"accuracies from {table.min():g} to {table.max():g}; they must be between 0 and 1, and neither")
    return within


def _check_numbers(
    listeners: int, trials: int, experiments: int, *, spread: float, scatter: float, lapse: float, alpha: float
) -> None:
    """Raise if one of them is out of range."""
    if spread < 0 or scatter < 0:
        raise AudioMetamerError(f"spread {spread:g} and scatter {scatter:g}; they must not be negative")
    if not 0 <= lapse < 1 or not 0 < alpha < 1:
        raise AudioMetamerError(f"lapse {lapse:g} and alpha {alpha:g}; they must be between 0 and 1")
    if listeners < 2 or trials < 1 or experiments < 1:
        raise AudioMetamerError(
            f"{listeners} listeners, {trials} trials, {experiments} experiments; there must be at least 2, 1 and 1 of them"
        )
