"""Permutation of pairs: whether two series go together, item by item."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiometamer.statistics.arrays import FloatArray

_CHUNK = 2**21  # values that are permuted together; the draws do not depend on it
_TIES = 1e-9  # equal means may differ in their last digits


class PairingTest(NamedTuple):
    """Mean over pairs, and what it would be if the items were paired at random.

    Parameters
    ----------
    value : float
        Mean over the pairs of each item with itself.
    null, low, high : float
        Mean and 95 % interval over permutations.
    p : float
        One-sided: (1 + permutations with a mean at least as large) / (1 + permutations) (Phipson & Smyth 2010, Statistical
        Applications in Genetics and Molecular Biology 9, 39).
    """

    value: float
    null: float
    low: float
    high: float
    p: float


def pairing_test(
    values: FloatArray, strata: Sequence[str], *, less: bool = False, permutations: int = 1000, seed: int = 0
) -> PairingTest | None:
    """Test by permutation whether items of one series fit those of the other.

    Parameters
    ----------
    values : array [shape=(items, items)]
        Value of each item of the first series (rows) with each of the second (columns); NaN where a pair has none.
    strata : sequence of str
        The stratum of each item; items are permuted within strata.
    less : bool
        Whether small means are the remarkable ones. Default False.
    permutations, seed : int
        Number of permutations, and random seed. Default 1000 and 0.

    Returns
    -------
    PairingTest or None
        None if no item has a value with itself.

    Examples
    --------
    Three items that only fit themselves: of the six permutations, one has three fits, three have one, two have none.

    >>> found = pairing_test(np.eye(3), ["a", "a", "a"], permutations=10_000)
    >>> found.value, abs(found.null - 1 / 3) < 0.02, abs(found.p - 1 / 6) < 0.02
    (1.0, True, True)
    """
    items, means, chunk = np.arange(len(values)), [], max(_CHUNK // max(len(values), 1), 1)
    if not np.isfinite(values[items, items]).any():
        return None
    rng = np.random.default_rng(seed)
    codes = np.unique(np.asarray(strata), return_inverse=True)[1]
    for first in range(0, permutations, chunk):
        partners = _within(codes, min(chunk, permutations - first), rng)
        drawn = values[items, partners]
        known = np.isfinite(drawn)
        sums, counts = np.where(known, drawn, 0.0).sum(1), known.sum(1)
        means.append(sums[counts > 0] / counts[counts > 0])
    null, value = np.concatenate(means), float(np.nanmean(values[items, items]))
    as_large = null <= value + _TIES if less else null >= value - _TIES
    low, high = np.percentile(null, [2.5, 97.5]) if len(null) else (np.nan, np.nan)
    mean = float(null.mean()) if len(null) else float("nan")
    return PairingTest(value, mean, float(low), float(high), float((1 + as_large.sum()) / (1 + len(null))))


def _within(codes: NDArray[np.intp], n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Random permutations of items within strata, shape=(n, items)."""
    keys = rng.random((n, len(codes)))
    places = np.argsort(codes, kind="stable")  # items stratum by stratum
    partners = np.empty(keys.shape, dtype=np.intp)
    partners[:, places] = np.argsort(codes + keys, axis=1)
    return partners
