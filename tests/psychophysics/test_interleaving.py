"""Many procedures in one run: each as if it were alone, in an order that a crash does not change."""

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.psychophysics import (
    AdaptiveTrial,
    InterleavedTrial,
    Interleaving,
    QuestPlus,
    Staircase,
    psi,
    spaced_levels,
    weighted_staircase,
)


def staircase(start=10.0, **settings):
    return Staircase(start=start, min_level=0.0, max_level=20.0, steps=(4.0, 2.0), **settings)


def fifty_four():
    """Three layers, three components, two signs, three kinds of procedure."""
    quick = psi(levels=spaced_levels(0, 20, 11), thresholds=spaced_levels(0, 20, 11), slopes=(0.5, 1.0), guess=0.5, trials=15)
    kinds = [staircase(), weighted_staircase(0.75, start=12.0, min_level=0.0, max_level=20.0, steps=(2.0,)), quick]
    names = [f"relu{layer}/{component}/{sign}" for layer in range(3) for component in range(9) for sign in "+-"]
    return {name: kinds[k % 3] for k, name in enumerate(names)}


def hears(name, level, n):
    """Deterministic, so that every run of a procedure is the same: an answer follows from name, level and number."""
    rng = np.random.default_rng([len(name), ord(name[4]), ord(name[-3]), ord(name[-1]), n])
    return bool(rng.random() < 0.5 + 0.5 / (1 + np.exp(9 - level)))


def answered(interleaving, answers=()):
    answers = list(answers)
    while (turn := interleaving.next(answers)) is not None:
        n = sum(answer.procedure == turn.procedure for answer in answers)
        answers.append(InterleavedTrial(turn.procedure, turn.level, hears(turn.procedure, turn.level, n)))
    return answers


@pytest.fixture(scope="module")
def whole():
    return answered(Interleaving(procedures=fifty_four(), seed=3))


def test_each_procedure_goes_as_it_would_alone(whole):
    """Also those that are last, whom the published system gave a stale level."""
    together = Interleaving(procedures=fifty_four(), seed=3).trials(whole)
    for name, procedure in fifty_four().items():
        alone = []
        while (level := procedure.next(alone)) is not None:
            alone.append(AdaptiveTrial(level, hears(name, level, len(alone))))
        assert together[name] == alone
    last = [answer.procedure for answer in whole[-3:]]
    assert len(set(last)) < 3  # few are left at the end, so the test would see it


def test_one_procedure_alone_never_has_a_stale_level():
    answers = answered(Interleaving(procedures={"relu0/1/+": staircase()}, seed=0))
    assert [a.level for a in answers] == [
        staircase().next([AdaptiveTrial(*b[1:]) for b in answers[:n]]) for n, a in enumerate(answers)
    ]


def test_one_that_is_left_alone_goes_on_from_its_own_answers():
    both = Interleaving(procedures={"short": staircase(max_trials=1), "long": staircase(start=4.0)}, seed=0)
    answers, levels = [], []
    while len(levels) < 5:
        turn = both.next(answers)
        levels += [turn.level] * (turn.procedure == "long")
        answers.append(InterleavedTrial(*turn, correct=turn.procedure == "short" or len(levels) % 2 == 0))
    assert levels == [4, 8, 8, 12, 12]


def test_rounds(whole):
    """Everyone once in each of the first rounds, in another order each time."""
    rounds = [[answer.procedure for answer in whole[54 * k : 54 * (k + 1)]] for k in range(4)]
    assert all(Counter(names) == Counter(list(fifty_four())) for names in rounds)
    assert len({tuple(names) for names in rounds}) == 4


def test_the_order_is_the_seed_s_and_not_the_mapping_s(whole):
    start = whole[:54]
    backwards = dict(reversed(fifty_four().items()))
    assert answered_for(54, Interleaving(procedures=backwards, seed=3)) == start
    assert answered_for(54, Interleaving(procedures=fifty_four(), seed=4)) != start


def answered_for(n, interleaving):
    answers = []
    for _ in range(n):
        turn = interleaving.next(answers)
        answers.append(InterleavedTrial(*turn, hears(*turn, 0)))
    return answers


def test_a_crash_loses_nothing(whole):
    """Settings and answers are written as JSON and read back in the middle; the rest is as it would have been."""
    settings = json.loads(json.dumps({name: asdict(procedure) for name, procedure in fifty_four().items()}))
    cut = len(whole) - 40
    answers = [InterleavedTrial(*answer) for answer in json.loads(json.dumps(whole[:cut]))]
    again = {name: (QuestPlus if "levels" in values else Staircase)(**values) for name, values in settings.items()}
    assert again == fifty_four()
    assert answered(Interleaving(procedures=again, seed=3), answers) == whole


def test_what_cannot_be_interleaved():
    with pytest.raises(AudioMetamerError, match="no procedure to interleave; there must be one or more"):
        Interleaving(procedures={}, seed=0)
    with pytest.raises(AudioMetamerError, match="seed -1; it must be 0 or more"):
        Interleaving(procedures={"a": staircase()}, seed=-1)
    with pytest.raises(AudioMetamerError, match="an answer of procedure 'c'; there are a, b"):
        Interleaving(procedures={"b": staircase(), "a": staircase()}, seed=0).next([InterleavedTrial("c", 1.0, True)])


def test_the_document_s_example_runs():
    text = (Path(__file__).parents[2] / "docs" / "exploration.md").read_text()
    names = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert all(0.3 < estimate.level < 3 for estimate in names["thresholds"].values())
