"""Simulated explorations: answers as often right as the model of the decision says, and true thresholds in closed form."""

import math

import numpy as np
import pytest
import tiny_listeners
from tiny_ladder import write_ladder

from audiometamer.dimensions.ladder import read_ladder
from audiometamer.exploration.analysis.analyse import analyse
from audiometamer.exploration.analysis.sensitivity import Decision
from audiometamer.exploration.observers import LinearObserver
from audiometamer.exploration.simulate import sensitivities, simulate, true_threshold

DECISION = Decision()
DIMENSIONS = ("relu0/0/+", "relu2/1/-")


def test_one_sensitivity_has_its_threshold():
    ladder = tiny_listeners.ladder(DIMENSIONS, falls_short=0.5)
    truths = {"relu0/0/+": 0.4, "relu2/1/-": 7.0}  # the second beyond the ladder
    known = tiny_listeners.sensitivities(ladder, truths, DECISION.d_prime)
    for dimension, truth in truths.items():
        assert true_threshold(ladder, known, dimension, DECISION) == pytest.approx(truth)
    for factor, beyond in ((1e-4, math.inf), (1e4, 0.0)):
        assert true_threshold(ladder, {sound: factor * d for sound, d in known.items()}, "relu0/0/+", DECISION) == beyond


def test_what_is_not_noticed_at_all_is_passed_over():
    """A change that rounding took back has d′ 0; a reference of which all were has a listener who guesses."""
    ladder = tiny_listeners.ladder(DIMENSIONS, references=2)
    known = tiny_listeners.sensitivities(ladder, dict.fromkeys(DIMENSIONS, 0.4), DECISION.d_prime)
    assert true_threshold(ladder, {**known, ("relu0/0/+", "clip0", 0.1): 0.0}, "relu0/0/+", DECISION) == pytest.approx(0.4)
    deaf = {sound: 0.0 if sound[1] == "clip0" else d for sound, d in known.items()}
    assert true_threshold(ladder, deaf, "relu0/0/+", DECISION) == math.inf  # (0.5 + 0.98) / 2 is less than the target
    easier = Decision(target=0.7)
    change = true_threshold(ladder, deaf, "relu0/0/+", easier)
    assert (0.5 + float(easier.proportion(DECISION.d_prime * change / 0.4))) / 2 == pytest.approx(0.7)
    assert true_threshold(ladder, dict.fromkeys(known, 0.0), "relu0/0/+", easier) == math.inf


def test_references_that_differ_are_averaged_as_proportions():
    ladder = tiny_listeners.ladder(["relu0/0/+"], references=2)
    factor = {"clip0": 2.0, "clip1": 6.0}
    known = {("relu0/0/+", name, change): d * change for name, d in factor.items() for change in tiny_listeners.CHANGES}
    change = true_threshold(ladder, known, "relu0/0/+", DECISION)
    assert np.mean(DECISION.proportion([2.0 * change, 6.0 * change])) == pytest.approx(DECISION.target)


def test_every_sound_is_compared_with_its_reference(tmp_path):
    """The moved signals of the tiny ladder differ from their reference in the first sample, by what was wished."""
    write_ladder(tmp_path)
    ladder = read_ladder(tmp_path)
    reported = []
    known = sensitivities(ladder, LinearObserver(lambda x: x, noise=0.5), progress=reported.append)
    first = {name: float(ladder.clip(name).samples[0]) for name in ("vowel", "noise")}
    assert len(known) == len(ladder.all) == 12
    for (_, name, requested), d in known.items():
        assert d == pytest.approx(abs(requested - first[name]) / 0.5, rel=1e-5)
    assert reported[-1] == 1.0


def test_answers_follow_from_seed_and_list():
    ladder = tiny_listeners.ladder(DIMENSIONS)
    course = tiny_listeners.course(ladder, max_trials=15)
    known = tiny_listeners.sensitivities(ladder, dict.fromkeys(DIMENSIONS, 0.5), DECISION.d_prime)
    first = simulate(course, 1, known, DECISION, seed=3)
    assert simulate(course, 1, known, DECISION, seed=3) == first
    assert simulate(course, 2, known, DECISION, seed=3) != first
    assert [trial.trial for trial in first] == [*range(first[0].trial, first[0].trial + len(first))]
    assert [trial.kind for trial in first].count("practice") == 2
    assert {trial.listener for trial in first} == {"1"}
    assert all(trial.correct == (trial.answer == trial.right) for trial in first)


def test_answers_are_right_as_often_as_the_model_says():
    ladder = tiny_listeners.ladder(DIMENSIONS)
    course = tiny_listeners.course(ladder, reversals=60, max_trials=150)
    known = dict.fromkeys(tiny_listeners.sensitivities(ladder, dict.fromkeys(DIMENSIONS, 1.0), 1.0), 2.0)
    trials = simulate(course, 1, known, DECISION, seed=0)
    expected = float(DECISION.proportion(2.0))
    error = (expected * (1 - expected) / len(trials)) ** 0.5
    assert np.mean([trial.correct for trial in trials]) == pytest.approx(expected, abs=3 * error)


def test_a_small_exploration_recovers_its_thresholds():
    truths = dict(zip([f"relu0/{k}/+" for k in range(6)], np.geomspace(0.2, 1.5, 6), strict=True))
    ladder = tiny_listeners.ladder(truths)
    course = tiny_listeners.course(ladder, each=3)
    known = tiny_listeners.sensitivities(ladder, truths, DECISION.d_prime, spread=0.2)
    trials = [trial for number in range(1, 9) for trial in simulate(course, number, known, DECISION, seed=1)]
    found = analyse(trials, procedures=course.schedule.procedures, resamples=30).thresholds.rows
    rows = [row for row in found if not row.listener]
    true = [true_threshold(ladder, known, row.dimension, DECISION) for row in rows]
    assert [row.listeners for row in rows] == [4] * 6
    assert np.abs(np.log([row.threshold for row in rows]) - np.log(true)).max() < 0.5
    assert sum((row.low or 0) <= value <= (row.high or math.inf) for row, value in zip(rows, true, strict=True)) >= 5
    assert np.argsort([row.threshold for row in rows]).tolist()[-2:] == [4, 5]
