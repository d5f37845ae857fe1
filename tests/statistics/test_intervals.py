"""Intervals over listeners, against distributions that are known."""

import numpy as np
import pytest

from audiometamer.statistics.intervals import mean_over_listeners


def test_intervals_of_many_listeners_are_those_of_the_normal_distribution():
    values = np.random.default_rng(0).normal([0.5, 0.7], [0.1, 0.02], (400, 2))
    means = mean_over_listeners(values)
    se = values.std(0) / 20
    np.testing.assert_allclose(means.value, values.mean(0))
    np.testing.assert_allclose(means.low, values.mean(0) - 1.96 * se, atol=0.06 * se.max())
    np.testing.assert_allclose(means.high, values.mean(0) + 1.96 * se, atol=0.06 * se.max())


def test_intervals_of_two_listeners_are_what_resampling_them_gives():
    means = mean_over_listeners([[0.2, 0.5], [0.6, np.nan]])  # both ends come in a quarter of the resamples
    assert (means.low[0], means.high[0]) == pytest.approx((0.2, 0.6))
    assert means.listeners.tolist() == [2, 1]
    assert np.isnan([means.low[1], means.high[1]]).all()


def test_three_listeners_by_hand():
    """Means of 27 equally likely resamples of 0, 0 and 1: 0 in 8, 1/3 in 12, 2/3 in 6, 1 in 1; 1/27 is more than 2.5 %."""
    means = mean_over_listeners([[0.0], [0.0], [1.0]])
    assert (means.value[0], means.low[0], means.high[0]) == pytest.approx((1 / 3, 0, 1))


def test_listeners_who_are_all_alike_have_no_interval():
    means = mean_over_listeners([[1.0, 0.5], [1.0, 0.6], [1.0, 0.5]])
    assert (means.value[0], means.listeners[0]) == (1.0, 3)
    assert np.isnan([means.low[0], means.high[0]]).all()
    assert 0.5 <= means.low[1] < means.high[1] <= 0.6


def test_intervals_by_seed():
    values = np.random.default_rng(0).random((7, 3))
    a, b, c = (mean_over_listeners(values, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert a.low.tolist() == b.low.tolist() != c.low.tolist()
