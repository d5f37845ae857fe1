"""Trials that an adaptive sequence has decided, in the database, and the answers to them."""

import sqlite3

from audiometamer.listening.adaptive import CompletedTrial, DecidedTrial
from audiometamer.listening.database import decode_content, encode_content
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import AnswerMessage
from audiometamer.listening.state import ListenerState
from audiometamer.listening.trials import Trial

_MAX_REMEMBERED = 64  # listeners whose completed trials are kept in memory


class DecidedTrials:
    """The decided trials of all listeners of one experiment.

    Completed trials that were read before are remembered: answers do not change, and there may be thousands.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self._remembered: dict[int, list[CompletedTrial]] = {}

    def find(self, db: sqlite3.Connection, listener: int, trial: int) -> DecidedTrial | None:
        """A listener's decided trial of this number; None if it is not decided yet, or not adaptive."""
        found = db.execute("SELECT content FROM decided WHERE listener = ? AND trial = ?", (listener, trial)).fetchone()
        return None if found is None else decode_content(found[0], DecidedTrial)

    def find_stimulus(self, db: sqlite3.Connection, listener: int, stimulus: str) -> DecidedTrial | None:
        """A listener's decided trial with this stimulus; None if there is none."""
        found = db.execute("SELECT content FROM decided WHERE listener = ? AND stimulus = ?", (listener, stimulus)).fetchone()
        return None if found is None else decode_content(found[0], DecidedTrial)

    def insert(self, db: sqlite3.Connection, listener: int, decided: DecidedTrial) -> DecidedTrial:
        """Store a decided trial, unless another is stored under its number; the one that is stored."""
        trial = decided.trial
        row = (listener, trial.trial, trial.stimulus, encode_content(decided))
        db.execute("INSERT INTO decided VALUES (?, ?, ?, ?) ON CONFLICT (listener, trial) DO NOTHING", row)
        stored = self.find(db, listener, trial.trial)
        assert stored is not None
        return stored

    def delete(self, db: sqlite3.Connection, listener: int) -> None:
        """Forget the trials of a listener who has answered none of them."""
        if self.experiment.adaptive is not None:
            db.execute("DELETE FROM decided WHERE listener = ?", (listener,))

    def trial(self, db: sqlite3.Connection, state: ListenerState, number: int) -> Trial | None:
        """A trial of the list, or a decided one; None if it is not decided yet."""
        trials = self.experiment.trials(state.number)
        if number <= len(trials):
            return trials[number - 1]
        decided = self.find(db, state.listener, number)
        return None if decided is None else decided.trial

    def completed(self, db: sqlite3.Connection, state: ListenerState) -> list[CompletedTrial]:
        """The decided trials that a listener has answered, in order."""
        known = self._remembered.get(state.listener, [])
        last = len(self.experiment.trials(state.number)) + len(known)
        rows = db.execute(
            "SELECT decided.content, messages.content FROM messages JOIN decided USING (listener, trial) "
            "WHERE listener = ? AND trial > ? AND kind = 'answer' ORDER BY trial",
            (state.listener, last),
        )
        completed = [*known, *(_completed(decided, answer) for decided, answer in rows)]
        if not db.in_transaction:  # otherwise it might be rolled back
            self._remember(state.listener, completed)
        return completed

    def _remember(self, listener: int, completed: list[CompletedTrial]) -> None:
        self._remembered.pop(listener, None)
        self._remembered[listener] = completed
        if len(self._remembered) > _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]


def _completed(decided_content: str, answer_content: str) -> CompletedTrial:
    decided = decode_content(decided_content, DecidedTrial)
    answer = decode_content(answer_content, AnswerMessage).answer
    return CompletedTrial(decided, answer, answer == decided.answer)
