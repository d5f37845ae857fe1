"""What is kept is there, once, in order, and nobody else's."""

import os
import resource
import shutil
import sqlite3
import stat
import threading
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_experiment import answer_message, contents, form_message, key_of

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.database import DATABASE_SUFFIXES
from audiometamer.listening.enrolment import MAX_TOKENS, Participant
from audiometamer.listening.messages import Message
from audiometamer.listening.reading import read_answers
from audiometamer.listening.refusals import (
    CompleteError,
    ConflictError,
    ExcessError,
    LateError,
    LeftError,
    RefusedError,
    UnavailableError,
    UnknownListenerError,
)
from audiometamer.listening.store import Store

BIG = {"a": "x" * 3900, "b": "x" * 3700}  # of an answer: almost all that it may have


def read(message):
    return msgspec.convert(message, Message)


def keep(store, listener, message):
    return store.keep(listener, read(message))


def right(store, trial):
    return store.experiment.key[trial.stimulus].answer


def wrong(store, trial):
    return next(answer for answer in store.experiment.options(trial) if answer != right(store, trial))


def enrolled(store):
    """A listener who has agreed, and their trials."""
    listener = store.listener(store.enrol())
    state = keep(store, listener, form_message("consent"))
    return listener, store.experiment.trials(state.number)


def test_a_listener_from_the_first_trial_to_the_last(store):
    listener, trials = enrolled(store)
    for trial in trials:
        assert store.state(listener).next == trial.trial
        keep(store, listener, answer_message(trial, right(store, trial)))
    assert store.state(listener).next is None
    assert [row[3] for row in contents(store)] == [None, *(trial.trial for trial in trials)]
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT finished IS NOT NULL, excluded FROM listeners").fetchall() == [(1, None)]


def test_every_commit_waits_for_the_disk(store):
    (journal,) = store.database.connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = store.database.connection.execute("PRAGMA synchronous").fetchone()
    assert (journal, synchronous) == ("wal", 2)


def test_only_hashes_of_tokens_are_kept(store):
    token = store.enrol()
    assert len(token) == 43
    store.close()
    assert all(token.encode() not in path.read_bytes() for path in store.path.parent.glob("answers.db*"))


def test_only_the_owner_reads_the_answers(store):
    enrolled(store)
    for path in store.path.parent.glob("answers.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


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
    for listener, told in ((2, "listener 2 is excluded already"), (99, "there is no listener 99")):
        with pytest.raises(AudioMetamerError, match=told):
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
    for trial, told in ((trials[0], "trial 1 is answered"), (trials[2], "it is the turn of trial 2")):
        with pytest.raises(ConflictError, match=told):
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


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"age": "old"}, "the answer to age must be a number"),
        ({"age": True}, "the answer to age must be a number"),
        ({"remarks": 3}, "the answer to remarks must be a text"),
        ({"shoe_size": 3}, "there is no such question"),
    ],
)
def test_replies_are_those_to_the_questions(store, content, told):
    listener, _ = enrolled(store)
    with pytest.raises(RefusedError, match=told):
        keep(store, listener, form_message("questions-after", **content))
    with pytest.raises(RefusedError, match="there is no such question"):
        keep(store, listener, form_message("questions-before", age=3))
    assert "questions-after" in keep(store, listener, form_message("questions-after", age=30, remarks="")).forms


def test_a_page_gone_wild_does_not_fill_the_disk(store, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.checks.MAX_MESSAGES", 3)
    listener, trials = enrolled(store)
    event = {"what": "blur", "when": "2026-03-01T09:00:00Z"}
    for k in range(2):
        keep(store, listener, {"kind": "events", "key": key_of("events", k), "events": [event]})
    with pytest.raises(ExcessError, match="more than 3 forms and events"):
        keep(store, listener, {"kind": "events", "key": key_of("events", 9), "events": [event]})
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))


@pytest.mark.parametrize("kind", ["events", "form"])
def test_forms_and_events_have_so_many_bytes(store, kind, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.checks.MAX_MESSAGES_BYTES", 10_000)
    listener, trials = enrolled(store)
    if kind == "form":
        messages = [{**form_message("level", **BIG), "key": key_of(k)} for k in range(2)]
    else:
        event = {"what": "blur", "when": "2026-03-01T09:00:00Z", "details": {"a": "é" * 3900}}
        messages = [{"kind": "events", "key": key_of(k), "events": [event]} for k in range(2)]
    keep(store, listener, messages[0])
    with pytest.raises(ExcessError, match="more than 10000 bytes of forms and events"):
        keep(store, listener, messages[1])
    keep(store, listener, answer_message(trials[0], right(store, trials[0]), playback=BIG))
    other, _ = enrolled(store)
    keep(store, other, messages[1])


def test_an_answer_has_so_many_bytes(store):
    listener, trials = enrolled(store)
    message = answer_message(trials[0], right(store, trials[0]), playback={**BIG, "c": "x" * 500})
    with pytest.raises(ExcessError, match=r"an answer of \d+ bytes is not kept; it may have 8192"):
        keep(store, listener, message)
    assert keep(store, listener, {**message, "playback": {}}).next == 2


def moved(store, ends):
    """Move files of a database away; what moves them back."""
    aside = store.path.parent / "aside"
    aside.mkdir()
    files = [store.path.with_name(store.path.name + end) for end in ends]
    for path in files:
        path.rename(aside / path.name)
    return lambda: [(aside / path.name).replace(path) for path in files]


@pytest.mark.parametrize("ends", [DATABASE_SUFFIXES, DATABASE_SUFFIXES[:1], DATABASE_SUFFIXES[1:2], DATABASE_SUFFIXES[2:]])
@pytest.mark.parametrize("instead", ["nothing", "copy", "empty", "cut"])
def test_nothing_is_confirmed_where_the_database_is_another(store, ends, instead):
    listener, trials = enrolled(store)
    messages = [answer_message(trial, right(store, trial)) for trial in trials[:2]]
    keep(store, listener, messages[0])
    sizes = {end: store.path.with_name(store.path.name + end).stat().st_size for end in ends}
    back = moved(store, ends)
    for end in ends:
        path = store.path.with_name(store.path.name + end)
        if instead == "copy":
            shutil.copy(store.path.parent / "aside" / path.name, path)
        elif instead != "nothing":
            path.touch()
    if instead == "cut":
        back()
        for end in ends:
            os.truncate(store.path.with_name(store.path.name + end), sizes[end] // 2)
    told = "answers.db was deleted, moved or replaced; nothing is kept until it is back"
    for action in (
        lambda: keep(store, listener, messages[1]),
        store.enrol,
        lambda: store.state(listener),
        store.database.checkpoint,
    ):
        with pytest.raises(UnavailableError, match=told):
            action()
    if instead != "cut":
        back()
        assert keep(store, listener, messages[1]).next == 3
        assert store.database.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("end", DATABASE_SUFFIXES)
def test_behind_a_link_the_files_are_those_that_it_leads_to(experiment, tmp_path, end):
    (tmp_path / "disk").mkdir()
    (tmp_path / "answers.db").symlink_to(tmp_path / "disk" / "other.db")
    store = Store(tmp_path / "answers.db", experiment)
    listener, trials = enrolled(store)
    (tmp_path / "disk" / f"other.db{end}").rename(tmp_path / "aside")
    with pytest.raises(UnavailableError, match="deleted, moved or replaced"):
        keep(store, listener, answer_message(trials[0], right(store, trials[0])))
    (tmp_path / "aside").rename(tmp_path / "disk" / f"other.db{end}")
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))
    assert read_answers(tmp_path / "answers.db", experiment).total == 1
    store.close()


def test_nothing_is_confirmed_where_it_is_replaced_while_it_is_kept(store, monkeypatch):
    listener, trials = enrolled(store)
    other = store.path.with_name("other.db")
    shutil.copy(store.path, other)
    close = store._end_if_over
    monkeypatch.setattr(store, "_end_if_over", lambda *asked: (close(*asked), other.replace(store.path)))
    with pytest.raises(UnavailableError, match="deleted, moved or replaced"):
        keep(store, listener, answer_message(trials[0], right(store, trials[0])))


def test_what_is_no_database_any_more_asks_to_come_again(store):
    listener, trials = enrolled(store)
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))
    store.database.checkpoint()
    for path in store.path.parent.glob("answers.db*"):
        path.write_bytes(b"x" * path.stat().st_size)  # the same files
    with pytest.raises(UnavailableError, match="cannot be reached now"):
        keep(store, listener, answer_message(trials[1], right(store, trials[1])))


def test_a_copy_of_the_first_file_has_what_was_brought_there(store, experiment, tmp_path):
    listener, trials = enrolled(store)
    keep(store, listener, answer_message(trials[0], right(store, trials[0])))
    store.database.checkpoint()
    copy = tmp_path / "copy.db"
    shutil.copy(store.path, copy)
    assert read_answers(copy, experiment).total == 1


def test_closed_it_is_one_file(store, experiment, tmp_path):
    other = Store(store.path, experiment)
    enrolled(other)
    other.close()
    assert len(list(tmp_path.glob("answers.db*"))) == 3, "it is in use"
    store.close()
    assert [path.name for path in tmp_path.glob("answers.db*")] == ["answers.db"]
    again = Store(store.path, experiment)
    assert again.state(1).forms == {"consent"}
    again.close()


def test_a_locked_database_keeps_nothing_and_can_be_asked_again(store):
    listener, trials = enrolled(store)
    message = answer_message(trials[0], right(store, trials[0]))
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="database is locked"):
        keep(store, listener, message)
    other.execute("ROLLBACK")
    other.close()
    assert keep(store, listener, message).next == 2


def test_a_full_disk_keeps_nothing_and_can_be_asked_again(store):
    listener, trials = enrolled(store)
    (pages,) = store.database.connection.execute("PRAGMA page_count").fetchone()
    store.database.connection.execute(f"PRAGMA max_page_count = {pages}")
    message = answer_message(trials[0], right(store, trials[0]), playback=BIG)
    with pytest.raises(UnavailableError, match="database or disk is full"):
        keep(store, listener, message)
    assert store.state(listener).next == 1
    store.database.connection.execute("PRAGMA max_page_count = 100000")
    assert keep(store, listener, message).next == 2


def test_a_write_that_fails_half_way_keeps_nothing(store):
    """The operating system refuses to let the journal grow, as on a disk that fills up."""
    listener, trials = enrolled(store)
    message = answer_message(trials[0], right(store, trials[0]), playback=BIG)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = store.path.with_name("answers.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, hard))
    try:
        with pytest.raises(UnavailableError, match="disk"):
            keep(store, listener, message)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.state(listener).next == 1
    assert keep(store, listener, message).next == 2
    assert store.database.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_who_answers_at_the_same_time_is_kept_once(store):
    listener, trials = enrolled(store)
    told = []

    def send(key):
        try:
            told.append(keep(store, listener, answer_message(trials[0], right(store, trials[0]), key=key_of(key))).next)
        except ConflictError as error:
            told.append(str(error))

    threads = [threading.Thread(target=send, args=(f"key{k % 2}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, told)) == ["2"] * 4 + ["trial 1 is answered"] * 4
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


def test_a_database_of_something_else_is_refused(store, own, tmp_path):
    design = own / "design.toml"
    design.write_text(design.read_text().replace("Words in noise", "Words"))
    with pytest.raises(AudioMetamerError, match="holds the answers of another experiment"):
        Store(store.path, read_experiment(own))
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(AudioMetamerError, match="cannot be used for answers: file is not a database"):
        Store(tmp_path / "x.db", store.experiment)
    with pytest.raises(AudioMetamerError, match="cannot be used for answers"):
        Store(tmp_path / "no" / "x.db", store.experiment)
    store.database.connection.execute("PRAGMA user_version = 9")
    with pytest.raises(AudioMetamerError, match="has tables of version 9; this is for version 1"):
        Store(store.path, store.experiment)


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
