"""The database of answers on disk: SQLite, its tables, and transactions that are durable before they return."""

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.folder import Experiment
from audiometamer.listening.refusals import UnavailableError

ContentType = TypeVar("ContentType")
DATABASE_SUFFIXES = ("", "-wal", "-shm")  # of a database in use, after its name
_VERSION = 1  # of the tables
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
_ADAPTIVE_SCHEMA = """
CREATE TABLE decided (
    listener INTEGER NOT NULL REFERENCES listeners,
    trial INTEGER NOT NULL,
    stimulus TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (listener, trial)
) STRICT;
CREATE INDEX decided_stimuli ON decided (listener, stimulus);
CREATE INDEX forms ON messages (listener) WHERE kind = 'form';
"""  # in addition, where an adaptive sequence decides trials


class Database:
    """An open database of answers.

    Every transaction is committed to disk (WAL, ``synchronous=FULL``) before it returns. Safe to be used by several threads, and
    by several processes at the same time. While one of its files is deleted, moved or replaced, nothing is stored: what is
    written to such a file would be lost.

    Parameters
    ----------
    path : path
        Created if it does not exist, readable by its owner only.
    experiment : Experiment
    busy_seconds : float
        How long to wait for another process that holds the database.

    Raises
    ------
    AudioMetamerError
        If it cannot be opened, is no such database, or belongs to another experiment.
    """

    def __init__(self, path: Path, experiment: Experiment, *, busy_seconds: float) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: list[_File | None] = []
        self._places = [path, *(path.resolve().with_name(path.resolve().name + end) for end in DATABASE_SUFFIXES[1:])]
        try:
            if not path.exists():
                path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
            # Transactions are begun and ended by us, not by the module.
            self.connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA foreign_keys = ON")
            self._make_tables(experiment)
            self._seen = self._files()  # the last two are created by the first transaction
        except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
            raise AudioMetamerError(f"{path} cannot be used for answers: {error}") from error

    def _make_tables(self, experiment: Experiment) -> None:
        """Create the tables of a new database; those of an older one must be ours, of this version and of this experiment."""
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                schema = _SCHEMA + ("" if experiment.adaptive is None else _ADAPTIVE_SCHEMA)
                for statement in schema.strip().removesuffix(";").split(";\n"):
                    db.execute(statement)
                db.execute("INSERT INTO about VALUES ('experiment', ?)", (experiment.fingerprint,))
                db.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise AudioMetamerError(f"{self.path} has tables of version {version}; this is for version {_VERSION}")
            else:
                check_experiment(db, self.path, experiment)

    def close(self) -> None:
        """Close the database; nothing is lost without it.

        The last process to close it leaves a single file that holds everything and can be read where nothing can be written.
        """
        with self._lock:
            with suppress(UnavailableError, sqlite3.Error):  # gone, used by others, or on a full disk: then it stays as it is
                self.check_in_place()
                self.connection.execute("PRAGMA busy_timeout = 0")
                self.connection.execute("PRAGMA journal_mode = DELETE")
            self.connection.close()

    def checkpoint(self) -> None:
        """Bring what was written into the database's first file, so that a copy of that alone lacks little.

        Raises
        ------
        UnavailableError
        """
        with self.exclusive() as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def check_in_place(self) -> None:
        """Raise `UnavailableError` if a file of the database is not the one that was opened, or was truncated."""
        files = self._files()
        if any(one is not None and not one.continues_as(now) for one, now in zip(self._seen, files, strict=False)):
            raise UnavailableError(
                f"{self.path} was deleted, moved or replaced; nothing is kept until it is back or the server is restarted"
            )
        self._seen = files

    def _files(self) -> list["_File | None"]:
        return [_file(place) for place in self._places]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is on disk when the block ends normally, and never happened if it raises."""
        with self.exclusive() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
                self.check_in_place()  # before anything is confirmed
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread; raises `UnavailableError` where SQLite cannot do its work now."""
        with self._lock:
            self.check_in_place()
            try:
                yield self.connection
            except sqlite3.IntegrityError:
                raise
            except sqlite3.DatabaseError as error:
                raise UnavailableError(f"the answers cannot be reached now: {error}") from error


class _File(NamedTuple):
    """A file of an open database; none of them shrinks."""

    device: int
    inode: int
    size: int

    def continues_as(self, other: "_File | None") -> bool:
        return other is not None and self[:2] == other[:2] and self.size <= other.size


def _file(path: Path) -> _File | None:
    """The file at a path; None if it cannot be found."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _File(found.st_dev, found.st_ino, found.st_size)


def check_experiment(db: sqlite3.Connection, path: Path, experiment: Experiment) -> None:
    """Raise if the database at `path` holds the answers of another experiment."""
    if db.execute("SELECT value FROM about WHERE name = 'experiment'").fetchone() != (experiment.fingerprint,):
        raise AudioMetamerError(f"{path} holds the answers of another experiment than {experiment.folder}")


def encode_content(content: Any) -> str:
    """Content of a row as JSON; the same for equal contents."""
    return msgspec.json.encode(content, order="deterministic").decode()


def decode_content(content: str, kind: type[ContentType]) -> ContentType:
    """Content of a row, from JSON."""
    return msgspec.json.decode(content, type=kind)
