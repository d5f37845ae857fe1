"""A listener's progress, according to the database."""

import sqlite3
from typing import NamedTuple

from audiometamer.listening.database import decode_content
from audiometamer.listening.messages import FormMessage
from audiometamer.listening.refusals import ConflictError


class ListenerState(NamedTuple):
    """A listener's progress.

    Parameters
    ----------
    listener : int
    number : int
        Number of their list.
    next : int or None
        The trial to continue with, from 1; None after the last.
    excluded : str or None
        Why the experiment ended early.
    forms : frozenset of str
        Names of the forms that were sent.
    """

    listener: int
    number: int
    next: int | None
    excluded: str | None
    forms: frozenset[str]

    def check_under_way(self) -> None:
        """Raise `ConflictError` before consent, and once the listener is excluded."""
        if "consent" not in self.forms:
            raise ConflictError("there was no consent")
        if self.excluded is not None:
            raise ConflictError("the experiment is over")


def read_state(db: sqlite3.Connection, listener: int) -> ListenerState:
    """A listener's progress."""
    found = db.execute("SELECT list, finished, excluded FROM listeners WHERE listener = ?", (listener,))
    number, finished, excluded = found.fetchone()
    (answered,) = db.execute("SELECT count(*) FROM messages WHERE listener = ? AND kind = 'answer'", (listener,)).fetchone()
    forms = db.execute("SELECT content FROM messages WHERE listener = ? AND kind = 'form'", (listener,)).fetchall()
    over = excluded is not None or finished is not None
    names = frozenset(decode_content(content, FormMessage).form for (content,) in forms)
    return ListenerState(listener, number, None if over else answered + 1, excluded, names)
