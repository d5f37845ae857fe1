"""Who is left out, under which rule, and how it is told."""

import pytest
from tiny_answers import answers, check

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.exclusions import Rules, exclude
from audiometamer.experiment.analysis.trials import Listener


def test_each_rule_with_counts():
    trials = answers(6, 1)
    trials += check("1", "headphones", 4, 6) + check("2", "demonstration", 4, 12) + check("3", "catch", 7, 16)
    trials += check("4", "headphones", 5, 6) + check("4", "demonstration", 5, 12, 2000) + check("4", "catch", 8, 16, 3000)
    listeners = [Listener(listener="5", excluded=True, reason="asked to be")]
    found = exclude(trials, listeners)
    assert found.statement == (
        "6 listeners; 4 excluded: 1 by the experimenter; 1 at the headphone check (fewer than 5 right); 1 at the demonstration "
        "(fewer than 5 right); 1 by catch trials (less than 50 % right); 2 analysed."
    )
    assert found.kept == {"4", "6"}
    assert {listener.listener: listener.reason for listener in found.listeners} == {
        "5": "asked to be", "1": "headphones: 4 of 6 right", "2": "demonstration: 4 of 12 right", "3": "catch: 7 of 16 right",
        "4": "", "6": "",
    }  # fmt: skip


def test_a_listener_counts_once_and_all_reasons_are_told():
    found = exclude(answers(2, 1) + check("1", "headphones", 0, 6) + check("1", "catch", 0, 16, 2000))
    assert "1 excluded: 1 at the headphone check" in found.statement
    assert found.listeners[0].reason == "headphones: 0 of 6 right; catch: 0 of 16 right"


def test_headphone_checks_that_are_in_the_listeners_table_only():
    known = [Listener(listener="1", headphones_correct=0, headphones_trials=6)]
    assert exclude(answers(2, 1), known).kept == {"2"}
    assert exclude(answers(2, 1) + check("1", "headphones", 6, 6), known).kept == {"1", "2"}  # the trials themselves count


def test_rules_can_be_changed_and_switched_off():
    trials = answers(2, 1) + check("1", "headphones", 5, 6) + check("1", "catch", 12, 16, 2000)
    known = [Listener(listener="2", finished=False)]
    assert exclude(trials, known).statement == "2 listeners; none excluded; 2 analysed."
    assert exclude(trials, known, Rules(headphones=6)).kept == {"2"}
    assert exclude(trials, known, Rules(catch=0.8)).kept == {"2"}
    assert exclude(trials, known, Rules(finished=True)).kept == {"1"}
    assert exclude(trials, known, Rules(headphones=None, catch=None)).kept == {"1", "2"}


def test_nobody_is_left():
    with pytest.raises(
        AudioMetamerError, match="nobody is left to be analysed: 1 listeners; 1 excluded: 1 at the headphone check"
    ):
        exclude(answers(1, 1) + check("1", "headphones", 1, 6))
