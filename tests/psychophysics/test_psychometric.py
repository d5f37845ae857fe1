"""Psychometric functions against logistic regression, exact data, and the coverage of their intervals."""

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics.psychometric import PsychometricFunction, fit_psychometric

LEVELS = np.array([-12.0, -9, -6, -3, 0, 3, 6])


@pytest.mark.parametrize(("shape", "link"), [("logistic", sm.families.links.Logit()), ("gaussian", sm.families.links.Probit())])
def test_without_guesses_and_lapses_it_is_a_regression(shape, link):
    right, of = np.array([2, 5, 9, 20, 31, 36, 39]), np.full(7, 40)
    fit = fit_psychometric(LEVELS, right, of, shape=shape, lapse=0.0)
    theirs = sm.GLM(np.c_[right, of - right], sm.add_constant(LEVELS), family=sm.families.Binomial(link)).fit()
    intercept, slope = theirs.params
    assert fit.slope == pytest.approx(slope, rel=1e-3)
    assert fit.threshold == pytest.approx(-intercept / slope, rel=1e-3)
    assert fit.deviance == pytest.approx(theirs.deviance, rel=1e-4)


@pytest.mark.parametrize(
    "truth",
    [
        PsychometricFunction("logistic", -4.0, 0.5, 0.0, 0.04, 0.0),
        PsychometricFunction("logistic", -4.0, -0.5, 0.0, 0.04, 0.0),
        PsychometricFunction("gaussian", -2.0, 0.4, 0.25, 0.02, 0.0),
    ],
)
def test_what_the_function_itself_would_give_comes_back(truth):
    of = np.full(7, 1_000_000)
    fit = fit_psychometric(LEVELS, truth(LEVELS) * of, of, shape=truth.shape, guess=truth.guess)
    assert (fit.threshold, fit.slope, fit.lapse) == pytest.approx((truth.threshold, truth.slope, truth.lapse), abs=5e-3)
    assert fit.deviance == pytest.approx(0, abs=0.5)


def test_weibull_and_a_fitted_guess():
    truth = PsychometricFunction("weibull", 3.0, 2.0, 0.1, 0.0, 0.0)
    assert truth(3.0) == pytest.approx(0.1 + 0.9 * (1 - np.exp(-1)))
    levels, of = np.array([0.3, 1, 2, 3, 4, 8]), np.full(6, 1_000_000)
    fit = fit_psychometric(levels, truth(levels) * of, of, shape="weibull", guess=None, lapse=0.0)
    assert (fit.threshold, fit.slope, fit.guess) == pytest.approx((3, 2, 0.1), abs=5e-3)


@pytest.mark.parametrize(("shape", "slope"), [("logistic", 0.7), ("logistic", -0.7), ("gaussian", 2.0), ("weibull", 3.0)])
def test_the_level_of_a_proportion(shape, slope):
    """A threshold at a stated proportion, whatever proportion the parameter of the shape is at."""
    function = PsychometricFunction(shape, 4.0, slope, 0.5, 0.03, 0.0)
    for proportion in (0.6, 0.5**0.5, 0.75, 0.96):
        assert float(function(function.level(proportion))) == pytest.approx(proportion)
    halfway = 0.5 + 0.47 * (1 - np.exp(-1) if shape == "weibull" else 0.5)
    assert function.level(halfway) == pytest.approx(4)
    for beyond in (0.5, 0.97, np.nan):
        with pytest.raises(AudioMetamerError, match=f"a proportion of {beyond:g} correct is nowhere on a function from 0.5 to"):
            function.level(beyond)


def test_units_do_not_matter():
    right, of = [2, 5, 9, 20, 31, 36, 39], [40] * 7
    plain, scaled = fit_psychometric(LEVELS, right, of), fit_psychometric(1000 * LEVELS + 7e4, right, of)
    assert scaled.threshold == pytest.approx(1000 * plain.threshold + 7e4, rel=1e-3)
    assert scaled.slope == pytest.approx(plain.slope / 1000, rel=1e-2)


def test_intervals_are_as_wide_as_those_of_a_regression():
    right, of = np.array([4, 10, 18, 40, 62, 72, 78]), np.full(7, 80)
    fit = fit_psychometric(LEVELS, right, of, lapse=0.0, resamples=200, seed=1)
    theirs = sm.GLM(np.c_[right, of - right], sm.add_constant(LEVELS), family=sm.families.Binomial()).fit()
    low, high = fit.intervals["slope"]
    assert high - low == pytest.approx(2 * 1.96 * theirs.bse[1], rel=0.2)
    low, high = fit.intervals["threshold"]
    gradient = np.array([-1 / fit.slope, -fit.threshold / fit.slope])  # of -a / b
    se = np.sqrt(gradient @ theirs.cov_params() @ gradient)
    assert high - low == pytest.approx(2 * 1.96 * se, rel=0.2)
    assert set(fit.intervals) == {"threshold", "slope"}
    assert fit == fit_psychometric(LEVELS, right, of, lapse=0.0, resamples=200, seed=1)


def test_deviance_of_data_that_fit_is_as_chi_squared_has_it():
    truth, rng, of = PsychometricFunction("logistic", -4.0, 0.5, 0.0, 0.0, 0.0), np.random.default_rng(0), np.full(7, 200)
    found = [fit_psychometric(LEVELS, rng.binomial(of, truth(LEVELS)), of, lapse=0.0).deviance for _ in range(30)]
    assert np.mean(found) == pytest.approx(scipy.stats.chi2(5).mean(), abs=1.7)


@pytest.mark.parametrize(
    ("levels", "correct", "trials", "options", "message"),
    [
        ([1, 1], [1, 2], [4, 4], {}, "1 level; a psychometric function needs two or more"),
        ([1, 2], [1, 5], [4, 4], {}, "5 right of 4 trials at level 2"),
        ([1, 2], [0, 0], [0, 4], {}, "0 right of 0 trials at level 1"),
        ([1, 2, 3], [1, 2], [4, 4], {}, "levels, correct and trials have shapes (3,), (2,), (2,)"),
        ([0, 2], [1, 2], [4, 4], {"shape": "weibull"}, "they must be finite, and for a Weibull function positive"),
        ([1, 2], [1, 2], [4, 4], {"shape": "step"}, "no psychometric function 'step'; there are logistic, gaussian, weibull"),
        ([1, 2, 3], [4, 4, 4], [9] * 3, {}, "right 4/9, 4/9, 4/9 at levels 1, 2, 3 determine no threshold and slope"),
        ([1, 2, 3, 4], [0, 0, 9, 9], [9] * 4, {}, "right 0/9, 0/9, 9/9, 9/9 at levels 1, 2, 3, 4 determine no threshold"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted(levels, correct, trials, options, message):
    with pytest.raises(AudioMetamerError) as error:
        fit_psychometric(levels, correct, trials, **options)
    assert message in str(error.value)
