"""How many listeners an effect needs: experiments are simulated and analysed as real ones will be."""

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from audiometamer.errors import AudioMetamerError
from audiometamer.statistics.contrasts import FloatArray, f_ratio

FACTORS = ("layer", "model")
_AT_ONCE = 2**21  # values simulated side by side; the draws do not depend on it


class Power(NamedTuple):
    """The share of simulated experiments with so many listeners that find the effect.

    Parameters
    ----------
    listeners : int
    power : float
    se : float
        Standard error of `power` by the number of experiments.
    untested : float
        Share of experiments in which there is no F, as listeners do not differ; they do not find the effect.
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
    """The power of an experiment of so many listeners.

    A simulated listener differs from the median one by a normal deviate in log odds, and by another at each condition; each
    answer is right by chance of the resulting accuracy. Experiments are judged by analysis of variance of proportions with
    Greenhouse and Geisser's p.

    Parameters
    ----------
    accuracy : array [shape=(layers,) or (layers, models)]
        Proportion that the median listener gets right at each condition.
    listeners : int
        At least 2.
    trials : int
        Of each listener at each condition.
    effect : str
        ``layer``, ``model`` or ``layer × model`` (also written ``layer*model``).
    spread : float
        Standard deviation of listeners, log odds; default 0.5.
    scatter : float
        Standard deviation of a listener's conditions beyond that, log odds; default 0.
    lapse : float
        Share of answers that are wrong whatever is played; default 0.
    alpha : float
        An effect is found if p is below it; default 0.05.
    experiments : int
        To simulate; default 1000.
    seed : int
        Default 0.

    Returns
    -------
    Power

    Raises
    ------
    AudioMetamerError
        If a number is out of its range, or the accuracies have no such effect's factors.
    """
    table = np.asarray(accuracy, float)
    within = _checked(table, effect, spread=spread, scatter=scatter, lapse=lapse, alpha=alpha)
    if listeners < 2 or trials < 1 or experiments < 1:
        raise AudioMetamerError(
            f"{listeners} listeners, {trials} trials, {experiments} experiments; there must be at least 2, 1 and 1 of them"
        )
    rng = np.random.default_rng((seed, listeners))
    groups = np.zeros(listeners, np.intp)
    found, untested, done, chunk = 0, 0, 0, max(_AT_ONCE // (listeners * table.size), 1)
    while done < experiments:
        number = min(chunk, experiments - done)
        logits = scipy.special.logit(table) + spread * rng.standard_normal((number, listeners, *[1] * table.ndim))
        logits = logits + scatter * rng.standard_normal((number, listeners, *table.shape))
        right = rng.binomial(trials, (1 - lapse) * scipy.special.expit(logits)) / trials
        p = f_ratio(right, groups, within=within).p_gg
        found += int((p < alpha).sum())
        untested += int(np.isnan(p).sum())
        done += number
    share = found / experiments
    return Power(listeners, share, math.sqrt(share * (1 - share) / experiments), untested / experiments)


def listeners_needed(accuracy: ArrayLike, *, wanted: float = 0.8, most: int = 500, **settings: Any) -> list[Power]:
    """The smallest number of listeners with the wanted power, by doubling and then halving the gap.

    Parameters
    ----------
    accuracy : array
        As `power` takes it, and further keywords.
    wanted : float
        Default 0.8.
    most : int
        Where to give up; default 500.

    Returns
    -------
    list of Power
        Every number that was tried, in order; the first with at least the wanted power is the answer.

    Raises
    ------
    AudioMetamerError
        If even `most` listeners do not have it, or as `power` does.
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


def _checked(table: FloatArray, effect: str, **numbers: float) -> Collection[int]:
    """The factors that an effect names, counted from 0, if all is in its range."""
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
    if numbers["spread"] < 0 or numbers["scatter"] < 0:
        raise AudioMetamerError(f"spread {numbers['spread']:g} and scatter {numbers['scatter']:g}; they must not be negative")
    if not 0 <= numbers["lapse"] < 1 or not 0 < numbers["alpha"] < 1:
        raise AudioMetamerError(f"lapse {numbers['lapse']:g} and alpha {numbers['alpha']:g}; they must be between 0 and 1")
    return within
