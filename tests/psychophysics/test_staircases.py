"""Staircases against sequences worked out by hand."""

import math

import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics import AdaptiveTrial, Staircase, weighted_staircase

PLAIN = {"start": 10.0, "min_level": 0.0, "max_level": 20.0, "steps": (2.0,), "discard": 0}


def presented(staircase, answers):
    """The levels of as many trials as there are answers (R or W), and what would come next."""
    trials, levels = [], []
    for answer in answers:
        levels.append(staircase.next(trials))
        trials.append(AdaptiveTrial(levels[-1], answer == "R"))
    return levels, trials, staircase.next(trials)


def test_two_down_one_up_by_hand():
    """Down at trials 2 and 4; up at 5 (a valley of 6) and 6; down at 8 (a peak of 10); up at 9 (a valley of 8)."""
    levels, trials, following = presented(Staircase(**PLAIN), "RRRRWWRRW")
    assert levels == [10, 10, 8, 8, 6, 8, 10, 10, 8]
    assert following == 10
    assert presented(Staircase(**PLAIN, reversals=3), "RRRRWWRRW")[2] is None
    peak_and_valley = Staircase(**PLAIN).threshold(trials)
    assert peak_and_valley.level == 9  # of 6, 10, 8 the last two
    assert math.isnan(peak_and_valley.low)
    assert not peak_and_valley.at_bound


def test_a_wrong_answer_between_starts_the_count_again():
    assert presented(Staircase(**PLAIN), "RWRWR")[0] == [10, 10, 12, 12, 14]
    assert presented(Staircase(**PLAIN, down=3), "RRWRRR")[2] == 10


@pytest.mark.parametrize(("answers", "valley_and_peak"), [("WRRW", (12, 10)), ("RRWRR", (8, 10))])
def test_the_first_move_is_no_reversal(answers, valley_and_peak):
    """The published system counted it, and would have ended here after three answers."""
    staircase = Staircase(**PLAIN, reversals=2)
    levels, trials, following = presented(staircase, answers)
    assert following is None
    assert None not in levels
    assert staircase.threshold(trials).level == sum(valley_and_peak) / 2


def test_steps_shrink_with_the_reversals_and_the_first_rule_ends_with_the_first():
    """1 down until the valley at the third trial; its own move has the second step, that of the next reversal the third."""
    staircase = Staircase(**{**PLAIN, "steps": (4.0, 2.0, 1.0)}, first_down=1)
    levels, _, following = presented(staircase, "RRWRRRRW")
    assert levels == [10, 6, 2, 4, 4, 3, 3, 2]
    assert following == 3


def test_logarithmic_steps_are_ratios_and_their_mean_is_geometric():
    staircase = Staircase(start=8.0, min_level=0.5, max_level=64.0, steps=(2.0,), spacing="log", discard=0, up_over_down=2.0)
    levels, trials, following = presented(staircase, "RRWRR")
    assert levels == pytest.approx([8, 8, 4, 16, 16])  # up by 2², down by 2
    assert following == pytest.approx(8)
    assert staircase.threshold(trials).level == pytest.approx(math.sqrt(4 * 16))


def test_at_a_bound_the_level_stays_and_the_direction_is_kept():
    """From 3 by 2 down to the bound 0, not to -1; two more right answers leave it there, and the wrong one turns it there."""
    staircase = Staircase(start=3.0, min_level=0.0, max_level=20.0, steps=(2.0,), discard=0)
    levels, trials, following = presented(staircase, "RRRRRRWRR")
    assert levels == [3, 3, 1, 1, 0, 0, 0, 2, 2]
    assert following == 0
    estimate = staircase.threshold(trials)
    assert estimate.level == 1  # of the valley 0 and the peak 2
    assert estimate.at_bound


def test_a_listener_who_hears_nothing_is_kept_at_the_top_and_the_estimate_says_so():
    staircase = Staircase(**{**PLAIN, "start": 19.0, "reversals": 2})
    levels, trials, _ = presented(staircase, "WWRRW")
    assert levels == [19, 20, 20, 20, 18]
    assert staircase.threshold(trials) == (19, pytest.approx(math.nan, nan_ok=True), pytest.approx(math.nan, nan_ok=True), True)
    assert staircase.next(trials) is None


def test_discarded_reversals_count_neither_for_the_mean_nor_for_its_bound():
    staircase = Staircase(start=2.0, min_level=0.0, max_level=20.0, steps=(2.0,), discard=1)
    levels, trials, _ = presented(staircase, "RRWWRRW")  # 0 is discarded; 4 and 2 count
    assert levels == [2, 2, 0, 2, 4, 4, 2]
    assert staircase.threshold(trials) == (3, pytest.approx(math.nan, nan_ok=True), pytest.approx(math.nan, nan_ok=True), False)


def test_steps_are_of_the_requested_levels_and_the_threshold_of_the_reached():
    requested = presented(Staircase(**PLAIN), "RRRRWWRRW")[1]
    reached = [AdaptiveTrial(level + 0.5, correct) for level, correct in requested]
    staircase = Staircase(**PLAIN)
    assert [staircase.next(reached[:n]) for n in range(9)] == [level for level, _ in requested]
    assert staircase.threshold(reached).level == 9.5


def test_it_ends_after_its_most_trials():
    assert presented(Staircase(**PLAIN, max_trials=4), "RRR")[2] == 8
    assert presented(Staircase(**PLAIN, max_trials=4), "RRRR")[2] is None


def test_targets():
    """Where the expected move is nothing: p² = 1/2, and for the weighted rule p · 1 = (1 - p) · 3."""
    assert Staircase(**PLAIN).target == pytest.approx(math.sqrt(0.5))
    assert Staircase(**PLAIN, down=3).target == pytest.approx(0.7937, abs=1e-4)
    assert Staircase(**PLAIN, down=4).target == pytest.approx(0.8409, abs=1e-4)
    rule = weighted_staircase(0.75, **PLAIN)
    assert (rule.down, rule.up_over_down, rule.target) == (1, 3, 0.75)
    both = Staircase(**PLAIN, down=2, up_over_down=1.5)
    assert both.target**2 * 1 == pytest.approx((1 - both.target**2) * 1.5)


def test_the_weighted_rule_by_hand():
    levels, _, following = presented(weighted_staircase(0.75, **PLAIN), "RRWRRR")
    assert levels == [10, 8, 6, 12, 10, 8]
    assert following == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 30.0}, "a staircase that starts at 30 between 0 and 20"),
        ({"start": math.nan}, "a staircase that starts at nan between 0 and 20"),
        ({"min_level": 0.0, "spacing": "log"}, "a level of 0; levels must be positive and finite where the spacing is 'log'"),
        ({"max_level": math.inf}, "a level of inf; levels must be finite"),
        ({"spacing": "octaves"}, "spacing 'octaves'; it is 'linear' or 'log'"),
        ({"steps": ()}, "steps (); there must be one or more, above 0"),
        ({"steps": (2.0, 0.0)}, "steps (2.0, 0.0); there must be one or more, above 0"),
        ({"steps": (0.5,), "min_level": 1.0, "spacing": "log"}, "steps (0.5,); there must be one or more, above 1"),
        ({"down": 0}, "down after 0 correct answers, at first None; it must be 1 or more"),
        ({"first_down": 0}, "down after 2 correct answers, at first 0; it must be 1 or more"),
        ({"up_over_down": 0.0}, "steps up 0 times those down; the ratio must be positive"),
        ({"reversals": 6, "discard": 5}, "5 of 6 reversals discarded; a threshold needs two or more of those left"),
        ({"max_trials": 0}, "at most 0 trials; there must be one or more"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(AudioMetamerError) as error:
        Staircase(**{**PLAIN, **changes})
    assert str(error.value) == message


def test_a_target_that_is_no_proportion():
    with pytest.raises(AudioMetamerError, match=r"a target of 1; it must be between 0 and 1"):
        weighted_staircase(1.0, **PLAIN)


def test_trials_that_do_not_fit():
    staircase = Staircase(**PLAIN, max_trials=2)
    with pytest.raises(AudioMetamerError, match="3 trials of a staircase that ended after 2"):
        staircase.next([AdaptiveTrial(10.0, True)] * 3)
    with pytest.raises(
        AudioMetamerError, match="2 trials without two reversals after the first 0 have no threshold; 2 answers are"
    ):
        staircase.threshold([AdaptiveTrial(10.0, True)] * 2)


def test_what_is_done_is_the_share_of_reversals_or_of_the_most_trials():
    staircase = Staircase(start=5, min_level=0, max_level=10, steps=(1,), down=1, reversals=4, discard=2, max_trials=10)
    answers = [True, True, False, True, False, True]  # reversals at the third trial and after
    trials = [AdaptiveTrial(0, answer) for answer in answers]
    assert [staircase.progress(trials[:n]) for n in range(7)] == [0, 0.1, 0.2, 0.3, 0.5, 0.75, 1]
