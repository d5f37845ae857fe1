"""Trials decided one by one: the same whenever they are asked for, and what they present."""

import io

import msgspec
import numpy as np
import pytest
import soundfile
from tiny_built import course_of, decide, of_settings, presented, take

from audiometamer.listening.adaptive import CompletedTrial, DecidedTrial
from audiometamer.signals.presentation import presentation_copy as as_presented


def test_the_same_is_wanted_after_a_crash(course, heard, folder):
    again = course_of(folder)
    stored = [
        CompletedTrial(msgspec.json.decode(msgspec.json.encode(one.decided), type=DecidedTrial), one.answer, one.correct)
        for one in heard
    ]
    for k in range(0, len(heard), 3):
        assert again.next(1, stored[:k]) == course.next(1, heard[:k])
    assert [decide(again, course.next(1, heard[:k])) for k in (0, 7)] == [heard[0].decided, heard[7].decided]


def test_names_tell_nothing_and_stand_for_one_sound(course, heard):
    names = [one.decided.trial.stimulus for one in heard]
    assert len(set(names)) == len(names)
    assert all(name.isalnum() and len(name) == 10 for name in names)
    # A list that is given away has other sounds in its trials if its next listener answers otherwise.
    other = take(course, right=lambda _: False)
    for one, two in zip(heard, other, strict=False):
        same = (presented(one.decided).moved, presented(one.decided).arrangement) == (
            presented(two.decided).moved, presented(two.decided).arrangement
        )  # fmt: skip
        assert (one.decided.trial.stimulus == two.decided.trial.stimulus) == same


def test_what_is_told_ahead_comes_whatever_the_answer(course, heard):
    reported = 0
    for k, pending in enumerate(heard):
        ahead = course.ahead(1, heard[:k], pending.decided)
        nexts = [course.next(1, [*heard[:k], pending._replace(correct=correct)]) for correct in (True, False)]
        assert (ahead is not None) == (nexts[0] == nexts[1] and nexts[0] is not None)
        assert ahead is None or ahead == nexts[0]
        reported += ahead is not None
    assert reported > len(heard) / 2  # three procedures in turn: mostly it is another's


def test_nothing_is_told_ahead_where_it_depends_on_the_answer(folder):
    course = of_settings(folder, 'folder = "ladder"', 'folder = "ladder"\nchoose = ["relu0/0/-"]')
    practice, main = take(course, trials=3), take(course, trials=12)
    assert course.ahead(1, practice[:1], practice[1].decided) is not None
    k = next(k for k in range(3, 11) if [one.decided.trial.kind for one in main[k : k + 2]] == ["main", "main"])
    assert course.ahead(1, main[:k], main[k].decided) is None


@pytest.mark.parametrize("task", ["abx", "odd-one-out"])
def test_a_trial_is_its_sounds_in_their_order_with_gaps_between(folder, task):
    course = of_settings(
        folder, "[practice]", f'[task]\nkind = "{task}"\ngap = 0.3\nrove = 3\n\n[sounds]\nlevel = -25\n\n[practice]'
    )
    gaps = 0
    for one in take(course, trials=8):
        about = presented(one.decided)
        wav = course.stimulus(one.decided)
        assert wav == course.stimulus(one.decided)
        sound, rate = soundfile.read(io.BytesIO(wav))
        assert rate == 48_000
        assert soundfile.info(io.BytesIO(wav)).subtype == "PCM_24"
        pair = [as_presented(folder / file, course.design.sounds.settings(1)) for file in (about.original, about.moved)]
        n, gap = len(pair[0]), round(0.3 * rate)
        assert len(sound) == 3 * n + 2 * gap
        intervals = [sound[k * (n + gap) :][:n] for k in range(3)]
        played = []
        for interval, decibels in zip(intervals, about.rove_db, strict=True):
            assert abs(decibels) <= 3
            assert 20 * np.log10(np.sqrt(np.mean(interval**2))) == pytest.approx(-25 + decibels, abs=0.01)
            same = [np.abs(interval / 10 ** (decibels / 20) - one).max() < 1e-5 for one in pair]
            assert sum(same) == 1
            played.append(same.index(True))
        gaps += sum(float(np.abs(sound[k * (n + gap) + n :][:gap]).max()) for k in range(2))
        # A and B differ and X is the one that is right; or all but the right one are the same.
        right = int(one.decided.answer) - 1
        if task == "abx":
            assert sorted(played[:2]) == [0, 1]
            assert played[2] == played[right]
        else:
            assert [k for k in range(3) if played.count(played[k]) == 1] == [right]
    assert gaps < 1e-4  # nothing but dither


@pytest.mark.parametrize(
    "about", [{"dimension": "relu9/0/+"}, {"dimension": 3}, {"reached": "far"}, {"rove_db": None}, {"way": "other"}]
)
def test_what_cannot_be_a_trial_of_this_exploration_is_refused_where_it_is_read(course, about):
    decided = take(course, trials=1)[0].decided
    course.check(1, decided)
    with pytest.raises(ValueError, match=r"relu9|Expected|Invalid"):
        course.check(1, msgspec.structs.replace(decided, about=decided.about | about))
