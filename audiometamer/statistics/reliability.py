"""Reliability of the listeners' pattern over conditions: the noise ceiling."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from audiometamer.errors import AudioMetamerError


class SplitHalf(NamedTuple):
    """Agreement between halves of the listeners.

    Parameters
    ----------
    correlation : float
        Pearson's r between the mean proportions of the two halves over conditions, averaged over splits.
    reliability : float
        Reliability of the mean of all listeners, by the Spearman–Brown formula: 2r / (1 + r).
    ceiling : float
        √reliability: the highest expected correlation of a noiseless prediction with the mean of all listeners; NaN if r < 0.
    listeners : int
        Number of listeners.
    """

    correlation: float
    reliability: float
    ceiling: float
    listeners: int


def split_half(values: ArrayLike, *, splits: int = 1000, seed: int = 0) -> SplitHalf:
    """Noise ceiling by random split halves (Spearman 1910; Brown 1910, British Journal of Psychology 3, 271 and 296).

    Parameters
    ----------
    values : array [shape=(listeners, conditions)]
        Proportions correct; NaN where a listener had no trial. With an odd number of listeners one is left out of each split.
    splits : int
        Number of random splits. Default 1000.
    seed : int
        Random seed. Default 0.

    Returns
    -------
    SplitHalf
        NaN if a half is constant over conditions in every split.

    Raises
    ------
    AudioMetamerError
        If there are fewer than four listeners or three conditions.

    Examples
    --------
    >>> found = split_half([[0.1, 0.5, 0.9]] * 5)
    >>> round(found.correlation, 6), round(found.ceiling, 6), found.listeners
    (1.0, 1.0, 5)
    """
    table = np.asarray(values, float)
    listeners, conditions = table.shape
    if listeners < 4 or conditions < 3:
        raise AudioMetamerError(
            f"a noise ceiling of {listeners} listeners and {conditions} conditions; there must be at least 4 and 3"
        )
    half = listeners // 2
    order = np.random.default_rng(seed).random((splits, listeners)).argsort(1)
    membership = np.zeros((2, splits, listeners))
    for k, members in enumerate((order[:, :half], order[:, half : 2 * half])):
        np.put_along_axis(membership[k], members, 1.0, 1)
    known = np.isfinite(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = membership @ np.where(known, table, 0.0) / (membership @ known.astype(float))
        first, second = means - means.mean(-1, keepdims=True)
        norms = np.sqrt(np.square(first).sum(-1) * np.square(second).sum(-1))
        correlations = np.where(norms > 1e-12, (first * second).sum(-1) / norms, np.nan)
    finite = correlations[np.isfinite(correlations)]
    r = float(finite.mean()) if len(finite) else float("nan")
    reliability = 2 * r / (1 + r) if r > -1 else float("nan")
    return SplitHalf(r, reliability, reliability**0.5 if reliability >= 0 else float("nan"), listeners)
