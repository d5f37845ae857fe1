"""Permutation of pairs against all permutations, one by one."""

from itertools import permutations

import numpy as np
import pytest

from audiometamer.statistics import pairing_test

VALUES = np.random.default_rng(3).normal(size=(6, 6)) + np.eye(6)
STRATA = ["a", "b", "a", "a", "b", "a"]


def all_means(values, strata):
    """The mean over pairs of every permutation within strata."""
    orders = [order for order in permutations(range(len(values))) if all(strata[i] == strata[j] for i, j in enumerate(order))]
    return np.array([np.nanmean([values[i, j] for i, j in enumerate(order)]) for order in orders])


@pytest.mark.parametrize("less", [False, True])
def test_against_all_permutations(less):
    found = pairing_test(VALUES, STRATA, less=less, permutations=20_000)
    means = all_means(VALUES, STRATA)
    assert len(means) == 24 * 2
    value = np.diag(VALUES).mean()
    assert found.value == pytest.approx(value)
    assert found.null == pytest.approx(means.mean(), abs=0.01)
    assert found.low == pytest.approx(np.percentile(means, 2.5), abs=0.05)
    assert found.high == pytest.approx(np.percentile(means, 97.5), abs=0.05)
    as_large = means <= value + 1e-12 if less else means >= value - 1e-12
    assert found.p == pytest.approx(as_large.mean(), abs=0.01)


def test_pairs_without_a_value_are_left_out():
    values = VALUES.copy()
    values[0, :], values[:, 1] = np.nan, np.nan
    found = pairing_test(values, ["a"] * 6, permutations=20_000)
    means = all_means(values, ["a"] * 6)
    assert found.value == pytest.approx(np.nanmean(np.diag(values)))
    assert found.null == pytest.approx(means.mean(), abs=0.01)
    assert pairing_test(np.full((3, 3), np.nan), ["a"] * 3) is None
    assert pairing_test(np.empty((0, 0)), []) is None


def test_a_pairing_that_nothing_can_change_is_no_evidence():
    found = pairing_test(VALUES, list("abcdef"), permutations=50)
    assert found.p == 1
    assert found.null == pytest.approx(found.value)


def test_the_seed_decides():
    first, again, other = (pairing_test(VALUES, ["a"] * 6, permutations=100, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
