"""Intervals over listeners: what would come out with other listeners of the same kind."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometamer.statistics.bootstrap import Bootstrap, FloatArray


class Means(NamedTuple):
    """Means over listeners and their 95 % intervals.

    NaN where there is no listener; the interval also where there are no two that differ: resamples would all be the same, which
    says nothing of other listeners.

    Parameters
    ----------
    value, low, high : array [shape=(conditions,)]
    listeners : array of int [shape=(conditions,)]
        How many have a value.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    listeners: NDArray[np.intp]


def mean_over_listeners(values: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> Means:
    """Means with percentile intervals (Efron & Tibshirani 1993, ch. 13): listeners are drawn with replacement.

    Parameters
    ----------
    values : array [shape=(listeners, conditions)]
        Proportions correct, each listener weighing the same; NaN where a listener had no trial. A resample takes all conditions
        of the listeners that it draws.
    resamples : int
        Default 10000.
    seed : int
        Default 0.

    Returns
    -------
    Means
    """
    table = np.asarray(values, float)
    there = np.isfinite(table)
    filled, counts = np.where(there, table, 0.0), there.sum(0)
    drawn = Bootstrap(resamples, seed).draws(len(table))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = filled.sum(0) / counts
        resampled = drawn @ filled / (drawn @ there.astype(float))
    low, high = np.full((2, table.shape[1]), np.nan)
    differ = [len(np.unique(column[held])) > 1 for column, held in zip(table.T, there.T, strict=True)]
    for k in np.flatnonzero(differ):
        held = resampled[np.isfinite(resampled[:, k]), k]  # some drew nobody who heard this condition
        low[k], high[k] = np.percentile(held, [2.5, 97.5])
    return Means(value, low, high, counts)
