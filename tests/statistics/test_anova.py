"""Analysis of variance against designs solved by hand, a textbook, and statsmodels and scipy as independent implementations."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats.anova import AnovaRM

from audiometamer.errors import AudioMetamerError
from audiometamer.statistics.anova import anova


def table(*shape, seed=0):
    """Listeners differ, and levels differ in mean and variance."""
    rng = np.random.default_rng(seed)
    levels = np.arange(math.prod(shape[1:])).reshape(shape[1:])
    return rng.normal(0, 1, (shape[0], *[1] * (len(shape) - 1))) + rng.normal(0, 1, shape) * (1 + levels / 3) + levels / 5


def test_two_levels_by_hand():
    # differences 1 and 3: mean 2, standard error 1, so t = 2 with one degree of freedom, whose p is 1 - 2 atan(2) / π
    (effect,) = anova([[0, 1], [0, 3]], within=["layer"])
    assert (effect.name, effect.df, effect.df_error, effect.epsilon) == ("layer", 1, 1, 1)
    assert effect.f == pytest.approx(4)
    assert effect.p == effect.p_gg == pytest.approx(1 - 2 * math.atan(2) / math.pi)
    assert effect.partial_eta2 == pytest.approx(4 / 5)


def test_mixed_by_hand():
    # differences 1, 3 in one group and -1, -3 in the other: they cancel, and their groups' means are 2 and -2.
    # All listeners' means: 0.5, 1.5, 0.5, 1.5, so groups do not differ.
    values = [[0, 1], [0, 3], [1, 0], [3, 0]]
    group, layer, both = anova(values, within=["layer"], between="group", groups=["a", "a", "b", "b"])
    assert [effect.name for effect in (group, layer, both)] == ["group", "layer", "group × layer"]
    assert [effect.f for effect in (group, layer, both)] == pytest.approx([0, 0, 8])
    assert (both.df, both.df_error) == (1, 2)
    assert both.effect == pytest.approx(8)  # of a difference d, √½ d is the contrast: half of 16
    assert both.error == pytest.approx(2)


def test_textbook():
    """Maxwell & Delaney (2004), Designing Experiments and Analyzing Data, table 12.7: noise × angle, reaction times."""
    values = [
        420, 420, 480, 480, 600, 780, 420, 480, 480, 360, 480, 600, 480, 480, 540, 660, 780, 780, 420, 540, 540, 480, 780, 900,
        540, 660, 540, 480, 660, 720, 360, 420, 360, 360, 480, 540, 480, 480, 600, 540, 720, 840, 480, 600, 660, 540, 720, 900,
        540, 600, 540, 480, 720, 780, 480, 420, 540, 540, 660, 780,
    ]  # fmt: skip
    noise, angle, both = anova(np.reshape(values, (10, 2, 3)), within=["noise", "angle"])
    assert [round(effect.f, 2) for effect in (noise, angle, both)] == [33.77, 40.72, 45.31]
    assert [(effect.df, effect.df_error) for effect in (noise, angle, both)] == [(1, 9), (2, 18), (2, 18)]


@pytest.mark.parametrize("shape", [(6, 4), (7, 3, 4), (5, 2, 9)])
def test_within_factors_as_statsmodels(shape):
    values = table(*shape)
    names = ["layer", "model"][: len(shape) - 1]
    rows = [{"listener": at[0], **dict(zip(names, at[1:], strict=True)), "value": values[at]} for at in np.ndindex(values.shape)]
    theirs = AnovaRM(pd.DataFrame(rows), "value", "listener", within=names).fit().anova_table
    for ours in anova(values, within=names):
        row = theirs.loc[ours.name.replace(" × ", ":")]
        assert (ours.df, ours.df_error) == (row["Num DF"], row["Den DF"])
        assert ours.f == pytest.approx(row["F Value"])
        assert ours.p == pytest.approx(row["Pr > F"])


def test_mixed_as_one_way_of_means_and_differences():
    values, groups = table(11, 2), ["a"] * 3 + ["b"] * 6 + ["c"] * 2
    parts = [values[:3], values[3:9], values[9:]]
    group, layer, both = anova(values, within=["layer"], between="group", groups=groups)
    means = scipy.stats.f_oneway(*(part.mean(1) for part in parts))
    differences = scipy.stats.f_oneway(*(part[:, 0] - part[:, 1] for part in parts))
    assert (group.f, group.p) == pytest.approx(tuple(means))
    assert (both.f, both.p) == pytest.approx(tuple(differences))
    sum_coded = np.array([[1, 0]] * 3 + [[0, 1]] * 6 + [[-1, -1]] * 2)  # its intercept is the mean of the groups' means
    fit = sm.OLS(values[:, 0] - values[:, 1], sm.add_constant(sum_coded)).fit()
    assert layer.f == pytest.approx(fit.tvalues[0] ** 2)


def test_two_levels_are_a_paired_t_test():
    values = table(9, 2)
    (effect,) = anova(values, within=["layer"])
    t = scipy.stats.ttest_rel(values[:, 0], values[:, 1])
    assert (effect.f, effect.p) == pytest.approx((t.statistic**2, t.pvalue))


def test_epsilon_as_box_has_it():
    """Box (1954), Annals of Mathematical Statistics 25, 484: from the covariances of the levels themselves."""
    values = table(8, 5)
    s, k = np.cov(values.T), 5
    mean = s.mean()
    box = (k * (np.trace(s) / k - mean)) ** 2 / ((k - 1) * ((s**2).sum() - 2 * k * (s.mean(0) ** 2).sum() + (k * mean) ** 2))
    (effect,) = anova(values, within=["layer"])
    assert effect.epsilon == pytest.approx(box)
    assert effect.p_gg == pytest.approx(scipy.stats.f.sf(effect.f, 4 * box, 28 * box))


def test_epsilon_of_spherical_contrasts_and_of_a_single_one():
    spherical = np.linalg.qr(np.c_[np.ones(9), np.random.default_rng(0).normal(size=(9, 3))])[0][:, 1:]  # uncorrelated levels
    assert anova(spherical, within=["layer"])[0].epsilon == pytest.approx(1)
    along_one = np.outer([1.0, 2.0, 4.0], [1.0, 0.0, 0.0, -1.0])
    assert anova(along_one, within=["layer"])[0].epsilon == pytest.approx(1 / 3)


def test_nothing_changes_with_level_of_all_listeners_or_with_units():
    values = table(6, 3, 2)
    moved = 7 * values + np.arange(6)[:, None, None]
    for a, b in zip(anova(values, within=["a", "b"]), anova(moved, within=["a", "b"]), strict=True):
        assert (a.f, a.epsilon) == pytest.approx((b.f, b.epsilon))


def test_listeners_who_agree_in_all():
    (effect,) = anova(np.tile([0.9, 0.5, 0.1], (4, 1)), within=["layer"], permutations=20_000)
    assert all(math.isnan(x) for x in (effect.f, effect.p, effect.epsilon, effect.p_gg, effect.partial_eta2))
    assert effect.note == "no variance between listeners in this effect"
    assert (effect.df, effect.df_error) == (2, 6)
    exact = 1 / 6**3  # the other three listeners must have the order that the first has
    assert effect.p_permutation == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))
    (none,) = anova(np.full((4, 3), 0.7), within=["layer"], permutations=9)
    assert all(math.isnan(x) for x in (none.f, none.p, none.epsilon, none.p_gg, none.partial_eta2, none.p_permutation))
    assert none.note == "no variance within listeners"


def test_groups_whose_listeners_agree():
    values = [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]]  # all means are 0.5; differences are 1 or 0, all alike within groups
    group, layer, both = anova(values, within=["layer"], between="group", groups=list("aabb"), permutations=9)
    assert group.note == "no variance between listeners of a group"
    assert layer.note == "no variance between listeners in this effect"
    assert both.note == "no variance between listeners of a group in this effect"
    assert all(math.isnan(effect.f) and math.isnan(effect.p) for effect in (group, layer, both))


def test_p_is_never_zero():
    rng = np.random.default_rng(0)
    values = np.tile(np.arange(20.0), (200, 1)) + 0.01 * rng.standard_normal((200, 20))
    (effect,) = anova(values, within=["layer"])
    assert 0 < effect.p_gg <= effect.p + 1e-300
    assert effect.note == ""


@pytest.mark.parametrize(
    ("values", "design", "message"),
    [
        ([[1, 2], [3, np.nan]], {"within": ["layer"]}, "1 of 4 values are missing or not finite, the first of listener 1"),
        ([[1], [2]], {"within": ["layer"]}, "the factor layer has 1 level; an analysis of variance needs two or more"),
        ([[1, 2]], {"within": ["layer"]}, "1 listener: there is no error; there must be 2 or more"),
        ([[1, 2], [3, 4]], {"within": ["layer", "model"]}, "values of shape (2, 2) for the within factors layer, model"),
        ([[1, 2], [3, 4]], {"within": ["layer"], "between": "group"}, "both its name and the listeners' groups"),
        ([[1, 2], [3, 4]], {"within": ["layer"], "between": "group", "groups": ["a"]}, "1 groups for 2 listeners"),
        ([[1, 2], [3, 4]], {"within": ["layer"], "between": "group", "groups": ["a", "a"]}, "the factor group has 1 group"),
        ([[1, 2], [3, 4]], {"within": ["layer"], "between": "group", "groups": ["a", "b"]}, "2 listeners in 2 groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_analysed(values, design, message):
    with pytest.raises(AudioMetamerError) as error:
        anova(values, **design)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
