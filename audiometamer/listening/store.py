"""The store: everything that listeners send, on disk exactly once before it is confirmed, and after any crash."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.adaptive import CompletedTrial, DecidedTrial
from audiometamer.listening.checks import Stored, check_answer, check_dates, check_form_or_events, check_turn
from audiometamer.listening.clock import SteadyClock
from audiometamer.listening.database import Database, decode_content, encode_content
from audiometamer.listening.decided_trials import DecidedTrials
from audiometamer.listening.enrolment import FREE_AFTER, Participant, Roster, check_not_left, hash_of, new_token
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import AnswerMessage, Message
from audiometamer.listening.refusals import ConflictError, UnknownListenerError
from audiometamer.listening.state import ListenerState, read_state
from audiometamer.listening.trials import Trial

_STORED = """
SELECT count(*), coalesce(sum(length(CAST(content AS BLOB))), 0) FROM messages WHERE listener = ? AND kind != 'answer'
"""


class Store:
    """An experiment's listeners and their messages.

    Every message is on disk before a method returns; see `audiometamer.listening.database.Database`.

    Parameters
    ----------
    path : path
        Created if it does not exist, readable by its owner only.
    experiment : Experiment
    busy_seconds : float
        How long to wait for another process that holds the database. Default 5.
    free_after : float
        Minutes without an answer after which a list may be reassigned, see `enrol`. Default `FREE_AFTER`.

    Raises
    ------
    AudioMetamerError
        If it cannot be opened, is no such database, or belongs to another experiment.
    """

    def __init__(self, path: Path, experiment: Experiment, *, busy_seconds: float = 5.0, free_after: float = FREE_AFTER) -> None:
        self.path, self.experiment = path, experiment
        self.database = Database(path, experiment, busy_seconds=busy_seconds)
        self._clock = SteadyClock()
        self._decided = DecidedTrials(experiment)
        self._roster = Roster(experiment, self._decided, self._clock, free_after=free_after)

    @property
    def address(self) -> str | None:
        """Address at which these answers were last served; None if they never were."""
        with self.database.exclusive() as db:
            found = db.execute("SELECT value FROM about WHERE name = 'address'").fetchone()
        return None if found is None else str(found[0])

    @address.setter
    def address(self, address: str) -> None:
        with self.database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO about VALUES ('address', ?)", (address,))

    def close(self) -> None:
        """Close the database; nothing is lost without it."""
        self.database.close()

    def enrol(self, *, participant: Participant | None = None, group: str = "") -> str:
        """A token for a listener: a new one, who gets the first free list, or a participant of a service who returns.

        Where no list is free, one is taken from a participant who arrived without a link of their own and has not answered for
        `free_after` minutes, or for `MAIN_TRIALS_FACTOR` times as long after answers to main trials: first from those who have
        answered nothing, then from those who have been away longest. They are excluded as `LEFT_UNFINISHED`, and their answers
        stay. If they return and had answered nothing, they get another list.

        Parameters
        ----------
        participant : Participant, optional
            Default: somebody who was given a link.
        group : str
            Group of listeners, if the experiment compares some. Default: none.

        Returns
        -------
        str
            Token for the listener; only its hash is stored.

        Raises
        ------
        CompleteError
            If every list has its listener.
        LeftError
            If the participant has left, and their list was reassigned.
        UnnamedError
            If the participant's name is nobody's; see `audiometamer.listening.identity`.
        UnavailableError
        """
        participant = None if participant is None else participant.identified()
        with self.database.transaction() as db:
            listener = self._roster.find(db, participant)
            if listener is None:
                listener = self._roster.insert(db, participant, group, self._roster.free_list(db))
            elif participant is not None:
                self._roster.welcome_back(db, listener, participant)
            return new_token(db, listener)

    def admit(self, participant: Participant, number: int, messages: Sequence[Message], *, group: str = "") -> int:
        """Store all that a listener sent elsewhere, or nothing of it; what is already stored changes nothing.

        Parameters
        ----------
        participant : Participant
        number : int
            Number of their list.
        messages : sequence of Message
            In their order.
        group : str
            Group of listeners, if the experiment compares some. Default: none.

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
        participant = participant.identified()
        with self.database.transaction() as db:
            listener = self._roster.find(db, participant) or self._roster.insert(db, participant, group, number)
            if (assigned := read_state(db, listener).number) != number:
                raise ConflictError(f"listener {listener} has list {assigned}, not list {number}")
            for message in messages:
                self._keep(db, listener, message)
            # Only now is it known who was stopped, and their lists may be reassigned.
            others = "SELECT count(*) FROM listeners WHERE list = ? AND excluded IS NULL"
            if db.execute(others, (number,)).fetchone() > (1,):
                raise ConflictError(f"list {number} has another listener")
        return listener

    def release(self, listener: int, reason: str) -> None:
        """Exclude a listener, so that their list becomes free; their answers stay.

        Raises
        ------
        AudioMetamerError
            If there is no such listener, or the experiment is over for them.
        """
        with self.database.transaction() as db:
            found = db.execute("SELECT finished, excluded FROM listeners WHERE listener = ?", (listener,)).fetchone()
            if found is None:
                raise AudioMetamerError(f"there is no listener {listener}")
            if found != (None, None):
                raise AudioMetamerError(f"listener {listener} is {'excluded' if found[1] else 'finished'} already")
            db.execute("UPDATE listeners SET excluded = ? WHERE listener = ?", (reason, listener))

    def listener(self, token: str) -> int:
        """The listener whose token this is.

        Raises
        ------
        UnknownListenerError
            If it is nobody's.
        LeftError
            If their list was reassigned.
        """
        with self.database.exclusive() as db:
            found = db.execute("SELECT listener FROM tokens WHERE hash = ?", (hash_of(token),)).fetchone()
            if found is None:
                raise UnknownListenerError("nobody has this token")
            check_not_left(db, found[0])
        return int(found[0])

    def participant(self, listener: int) -> Participant | None:
        """A listener's identity at the service that they came from; None for a listener who was given a link."""
        with self.database.exclusive() as db:
            row = db.execute("SELECT service, participant, parameters FROM listeners WHERE listener = ?", (listener,)).fetchone()
        service, name, parameters = row
        return None if service is None else Participant(service, name, decode_content(parameters, dict[str, str]))

    def state(self, listener: int) -> ListenerState:
        """A listener's progress."""
        with self.database.exclusive() as db:
            return read_state(db, listener)

    def completed(self, listener: int) -> Sequence[CompletedTrial]:
        """The adaptive trials that a listener has answered, in order."""
        with self.database.exclusive() as db:
            return self._decided.completed(db, read_state(db, listener))

    def decided(self, listener: int, trial: int) -> DecidedTrial | None:
        """A listener's adaptive trial of this number; None if it is not decided yet, or not adaptive."""
        with self.database.exclusive() as db:
            return self._decided.find(db, listener, trial)

    def decided_stimulus(self, listener: int, stimulus: str) -> DecidedTrial | None:
        """A listener's adaptive trial with this stimulus; None if there is none."""
        with self.database.exclusive() as db:
            return self._decided.find_stimulus(db, listener, stimulus)

    def decide(self, listener: int, decided: DecidedTrial) -> DecidedTrial:
        """Store a decided trial, unless another is stored under its number; the one that is stored.

        Raises
        ------
        ConflictError
            If there was no consent, or the experiment is over.
        UnavailableError
        """
        with self.database.transaction() as db:
            read_state(db, listener).check_under_way()
            return self._decided.insert(db, listener, decided)

    def keep(self, listener: int, message: Message) -> ListenerState:
        """Store a listener's message; the same message under the same key changes nothing.

        Parameters
        ----------
        listener : int
        message : AnswerMessage, FormMessage or EventsMessage

        Returns
        -------
        ListenerState
            State after the message.

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
        with self.database.transaction() as db:
            self._keep(db, listener, message)
            return read_state(db, listener)

    def _keep(self, db: sqlite3.Connection, listener: int, message: Message) -> None:
        content = encode_content(message)
        same = db.execute("SELECT content FROM messages WHERE listener = ? AND key = ?", (listener, message.key)).fetchone()
        if same is None:
            state = read_state(db, listener)
            self._check(db, state, message, len(content.encode()))
            trial = message.trial if isinstance(message, AnswerMessage) else None
            kind = type(message).__struct_config__.tag
            row = (listener, message.key, kind, trial, content, self._clock.now())
            db.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
            if isinstance(message, AnswerMessage):
                self._end_if_over(db, state, message.trial)
        elif same != (content,):
            raise ConflictError("another message was kept under this key")

    def _check(self, db: sqlite3.Connection, state: ListenerState, message: Message, size: int) -> None:
        check_dates(message)
        if isinstance(message, AnswerMessage):
            check_turn(self.experiment, state, message, size)
            check_answer(self.experiment, self._decided.trial(db, state, message.trial), message)
        else:
            stored = Stored(*db.execute(_STORED, (state.listener,)).fetchone())
            check_form_or_events(message, size, stored, self.experiment.design.questions)

    def _end_if_over(self, db: sqlite3.Connection, state: ListenerState, answered: int) -> None:
        """After the last trial of a failed check, or of the experiment, note that it is over."""
        trials, adaptive = self.experiment.trials(state.number), self.experiment.adaptive
        kind = trials[answered - 1].kind if answered <= len(trials) else None
        next_kind = trials[answered].kind if answered < len(trials) else None
        if kind is not None and next_kind != kind and (reason := self._failure(db, state, kind)):
            db.execute("UPDATE listeners SET excluded = ? WHERE listener = ?", (reason, state.listener))
        elif next_kind is None and (adaptive is None or adaptive.next(state.number, self._decided.completed(db, state)) is None):
            db.execute("UPDATE listeners SET finished = ? WHERE listener = ?", (self._clock.now(), state.listener))

    def _failure(self, db: sqlite3.Connection, state: ListenerState, kind: str) -> str:
        """Why a listener is stopped after the trials of this kind; empty if they may continue."""
        gate = self.experiment.design.gates.get(kind)
        if gate is None or gate.otherwise != "stop":
            return ""
        correct = self._count_correct(
            db, state.listener, [trial for trial in self.experiment.trials(state.number) if trial.kind == kind]
        )
        return "" if correct >= gate.minimum else f"{kind}: {correct} of {gate.trials} right, at least {gate.minimum} needed"

    def _count_correct(self, db: sqlite3.Connection, listener: int, trials: Sequence[Trial]) -> int:
        sql = "SELECT content FROM messages WHERE listener = ? AND kind = 'answer' AND trial BETWEEN ? AND ?"
        rows = db.execute(sql, (listener, trials[0].trial, trials[-1].trial))
        answers = [decode_content(content, AnswerMessage) for (content,) in rows]
        return sum(self.experiment.correct(answer.stimulus, answer.answer) for answer in answers)
