"""Intervals whose distribution is known, and correlations of matrices worked out pair by pair."""

import math

import numpy as np
import pytest
import scipy.stats

from audiometamer.statistics.bootstrap import Bootstrap


@pytest.mark.parametrize(("n", "right"), [(20, 15), (200, 60), (400, 396)])
def test_the_interval_of_a_share_is_binomial(n, right):
    """The mean of n draws from n zeros and ones is binomial, divided by n."""
    values = np.arange(n) < right
    estimate = Bootstrap().mean(values.astype(float), [f"clip{i}" for i in range(n)])
    expected = scipy.stats.binom.ppf([0.025, 0.975], n, right / n) / n
    assert (estimate.value, estimate.clips, estimate.sounds) == (right / n, n, n)
    np.testing.assert_allclose([estimate.low, estimate.high], expected, atol=1.01 / n)


def test_the_interval_of_a_mean_is_normal_for_many_clips():
    values = np.random.default_rng(1).normal(3, 2, 1000)
    estimate = Bootstrap().mean(values, [str(i) for i in range(1000)])
    half = 1.96 * values.std() / math.sqrt(1000)
    np.testing.assert_allclose([estimate.low, estimate.high], [values.mean() - half, values.mean() + half], atol=0.02)


def test_seeds_of_a_clip_are_drawn_together():
    """Five equal sounds of each clip tell no more than one."""
    values, clips = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0]), list("abcdef")
    once = Bootstrap().mean(values, clips)
    often = Bootstrap().mean(np.tile(values, 5), clips * 5)
    assert often[:4] == once[:4]
    assert (once.sounds, often.sounds) == (6, 30)


def test_clips_with_several_sounds_weigh_more():
    """Value and resamples are means over sounds: 3 zeros of one clip, 1 one of another give 1/4, and 0, 1/4 or 1 in resamples."""
    estimate = Bootstrap().mean(np.array([0.0, 0.0, 0.0, 1.0]), list("aaab"))
    assert estimate == (0.25, 0.0, 1.0, 2, 4)


def test_what_is_unknown_is_left_out():
    bootstrap = Bootstrap(resamples=100)
    assert bootstrap.mean(np.array([np.nan, np.inf]), ["a", "b"]) is None
    found = bootstrap.mean(np.array([np.nan, 0.5]), ["a", "b"])
    assert (found.value, found.clips, found.sounds) == (0.5, 1, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_seed_decides():
    values, clips = np.arange(7.0), list("abcdefg")
    assert Bootstrap(resamples=500, seed=1).mean(values, clips) == Bootstrap(resamples=500, seed=1).mean(values, clips)
    assert Bootstrap(resamples=500, seed=1).mean(values, clips) != Bootstrap(resamples=500, seed=2).mean(values, clips)


def symmetric(seed: int, n: int) -> np.ndarray:
    matrix = np.triu(np.random.default_rng(seed).integers(0, 30, (n, n)), 1)
    return (matrix + matrix.T).astype(np.float32)


def test_the_correlation_of_matrices_is_spearmans():
    n = 12
    a, b = symmetric(0, n), symmetric(1, n) + 2 * symmetric(0, n)
    upper = np.triu_indices(n, 1)
    found = Bootstrap(resamples=2000).rank_correlation(a, [b])
    assert found.value == pytest.approx(scipy.stats.spearmanr(a[upper], b[upper]).statistic, abs=1e-6)
    assert found.low < found.value < found.high
    assert (found.clips, found.sounds) == (n, n)


def test_its_resamples_weigh_pairs_by_how_often_both_clips_are_drawn():
    n, bootstrap = 6, Bootstrap(resamples=40, seed=3)
    a, b = symmetric(0, n), symmetric(1, n) + symmetric(0, n)
    upper = np.triu_indices(n, 1)
    ranks = [scipy.stats.rankdata(m[upper]) for m in (a, b)]
    expected = []
    for counts in bootstrap.draws(n).astype(int):
        weights = counts[upper[0]] * counts[upper[1]]
        x, y = (np.repeat(r, weights) for r in ranks)
        expected.append(np.corrcoef(x, y)[0, 1])
    found = bootstrap.rank_correlation(a, [b])
    np.testing.assert_allclose([found.low, found.high], np.percentile(expected, [2.5, 97.5]), atol=1e-5)


def test_matrices_of_several_seeds_are_averaged_and_may_lack_clips():
    a, b = symmetric(0, 8), symmetric(2, 8)
    lacking = a.copy()
    lacking[3], lacking[:, 3] = np.nan, np.nan
    bootstrap = Bootstrap(resamples=200)
    apart = [bootstrap.rank_correlation(a, [m]).value for m in (b, lacking)]
    assert apart[1] == pytest.approx(1)
    together = bootstrap.rank_correlation(a, [b, lacking])
    assert together.value == pytest.approx(np.mean(apart))
    assert (together.clips, together.sounds) == (8, 15)
    assert bootstrap.rank_correlation(a, [np.full((8, 8), np.nan)]) is None
    assert bootstrap.rank_correlation(a[:2, :2], [a[:2, :2]]) is None


def test_a_constant_matrix_correlates_with_nothing():
    constant = (1 - np.eye(5)).astype(np.float32)
    found = Bootstrap(resamples=100).rank_correlation(symmetric(0, 5), [constant])
    assert found[:3] == (0, 0, 0)


def test_the_interval_of_a_correlation_against_resamples_one_by_one():
    rng = np.random.default_rng(5)
    first = rng.normal(size=30)
    second, clips = first + rng.normal(size=30), [f"clip{k // 3}" for k in range(30)]
    found = Bootstrap(resamples=400, seed=3).correlation(first, second, clips)
    resampled = []
    for counts in Bootstrap(resamples=400, seed=3).draws(10).astype(int):
        drawn = np.repeat(np.arange(30), np.repeat(counts, 3))
        resampled.append(np.corrcoef(first[drawn], second[drawn])[0, 1])
    assert found.value == pytest.approx(np.corrcoef(first, second)[0, 1])
    np.testing.assert_allclose([found.low, found.high], np.percentile(resampled, [2.5, 97.5]), atol=1e-5)
    assert (found.clips, found.sounds) == (10, 30)


def test_a_correlation_that_is_not_defined():
    bootstrap, rising = Bootstrap(resamples=100), np.arange(4.0)
    assert bootstrap.correlation(rising, np.ones(4), list("abcd")) is None
    assert bootstrap.correlation(rising[:2], rising[:2], list("ab")) is None
    found = bootstrap.correlation(np.array([*rising, np.nan]), np.array([*rising, 1.0]), list("abcde"))
    assert (found.value, found.sounds) == (pytest.approx(1.0), 4)
