"""Permutation tests: how often an F at least as large arises with permuted labels."""

from collections.abc import Collection

import numpy as np

from audiometamer.statistics.arrays import FloatArray, GroupCodes
from audiometamer.statistics.contrasts import f_ratio

_CHUNK = 2**21  # values that are permuted together; the draws do not depend on it
_TIES = 1 - 1e-9  # equal F ratios may differ in their last digits


def permutation_p(
    values: FloatArray,
    groups: GroupCodes,
    *,
    within: Collection[int] = (),
    between: bool = False,
    permutations: int = 10_000,
    seed: int | tuple[int, ...] = 0,
) -> float:
    """Test one effect by permutation (Feather et al. 2023, Nature Neuroscience 26, 2017, Methods).

    Values are first averaged over the within factors that are not part of the effect. For each factor of the effect, labels of
    levels are permuted independently within each listener; if it includes the between factor, so are the listeners' groups.

    Parameters
    ----------
    values : array [shape=(listeners, levels, …)]
        One axis for each within factor.
    groups : array of int [shape=(listeners,)]
        The group of each listener, counted from 0.
    within : collection of int
        Within factors of the effect, counted from 0. Default: none.
    between : bool
        Whether the effect includes the between factor. Default False.
    permutations : int
        Number of permutations. Default 10000.
    seed : int or tuple of int
        Random seed. Default 0.

    Returns
    -------
    float
        (1 + permutations with an F at least as large) / (1 + permutations), which is never 0 (Phipson & Smyth 2010, Statistical
        Applications in Genetics and Molecular Biology 9, 39); NaN if there is no F.

    Examples
    --------
    Three listeners with the same difference: of the 8 permutations of signs, the 2 in which all agree have as large an F.

    >>> values = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    >>> abs(permutation_p(values, np.zeros(3, int), within=[0]) - 2 / 8) < 0.02
    True
    """
    others = tuple(1 + factor for factor in range(values.ndim - 1) if factor not in within)
    reduced = values.mean(others)
    effect = tuple(range(reduced.ndim - 1))
    observed = f_ratio(reduced[None], groups, within=effect, between=between).f[0]
    if np.isnan(observed):
        return float("nan")
    rng = np.random.default_rng(seed)
    as_large, done, chunk = 0, 0, max(_CHUNK // reduced.size, 1)
    while done < permutations:
        tables = _permuted(reduced, min(chunk, permutations - done), rng, between=between)
        as_large += int((f_ratio(tables, groups, within=effect, between=between).f >= observed * _TIES).sum())
        done += len(tables)
    return (1 + as_large) / (1 + permutations)


def _permuted(values: FloatArray, n_tables: int, rng: np.random.Generator, *, between: bool) -> FloatArray:
    """Tables with the labels of every factor permuted; shape=(n_tables, listeners, levels, …)."""
    tables = np.broadcast_to(values, (n_tables, *values.shape))
    for axis in range(2, tables.ndim):
        order = rng.random((*tables.shape[:2], tables.shape[axis])).argsort(-1)
        others = tuple(k for k in range(2, tables.ndim) if k != axis)
        tables = np.take_along_axis(tables, np.expand_dims(order, others), axis)
    if between:
        order = rng.random(tables.shape[:2]).argsort(-1)
        tables = np.take_along_axis(tables, np.expand_dims(order, tuple(range(2, tables.ndim))), 1)
    return tables
