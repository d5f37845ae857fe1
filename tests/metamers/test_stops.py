"""Stopping rules as text."""

import pytest

import audiometamer as am
from audiometamer.matching import Below, Plateau
from audiometamer.metamers.stops import parse_stop


@pytest.mark.parametrize(
    ("text", "rule"),
    [(None, None), ("passed", "passed"), ("plateau:100", Plateau(100)), ("below:0.1", Below(0.1)), ("below:1e-3", Below(0.001))],
)
def test_what_a_text_means(text, rule):
    assert parse_stop(text) == rule


@pytest.mark.parametrize(
    "text", ["", "soon", "plateau", "plateau:1.5", "below:x", "below:-1", "below:nan", "below:inf", "passed:1"]
)
def test_any_other_text_is_refused(text):
    with pytest.raises(am.AudioMetamerError, match=f"stop is '{text}'; it must be passed, plateau:STEPS"):
        parse_stop(text)


def test_a_plateau_has_a_step_or_more():
    with pytest.raises(am.AudioMetamerError, match="the patience of a plateau is 0"):
        parse_stop("plateau:0")
