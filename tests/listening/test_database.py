"""What is confirmed is on disk, and nothing is confirmed while the database is gone, locked or full."""

import os
import resource
import shutil
import sqlite3
import stat

import pytest
from store_steps import BIG, enrolled, keep, right
from tiny_experiment import answer_message

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.database import DATABASE_SUFFIXES
from audiometamer.listening.reading import read_answers
from audiometamer.listening.refusals import (
    UnavailableError,
)
from audiometamer.listening.store import Store


def test_every_commit_waits_for_the_disk(store):
    (journal,) = store.database.connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = store.database.connection.execute("PRAGMA synchronous").fetchone()
    assert (journal, synchronous) == ("wal", 2)


def test_only_the_owner_reads_the_answers(store):
    enrolled(store)
    for path in store.path.parent.glob("answers.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


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
    reported = "answers.db was deleted, moved or replaced; nothing is kept until it is back"
    for action in (
        lambda: keep(store, listener, messages[1]),
        store.enrol,
        lambda: store.state(listener),
        store.database.checkpoint,
    ):
        with pytest.raises(UnavailableError, match=reported):
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
