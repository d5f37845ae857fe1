"""Reading the database of answers, even while a server is running; rows that cannot be read are reported and left out."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import printable, real_path
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.database import DATABASE_SUFFIXES, check_experiment
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import AnswerMessage, Message
from audiometamer.listening.received import EnrolledListener, ReceivedAnswers

_LACKING = "{0} has no {0}-wal beside it: if it was copied while in use, the answers of the last seconds may be missing"
_DECODER = msgspec.json.Decoder(Message)


def read_answers(database: Path, experiment: Experiment) -> ReceivedAnswers:
    """Read everything in one transaction, even while a server is running; what cannot be read is reported and left out.

    Raises
    ------
    AudioMetamerError
        If there is no such database, it cannot be read, or it holds the answers of another experiment.
    """
    if not database.is_file():
        raise AudioMetamerError(f"{database} does not exist: nobody has answered yet")
    with _reading(database) as db:
        db.execute("BEGIN")
        check_experiment(db, database, experiment)
        found = _Rows(experiment, [_LACKING.format(database.name)] if _lacks_journal(database) else [])
        columns = ", ".join(f'"{name}"' for name in EnrolledListener.__struct_fields__)
        for row in db.execute(f"SELECT {columns} FROM listeners ORDER BY listener"):  # noqa: S608 (our names)
            found.enrol(EnrolledListener(*row))
        if experiment.adaptive is not None:
            for listener, trial, content in db.execute("SELECT listener, trial, CAST(content AS BLOB) FROM decided"):
                found.decide(listener, trial, content)
        # In the order in which they arrived: clocks can be set, but the order of rows cannot.
        for listener, key, content in db.execute(
            "SELECT listener, key, CAST(content AS BLOB) FROM messages ORDER BY listener, trial, rowid"
        ):
            found.keep(listener, key, content)
    return ReceivedAnswers(experiment, list(found.enrolled.values()), found.messages, found.decided, found.unreadable)


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A database, opened read-only; a copy of it where SQLite cannot create the files that it needs beside it."""
    database = real_path(database)
    with ExitStack() as stack:
        try:
            try:
                db = stack.enter_context(_opened(database))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
                folder = Path(stack.enter_context(TemporaryDirectory()))  # readable by its owner only
                for end in DATABASE_SUFFIXES[:2]:
                    if (path := database.with_name(database.name + end)).exists():
                        shutil.copyfile(path, folder / path.name)
                db = stack.enter_context(_opened(folder / database.name))
            db.text_factory = partial(str, encoding="utf-8", errors="replace")
            yield db
        except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
            raise AudioMetamerError(f"{database} cannot be read: {error}") from error


def _opened(database: Path) -> "closing[sqlite3.Connection]":
    """A read-only connection, from which something has been read."""
    db = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("PRAGMA user_version").fetchone()
    except (UnicodeDecodeError, sqlite3.Error):
        db.close()
        raise
    return closing(db)


def _lacks_journal(database: Path) -> bool:
    """Whether a database was in use, by its header, and the journal of the last writes is missing."""
    with database.open("rb") as file:
        in_use = file.read(20)[18:] == b"\2\2"
    journal = real_path(database)
    return in_use and not journal.with_name(journal.name + "-wal").exists()


@dataclass
class _Rows:
    """The rows of a database that can be read; the others are reported.

    Rows that an earlier version wrote, or somebody has edited, must not prevent all other answers from being read.
    """

    experiment: Experiment
    unreadable: list[str]
    enrolled: dict[int, EnrolledListener] = field(default_factory=dict)
    messages: dict[int, list[Message]] = field(default_factory=dict)
    decided: dict[tuple[int, int], DecidedTrial] = field(default_factory=dict)

    def enrol(self, one: EnrolledListener) -> None:
        lists = len(self.experiment.lists.listeners)
        if 1 <= one.list <= lists:
            self.enrolled[one.listener] = one
            self.messages[one.listener] = []
        else:
            self.unreadable.append(f"listener {one.listener} has list {one.list} of {lists}; all their answers are left out")

    def decide(self, listener: int, trial: int, content: bytes) -> None:
        assert self.experiment.adaptive is not None
        if listener not in self.enrolled:
            return  # already reported
        with self._named(f"listener {listener}, trial {trial}"):
            decided = msgspec.json.decode(content, type=DecidedTrial)
            self.experiment.adaptive.check(self.enrolled[listener].list, decided)
            self.decided[listener, trial] = decided

    def keep(self, listener: int, key: str, content: bytes) -> None:
        if listener not in self.enrolled:
            return  # already reported
        with self._named(f"listener {listener}, message {printable(key)}"):
            message = _DECODER.decode(content)
            if isinstance(message, AnswerMessage):
                self._check(listener, message)
            self.messages[listener].append(message)

    def _check(self, listener: int, answer: AnswerMessage) -> None:
        """Raise `ValueError` unless an answer is to a trial of this listener."""
        trials = self.experiment.trials(self.enrolled[listener].list)
        if answer.trial > len(trials):
            found = self.decided.get((listener, answer.trial))
            trial = None if found is None else found.trial
        else:
            trial = trials[answer.trial - 1]
        if trial is None or trial.stimulus != answer.stimulus:
            raise ValueError(f"it answers trial {answer.trial}, which plays another sound or does not exist")

    @contextmanager
    def _named(self, row: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
            self.unreadable.append(f"{row}: it cannot be read and is left out: {printable(str(error))}")


def read_decided(database: Path, stimulus: str) -> DecidedTrial:
    """The adaptive trial that plays a sound; raises as `read_answers`."""
    with _reading(database) as db:
        found = db.execute("SELECT content FROM decided WHERE stimulus = ?", (stimulus,)).fetchone()
    if found is None:
        raise AudioMetamerError(f"{database} has no trial that plays {stimulus}")
    return msgspec.json.decode(found[0], type=DecidedTrial)
