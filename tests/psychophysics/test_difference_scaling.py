"""Difference scaling against the published fits, a closed form, known listeners, and two ways to the same maximum."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.psychophysics import (
    all_quadruples,
    all_triads,
    fit_difference_scale,
    fit_difference_scale_glm,
    fit_difference_scale_least_squares,
    simulate_answers,
)

PUBLISHED = np.load(Path(__file__).parents[1] / "data" / "difference_scaling.npz")
CURVED = np.linspace(0, 1, 6) ** 2


@pytest.mark.parametrize("kind", ["triads", "quadruples"])
def test_the_published_fit(kind):
    trials, answers = PUBLISHED[f"{kind}_comb"], ~PUBLISHED[f"{kind}_resp"]
    fitted = fit_difference_scale(trials, answers)
    assert fitted.scale == pytest.approx(PUBLISHED[f"{kind}_psi_ml"], abs=1e-4)
    assert fitted.sigma == pytest.approx(float(PUBLISHED[f"{kind}_sigma_ml"]), abs=1e-4)
    assert fitted.negative_log_likelihood / answers.shape[1] == pytest.approx(float(PUBLISHED[f"{kind}_nll_ml"]), abs=1e-6)
    assert fitted.at_bound == ""


@pytest.mark.parametrize("kind", ["triads", "quadruples"])
def test_the_published_fits_with_a_prior_and_by_least_squares(kind):
    trials, answers = PUBLISHED[f"{kind}_comb"], ~PUBLISHED[f"{kind}_resp"]
    fits = {"ml_prior": fit_difference_scale(trials, answers, prior=answers.shape[1]),
            "ls": fit_difference_scale_least_squares(trials, answers)}  # fmt: skip
    for name, fitted in fits.items():
        assert fitted.scale == pytest.approx(PUBLISHED[f"{kind}_psi_{name}"], abs=1e-4)
        assert fitted.sigma == pytest.approx(float(PUBLISHED[f"{kind}_sigma_{name}"]), abs=1e-4)


def test_a_prior_keeps_sigma_off_its_bound():
    trials = all_triads(6)
    fitted = fit_difference_scale(trials, simulate_answers(CURVED, 0, trials, repetitions=5), prior=1)
    assert fitted.at_bound == ""
    assert 0.01 < fitted.sigma < 1 / 6


def test_the_probit_model_solves_the_likelihood_equations():
    trials, weights = [(0, 1, 2), (0, 1, 3), (1, 2, 3), (0, 2, 3)], np.array([[-2, 1, 0], [-2, 0, 1], [1, -2, 1], [0, -2, 1]])
    yes = np.array([3, 3, 2, 1])
    deltas = weights @ fit_difference_scale_glm(trials, np.arange(4) < yes[:, None]).coefficients[1:]
    p = norm.cdf(deltas)
    assert ((yes - 4 * p) * norm.pdf(deltas) / (p * (1 - p))) @ weights == pytest.approx(0, abs=1e-6)


def test_free_scales_are_those_of_the_probit_model():
    trials = all_quadruples(7)
    answers = simulate_answers(np.sqrt(np.linspace(0, 1, 7)), 0.3, trials, repetitions=20, seed=3)
    free, probit = fit_difference_scale(trials, answers, monotone=False), fit_difference_scale_glm(trials, answers)
    assert free.coefficients == pytest.approx(probit.coefficients, abs=1e-4)
    assert free.negative_log_likelihood == pytest.approx(probit.negative_log_likelihood, abs=1e-6)
    assert (probit.standard_errors[1:] > 0).all()


def test_a_monotone_scale_only_rises():
    trials = all_triads(6)
    answers = simulate_answers([0, 0.6, 0.4, 0.5, 0.8, 1], 0.2, trials, repetitions=40)
    assert np.diff(fit_difference_scale(trials, answers).scale).min() >= -1e-9
    assert np.diff(fit_difference_scale(trials, answers, monotone=False).scale).min() < -0.1


def test_intervals_hold_the_true_scale_of_most_listeners():
    trials, held = all_triads(6), []
    for listener in range(4):
        answers = simulate_answers(CURVED, 0.2, trials, repetitions=20, seed=listener)
        fitted = fit_difference_scale(trials, answers, resamples=30, seed=listener)
        low, high = fitted.intervals
        held += ((low <= CURVED) & (high >= CURVED))[1:-1].tolist()
        assert 0 < (high - low).max() < 0.2
        assert fitted.sigma_interval[0] < fitted.sigma < fitted.sigma_interval[1]
    assert np.mean(held) > 0.75
    assert fit_difference_scale(trials, answers, resamples=30, seed=3).intervals == pytest.approx(fitted.intervals)


@pytest.mark.parametrize("monotone", [True, False])
def test_a_perfectly_consistent_listener_has_the_least_sigma(monotone):
    trials = all_triads(6)
    answers = simulate_answers(CURVED, 0, trials, repetitions=5)
    with pytest.warns(AudioMetamerWarning, match=r"sigma is at its lower bound, 0\.02: the answers have no contradiction"):
        fitted = fit_difference_scale(trials, answers, monotone=monotone, sigma_bounds=(0.02, 10))
    assert (fitted.sigma, fitted.at_bound) == (pytest.approx(0.02), "lower")
    assert (simulate_answers(fitted.scale, 0, trials, repetitions=5) == answers).all()
    with pytest.raises(AudioMetamerError, match="without a contradiction determine no coefficients"):
        fit_difference_scale_glm(trials, answers)


def test_few_answers_that_many_sigmas_fit_have_the_least_of_them():
    trials = all_triads(5)
    with pytest.warns(AudioMetamerWarning, match=r"sigma is at its lower bound, 0\.01"):
        assert fit_difference_scale(trials, simulate_answers(np.linspace(0, 1, 5) ** 2, 0, trials)).at_bound == "lower"


def test_answers_against_every_scale_have_the_largest_sigma():
    trials = all_quadruples(5)
    answers = np.tile([True, False], (len(trials), 3))
    with pytest.warns(AudioMetamerWarning, match="upper bound, 10: the answers have no relation to any scale"):
        assert fit_difference_scale(trials, answers).at_bound == "upper"


def test_answers_that_are_missing_do_not_count():
    trials = all_triads(6)
    answers = simulate_answers(CURVED, 0.2, trials, repetitions=8).astype(float)
    more = np.concatenate([answers, np.full((len(trials), 2), np.nan)], axis=1)
    assert fit_difference_scale(trials, more).scale == pytest.approx(fit_difference_scale(trials, answers).scale)


@pytest.mark.parametrize(
    ("trials", "answers", "message"),
    [
        ([(0, 1, 2)], [1, 0], "the answers have shape (2,); there must be a row for each of 1 trials"),
        ([(0, 2, 1)], [1], "trial 0 has the sounds [0, 2, 1]; they must be in ascending order, from 0"),
        ([(0, 1)], [1], "must be integers of shape (n, 3) or (n, 4)"),
        ([(0, 1, 2)], [0.5], "an answer is 0.5; answers are 1 (second difference larger), 0, or NaN (none)"),
        ([(0, 1, 2), (0, 1, 3)], [1, 1], "all 2 answers are 1: they determine no scale; both answers are needed"),
        ([(0, 1, 2)], [np.nan], "all 0 answers: they determine no scale"),
        ([(0, 1, 2), (0, 1, 2)], [1, 0], "the trials determine 1 of 2 steps of the scale"),
    ],
)
def test_bad_input_is_told_in_a_line(trials, answers, message):
    with pytest.raises(AudioMetamerError) as error:
        fit_difference_scale(trials, answers)
    assert message in str(error.value)


def test_bad_settings_are_told_in_a_line():
    with pytest.raises(AudioMetamerError, match="sigma_bounds are 0 and 1; they must be above 0, the least first"):
        fit_difference_scale([(0, 1, 2)], [1], sigma_bounds=(0, 1))
    with pytest.raises(AudioMetamerError, match="the weight of the prior is -1; it must be 0 or more"):
        fit_difference_scale([(0, 1, 2)], [1], prior=-1)
    with pytest.raises(AudioMetamerError, match=r"least is 0\.5; it must be between 0 and 0\.5"):
        fit_difference_scale_least_squares([(0, 1, 2)], [1], least=0.5)
    with pytest.raises(AudioMetamerError, match=r"the answers put the last sound .* from the first"):
        fit_difference_scale_least_squares([(0, 1, 2), (0, 1, 3), (1, 2, 3), (0, 2, 3)], [0, 0, 0, 1])
    with pytest.raises(AudioMetamerError, match="there are 2 sounds; a trial takes 3"):
        all_triads(2)
    with pytest.raises(AudioMetamerError, match="a trial has sound 5; the scale has the sounds 0 to 2"):
        simulate_answers([0, 0.5, 1], 0.1, [(0, 1, 5)])
    with pytest.raises(AudioMetamerError, match="sigma is -1; it must be 0 or more"):
        simulate_answers([0, 0.5, 1], -1, [(0, 1, 2)])
