"""Scales of listeners: known ones are recovered, intervals cover them, and odd listeners are told in a line."""

import numpy as np
import pytest
from tiny_scaling import rows_of

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.fits import ScalingSettings, explained, fit_all, fit_listener, pair_answers

CURVED = np.linspace(0, 1, 5) ** 2
QUICK = ScalingSettings(resamples=20)


@pytest.mark.parametrize("kind", ["triads", "quadruples"])
def test_a_known_scale_is_recovered(kind, request):
    experiment = request.getfixturevalue(kind)
    answers = pair_answers(experiment, rows_of(experiment, 1, scale=CURVED, sigma=0.3, repetitions=100))["1"]
    found = fit_listener(answers, 5, ScalingSettings(resamples=0), seed=0)
    assert found.fitted.scale == pytest.approx(CURVED, abs=0.07)
    assert found.fitted.sigma == pytest.approx(0.3, rel=0.2)
    assert found.note == ""


def test_intervals_over_listeners_cover_the_known_scale(triads):
    covered = []
    for seed in range(6):
        pooled = fit_all(pair_answers(triads, rows_of(triads, scale=CURVED, repetitions=10, seed=seed)), QUICK)
        low, high = pooled.fitted.intervals
        covered += ((low <= CURVED) & (high >= CURVED))[1:-1].tolist()
        assert pooled.resampled.shape == (20, 5)
    assert np.mean(covered) > 0.6  # of 20 resamples of 4 listeners


def test_intervals_of_one_listener(triads):
    answers = pair_answers(triads, rows_of(triads, 1, scale=CURVED, repetitions=10))
    pooled, alone = fit_all(answers, QUICK), fit_listener(answers["1"], 5, QUICK, seed=0)
    assert pooled.fitted.scale == pytest.approx(alone.fitted.scale, abs=1e-4)
    for fitted in (pooled.fitted, alone.fitted):
        low, high = fitted.intervals
        assert ((low <= fitted.scale + 1e-6) & (fitted.scale <= high + 1e-6)).all()
        assert fitted.sigma_interval[0] < fitted.sigma < fitted.sigma_interval[1]


def test_a_perfectly_consistent_listener_is_bounded_in_a_line(triads):
    answers = pair_answers(triads, rows_of(triads, 1, scale=CURVED, sigma=0))["1"]
    found = fit_listener(answers, 5, QUICK, seed=0)
    assert found.note == "sigma is at most 0.01: no answer contradicts the scale, so it has no intervals"
    assert found.fitted.intervals is None
    with_prior = fit_listener(answers, 5, ScalingSettings(resamples=20, prior=1), seed=0)
    assert (with_prior.note, with_prior.fitted.at_bound) == ("", "")


def test_who_always_presses_one_key_is_left_out(triads):
    answers = pair_answers(triads, rows_of(triads, 1))["1"]
    found = fit_listener(answers._replace(pressed=["2"] * 10), 5, QUICK, seed=0)
    assert (found.fitted, found.note) == (None, "left out: gave the answer 2 in all 10 trials")


def test_who_left_early_has_no_scale(triads):
    whole = pair_answers(triads, rows_of(triads, 1))["1"]
    early = whole.numbers.max(axis=1) < 4
    found = fit_listener(type(whole)(whole.numbers[early], whole.later[early], ["1", "2"]), 5, QUICK, seed=0)
    assert found.note == "no scale: answered no trial with the last sound"
    few = np.flatnonzero(~early)[:2]
    found = fit_listener(type(whole)(whole.numbers[few], np.array([True, False]), ["1", "2"]), 5, QUICK, seed=0)
    assert found.note.startswith("no scale: the trials determine")


def test_answers_of_another_experiment(triads):
    rows = rows_of(triads, 1)
    strange = type(rows[0])(
        listener="1", trial=1, kind="main", stimulus="unknown", clip="-", layer="path", answer="1", correct=False
    )
    with pytest.raises(AudioMetamerError, match="listener 1, trial 1: '1' to 'unknown' is no answer to a trial of"):
        pair_answers(triads, [strange])


def test_bits_of_certainty_and_of_a_coin(triads):
    certain = pair_answers(triads, rows_of(triads, 1, scale=CURVED, sigma=0))["1"]
    assert explained(CURVED, certain) == pytest.approx((1, 1), abs=1e-3)
    bits, agreement = explained(1 - CURVED[::-1], certain)  # a scale that is as concave as this one is convex
    assert bits == pytest.approx(0, abs=0.01)
    assert agreement < 0.5
