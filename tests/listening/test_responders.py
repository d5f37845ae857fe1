"""Simulated listeners answer with the accuracy that they were given, or as a network does."""

from collections import Counter

import numpy as np
import pytest
import tiny_models

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.responders import NetworkListener, SimulatedListener, rankings_by
from audiometamer.listening.trials import ConditionKey, KeyEntry

OPTIONS = ["a", "b", "c", "d", "e"]


def entry(condition, *, missing=False):
    return KeyEntry("f.wav", condition, "clip", "a", "", missing, {}, "a")


KEY = {
    "natural": entry("natural"),
    "check": entry("headphones"),
    "early": entry(ConditionKey("net", "relu0", 0)),
    "late": entry(ConditionKey("net", "relu9", 0)),
    "other": entry(ConditionKey("other", "relu9", 0)),
    "standin": entry(ConditionKey("net", "relu9", 0), missing=True),
}


def answers(person, stimulus, n=4000):
    generator = np.random.default_rng(1)
    return [person(stimulus, OPTIONS, generator) for _ in range(n)]


@pytest.mark.parametrize(
    ("stimulus", "accuracy"),
    [("natural", 0.9), ("early", 0.7), ("late", 0.2), ("other", 0.4), ("check", 1.0), ("standin", 0.9)],
)
@pytest.mark.parametrize("guesses", [0.0, 0.2])
def test_the_accuracy_is_that_of_the_condition(stimulus, accuracy, guesses):
    person = SimulatedListener(KEY, {"natural": 0.9, "relu0": 0.7, "relu9": 0.2, "other/relu9": 0.4}, guesses=guesses)
    right = np.mean([answer == "a" for answer, _ in answers(person, stimulus)])
    expected = (1 - guesses) * accuracy + guesses / len(OPTIONS)
    assert right == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 4000))


def test_wrong_answers_and_guesses_are_spread_over_the_options():
    counts = Counter(answer for answer, _ in answers(SimulatedListener(KEY, {"relu0": 0.0}, guesses=0), "early"))
    assert set(counts) == set("bcde")
    assert all(n == pytest.approx(1000, abs=110) for n in counts.values())
    counts = Counter(answer for answer, _ in answers(SimulatedListener(KEY, guesses=1.0), "natural"))
    assert all(counts[option] == pytest.approx(800, abs=100) for option in OPTIONS)


def test_reaction_times_are_log_normal():
    times = np.log([ms for _, ms in answers(SimulatedListener(KEY, reaction_time_ms=900, spread=0.3), "natural")])
    assert np.median(times) == pytest.approx(np.log(900), abs=0.02)
    assert np.std(times) == pytest.approx(0.3, abs=0.015)


@pytest.mark.parametrize(
    ("accuracy", "guesses", "reported"),
    [
        ({"relu0": 1.1}, 0, "relu0 is 1.1; it must be from 0 to 1"),
        ({}, -0.1, "guesses is -0.1; it must be from 0 to 1"),
        (
            {"relu1": 1},
            0,
            "there is no condition 'relu1'; there are headphones, natural, net/relu0, net/relu9, other/relu9, relu0",
        ),
    ],
)
def test_a_listener_that_cannot_be(accuracy, guesses, reported):
    with pytest.raises(AudioMetamerError, match=reported):
        SimulatedListener(KEY, accuracy, guesses=guesses)


def test_a_network_gives_the_likeliest_of_the_possible_answers():
    listener = NetworkListener(KEY, {"early": ["z", "c", "a"], "late": ["z"]})
    generator = np.random.default_rng(0)
    assert listener("early", OPTIONS, generator)[0] == "c"
    assert listener("late", OPTIONS, generator)[0] in OPTIONS
    assert listener("check", ["b", "a"], generator)[0] == "a"


def test_a_network_listens_to_the_very_files(experiment):
    rankings = rankings_by(tiny_models.sound_model(), experiment)
    assert set(rankings) == {name for name, one in experiment.key.items() if one.file}
    assert all(sorted(ranking) == sorted(tiny_models.WORDS) for ranking in rankings.values())
