"""Triads and quadruples: all of them, or as many of each sound; every order; and what an answer means."""

from collections import Counter

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.scaling.trials import PairTrial, balanced_order, draw_pair_trials, later_pair_larger, possible_trials
from audiometamer.io.draws import Draws

DRAWS = Draws(0, None)


@pytest.mark.parametrize(("kind", "number"), [("triads", 35), ("quadruples", 35)])
def test_by_default_everybody_hears_every_trial_once(kind, number):
    lists = draw_pair_trials(kind, 7, listeners=2, draws=DRAWS)
    for trials in lists:
        assert len(trials) == len({trial.numbers for trial in trials}) == number
    assert lists[0] != lists[1]
    orders = Counter(trial.arrangement for trial in lists[0])
    assert max(orders.values()) - min(orders.values()) <= 1
    assert len(orders) == {"triads": 2, "quadruples": 4}[kind]


def test_part_of_the_trials_has_every_sound_and_all_are_heard_equally_often():
    lists = draw_pair_trials("triads", 9, listeners=7, trials=24, draws=DRAWS)
    for trials in lists:
        sounds = np.bincount([number for trial in trials for number in trial.numbers])
        assert sounds.sum() == 72
        assert sounds.max() - sounds.min() <= 3
    heard = Counter(trial.numbers for trials in lists for trial in trials)
    assert (len(heard), {*heard.values()}) == (84, {2})  # 7 × 24 = 2 × 84


def test_no_more_than_an_hour_unless_asked_for():
    assert len(draw_pair_trials("quadruples", 12, listeners=1, draws=DRAWS)[0]) == 400
    repeated = Counter(trial.numbers for trial in draw_pair_trials("triads", 5, listeners=1, trials=25, draws=DRAWS)[0])
    assert sorted(repeated.values()) == [2] * 5 + [3] * 5


def test_too_few_trials_for_a_scale():
    with pytest.raises(AudioMetamerError, match="3 triads of 8 sounds determine 3 of 7 steps of the scale; give more trials"):
        draw_pair_trials("triads", 8, listeners=1, trials=3, draws=DRAWS)


def test_any_order_is_a_permutation():
    trials = possible_trials("quadruples", 6)
    order = balanced_order(trials, np.random.default_rng(1))
    assert sorted(map(tuple, order)) == sorted(map(tuple, trials))


@pytest.mark.parametrize("kind", ["triads", "quadruples"])
def test_an_answer_means_the_same_in_every_order(kind):
    """A listener for whom only the last sound differs calls the later pair more different."""
    scale = [0, 0, 0, 5]
    for arrangement in range({"triads": 2, "quadruples": 4}[kind]):
        numbers = (0, 1, 3) if kind == "triads" else (0, 1, 2, 3)
        played = PairTrial(numbers, arrangement).played(kind)
        assert sorted(played) == [*numbers]
        first, last = abs(scale[played[1]] - scale[played[0]]), abs(scale[played[-1]] - scale[played[-2]])
        assert later_pair_larger(played, "2" if last > first else "1")
        assert not later_pair_larger(played, "1" if last > first else "2")
