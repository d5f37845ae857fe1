"""F ratios of many tables at once, against one-way and t statistics of single tables."""

import numpy as np
import pytest
import scipy.stats

from audiometamer.statistics.contrasts import LEAST_P, f_ratio

ALONE = np.zeros(6, int)


def test_each_table_has_an_f_of_its_own():
    """Two levels: F is the square of a paired t."""
    tables = np.random.default_rng(0).normal(0, 1, (5, 6, 2))
    ratio = f_ratio(tables, ALONE, within=[0])
    t = scipy.stats.ttest_1samp(tables[:, :, 1] - tables[:, :, 0], 0, axis=1)
    np.testing.assert_allclose(ratio.f, t.statistic**2)
    np.testing.assert_allclose(ratio.p, t.pvalue)
    assert (ratio.df, ratio.df_error) == (1, 5)
    assert ratio.epsilon == pytest.approx(np.ones(5))


def test_groups_are_compared_by_the_means_of_listeners():
    tables = np.random.default_rng(1).normal(0, 1, (3, 6, 4))
    ratio = f_ratio(tables, np.array([0, 0, 1, 1, 1, 2]), between=True)
    for f, p, table in zip(ratio.f, ratio.p, tables, strict=True):
        means = table.mean(1)
        assert (f, p) == pytest.approx(tuple(scipy.stats.f_oneway(means[:2], means[2:5], means[5:])))


def test_sums_of_squares_by_hand():
    """Differences 1 and 3: their orthonormal contrasts are 1/√2 and 3/√2, of mean 2/√2."""
    ratio = f_ratio(np.array([[[0.0, 1.0], [0.0, 3.0]]]), np.zeros(2, int), within=[0])
    assert ratio.effect == pytest.approx([2 * (2 / 2**0.5) ** 2])
    assert ratio.error == pytest.approx([2 * (1 / 2**0.5) ** 2])


def test_without_error_there_is_no_p():
    constant, alike = np.ones((6, 3)), np.tile([1.0, 2.0, 4.0], (6, 1))
    ratio = f_ratio(np.stack([constant, alike]), ALONE, within=[0])
    assert np.isnan(ratio.f[0])
    assert np.isinf(ratio.f[1])
    assert np.isnan([ratio.p, ratio.p_gg, ratio.epsilon]).all()


def test_p_is_at_least_the_smallest_normal_number():
    table = np.tile(np.arange(20.0), (200, 1)) + 0.001 * np.random.default_rng(0).standard_normal((200, 20))
    ratio = f_ratio(table[None], np.zeros(200, int), within=[0])
    assert ratio.p[0] == ratio.p_gg[0] == LEAST_P
