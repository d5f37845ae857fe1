"""Sounds that are made on-line: never waited for longer than the design says, and of the ladder where none came."""

import dataclasses
import itertools
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from tiny_built import DESIGN, course_of, of_kind, presented, take
from tiny_ladder import record, write_moved_stimulus

from audiometamer.exploration import sequence as sequence_module
from audiometamer.exploration.render_queue import MoveRequest, RenderQueue
from audiometamer.exploration.trial_stimuli import trial_wav
from audiometamer.listening.adaptive import CompletedTrial

ONLINE = DESIGN.replace("[practice]", '[making]\nway = "online"\ndimensions = "x"\nlongest_wait = 0.3\nahead = 2\n\n[practice]')
STEPS = "reversals = 4\nsteps = [1.3]"
TEXT = ONLINE.replace("reversals = 4", STEPS)


class FakeQueue:
    """Makes what it is told to, or nothing, and remembers who asked for what."""

    def __init__(self, make=None, coming=True):
        self.make, self.coming = make, coming
        self.wanted, self.dropped, self.asleep, self.urgencies = {}, set(), 0.0, []

    def want(self, request, *, urgency=0.0, listener=0):
        self.wanted[request] = urgency
        self.urgencies.append(urgency)
        self.dropped.discard(request)

    def drop(self, request, *, listener=0):
        self.dropped.add(request)

    def can_come(self, _request):
        return self.coming

    def wait(self, request, *, timeout=0.0):
        self.asleep += timeout
        return self.make and self.make(*request)


@pytest.fixture
def course(tmp_path):
    return course_of(tmp_path, TEXT)


def having(course, render_queue):
    return dataclasses.replace(course, render_queue=render_queue)


@pytest.fixture
def rendered(monkeypatch):
    """What was rendered, by the name of its WAV; each takes as many s as is said, by a clock of its own."""
    clock, names = SimpleNamespace(seconds=0.0, each=0.0), []

    def slowly(*arguments, name, draws):
        names.append(name)
        clock.seconds += clock.each
        return trial_wav(*arguments, name=name, draws=draws)

    monkeypatch.setattr(sequence_module, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
    monkeypatch.setattr(sequence_module, "trial_wav", slowly)
    return clock, names


def fine(course):
    """A trial whose change the ladder does not have, and what was heard before."""
    heard = take(course)
    k = next(k for k, one in enumerate(heard) if one.decided.about["wished"] != one.decided.about["made"])
    return course.next(1, heard[:k]), heard[:k]


def test_a_sound_that_comes_in_time_is_played(course, tmp_path):
    def make(dimension, reference, requested):
        return write_moved_stimulus(tmp_path / "made", record(dimension, reference, requested, reached=0.9 * requested))

    wanted, _ = fine(course)
    about = presented(having(course, FakeQueue(make)).decide(wanted, lambda: 0.12345, lambda: False))
    assert (about.way, about.made, about.waited) == ("online", float(f"{about.requested:g}"), 0.123)
    assert about.reached == pytest.approx(0.9 * about.requested)
    assert about.moved.startswith("made/")
    assert about.original.startswith("ladder/")
    assert (tmp_path / about.moved).is_file()


def test_one_that_does_not_come_is_the_nearest_of_the_ladder_after_the_longest_wait(course, rendered):
    wanted, _ = fine(course)
    render_queue = FakeQueue()
    about = presented(having(course, render_queue).decide(wanted, lambda: render_queue.asleep, lambda: False))
    assert about.way == "fallback"
    assert about.made == course.ladder.nearest(about.dimension, about.reference, about.requested).record.requested
    # Looks are 0.05 s apart, and 0.1 s is left to send the sound: the last look that is not after 0.2 s.
    assert 0.149 < about.waited <= 0.201
    assert max(render_queue.urgencies) > 0.09  # the longer somebody waits, the more urgent
    assert render_queue.wanted == {
        MoveRequest.of(about.dimension, about.reference, about.requested): -math.inf
    }  # now nobody does


def test_the_sound_is_ready_when_the_longest_wait_ends(course, rendered):
    """The nearest is rendered while the listener waits; another is not waited for so long that it were rendered too late."""
    clock, names = rendered
    clock.each = 0.11
    wanted, _ = fine(course)
    render_queue = FakeQueue()
    online = having(course, render_queue)
    decided = online.decide(wanted, lambda: render_queue.asleep, lambda: False)
    assert names == [decided.trial.stimulus]
    assert 0.039 < presented(decided).waited <= 0.091
    sound = online.stimulus(decided)
    assert names == [decided.trial.stimulus]
    assert sound == course_of(course.folder, TEXT).stimulus(decided), "as of a server that was started again meanwhile"
    assert len(names) == 2


def test_nothing_is_rendered_for_one_that_is_there_already(course, rendered, tmp_path):
    wanted, _ = fine(course)
    render_queue = FakeQueue(lambda *request: write_moved_stimulus(tmp_path / "made", record(*request)))
    having(course, render_queue).decide(wanted, lambda: 0.0, lambda: False)
    assert rendered[1] == []


def test_nobody_waits_while_the_trial_before_is_heard(course, rendered):
    wanted, _ = fine(course)
    render_queue = FakeQueue()
    waited = lambda: max(0.0, render_queue.asleep - 5)  # noqa: E731 (they listen for 5 s)
    about = presented(having(course, render_queue).decide(wanted, waited, lambda: False))
    assert about.way == "fallback"
    assert 5.149 < render_queue.asleep <= 5.201
    assert 0.149 < about.waited <= 0.201


def test_one_that_cannot_be_made_is_not_waited_for(course):
    wanted, _ = fine(course)
    render_queue = FakeQueue(coming=False)
    about = presented(having(course, render_queue).decide(wanted, lambda: 0.0, lambda: False))
    assert about.way == "fallback"
    assert render_queue.asleep < 0.1


class SlowMover:
    """Makes a signal when it is let."""

    batch_size = 1

    def __init__(self, folder):
        self.folder, self.let = folder, threading.Event()

    def __call__(self, requests):
        assert self.let.wait(30)
        return [write_moved_stimulus(self.folder, record(*request)) for request in requests]

    def close(self):
        self.let.set()


def test_what_another_listener_drops_still_comes_for_who_waits(course, tmp_path):
    """Two listeners may foresee the same sound; the first to know that it does not come for them takes it back."""
    wanted, _ = fine(course)
    request = MoveRequest.of(*(wanted.about[key] for key in ("dimension", "reference", "requested")))
    mover, looks = SlowMover(tmp_path / "made"), itertools.count()

    def waited():
        look = next(looks)
        if look == 4:
            render_queue.drop(request, listener=2)  # between two looks of this one
        if look == 6:
            mover.let.set()
        return 0.0

    with RenderQueue(mover, course.ladder, tmp_path / "made") as render_queue:
        render_queue.want(request._replace(change=2 * request.change), urgency=1)  # what is in the making meanwhile
        render_queue.want(request, listener=2)
        about = presented(having(course, render_queue).decide(wanted, waited, lambda: False))
    assert (about.way, about.made) == ("online", request.change)


def test_who_is_gone_is_told_nothing(course):
    wanted, _ = fine(course)
    assert having(course, FakeQueue()).decide(wanted, lambda: 0.0, lambda: True) is None


def test_what_the_ladder_has_is_not_made_again(course):
    render_queue = FakeQueue()
    about = presented(having(course, render_queue).decide(course.next(1, []), lambda: 0.0, lambda: False))
    assert (about.way, about.requested, render_queue.wanted) == ("ladder", 0.8, {})


def test_what_may_come_is_told_ahead_and_what_will_not_is_taken_back(course):
    """Whatever the answers are: all that is played was told before, and what was told and cannot come was taken back."""
    render_queue = FakeQueue()
    online = having(course, render_queue)
    heard, reported = [], 0
    pattern = itertools.cycle([True, True, False])
    while (wanted := online.next(1, heard)) is not None:
        decided = course.decide(wanted, lambda: 0.0, lambda: False)
        about = presented(decided)
        request = MoveRequest.of(about.dimension, about.reference, about.requested)
        if heard and about.made != about.requested:
            assert request in render_queue.wanted
            assert request not in render_queue.dropped
            assert render_queue.wanted[request] == -1
            reported += 1
        online.ahead(1, heard, decided)
        heard.append(CompletedTrial(decided, "", next(pattern)))
    assert reported > 10
    played = {MoveRequest.of(about.dimension, about.reference, about.requested) for about in of_kind(heard, "main")}
    assert (
        render_queue.wanted.keys() - played <= render_queue.dropped | online._needed_soon(1, heard[:-1], heard[-1].decided).keys()
    )


def test_nothing_is_told_ahead_if_the_design_says_so(tmp_path):
    course = course_of(tmp_path, ONLINE.replace("ahead = 2", "ahead = 0").replace("reversals = 4", STEPS))
    render_queue = FakeQueue()
    _, heard = fine(course)
    having(course, render_queue).ahead(1, heard[:-1], heard[-1].decided)
    assert render_queue.wanted == {}


def test_a_sound_with_a_higher_peak_than_all_others_makes_its_trial_softer(tmp_path):
    text = ONLINE.replace("reversals = 4", STEPS).replace("[practice]", "[sounds]\nlevel = -12\n\n[practice]")
    course = course_of(tmp_path, text)

    def make(dimension, reference, requested):
        stimulus = write_moved_stimulus(tmp_path / "made", record(dimension, reference, requested))
        click = np.zeros(1000, np.float32)
        click[500] = 1
        soundfile.write(stimulus.path, click, 4000, subtype="FLOAT")
        return stimulus

    wanted, _ = fine(course)
    decided = having(course, FakeQueue(make)).decide(wanted, lambda: 0.0, lambda: False)
    gains = presented(decided).rove_db
    assert len(set(gains)) == 1
    assert gains[0] < -10
    course.stimulus(decided)  # would say that it clips
