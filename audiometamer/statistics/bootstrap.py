"""Intervals over clips: what would come out with other clips of the same kind."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Matrix = NDArray[np.float32]


class IntervalEstimate(NamedTuple):
    """A value, its 95 % interval, and how many clips and sounds it is of; the interval is NaN where there is a single clip."""

    value: float
    low: float
    high: float
    clips: int
    sounds: int


class Bootstrap:
    """Percentile intervals (Efron & Tibshirani 1993, ch. 13): clips are drawn with replacement, all sounds of a clip together.

    Parameters
    ----------
    resamples : int
        Default 10000.
    seed : int
        Default 0. Every estimate over equally many clips uses the same draws.
    """

    def __init__(self, resamples: int = 10_000, seed: int = 0) -> None:
        self.resamples, self.seed = resamples, seed
        self._draws: dict[int, NDArray[np.float32]] = {}

    def draws(self, n_clips: int) -> NDArray[np.float32]:
        """How often each clip is drawn in each resample, shape=(resamples, clips); the rows sum to the number of clips."""
        if n_clips not in self._draws:
            rng = np.random.default_rng(self.seed)
            counts = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=self.resamples)
            self._draws[n_clips] = counts.astype(np.float32)
        return self._draws[n_clips]

    def mean(self, values: FloatArray, clips: Sequence[str] | NDArray[np.str_]) -> IntervalEstimate | None:
        """Mean over sounds.

        Parameters
        ----------
        values : array [shape=(sounds,)]
            What is not finite is left out.
        clips : sequence of str
            The clip of each sound.

        Returns
        -------
        Estimate or None
            None if there are no values.
        """
        there = np.isfinite(values)
        if not there.any():
            return None
        names, of = np.unique(np.asarray(clips)[there], return_inverse=True)
        sums, counts = np.bincount(of, values[there]), np.bincount(of)
        drawn = self.draws(len(names))
        low, high = _interval(drawn @ sums / (drawn @ counts), len(names))
        return IntervalEstimate(float(values[there].mean()), low, high, len(names), int(there.sum()))

    def rank_correlation(self, first: Matrix, others: Sequence[Matrix]) -> IntervalEstimate | None:
        """Spearman correlation of dissimilarity matrices, averaged over several that are compared with the same one.

        A resample weighs each pair of clips by how often both were drawn, and leaves out pairs of a clip with itself. Values keep
        the ranks that they have among all pairs.

        Parameters
        ----------
        first : array [shape=(clips, clips)]
        others : sequence of array [shape=(clips, clips)]
            NaN in the rows and columns of clips that are missing.

        Returns
        -------
        Estimate or None
            Of as many sounds as there are clips in `others`; None if fewer than three clips are in each.
        """
        n = len(first)
        drawn, all_once = self.draws(n), np.ones((1, n), np.float32)
        values, resampled, present, sounds = [], [], np.zeros(n, bool), 0
        for other in others:
            there = np.isfinite(other).sum(1) > 1
            if there.sum() < 3:
                continue
            a, b = (_ranks(matrix[np.ix_(there, there)]) for matrix in (first, other))
            values.append(float(_weighted_correlation(a, b, all_once[:, there])[0]))
            resampled.append(_weighted_correlation(a, b, drawn[:, there]))
            present, sounds = present | there, sounds + int(there.sum())
        if not values:
            return None
        together = np.stack(resampled)
        known = np.isfinite(together)
        means = np.where(known, together, 0).sum(0)[known.any(0)] / known.sum(0)[known.any(0)]
        return IntervalEstimate(float(np.mean(values)), *_interval(means, int(present.sum())), int(present.sum()), sounds)


def _interval(resampled: NDArray[np.floating], n_clips: int) -> tuple[float, float]:
    if n_clips < 2:
        return math.nan, math.nan
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)


def _ranks(matrix: Matrix) -> Matrix:
    """Ranks of the pairs, symmetric, of mean 0 and variance 1, with zeros on the diagonal."""
    i, j = np.triu_indices(len(matrix), 1)
    ranks = scipy.stats.rankdata(matrix[i, j])
    ranks = (ranks - ranks.mean()) / max(ranks.std(), 1e-12)
    full: Matrix = np.zeros(matrix.shape, np.float32)
    full[i, j] = full[j, i] = ranks
    return full


def _weighted_correlation(a: Matrix, b: Matrix, counts: Matrix) -> NDArray[np.float64]:
    """Pearson correlation of the pairs of two matrices with zeros on the diagonal, each pair weighted by the product of counts.

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
