"""Permutation tests, against all permutations counted one by one."""

import itertools
import math

import numpy as np
import pytest

from audiometamer.statistics import permutation
from audiometamer.statistics.anova import anova
from audiometamer.statistics.permutation import permutation_p


def table(*shape, seed=0):
    """Listeners differ, and levels differ in mean and variance."""
    rng = np.random.default_rng(seed)
    levels = np.arange(math.prod(shape[1:])).reshape(shape[1:])
    return rng.normal(0, 1, (shape[0], *[1] * (len(shape) - 1))) + rng.normal(0, 1, shape) * (1 + levels / 3) + levels / 5


def test_permutations_of_two_levels_are_signs():
    values = np.column_stack([np.zeros(6), [1, 2, -1, 3, 2, 0.5]])
    differences = values[:, 1]
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=6)]
    exact = np.mean([total >= abs(differences.sum()) - 1e-9 for total in sums])
    (effect,) = anova(values, within=["layer"], permutations=20_000)
    assert effect.p_permutation == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


def test_permutations_of_groups_are_choices():
    means = np.array([3, 5, 4, 1, 2, 2.5])
    values = np.column_stack([means - 1, means + 1])
    choices = [abs(2 * means[list(chosen)].sum() - means.sum()) for chosen in itertools.combinations(range(6), 3)]
    exact = np.mean([total >= abs(2 * means[:3].sum() - means.sum()) - 1e-9 for total in choices])
    group, *_ = anova(values, within=["layer"], between="group", groups=list("aaabbb"), permutations=20_000)
    assert group.p_permutation == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))


def test_permutation_p_of_an_interaction_is_even_if_there_is_none():
    """Listeners and levels differ, and nothing else: p below 0.25 in a quarter of experiments."""
    p = [
        anova(table(6, 3, seed=seed), within=["layer"], between="group", groups=list("aaabbb"), permutations=99)[2].p_permutation
        for seed in range(120)
    ]
    assert np.mean(np.array(p) <= 0.25) == pytest.approx(0.25, abs=0.12)
    assert np.mean(p) == pytest.approx(0.5, abs=0.1)


def test_permutation_p_is_never_zero_and_does_not_depend_on_how_many_are_made_at_once(monkeypatch):
    values = np.tile([0.95, 0.5, 0.1], (12, 1)) + table(12, 3) / 100
    p = anova(values, within=["layer"], permutations=10_000)[0].p_permutation
    assert p == 1 / 10_001
    values, design = table(6, 3, 2), {"within": ["layer", "model"], "permutations": 200, "seed": 3}
    once = anova(values, **design)
    monkeypatch.setattr(permutation, "_CHUNK", 1)
    assert anova(values, **design) == once
    assert anova(values, **{**design, "seed": 4}) != once


def test_factors_outside_the_effect_are_averaged():
    """Two models show opposite differences; their means all differ by 0.1, so that only signs that all agree are as extreme."""
    values = np.zeros((4, 2, 2))
    values[:, 1] = np.array([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0], [4.0, -4.0]]) + 0.1
    groups = np.zeros(4, int)
    assert permutation_p(values, groups, within=[0], permutations=4000) == pytest.approx(2 / 2**4, abs=0.02)
    assert np.isnan(permutation_p(np.ones((4, 2, 2)), groups, within=[0], permutations=9))
