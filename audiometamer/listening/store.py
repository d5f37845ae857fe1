"""The answers on disk: SQLite, and the only writer of it. What was confirmed is there after any crash, and there once."""

import hashlib
import secrets
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.adaptive import CompletedTrial, Decided
from audiometamer.listening.design import Question
from audiometamer.listening.folder import Experiment
from audiometamer.listening.identity import identity
from audiometamer.listening.messages import Answer, Form, Message, moments, takes_place
from audiometamer.listening.trials import Trial

T = TypeVar("T")
_VERSION = 1  # of the tables
_MOST_REMEMBERED = 64  # listeners whose decided trials are kept in memory
OPEN_TO = ("prolific", "mturk", "anyone")  # services whose people need no link of their own
FREE_AFTER = 60.0  # minutes without an answer, after which the list of who needs no link may be given to another
LONGER = 24  # times as long is waited for who has answered main trials: their list is worth a night's sleep
LEFT = "left unfinished"  # why such a listener is excluded
MOST_TOKENS = 8  # of a listener: the first, by which most answer, and the newest
MOST_MESSAGES = 2000  # of a listener, beyond the answers: a page gone wild does not fill the disk
MOST_BYTES = 4 * 1024**2  # of these messages together
MOST_BYTES_OF_ANSWER = 8 * 1024  # ten times what the page sends
FILES = ("", "-wal", "-shm")  # of a database in use, after its name
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE listeners (
    listener INTEGER PRIMARY KEY,
    list INTEGER NOT NULL,
    "group" TEXT NOT NULL,
    service TEXT,
    participant TEXT,
    parameters TEXT NOT NULL,
    enrolled TEXT NOT NULL,
    finished TEXT,
    excluded TEXT,
    UNIQUE (service, participant)
) STRICT;
CREATE TABLE tokens (hash BLOB PRIMARY KEY, listener INTEGER NOT NULL REFERENCES listeners) STRICT;
CREATE TABLE messages (
    listener INTEGER NOT NULL REFERENCES listeners,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    trial INTEGER,
    content TEXT NOT NULL,
    received TEXT NOT NULL,
    PRIMARY KEY (listener, key)
) STRICT;
CREATE UNIQUE INDEX one_answer ON messages (listener, trial) WHERE kind = 'answer';
"""
_SENT = """
SELECT count(*), coalesce(sum(length(CAST(content AS BLOB))), 0) FROM messages WHERE listener = ? AND kind != 'answer'
"""
_COURSE_SCHEMA = """
CREATE TABLE decided (
    listener INTEGER NOT NULL REFERENCES listeners,
    trial INTEGER NOT NULL,
    stimulus TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (listener, trial)
) STRICT;
CREATE INDEX decided_stimuli ON decided (listener, stimulus);
CREATE INDEX forms ON messages (listener) WHERE kind = 'form';
"""  # beside the others, where trials are decided on the way


class RefusedError(AudioMetamerError):
    """A message was not kept, and sending it again does not help: it says what is wrong with it.

    `code` is the sentence of the catalogue (``errors.…``) that explains it to a listener; empty where it can only be the fault of
    the page.
    """

    code = ""


class ConflictError(RefusedError):
    """A message does not fit what is there already; the page asks for its state and resumes from there."""


class UnknownListenerError(RefusedError):
    """No listener has this token."""

    code = "unknown_link"


class CompleteError(RefusedError):
    """Every list has its listener."""

    code = "complete"


class LeftError(RefusedError):
    """A listener's list was given to somebody else, as they did not answer for so long; what they answered is kept."""

    code = "left"


class LateError(LeftError):
    """The same of who had answered nothing: they may begin again, on another list."""

    code = "late"


class ExcessError(RefusedError):
    """A listener sent far too much."""

    code = "excess"


class UnnamedError(RefusedError):
    """Nothing says who somebody is: a service left its placeholder, for example."""

    code = "unnamed"


class UnavailableError(AudioMetamerError):
    """The disk is full, or the database is locked or gone: nothing was kept; the same message may be sent again later."""

    code = "unavailable"


class State(NamedTuple):
    """How far a listener is.

    Parameters
    ----------
    listener : int
    number : int
        Of the list.
    next : int or None
        The trial to go on with, from 1; None if there is none.
    excluded : str or None
        Why the experiment ended before its time.
    forms : frozenset of str
        Those that were sent.
    """

    listener: int
    number: int
    next: int | None
    excluded: str | None
    forms: frozenset[str]


class Person(NamedTuple):
    """Who comes from a service.

    Parameters
    ----------
    service : str
        prolific, mturk, ….
    participant : str
        As the service names them; who comes again goes on where they were.
    parameters : mapping of str to str
        Whatever else the service gave.
    """

    service: str
    participant: str
    parameters: Mapping[str, str]


class Store:
    """An experiment's answers.

    Every message is committed to disk (WAL, ``synchronous=FULL``) before a method returns. Safe to be used by several threads,
    and by several processes at the same time. While one of its files is deleted, moved or replaced, nothing is kept: what is
    written to such a file would be lost.

    Parameters
    ----------
    path : path
        Made if it is not there, for its owner alone.
    experiment : Experiment
    busy_seconds : float
        How long to wait for another process that holds the database. Default 5.
    free_after : float
        Minutes without an answer after which a list may be given to another, see `enrol`. Default `FREE_AFTER`.

    Raises
    ------
    AudioMetamerError
        If it cannot be opened, is no such database, or belongs to another experiment.
    """

    def __init__(self, path: Path, experiment: Experiment, *, busy_seconds: float = 5.0, free_after: float = FREE_AFTER) -> None:
        self.path, self.experiment, self.free_after = path, experiment, free_after
        self._opened = (datetime.now(UTC), time.monotonic())
        self._lock = threading.Lock()
        self._remembered: dict[int, list[CompletedTrial]] = {}
        self._seen: list[_File | None] = []
        self._places = [path, *(path.resolve().with_name(path.resolve().name + end) for end in FILES[1:])]
        try:
            if not path.exists():
                path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
            # Transactions are begun and ended by us, not by the module.
            self._db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._make_tables()
            self._seen = self._files()  # of which the last two are made by the first transaction
        except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
            raise AudioMetamerError(f"{path} cannot be used for answers: {error}") from error

    def _make_tables(self) -> None:
        """Tables where there are none; otherwise they must be ours, of this version and of this experiment."""
        with self._transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                schema = _SCHEMA + ("" if self.experiment.course is None else _COURSE_SCHEMA)
                for statement in schema.strip().removesuffix(";").split(";\n"):
                    db.execute(statement)
                db.execute("INSERT INTO about VALUES ('experiment', ?)", (self.experiment.fingerprint,))
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise AudioMetamerError(f"{self.path} has tables of version {version}; this is for version {_VERSION}")
            else:
                check_experiment(db, self.path, self.experiment)

    @property
    def address(self) -> str | None:
        """Where these answers were last served; None if they never were."""
        with self._alone() as db:
            found = db.execute("SELECT value FROM about WHERE name = 'address'").fetchone()
        return None if found is None else str(found[0])

    @address.setter
    def address(self, address: str) -> None:
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO about VALUES ('address', ?)", (address,))

    def close(self) -> None:
        """Close the database; nothing is lost without it.

        Whoever is the last to close it leaves one file that holds everything and is read where nothing can be written.
        """
        with self._lock:
            with suppress(UnavailableError, sqlite3.Error):  # gone, used by others, or on a full disk: then it stays as it is
                self.check_in_place()
                self._db.execute("PRAGMA busy_timeout = 0")
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()

    def checkpoint(self) -> None:
        """Bring what was written into the database's first file, so that a copy of that alone lacks little.

        Raises
        ------
        UnavailableError
        """
        with self._alone() as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def check_in_place(self) -> None:
        """Raise `UnavailableError` if a file of the database is not the one that was opened, or was cut."""
        files = self._files()
        if any(one is not None and not one.goes_on_as(now) for one, now in zip(self._seen, files, strict=False)):
            raise UnavailableError(
                f"{self.path} was deleted, moved or replaced; nothing is kept until it is back or the server is restarted"
            )
        self._seen = files

    def _files(self) -> list["_File | None"]:
        return [_file(place) for place in self._places]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is written to disk when the block ends well, and did not happen if it does not."""
        with self._alone() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
                self.check_in_place()  # before anything is confirmed
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """The database for one thread; `UnavailableError` where SQLite cannot do its work now."""
        with self._lock:
            self.check_in_place()
            try:
                yield self._db
            except sqlite3.IntegrityError:
                raise
            except sqlite3.DatabaseError as error:
                raise UnavailableError(f"the answers cannot be reached now: {error}") from error

    def enrol(self, *, person: Person | None = None, group: str = "") -> str:
        """A token for a listener: a new one, who gets the first list that is free, or one of a service who comes again.

        Where no list is free, one is taken from somebody who came without a link of their own and has not answered for
        `free_after` minutes, or for `LONGER` times as long if they have answered main trials: first from who has answered
        nothing, then from who is away for longest. They are excluded as `LEFT`, and their answers stay. If they come again and
        had answered nothing, they get another list.

        Parameters
        ----------
        person : Person, optional
            Default: somebody who was given a link.
        group : str
            Of listeners, if the experiment compares some. Default: none.

        Returns
        -------
        str
            To be given to the listener; only its hash is kept.

        Raises
        ------
        CompleteError
            If every list has its listener.
        LeftError
            If the person has left answers, and their list to somebody else.
        UnnamedError
            If the person's name is nobody's; see `audiometamer.listening.identity`.
        UnavailableError
        """
        token = secrets.token_urlsafe(32)
        person = None if person is None else _identified(person)
        with self._transaction() as db:
            listener = self._known(db, person)
            if listener is None:
                listener = self._new(db, person, group, self._free(db))
            elif person is not None:  # a task that was given back and taken again has another assignment
                db.execute("UPDATE listeners SET parameters = ? WHERE listener = ?", (_json(dict(person.parameters)), listener))
                self._begin_again(db, listener)
            db.execute("INSERT INTO tokens VALUES (?, ?)", (_hash(token), listener))
            first, newest = "SELECT min(rowid) FROM tokens WHERE listener = :l", "SELECT rowid FROM tokens WHERE listener = :l"
            db.execute(
                f"DELETE FROM tokens WHERE listener = :l AND rowid NOT IN ({first}) "  # noqa: S608 (ours)
                f"AND rowid NOT IN ({newest} ORDER BY rowid DESC LIMIT :n)",
                {"l": listener, "n": MOST_TOKENS - 1},
            )
        return token

    def _begin_again(self, db: sqlite3.Connection, listener: int) -> None:
        """Another list for who comes again and had answered nothing when theirs was given away."""
        try:
            _check_stayed(db, listener)
        except LateError:
            number = self._free(db)
            db.execute(
                "UPDATE listeners SET list = ?, enrolled = ?, excluded = NULL WHERE listener = ?", (number, self._now(), listener)
            )
            if self.experiment.course is not None:
                db.execute("DELETE FROM decided WHERE listener = ?", (listener,))

    def _known(self, db: sqlite3.Connection, person: Person | None) -> int | None:
        if person is None:
            return None
        found = db.execute(
            "SELECT listener FROM listeners WHERE service = ? AND participant = ?", (person.service, person.participant)
        ).fetchone()
        return None if found is None else int(found[0])

    def _free(self, db: sqlite3.Connection) -> int:
        """The first list that nobody has, but perhaps who was excluded."""
        taken = {number for (number,) in db.execute("SELECT list FROM listeners WHERE excluded IS NULL")}
        free = next(number for number in count(1) if number not in taken)
        return free if free <= len(self.experiment.lists.listeners) else self._left(db)

    def _left(self, db: sqlite3.Connection) -> int:
        """The list of who has left, see `enrol`."""
        answers = "FROM messages WHERE messages.listener = listeners.listener AND kind = 'answer'"
        under_way = db.execute(
            f"SELECT listener, list, (SELECT count(*) {answers}), "  # noqa: S608 (ours)
            f"coalesce((SELECT received {answers} ORDER BY trial DESC LIMIT 1), enrolled) "
            f"FROM listeners WHERE service IN {OPEN_TO} AND finished IS NULL AND excluded IS NULL"
        )
        left = [
            (answered > 0, last, listener, number)
            for listener, number, answered, last in under_way
            if last < self._late(number, answered)
        ]
        if not left:
            raise CompleteError(f"all {len(self.experiment.lists.listeners)} lists have their listeners")
        *_, listener, number = min(left)
        db.execute("UPDATE listeners SET excluded = ? WHERE listener = ?", (LEFT, listener))
        return number

    def _late(self, number: int, answered: int) -> str:
        """Who has this list, this many answers, and none since then, has left.

        No clock that is set forward or back while we run makes anybody late: this goes by the earlier of the computer's clock and
        that of `_steady`, and whatever is kept is dated by the later.
        """
        first_main = sum(trial.kind not in ("catch", "main") for trial in self.experiment.trials(number))
        minutes = self.free_after * (LONGER if answered > first_main else 1)
        return _moment(min(datetime.now(UTC), self._steady()) - timedelta(minutes=minutes))

    def _now(self) -> str:
        return _moment(max(datetime.now(UTC), self._steady()))

    def _steady(self) -> datetime:
        """The time by a clock that nobody sets, which was right when this was opened if the computer's was."""
        opened, then = self._opened
        return opened + timedelta(seconds=time.monotonic() - then)

    def _new(self, db: sqlite3.Connection, person: Person | None, group: str, number: int) -> int:
        service, participant, parameters = (None, None, {}) if person is None else person
        inserted = db.execute(
            'INSERT INTO listeners (list, "group", service, participant, parameters, enrolled) VALUES (?, ?, ?, ?, ?, ?)',
            (number, group, service, participant, _json(dict(parameters)), self._now()),
        )
        assert inserted.lastrowid is not None
        return inserted.lastrowid

    def admit(self, person: Person, number: int, messages: Sequence[Message], *, group: str = "") -> int:
        """Keep all that a listener sent elsewhere, or nothing of it; what is there already changes nothing.

        Parameters
        ----------
        person : Person
        number : int
            Of the list.
        messages : sequence of Message
            In their order.
        group : str
            Of listeners, if the experiment compares some. Default: none.

        Returns
        -------
        int
            The listener.

        Raises
        ------
        ConflictError
            If the list has another listener, who was not excluded, or this listener has another list; and as `keep`.
        UnnamedError
            As `enrol`.
        RefusedError, ExcessError, UnavailableError
            As `keep`.
        """
        person = _identified(person)
        with self._transaction() as db:
            listener = self._known(db, person) or self._new(db, person, group, number)
            if self._state(db, listener).number != number:
                raise ConflictError(f"listener {listener} has list {self._state(db, listener).number}, not list {number}")
            for message in messages:
                self._keep(db, listener, message)
            # Only now is it known who was stopped, and their lists may be given again.
            others = "SELECT count(*) FROM listeners WHERE list = ? AND excluded IS NULL"
            if db.execute(others, (number,)).fetchone() > (1,):
                raise ConflictError(f"list {number} has another listener")
        return listener

    def release(self, listener: int, reason: str) -> None:
        """Count a listener as excluded, so that their list is given to somebody else; the answers stay.

        Raises
        ------
        AudioMetamerError
            If there is no such listener, or the experiment is over for them.
        """
        with self._transaction() as db:
            found = db.execute("SELECT finished, excluded FROM listeners WHERE listener = ?", (listener,)).fetchone()
            if found is None:
                raise AudioMetamerError(f"there is no listener {listener}")
            if found != (None, None):
                raise AudioMetamerError(f"listener {listener} is {'excluded' if found[1] else 'finished'} already")
            db.execute("UPDATE listeners SET excluded = ? WHERE listener = ?", (reason, listener))

    def listener(self, token: str) -> int:
        """Whose token it is; raises `UnknownListenerError` if it is nobody's, and `LeftError` if their list was given away."""
        with self._alone() as db:
            found = db.execute("SELECT listener FROM tokens WHERE hash = ?", (_hash(token),)).fetchone()
            if found is None:
                raise UnknownListenerError("nobody has this token")
            _check_stayed(db, found[0])
        return int(found[0])

    def person(self, listener: int) -> Person | None:
        """Who a listener is to a service; None of who was given a link."""
        with self._alone() as db:
            row = db.execute("SELECT service, participant, parameters FROM listeners WHERE listener = ?", (listener,)).fetchone()
        service, participant, parameters = row
        return None if service is None else Person(service, participant, _read(parameters, dict[str, str]))

    def state(self, listener: int) -> State:
        """How far a listener is."""
        with self._alone() as db:
            return self._state(db, listener)

    def _state(self, db: sqlite3.Connection, listener: int) -> State:
        found = db.execute("SELECT list, finished, excluded FROM listeners WHERE listener = ?", (listener,))
        number, finished, excluded = found.fetchone()
        (answered,) = db.execute("SELECT count(*) FROM messages WHERE listener = ? AND kind = 'answer'", (listener,)).fetchone()
        forms = db.execute("SELECT content FROM messages WHERE listener = ? AND kind = 'form'", (listener,)).fetchall()
        over = excluded is not None or finished is not None
        names = frozenset(_read(content, Form).form for (content,) in forms)
        return State(listener, number, None if over else answered + 1, excluded, names)

    def heard(self, listener: int) -> Sequence[CompletedTrial]:
        """The trials that were decided on the way and answered, in order."""
        with self._alone() as db:
            return self._heard(db, self._state(db, listener))

    def _heard(self, db: sqlite3.Connection, state: State) -> list[CompletedTrial]:
        """What was read before is remembered: answers do not change, and there may be thousands."""
        known = self._remembered.get(state.listener, [])
        last = len(self.experiment.trials(state.number)) + len(known)
        rows = db.execute(
            "SELECT decided.content, messages.content FROM messages JOIN decided USING (listener, trial) "
            "WHERE listener = ? AND trial > ? AND kind = 'answer' ORDER BY trial",
            (state.listener, last),
        )
        heard = [*known, *(_judged(_read(decided, Decided), _read(answer, Answer).answer) for decided, answer in rows)]
        if not db.in_transaction:  # or it might be taken back
            self._remembered.pop(state.listener, None)
            self._remembered[state.listener] = heard
            if len(self._remembered) > _MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        return heard

    def decided(self, listener: int, trial: int) -> Decided | None:
        """A listener's trial of this number, if it was decided on the way; None if it was not, or not yet."""
        with self._alone() as db:
            return self._decided(db, listener, trial)

    def _decided(self, db: sqlite3.Connection, listener: int, trial: int) -> Decided | None:
        found = db.execute("SELECT content FROM decided WHERE listener = ? AND trial = ?", (listener, trial)).fetchone()
        return None if found is None else _read(found[0], Decided)

    def decided_stimulus(self, listener: int, stimulus: str) -> Decided | None:
        """A trial that was decided for a listener and has this stimulus; None if there is none."""
        with self._alone() as db:
            found = db.execute("SELECT content FROM decided WHERE listener = ? AND stimulus = ?", (listener, stimulus)).fetchone()
        return None if found is None else _read(found[0], Decided)

    def decide(self, listener: int, decided: Decided) -> Decided:
        """Keep a trial that was decided, unless another was under its number; that which is kept.

        Raises
        ------
        ConflictError
            If there was no consent, or the experiment is over.
        UnavailableError
        """
        with self._transaction() as db:
            _check_under_way(self._state(db, listener))
            trial = decided.trial
            row = (listener, trial.trial, trial.stimulus, _json(decided))
            db.execute("INSERT INTO decided VALUES (?, ?, ?, ?) ON CONFLICT (listener, trial) DO NOTHING", row)
            kept = self._decided(db, listener, trial.trial)
        assert kept is not None
        return kept

    def keep(self, listener: int, message: Message) -> State:
        """Keep a message of a listener; the same under the same key again changes nothing.

        Parameters
        ----------
        listener : int
        message : Answer, Form or Events

        Returns
        -------
        State
            After it.

        Raises
        ------
        ConflictError
            If another message has this key, the trial is answered, it is not this trial's turn, there was no consent, or the
            experiment is over.
        RefusedError
            If it is not a possible answer, or not to what this listener heard; if a form is not as the design asks for it; if a
            date is out of range.
        ExcessError
            If the listener sent too many forms and events, or an answer is far too long.
        UnavailableError
            If the disk is full or the database is locked.
        """
        with self._transaction() as db:
            self._keep(db, listener, message)
            return self._state(db, listener)

    def _keep(self, db: sqlite3.Connection, listener: int, message: Message) -> None:
        content = _json(message)
        same = db.execute("SELECT content FROM messages WHERE listener = ? AND key = ?", (listener, message.key)).fetchone()
        if same is None:
            state = self._state(db, listener)
            self._check(db, state, message, len(content.encode()))
            trial = message.trial if isinstance(message, Answer) else None
            kind = type(message).__struct_config__.tag
            row = (listener, message.key, kind, trial, content, self._now())
            db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
            if isinstance(message, Answer):
                self._close_if_over(db, state, message.trial)
        elif same != (content,):
            raise ConflictError("another message was kept under this key")

    def _check(self, db: sqlite3.Connection, state: State, message: Message, size: int) -> None:
        if not all(map(takes_place, moments(message))):
            raise RefusedError("it holds a date outside the years 1970 to 2199")
        if isinstance(message, Answer):
            if size > MOST_BYTES_OF_ANSWER:
                raise ExcessError(f"an answer of {size} bytes is not kept; it may have {MOST_BYTES_OF_ANSWER}")
            self._check_answer(db, state, message)
            return
        n, kept = db.execute(_SENT, (state.listener,)).fetchone()
        if n >= MOST_MESSAGES:
            raise ExcessError(f"more than {MOST_MESSAGES} forms and events are not kept")
        if kept + size > MOST_BYTES:
            raise ExcessError(f"more than {MOST_BYTES} bytes of forms and events are not kept")
        if isinstance(message, Form) and message.form.startswith("questions-"):
            when = message.form.removeprefix("questions-")
            check_replies(message.content, [q for q in self.experiment.design.questions if q.when == when])

    def _check_answer(self, db: sqlite3.Connection, state: State, message: Answer) -> None:
        """It answers the trial whose turn it is, of this listener's own, with one of the answers that this takes."""
        trials, course = self.experiment.trials(state.number), self.experiment.course
        _check_under_way(state)
        if course is None and message.trial > len(trials):
            raise RefusedError(f"there is no trial {message.trial}; there are {len(trials)}")
        if state.next is None or message.trial < state.next:
            raise ConflictError(f"trial {message.trial} is answered")
        if message.trial > state.next:
            raise ConflictError(f"it is the turn of trial {state.next}")
        trial = self._trial(db, state, message.trial)
        if trial is None:
            raise ConflictError(f"trial {message.trial} is not decided yet")
        if message.stimulus != trial.stimulus:
            raise RefusedError(f"trial {message.trial} plays another sound")
        if message.answer not in self.experiment.options(trial):
            raise RefusedError("this is none of the possible answers")

    def _trial(self, db: sqlite3.Connection, state: State, number: int) -> Trial | None:
        """A trial of the list, or one that was decided; None if it is not decided yet."""
        trials = self.experiment.trials(state.number)
        if number <= len(trials):
            return trials[number - 1]
        decided = self._decided(db, state.listener, number)
        return None if decided is None else decided.trial

    def _close_if_over(self, db: sqlite3.Connection, state: State, answered: int) -> None:
        """After the last trial of a check that was not passed, or of the experiment, note that it is over."""
        trials, course = self.experiment.trials(state.number), self.experiment.course
        here = trials[answered - 1].kind if answered <= len(trials) else None
        following = trials[answered].kind if answered < len(trials) else None
        if here is not None and following != here and (told := self._failed(db, state, here)):
            db.execute("UPDATE listeners SET excluded = ? WHERE listener = ?", (told, state.listener))
        elif following is None and (course is None or course.next(state.number, self._heard(db, state)) is None):
            db.execute("UPDATE listeners SET finished = ? WHERE listener = ?", (self._now(), state.listener))

    def _failed(self, db: sqlite3.Connection, state: State, kind: str) -> str:
        """Why a listener is stopped after the trials of this kind; nothing if they may go on."""
        gate = self.experiment.design.gates.get(kind)
        if gate is None or gate.otherwise != "stop":
            return ""
        right = self._right(db, state.listener, [trial for trial in self.experiment.trials(state.number) if trial.kind == kind])
        return "" if right >= gate.minimum else f"{kind}: {right} of {gate.trials} right, at least {gate.minimum} needed"

    def _right(self, db: sqlite3.Connection, listener: int, trials: list[Trial]) -> int:
        """How many of these trials were answered right."""
        sql = "SELECT content FROM messages WHERE listener = ? AND kind = 'answer' AND trial BETWEEN ? AND ?"
        answers = [_read(content, Answer) for (content,) in db.execute(sql, (listener, trials[0].trial, trials[-1].trial))]
        return sum(self.experiment.correct(answer.stimulus, answer.answer) for answer in answers)


def _check_under_way(state: State) -> None:
    if "consent" not in state.forms:
        raise ConflictError("there was no consent")
    if state.excluded is not None:
        raise ConflictError("the experiment is over")


def _check_stayed(db: sqlite3.Connection, listener: int) -> None:
    """Raise if a listener's list was given to somebody else."""
    if db.execute("SELECT excluded FROM listeners WHERE listener = ?", (listener,)).fetchone() == (LEFT,):
        answers = db.execute("SELECT 1 FROM messages WHERE listener = ? AND kind = 'answer'", (listener,))
        raise (LateError if answers.fetchone() is None else LeftError)("the list was given to somebody else")


def _identified(person: Person) -> Person:
    """The same person under the one form of their name."""
    participant = identity(person.participant)
    if participant is None:
        raise UnnamedError(f"{person.service} does not say who this is")
    return person._replace(participant=participant)


def _judged(decided: Decided, answer: str) -> CompletedTrial:
    return CompletedTrial(decided, answer, answer == decided.answer)


def check_replies(replies: Mapping[str, object], questions: list[Question]) -> None:
    """Whether these are answers to the questions of a design; raises `RefusedError` if not."""
    by_name = {question.name: question for question in questions}
    for name, reply in replies.items():
        question = by_name.get(name)
        if question is None:
            raise RefusedError("there is no such question")
        if reply is None or reply == "":
            continue
        number = isinstance(reply, int | float) and not isinstance(reply, bool)
        if question.kind == "number" and not number:
            raise RefusedError(f"the answer to {name} must be a number")
        if question.kind != "number" and not isinstance(reply, str):
            raise RefusedError(f"the answer to {name} must be a text")
        if question.kind == "choice" and reply not in question.options:
            raise RefusedError(f"the answer to {name} is none of its options")
    if lacking := [question.name for question in questions if question.required and replies.get(question.name) in (None, "")]:
        raise RefusedError(f"an answer to {lacking[0]} is needed")


def _moment(moment: datetime) -> str:
    """ISO 8601, UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _File(NamedTuple):
    """A file of a database that is open; none of them shrinks."""

    device: int
    inode: int
    size: int

    def goes_on_as(self, other: "_File | None") -> bool:
        return other is not None and self[:2] == other[:2] and self.size <= other.size


def _file(path: Path) -> _File | None:
    """What lies at a path; None if it cannot be found."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _File(found.st_dev, found.st_ino, found.st_size)


def _hash(token: str) -> bytes:
    """Tokens are 256 random bits: a plain hash of them is as hard to turn back as a slow one."""
    return hashlib.sha256(token.encode()).digest()


def check_experiment(db: sqlite3.Connection, path: Path, experiment: Experiment) -> None:
    """Raise if a database, which lies at `path`, holds the answers of another experiment."""
    if db.execute("SELECT value FROM about WHERE name = 'experiment'").fetchone() != (experiment.fingerprint,):
        raise AudioMetamerError(f"{path} holds the answers of another experiment than {experiment.folder}")


def _json(content: Any) -> str:
    """The same for equal contents."""
    return msgspec.json.encode(content, order="deterministic").decode()


def _read(content: str, kind: type[T]) -> T:
    return msgspec.json.decode(content, type=kind)
