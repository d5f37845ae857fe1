"""Messages are stored once, in order, and only for the listener who sent them."""

import os
import sqlite3
import threading

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_steps import enrolled, keep, right, wrong
from tiny_experiment import answer_message, contents, key_of

from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.refusals import (
    ConflictError,
    RefusedError,
)
from audiometamer.listening.store import Store


def test_a_listener_from_the_first_trial_to_the_last(store):
    listener, trials = enrolled(store)
    for trial in trials:
        assert store.state(listener).next == trial.trial
        keep(store, listener, answer_message(trial, right(store, trial)))
    assert store.state(listener).next is None
    assert [row[3] for row in contents(store)] == [None, *(trial.trial for trial in trials)]
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT finished IS NOT NULL, excluded FROM listeners").fetchall() == [(1, None)]


def test_the_same_message_again_changes_nothing(store):
    listener, trials = enrolled(store)
    message = answer_message(trials[0], right(store, trials[0]))
    states = [keep(store, listener, message) for _ in range(3)]
    assert states[0] == states[1] == states[2]
    reordered = dict(reversed(message.items())) | {"started": "2026-03-01T10:00:00.000+01:00", "reaction_time_ms": 812.50}
    assert keep(store, listener, reordered) == states[0]
    assert len(contents(store)) == 2


@pytest.mark.parametrize("change", [
    {"answer": None}, {"reaction_time_ms": 1.0}, {"plays": 2}, {"started": "2026-03-01T09:00:00.001Z"}, {"playback": {}},
    {"trial": 2}, {"stimulus": "zzzzzzzz"},
])  # fmt: skip
def test_another_message_under_the_same_key_is_refused(store, change):
    listener, trials = enrolled(store)
    message = answer_message(trials[0], right(store, trials[0]))
    keep(store, listener, message)
    before = contents(store)
    if "answer" in change:
        change = {"answer": wrong(store, trials[0])}
    with pytest.raises(ConflictError, match="another message was kept under this key"):
        keep(store, listener, {**message, **change})
    assert contents(store) == before


def test_a_trial_is_answered_once_and_in_its_turn(store):
    listener, trials = enrolled(store)
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))
    for trial, reported in ((trials[0], "trial 1 is answered"), (trials[2], "it is the turn of trial 2")):
        with pytest.raises(ConflictError, match=reported):
            keep(store, listener, answer_message(trial, right(store, trial), key=key_of("other")))
    with pytest.raises(RefusedError, match="there is no trial 99; there are 14"):
        keep(store, listener, answer_message(trials[1], "x") | {"trial": 99})
    assert store.state(listener).next == 2


def test_there_is_no_answer_before_consent(store):
    listener = store.listener(store.enrol())
    trial = store.experiment.trials(1)[0]
    with pytest.raises(ConflictError, match="there was no consent"):
        keep(store, listener, answer_message(trial, right(store, trial)))


def test_an_answer_of_another_listener_is_refused(store):
    (one, trials), (other, others) = enrolled(store), enrolled(store)
    k = next(k for k, (a, b) in enumerate(zip(trials, others, strict=True)) if a.stimulus != b.stimulus)
    for listener, own in ((one, trials), (other, others)):
        for trial in own[:k]:
            keep(store, listener, answer_message(trial, right(store, trial)))
    with pytest.raises(RefusedError, match=f"trial {k + 1} plays another sound"):
        keep(store, other, answer_message(trials[k], right(store, trials[k]), key=key_of("stolen")))
    keep(store, other, answer_message(others[k], right(store, others[k])))
    assert store.state(one).next == k + 1


@pytest.mark.parametrize("answer", ["", "appl", "Apple", "apple ", "=1+1", "\x00", "4"])
def test_an_answer_must_be_in_the_list(store, answer):
    listener, trials = enrolled(store)
    for trial in trials[:2]:
        keep(store, listener, answer_message(trial, right(store, trial)))
    with pytest.raises(RefusedError, match="this is none of the possible answers"):
        keep(store, listener, answer_message(trials[2], answer))


def test_who_fails_the_headphone_check_is_stopped_after_it(store):
    listener, trials = enrolled(store)
    states = [keep(store, listener, answer_message(trial, wrong(store, trial))) for trial in trials[:2]]
    assert states[0].excluded is None
    assert states[1].excluded == "headphones: 0 of 2 right, at least 1 needed"
    assert states[1].next is None
    with pytest.raises(ConflictError, match="the experiment is over"):
        keep(store, listener, answer_message(trials[2], right(store, trials[2])))
    assert keep(store, listener, answer_message(trials[1], wrong(store, trials[1]))) == states[1], "sent again it is confirmed"


def test_who_fails_the_demonstration_is_stopped_and_practice_stops_nobody(store):
    listener, trials = enrolled(store)
    for trial in trials[:5]:
        answer = right(store, trial) if trial.kind == "headphones" else wrong(store, trial)
        state = keep(store, listener, answer_message(trial, answer))
    assert [trial.kind for trial in trials[2:5]] == ["practice", "demonstration", "demonstration"]
    assert state.excluded == "demonstration: 0 of 2 right, at least 1 needed"


def test_a_check_that_stops_nobody(own, tmp_path):
    design = own / "design.toml"
    design.write_text(design.read_text().replace('otherwise = "stop"', 'otherwise = "continue"'))
    store = Store(tmp_path / "other.db", read_experiment(own))
    listener, trials = enrolled(store)
    for trial in trials[:5]:
        state = keep(store, listener, answer_message(trial, wrong(store, trial)))
    assert state.next == 6
    store.close()


def test_who_answers_at_the_same_time_is_kept_once(store):
    listener, trials = enrolled(store)
    reported = []

    def send(key):
        try:
            reported.append(keep(store, listener, answer_message(trials[0], right(store, trials[0]), key=key_of(key))).next)
        except ConflictError as error:
            reported.append(str(error))

    threads = [threading.Thread(target=send, args=(f"key{k % 2}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, reported)) == ["2"] * 4 + ["trial 1 is answered"] * 4
    assert len(contents(store)) == 2


def test_it_goes_on_after_being_opened_again(store, experiment):
    listener, trials = enrolled(store)
    token = store.enrol()
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))
    store.close()
    again = Store(store.path, experiment)
    assert again.state(listener).next == 2
    assert again.listener(token) == listener + 1
    again.close()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_order_messages_come_in_the_answers_are_a_beginning_of_the_list(experiment, tmp_path, data):
    """A client that sends, repeats, alters and jumps at random: confirmed is what is there, each trial once."""
    store = Store(tmp_path / f"{os.urandom(8).hex()}.db", experiment)
    listener, trials = enrolled(store)
    confirmed = {}
    for _ in range(data.draw(st.integers(0, 25))):
        trial = data.draw(st.sampled_from(trials[:6]))
        answer = data.draw(st.sampled_from([right(store, trial), wrong(store, trial)]))
        key = key_of(trial.trial, data.draw(st.integers(0, 1)))
        try:
            keep(store, listener, answer_message(trial, answer, key=key))
        except ConflictError:
            continue
        assert confirmed.setdefault(trial.trial, (key, answer)) == (key, answer)
    kept = {row[3]: (row[1], msgspec.json.decode(row[4])["answer"]) for row in contents(store) if row[2] == "answer"}
    assert kept == confirmed
    assert sorted(kept) == list(range(1, len(kept) + 1))
    store.close()
