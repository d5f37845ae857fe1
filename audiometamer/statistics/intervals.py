"""Bootstrap over listeners: intervals for other listeners of the same kind."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometamer.statistics.arrays import FloatArray
from audiometamer.statistics.bootstrap import Bootstrap


class ListenerMeans(NamedTuple):
    """Means over listeners with their 95 % intervals.

    NaN where there is no listener. The interval is also NaN where all listeners are alike: all resamples would be the same, which
    says nothing about other listeners.

    Parameters
    ----------
    value, low, high : array [shape=(conditions,)]
    listeners : array of int [shape=(conditions,)]
        Number of listeners with a value.
    """

    value: FloatArray
    low: FloatArray
    high: FloatArray
    listeners: NDArray[np.intp]


def mean_over_listeners(values: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> ListenerMeans:
    """Mean over listeners with percentile intervals, from a bootstrap that draws listeners with replacement.

    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.

    Parameters
    ----------
    values : array [shape=(listeners, conditions)]
        Proportions correct, each listener with the same weight; NaN where a listener had no trial. A resample takes all
        conditions of the listeners that it draws.
    resamples : int
        Number of bootstrap samples. Default 10000.
    seed : int
        Random seed. Default 0.

    Returns
    -------
    ListenerMeans

    Examples
    --------
    Two listeners: a quarter of the resamples holds the first twice, a quarter the second.

    >>> means = mean_over_listeners([[0.2], [0.6]])
    >>> means.value.round(6).tolist(), means.low.round(6).tolist(), means.high.round(6).tolist()
    ([0.4], [0.2], [0.6])
    """
    table = np.asarray(values, float)
    known = np.isfinite(table)
    filled, counts = np.where(known, table, 0.0), known.sum(0)
    drawn = Bootstrap(resamples=resamples, seed=seed).draws(len(table))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = filled.sum(0) / counts
        resampled = drawn @ filled / (drawn @ known.astype(float))
    low, high = np.full((2, table.shape[1]), np.nan)
    differ = [len(np.unique(column[has])) > 1 for column, has in zip(table.T, known.T, strict=True)]
    for k in np.flatnonzero(differ):
        finite = resampled[np.isfinite(resampled[:, k]), k]  # some resamples hold nobody who heard this condition
        low[k], high[k] = np.percentile(finite, [2.5, 97.5])
    return ListenerMeans(value, low, high, counts)
