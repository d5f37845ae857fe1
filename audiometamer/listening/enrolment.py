"""Enrolment: which listener gets which list, and when a list that was abandoned goes to another."""

import hashlib
import secrets
import sqlite3
from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from audiometamer.listening.clock import SteadyClock
from audiometamer.listening.database import encode_content
from audiometamer.listening.decided_trials import DecidedTrials
from audiometamer.listening.folder import Experiment
from audiometamer.listening.identity import identity
from audiometamer.listening.refusals import CompleteError, LateError, LeftError, UnnamedError

OPEN_TO = ("prolific", "mturk", "anyone")  # services whose participants need no link of their own
FREE_AFTER = 60.0  # minutes without an answer after which the list of such a participant may be reassigned
MAIN_TRIALS_FACTOR = 24  # times as long after answers to main trials: their list is worth a night's sleep
LEFT_UNFINISHED = "left unfinished"  # why such a listener is excluded
MAX_TOKENS = 8  # of a listener: the first, by which most answer, and the newest


class Participant(NamedTuple):
    """A participant, as a service identifies them.

    Parameters
    ----------
    service : str
        prolific, mturk, ….
    name : str
        Name of the participant at the service; one who returns continues where they stopped.
    parameters : mapping of str to str
        Whatever else the service sent.
    """

    service: str
    name: str
    parameters: Mapping[str, str]

    def identified(self) -> "Participant":
        """The same participant under the one form of their name; raises `UnnamedError` if it is nobody's."""
        name = identity(self.name)
        if name is None:
            raise UnnamedError(f"{self.service} does not say who this is")
        return self._replace(name=name)


class Roster:
    """The listeners of one experiment, and their lists.

    Where no list is free, `free_list` takes one from a participant who arrived without a link of their own and has not answered
    for `free_after` minutes, or for `MAIN_TRIALS_FACTOR` times as long after answers to main trials.

    Parameters
    ----------
    experiment : Experiment
    decided : DecidedTrials
    clock : SteadyClock
    free_after : float
        Minutes.
    """

    def __init__(self, experiment: Experiment, decided: DecidedTrials, clock: SteadyClock, *, free_after: float) -> None:
        self.experiment, self.decided, self.clock, self.free_after = experiment, decided, clock, free_after

    def find(self, db: sqlite3.Connection, participant: Participant | None) -> int | None:
        """The listener of a participant; None for a new participant, or a listener with a link."""
        if participant is None:
            return None
        found = db.execute(
            "SELECT listener FROM listeners WHERE service = ? AND participant = ?", (participant.service, participant.name)
        ).fetchone()
        return None if found is None else int(found[0])

    def insert(self, db: sqlite3.Connection, participant: Participant | None, group: str, number: int) -> int:
        """Add a listener, who gets list `number`."""
        service, name, parameters = (None, None, {}) if participant is None else participant
        inserted = db.execute(
            'INSERT INTO listeners (list, "group", service, participant, parameters, enrolled) VALUES (?, ?, ?, ?, ?, ?)',
            (number, group, service, name, encode_content(dict(parameters)), self.clock.now()),
        )
        assert inserted.lastrowid is not None
        return inserted.lastrowid

    def welcome_back(self, db: sqlite3.Connection, listener: int, participant: Participant) -> None:
        """Note what the service says now; give another list to one who had answered nothing when theirs was reassigned."""
        # A task that was returned and accepted again has another assignment.
        parameters = encode_content(dict(participant.parameters))
        db.execute("UPDATE listeners SET parameters = ? WHERE listener = ?", (parameters, listener))
        try:
            check_not_left(db, listener)
        except LateError:
            db.execute(
                "UPDATE listeners SET list = ?, enrolled = ?, excluded = NULL WHERE listener = ?",
                (self.free_list(db), self.clock.now(), listener),
            )
            self.decided.delete(db, listener)

    def free_list(self, db: sqlite3.Connection) -> int:
        """The first list that no listener has who is not excluded, or one that was abandoned.

        Raises
        ------
        CompleteError
            If every list has its listener.
        """
        taken = {number for (number,) in db.execute("SELECT list FROM listeners WHERE excluded IS NULL")}
        free = next(number for number in count(1) if number not in taken)
        return free if free <= len(self.experiment.lists.listeners) else self._abandoned_list(db)

    def _abandoned_list(self, db: sqlite3.Connection) -> int:
        """The list of a listener who has left: first one who has answered nothing, then the one who has been away longest."""
        answers = "FROM messages WHERE messages.listener = listeners.listener AND kind = 'answer'"
        under_way = db.execute(
            f"SELECT listener, list, (SELECT count(*) {answers}), "  # noqa: S608 (ours)
            f"coalesce((SELECT received {answers} ORDER BY trial DESC LIMIT 1), enrolled) "
            f"FROM listeners WHERE service IN {OPEN_TO} AND finished IS NULL AND excluded IS NULL"
        )
        left = [
            (answered > 0, last, listener, number)
            for listener, number, answered, last in under_way
            if last < self._deadline(number, answered)
        ]
        if not left:
            raise CompleteError(f"all {len(self.experiment.lists.listeners)} lists have their listeners")
        *_, listener, number = min(left)
        db.execute("UPDATE listeners SET excluded = ? WHERE listener = ?", (LEFT_UNFINISHED, listener))
        return number

    def _deadline(self, number: int, answered: int) -> str:
        """A listener with this list and this many answers, none of them since then, has left."""
        first_main = sum(trial.kind not in ("catch", "main") for trial in self.experiment.trials(number))
        return self.clock.ago(self.free_after * (MAIN_TRIALS_FACTOR if answered > first_main else 1))


def new_token(db: sqlite3.Connection, listener: int) -> str:
    """A new token for a listener, of which only the hash is stored; of the older ones, few stay valid."""
    token = secrets.token_urlsafe(32)
    db.execute("INSERT INTO tokens VALUES (?, ?)", (hash_of(token), listener))
    first, newest = "SELECT min(rowid) FROM tokens WHERE listener = :l", "SELECT rowid FROM tokens WHERE listener = :l"
    db.execute(
        f"DELETE FROM tokens WHERE listener = :l AND rowid NOT IN ({first}) "  # noqa: S608 (ours)
        f"AND rowid NOT IN ({newest} ORDER BY rowid DESC LIMIT :n)",
        {"l": listener, "n": MAX_TOKENS - 1},
    )
    return token


def hash_of(token: str) -> bytes:
    """Tokens are 256 random bits: a plain hash of them is as hard to invert as a slow one."""
    return hashlib.sha256(token.encode()).digest()


def check_not_left(db: sqlite3.Connection, listener: int) -> None:
    """Raise `LeftError` if a listener's list was reassigned; `LateError` if they had answered nothing."""
    if db.execute("SELECT excluded FROM listeners WHERE listener = ?", (listener,)).fetchone() == (LEFT_UNFINISHED,):
        answers = db.execute("SELECT 1 FROM messages WHERE listener = ? AND kind = 'answer'", (listener,))
        raise (LateError if answers.fetchone() is None else LeftError)("the list was given to somebody else")
