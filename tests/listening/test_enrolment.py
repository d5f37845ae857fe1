"""Every list has one listener, and an abandoned list is reassigned."""

from datetime import UTC, datetime, timedelta

import pytest
from store_steps import keep, read, right
from tiny_experiment import answer_message, form_message

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.enrolment import MAX_TOKENS, Participant
from audiometamer.listening.reading import read_answers
from audiometamer.listening.refusals import (
    CompleteError,
    LateError,
    LeftError,
    UnknownListenerError,
)
from audiometamer.listening.store import Store


def test_only_hashes_of_tokens_are_kept(store):
    token = store.enrol()
    assert len(token) == 43
    store.close()
    assert all(token.encode() not in path.read_bytes() for path in store.path.parent.glob("answers.db*"))


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "\x00", "é", "' OR 1=1 --"])
def test_a_guessed_token_is_nobodys(store, token):
    store.enrol()
    with pytest.raises(UnknownListenerError, match="nobody has this token"):
        store.listener(token)


def test_lists_are_given_in_order_until_there_is_none(store):
    listeners = [store.listener(store.enrol()) for _ in range(6)]
    assert [store.state(listener).number for listener in listeners] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(CompleteError, match="all 6 lists have their listeners"):
        store.enrol()


def test_the_list_of_who_is_excluded_is_given_again(store):
    for _ in range(3):
        store.enrol()
    store.release(2, "did not come")
    assert store.state(store.listener(store.enrol())).number == 2
    assert store.state(store.listener(store.enrol())).number == 4
    assert store.state(2).excluded == "did not come"
    for listener, reported in ((2, "listener 2 is excluded already"), (99, "there is no listener 99")):
        with pytest.raises(AudioMetamerError, match=reported):
            store.release(listener, "again")


def test_who_comes_again_goes_on_where_they_were(store):
    person = Participant("prolific", "5f2", {"STUDY_ID": "s"})
    first, second = store.enrol(participant=person), store.enrol(participant=person)
    assert first != second
    assert store.listener(first) == store.listener(second) == 1
    assert store.listener(store.enrol(participant=person._replace(name="5f3"))) == 2
    assert store.listener(store.enrol(participant=person._replace(service="mturk"))) == 3
    store.enrol(participant=person._replace(parameters={"STUDY_ID": "t"}))
    assert store.participant(1).parameters == {"STUDY_ID": "t"}


def come(store, *names, service="anyone"):
    """Listeners without a link of their own."""
    return [store.enrol(participant=Participant(service, name, {})) for name in names]


def is_away(store, listener, minutes):
    """Set back when a listener came and answered."""
    then = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    store.database.connection.execute("UPDATE listeners SET enrolled = ? WHERE listener = ?", (then, listener))
    store.database.connection.execute("UPDATE messages SET received = ? WHERE listener = ?", (then, listener))


def answered(store, listener, n):
    keep(store, listener, form_message("consent"))
    for trial in store.experiment.trials(store.state(listener).number)[:n]:
        keep(store, listener, answer_message(trial, right(store, trial)))


def test_the_list_of_who_has_left_goes_to_who_finds_none(store):
    """First of who answered nothing, then of who is away for longest; who has answered main trials may sleep over it."""
    looked, agreed, tried, main = come(store, "a", "b", "c", "d")
    (link, _) = [store.enrol() for _ in range(2)]
    answered(store, 2, 0)
    answered(store, 3, 5)
    answered(store, 4, 6)
    with pytest.raises(CompleteError):
        come(store, "late")
    for listener in range(1, 6):
        is_away(store, listener, 59)
    with pytest.raises(CompleteError):
        come(store, "late")
    is_away(store, 3, 120)
    is_away(store, 4, 24 * 60 - 1)
    assert [store.state(store.listener(token)).number for token in come(store, "e")] == [3]
    is_away(store, 1, 61)
    is_away(store, 2, 62)
    is_away(store, 4, 24 * 60 + 1)
    assert [store.state(store.listener(token)).number for token in come(store, "f", "g", "h")] == [2, 1, 4]
    is_away(store, 5, 100_000)
    with pytest.raises(CompleteError):  # a link waits for its listener
        store.enrol()
    assert store.listener(link) == 5
    for token, error in ((looked, LateError), (agreed, LateError), (tried, LeftError), (main, LeftError)):
        with pytest.raises(LeftError, match="the list was given to somebody else") as found:
            store.listener(token)
        assert type(found.value) is error


def test_answers_of_who_has_left_stay_and_say_so(store, experiment):
    come(store, "a")
    answered(store, 1, 8)
    for _ in range(5):
        store.enrol()
    is_away(store, 1, 10_000)
    come(store, "b")
    answers = read_answers(store.path, experiment)
    assert [(one.excluded, one.finished, one.reason) for one in answers.listeners][::6] == [
        (True, False, "left unfinished"), (False, False, "")
    ]  # fmt: skip
    assert len(answers.answers(1)) == 8
    with pytest.raises(LeftError) as found:
        come(store, "a")
    assert (found.value.code, len(read_answers(store.path, experiment).enrolled)) == ("left", 7)


def test_who_had_answered_nothing_may_begin_again(store):
    (first,) = come(store, "a", service="prolific")
    answered(store, 1, 0)
    links = [store.enrol() for _ in range(5)]
    is_away(store, 1, 61)
    come(store, "b")
    with pytest.raises(CompleteError):
        come(store, "a", service="prolific")
    store.release(store.listener(links[2]), "gone")
    (again,) = come(store, "a", service="prolific")
    assert store.listener(first) == store.listener(again) == 1
    assert store.state(1) == (1, 4, 1, None, {"consent"})
    is_away(store, 7, 61)
    come(store, "c")
    assert store.state(1).number == 4


def test_who_has_finished_was_excluded_or_was_collected_has_not_left(store, experiment):
    come(store, "a")
    answered(store, 1, 14)
    for number in range(2, 6):
        store.admit(Participant("jatos", f"w{number}", {}), number, [read(form_message("consent"))])
    come(store, "b")
    for listener in range(1, 7):
        is_away(store, listener, 100_000 if listener != 6 else 0)
    with pytest.raises(CompleteError):
        come(store, "c")


@pytest.mark.parametrize("hours", [-20, -2, 2, 30, 60_000])
def test_a_clock_that_is_set_makes_nobody_late(store, monkeypatch, hours):
    come(store, *"abcdef")

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=hours)

    monkeypatch.setattr("audiometamer.listening.clock.datetime", Later)
    with pytest.raises(CompleteError):
        come(store, "g")
    answered(store, 2, 7)
    monkeypatch.undo()
    with pytest.raises(CompleteError):
        come(store, "g")


@pytest.mark.parametrize("hours", [-60_000, -3, 3])
def test_who_comes_or_answers_while_a_clock_is_wrong_is_not_late(store, monkeypatch, hours):
    """Also when it is set right again."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=hours)

    monkeypatch.setattr("audiometamer.listening.clock.datetime", Wrong)
    come(store, *"abcdef")
    answered(store, 2, 1)
    monkeypatch.undo()
    with pytest.raises(CompleteError):
        come(store, "g")


def test_free_after_is_chosen(experiment, tmp_path):
    store = Store(tmp_path / "own.db", experiment, free_after=5)
    come(store, *"abcdef")
    is_away(store, 3, 6)
    assert [store.state(store.listener(token)).number for token in come(store, "g")] == [3]
    store.close()


def test_tokens_of_one_person_are_bounded(store):
    """Whoever asks for a name again and again throws nobody out who has answered with the first token, or has the newest."""
    tokens = [come(store, "victim", service="prolific")[0] for _ in range(300)]
    assert store.database.connection.execute("SELECT count(*) FROM tokens").fetchone() == (MAX_TOKENS,)
    valid = [tokens[0], *tokens[1 - MAX_TOKENS :]]
    assert [store.listener(token) for token in valid] == [1] * MAX_TOKENS
    for token in tokens[1 : 1 - MAX_TOKENS]:
        with pytest.raises(UnknownListenerError):
            store.listener(token)
