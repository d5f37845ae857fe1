"""Bootstrap over clips: intervals for other clips of the same kind."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiometamer.statistics.arrays import FloatArray

Matrix = NDArray[np.float32]


class IntervalEstimate(NamedTuple):
    """A value with its 95 % interval.

    Parameters
    ----------
    value : float
    low, high : float
        Ends of the interval; NaN if there is a single clip.
    clips, sounds : int
        Numbers of clips and of sounds behind the value.
    """

    value: float
    low: float
    high: float
    clips: int
    sounds: int


class Bootstrap:
    """Percentile bootstrap over clips: clips are drawn with replacement, all sounds of a clip together.

    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.

    Parameters
    ----------
    resamples : int
        Number of bootstrap samples. Default 10000.
    seed : int
        Random seed; every estimate over the same number of clips uses the same draws. Default 0.

    Examples
    --------
    Three sounds of one clip and one of another: a resample holds the first only, the second only, or both.

    >>> Bootstrap().mean(np.array([0.0, 0.0, 0.0, 1.0]), ["a", "a", "a", "b"])
    IntervalEstimate(value=0.25, low=0.0, high=1.0, clips=2, sounds=4)
    """

    def __init__(self, *, resamples: int = 10_000, seed: int = 0) -> None:
        self.resamples, self.seed = resamples, seed
        self._draws: dict[int, NDArray[np.float32]] = {}

    def draws(self, n_clips: int) -> NDArray[np.float32]:
        """Number of times each clip is drawn in each resample, shape=(resamples, clips); rows sum to the number of clips."""
        if n_clips not in self._draws:
            rng = np.random.default_rng(self.seed)
            counts = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=self.resamples)
            self._draws[n_clips] = counts.astype(np.float32)
        return self._draws[n_clips]

    def mean(self, values: FloatArray, clips: Sequence[str] | NDArray[np.str_]) -> IntervalEstimate | None:
        """Mean over sounds, with its interval over clips.

        Parameters
        ----------
        values : array [shape=(sounds,)]
            Values that are not finite are left out.
        clips : sequence of str
            The clip of each sound.

        Returns
        -------
        Estimate or None
            None if there are no values.
        """
        finite = np.isfinite(values)
        if not finite.any():
            return None
        names, clip_of = np.unique(np.asarray(clips)[finite], return_inverse=True)
        sums, counts = np.bincount(clip_of, values[finite]), np.bincount(clip_of)
        drawn = self.draws(len(names))
        low, high = _interval(drawn @ sums / (drawn @ counts), len(names))
        return IntervalEstimate(float(values[finite].mean()), low, high, len(names), int(finite.sum()))

    def correlation(
        self, first: FloatArray, second: FloatArray, clips: Sequence[str] | NDArray[np.str_]
    ) -> IntervalEstimate | None:
        """Pearson correlation over sounds, with its interval over clips.

        Parameters
        ----------
        first, second : array [shape=(sounds,)]
            Sounds with a value that is not finite are left out.
        clips : sequence of str
            The clip of each sound.

        Returns
        -------
        Estimate or None
            None if there are fewer than three sounds, or either series is constant.

        Examples
        --------
        >>> found = Bootstrap().correlation(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]), ["a", "b", "c"])
        >>> round(found.value, 6)
        1.0
        """
        finite = np.isfinite(first) & np.isfinite(second)
        x, y = first[finite], second[finite]
        if len(x) < 3 or x.min() == x.max() or y.min() == y.max():
            return None
        x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
        names, clip_of = np.unique(np.asarray(clips)[finite], return_inverse=True)
        moments = np.stack([np.bincount(clip_of, values) for values in (np.ones(len(x)), x, y, x * x, y * y, x * y)], axis=1)
        n, sum_x, sum_y, sum_xx, sum_yy, sum_xy = (self.draws(len(names)) @ moments).T
        variances = (sum_xx / n - (sum_x / n) ** 2) * (sum_yy / n - (sum_y / n) ** 2)
        constant = variances < 1e-12
        covariances = sum_xy / n - sum_x * sum_y / n**2
        resampled = covariances[~constant] / np.sqrt(variances[~constant])
        low, high = _interval(resampled.clip(-1, 1), len(names)) if len(resampled) else (math.nan, math.nan)
        return IntervalEstimate(float((x * y).mean().clip(-1, 1)), low, high, len(names), len(x))

    def rank_correlation(self, first: Matrix, others: Sequence[Matrix]) -> IntervalEstimate | None:
        """Spearman correlation of dissimilarity matrices, averaged over several matrices compared with the same one.

        A resample weights each pair of clips by the product of the numbers of times that they were drawn, and leaves out pairs of
        a clip with itself. Values keep their ranks among all pairs.

        Parameters
        ----------
        first : array [shape=(clips, clips)]
            Symmetric matrix.
        others : sequence of array [shape=(clips, clips)]
            Symmetric matrices; NaN in the rows and columns of missing clips.

        Returns
        -------
        Estimate or None
            `sounds` counts the clips of all `others`; None if each of them has fewer than three clips.
        """
        n = len(first)
        drawn, all_once = self.draws(n), np.ones((1, n), np.float32)
        values, resampled, included, sounds = [], [], np.zeros(n, bool), 0
        for other in others:
            known = np.isfinite(other).sum(1) > 1
            if known.sum() < 3:
                continue
            a, b = (_ranks(matrix[np.ix_(known, known)]) for matrix in (first, other))
            values.append(float(_weighted_correlation(a, b, all_once[:, known])[0]))
            resampled.append(_weighted_correlation(a, b, drawn[:, known]))
            included, sounds = included | known, sounds + int(known.sum())
        if not values:
            return None
        correlations = np.stack(resampled)
        finite = np.isfinite(correlations)
        means = np.where(finite, correlations, 0).sum(0)[finite.any(0)] / finite.sum(0)[finite.any(0)]
        return IntervalEstimate(float(np.mean(values)), *_interval(means, int(included.sum())), int(included.sum()), sounds)


def _interval(resampled: NDArray[np.floating], n_clips: int) -> tuple[float, float]:
    if n_clips < 2:
        return math.nan, math.nan
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def _ranks(matrix: Matrix) -> Matrix:
    """Ranks of the pairs as a symmetric matrix, of mean 0 and variance 1, with zeros on the diagonal."""
    import scipy.stats  # slow to import

    i, j = np.triu_indices(len(matrix), 1)
    ranks = scipy.stats.rankdata(matrix[i, j])
    ranks = (ranks - ranks.mean()) / max(ranks.std(), 1e-12)
    full: Matrix = np.zeros(matrix.shape, np.float32)
    full[i, j] = full[j, i] = ranks
    return full


def _weighted_correlation(a: Matrix, b: Matrix, counts: Matrix) -> NDArray[np.float64]:
    """Pearson correlation of two matrices with zeros on the diagonal, each pair weighted by the product of its counts.

    0 where either is constant; NaN where no two clips were drawn. Shape=(resamples,).
    """

    def total(matrix: Matrix) -> NDArray[np.float64]:
        return np.einsum("rc,rc->r", counts @ matrix, counts, dtype=np.float64)

    weight = counts.sum(1, dtype=np.float64) ** 2 - np.square(counts).sum(1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_a, mean_b = total(a) / weight, total(b) / weight
        variance_a, variance_b = total(a * a) / weight - mean_a**2, total(b * b) / weight - mean_b**2
        norm = np.sqrt(np.maximum(variance_a * variance_b, 0))
        correlation = (total(a * b) / weight - mean_a * mean_b) / norm
    constant = (variance_a < 1e-6) | (variance_b < 1e-6)
    return np.where(constant, 0.0, correlation).clip(-1, 1)
