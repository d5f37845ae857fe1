"""F ratios from orthonormal contrasts, for many tables at once: the computation behind every analysis of variance here.

A listener's values are turned into scores: each within factor of the effect is multiplied by orthonormal contrasts (one fewer
than it has levels), each other factor by the constant contrast. The effect is the difference of the mean scores from zero, or
between groups of listeners; the error is the variation among listeners of a group (Maxwell & Delaney 2004, Designing Experiments
and Analyzing Data, ch. 11 to 14; O'Brien & Kaiser 1985, Psychological Bulletin 97, 316).
"""

import sys
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.special

from audiometamer.statistics.arrays import FloatArray, GroupCodes

LEAST_P = sys.float_info.min  # smaller p values lose precision, down to 0
_ROUNDING = 1e-24  # sums of squares below this part of that of all values count as 0


class FRatio(NamedTuple):
    """The F ratio of one effect in many tables.

    Parameters
    ----------
    f : array [shape=(tables,)]
        Infinite if there is an effect and no error, NaN if there is neither; p is NaN in both cases.
    effect, error : array [shape=(tables,)]
        Sums of squares.
    df, df_error : int
        Degrees of freedom.
    epsilon : array [shape=(tables,)]
        Epsilon of Greenhouse & Geisser (1959, Psychometrika 24, 95): 1 if the contrasts are spherical, at least 1 / their number;
        NaN if there is no error.
    """

    f: FloatArray
    effect: FloatArray
    error: FloatArray
    df: int
    df_error: int
    epsilon: FloatArray

    @property
    def p(self) -> FloatArray:
        """Probability of an F at least as large without an effect, under sphericity; shape=(tables,)."""
        return self._tail(1.0)

    @property
    def p_gg(self) -> FloatArray:
        """The same with both degrees of freedom multiplied by epsilon, for contrasts that are not spherical."""
        return self._tail(self.epsilon)

    def _tail(self, factor: float | FloatArray) -> FloatArray:
        tail = scipy.special.fdtrc(factor * self.df, factor * self.df_error, self.f)
        return np.where(np.isfinite(self.f), np.maximum(tail, LEAST_P), np.nan)


def f_ratio(tables: FloatArray, groups: GroupCodes, *, within: Collection[int] = (), between: bool = False) -> FRatio:
    """F ratio of one effect.

    Parameters
    ----------
    tables : array [shape=(tables, listeners, levels, …)]
        One axis for each within factor.
    groups : array of int [shape=(listeners,)]
        The group of each listener, counted from 0; all 0 if there is no between factor.
    within : collection of int
        Within factors of the effect, counted from 0. Default: none.
    between : bool
        Whether the effect includes the between factor; if not, groups of unequal size weigh the same (sums of squares of type
        III). Default False.

    Returns
    -------
    FRatio

    Examples
    --------
    >>> ratio = f_ratio(np.array([[[0.0, 1.0], [0.0, 3.0]]]), np.zeros(2, int), within=[0])
    >>> ratio.f.round(6).tolist(), ratio.df, ratio.df_error
    ([4.0], 1, 1)
    """
    scores = _scores(tables, within)
    contrasts = scores.shape[-1]
    sizes = np.bincount(groups)
    membership = np.eye(len(sizes))[groups]  # listeners × groups
    means = np.swapaxes(membership, 0, 1) @ scores / sizes[:, None]
    residuals = scores - means[:, groups]
    if between:
        effect = (sizes[:, None] * np.square(means - scores.mean(1, keepdims=True))).sum((1, 2))
        df = contrasts * (len(sizes) - 1)
    else:
        effect = np.square(means.mean(1)).sum(1) * len(sizes) ** 2 / (1 / sizes).sum()
        df = contrasts
    df_error = contrasts * (len(groups) - len(sizes))
    rounding = _ROUNDING * np.square(tables).sum(tuple(range(1, tables.ndim)))
    error = np.square(residuals).sum((1, 2))
    effect, error = np.where(effect > rounding, effect, 0.0), np.where(error > rounding, error, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = (effect / df) / (error / df_error)
        epsilon = np.where(error > 0, _epsilon(residuals), np.nan)
    return FRatio(f, effect, error, df, df_error, epsilon)


def _scores(tables: FloatArray, within: Collection[int]) -> FloatArray:
    """Contrasts of the factors in `within`, means (times √levels) over the others; shape=(tables, listeners, contrasts)."""
    for factor, levels in enumerate(tables.shape[2:]):
        contrasts = scipy.linalg.helmert(levels) if factor in within else np.full((1, levels), levels**-0.5)
        tables = np.moveaxis(np.moveaxis(tables, factor + 2, -1) @ contrasts.T, -1, factor + 2)
    return tables.reshape(*tables.shape[:2], -1)


def _epsilon(residuals: FloatArray) -> FloatArray:
    """Epsilon, (Σ λ)² / (d Σ λ²) over the eigenvalues λ of the covariance of d contrasts, computed as traces."""
    covariance = np.swapaxes(residuals, 1, 2) @ residuals
    trace = np.trace(covariance, axis1=1, axis2=2)
    return trace**2 / (residuals.shape[2] * np.square(covariance).sum((1, 2)))
