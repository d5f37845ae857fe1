"""Which comparison comes next: drawn as it should be, and balanced."""

from collections import Counter
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from tiny_built import CHANGES, CLIPS, DESIGN, DIMENSIONS, course_of, of_kind, of_settings, presented, take
from tiny_ladder import record, write_moved_stimulus

from audiometamer.dimensions.physical import Physical
from audiometamer.exploration.schedule import Comparison
from audiometamer.psychophysics import InterleavedTrial, Interleaving, QuestPlus, Staircase


def test_practice_comes_first_at_the_largest_change_of_each_dimension_in_turn(heard):
    assert [one.decided.trial.kind for one in heard[:4]] == ["practice"] * 3 + [heard[3].decided.trial.kind]
    practice = of_kind(heard, "practice")
    assert len(practice) == 3
    assert {about.dimension for about in practice} == set(DIMENSIONS)
    assert {about.requested for about in practice} == {CHANGES[-1]}


def test_trials_are_numbered_after_the_headphone_check(heard):
    assert [one.decided.trial.trial for one in heard] == list(range(3, 3 + len(heard)))


def test_each_block_has_one_catch_trial_at_the_largest_change(heard):
    kinds = [one.decided.trial.kind for one in heard[3:]]
    stretches = [kinds[k : k + 5] for k in range(0, len(kinds) - 4, 5)]
    assert [stretch.count("catch") for stretch in stretches] == [1] * len(stretches)
    assert len({stretch.index("catch") for stretch in stretches}) > 1
    catches = of_kind(heard, "catch")
    assert {about.requested for about in catches} == {CHANGES[-1]}


def test_catch_trials_are_of_the_dimension_that_changes_sounds_most(tmp_path):
    """As nobody who attends may fail there: by the median SNR of its largest change, among those of the listener."""
    loudest = {"relu0/0/+": (20, 1, 19), "relu0/0/-": (12, 13, 14), "relu1/2/+": (16, 17, 2)}  # dB, of three references
    for dimension, of_references in loudest.items():
        for clip, snr_db in zip(CLIPS, of_references, strict=True):
            for change in CHANGES:
                physical = Physical(snr_db if change == CHANGES[-1] else -10, 0.1, 0.0, 0.5)
                write_moved_stimulus(tmp_path / "ladder", record(dimension, clip, change, physical=physical))
    for settings, dimension in (("", "relu0/0/-"), ('choose = ["relu0/0/+", "relu1/2/+"]', "relu1/2/+")):
        course = course_of(tmp_path, DESIGN.replace('folder = "ladder"', f'folder = "ladder"\n{settings}'))
        assert {about.dimension for about in of_kind(take(course), "catch")} == {dimension}


def test_levels_are_those_of_the_procedures_and_other_trials_are_none_of_theirs(course, heard):
    staircase = Staircase(
        start=0.8,
        min_level=0.1,
        max_level=0.8,
        steps=(4, 2),
        down=3,
        first_down=1,
        reversals=4,
        discard=2,
        max_trials=12,
        spacing="log",
    )
    run = Interleaving(procedures=dict.fromkeys(DIMENSIONS, staircase), seed=course.schedule.interleaving(1).seed)
    answers = []
    for about in of_kind(heard, "main"):
        turn = run.next(answers)
        assert (about.dimension, about.requested) == turn
        answers.append(InterleavedTrial(about.dimension, about.reached, about.reached > 0.3))
    assert run.next(answers) is None
    assert course.next(1, heard) is None


def test_every_reference_comes_once_before_any_comes_twice(heard):
    for dimension in DIMENSIONS:
        for kind in ("main", "practice", "catch"):
            found = [about.reference for about in of_kind(heard, kind) if about.dimension == dimension]
            for k in range(0, len(found), len(CLIPS)):
                stretch = found[k : k + len(CLIPS)]
                assert len(set(stretch)) == len(stretch)
        assert {about.reference for about in of_kind(heard, "main") if about.dimension == dimension} == set(CLIPS)


def test_orders_of_the_sounds_are_balanced_in_each_dimension(heard):
    for dimension in DIMENSIONS:
        found = [about.arrangement for about in of_kind(heard, "main") if about.dimension == dimension]
        assert all(sorted(found[k : k + 4]) == [0, 1, 2, 3] for k in range(0, len(found) - 3, 4))
    right = Counter(one.decided.answer for one in heard)
    assert set(right) == {"1", "2"}


def test_lists_and_seeds_differ(course, folder, heard):
    first = [
        msgspec.convert(c.next(n, []).about, Comparison)
        for c in (course, of_settings(folder, "seed = 1", "seed = 2"))
        for n in (1, 2)
    ]
    assert len({(asked.dimension, asked.reference, asked.arrangement) for asked in first}) > 1
    other = take(course, 2)
    assert [about.reference for about in of_kind(other, "main")] != [about.reference for about in of_kind(heard, "main")]


def test_dimensions_are_dealt_equally_often(folder):
    course = of_settings(folder, 'folder = "ladder"', 'folder = "ladder"\neach = 2')
    for listeners in range(1, 8):
        heard = Counter(dimension for n in range(1, listeners + 1) for dimension in course.schedule.dimensions_of(n))
        assert sum(heard.values()) == 2 * listeners
        assert max(heard.values()) - min(heard[dimension] for dimension in DIMENSIONS) <= 1
    assert {about.dimension for about in of_kind(take(course, 1), "main")} == set(course.schedule.dimensions_of(1))


def test_the_share_that_is_done_rises_from_0_to_1(course, heard):
    shares = [course.progress(1, heard[:k]) for k in range(len(heard) + 1)]
    assert shares[0] == 0
    assert shares[-1] == 1
    assert all(b >= a for a, b in pairwise(shares))


@pytest.mark.parametrize("kind", ["psi", "quest+"])
def test_bayesian_procedures_request_changes_of_the_ladder(folder, kind):
    course = of_settings(folder, "reversals = 4\ndiscard = 2\nmax_trials = 12", f'kind = "{kind}"\ntrials = 6')
    assert {type(procedure) for procedure in course.schedule.procedures.values()} == {QuestPlus}
    main = of_kind(take(course), "main")
    assert len(main) == 18
    assert {about.requested for about in main} <= set(CHANGES)
    assert all(about.requested == about.made for about in main)


def test_a_change_that_came_out_backwards_stops_no_procedure(folder):
    course = of_settings(folder, "reversals = 4\ndiscard = 2\nmax_trials = 12", 'kind = "psi"\ntrials = 6')
    (first, *_) = [one for one in take(course) if one.decided.trial.kind == "main"]
    backwards = msgspec.structs.replace(first.decided, about=first.decided.about | {"reached": -0.2})
    assert course.next(1, [first._replace(decided=backwards)]) is not None


def test_weighted_staircases_go_down_after_each_right_answer(folder):
    course = of_settings(folder, "reversals = 4", 'kind = "weighted"\ntarget = 0.75\nsteps = [2]\nreversals = 4')
    found = [
        about.requested
        for about in of_kind(take(course, right=lambda _: True, trials=14), "main")
        if about.dimension == DIMENSIONS[0]
    ]
    assert found[:3] == pytest.approx([0.8, 0.4, 0.2])


def test_levels_are_roved_by_numbers_that_differ_among_intervals(folder):
    course = of_settings(folder, "[practice]", "[task]\nrove = 3\n\n[practice]")
    gains = np.array([presented(one.decided).rove_db for one in take(course, trials=20)])
    assert gains.shape == (20, 3)
    assert gains.std() == pytest.approx(3 / 3**0.5, rel=0.2)
    assert len(np.unique(gains)) > 50
