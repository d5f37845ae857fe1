"""The answers as tables: a row for each answer, a row for each listener; safe to open in a spreadsheet."""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import readable, resolved, write_private, write_text
from audiometamer.io.tables import SIGN, table_text
from audiometamer.listening.adaptive import AdaptiveSequence, CompletedTrial, Decided
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import Answer, Events, Form, Message, in_utc, moments, takes_place
from audiometamer.listening.store import FILES, check_experiment
from audiometamer.listening.tables import LISTENER_COLUMNS, TRIAL_COLUMNS, Listener, Trial, cells
from audiometamer.listening.trials import ConditionKey, Entry
from audiometamer.listening.trials import Trial as ListTrial

TRIALS, LISTENERS, EVENTS, PARTICIPANTS = "trials.tsv", "listeners.tsv", "events.tsv", "participants.tsv"
_LACKING = "{0} has no {0}-wal beside it: if it was copied while in use, the answers of the last seconds may be missing"
_DECODER = msgspec.json.Decoder(Message)
COUNTED_AS = "counted_as"  # the column of trials, where some answers count as others, with what each answer counts as


class Enrolled(msgspec.Struct, frozen=True):
    """A listener, as the database has them."""

    listener: int
    list: int
    group: str
    service: str | None
    participant: str | None
    parameters: str
    enrolled: str
    finished: str | None
    excluded: str | None


class EventRow(msgspec.Struct, frozen=True):
    """Something that happened on a listener's page; `details` is JSON."""

    listener: str
    trial: int | None
    what: str
    when: datetime | None
    details: str


class ParticipantRow(msgspec.Struct, frozen=True):
    """Who a listener is to the service that they came from; `parameters` is JSON."""

    listener: str
    service: str
    participant: str
    parameters: str


class Given(NamedTuple):
    """An answer, and what it was given to.

    Parameters
    ----------
    trial : Trial
        Of the list, or decided on the way.
    right : str
        The right answer.
    message : Answer
    decided : Decided or None
        None of trials of the list.
    correct : bool
        Whether it counts as the right answer.
    """

    trial: ListTrial
    right: str
    message: Answer
    decided: Decided | None
    correct: bool


@dataclass(frozen=True)
class Answers:
    """All that listeners sent, as it was at one moment.

    Parameters
    ----------
    experiment : Experiment
    enrolled : list of Enrolled
    messages : dict of int to list of Message
        By listener; answers in the order of their trials, others in that of their arrival.
    decided : dict of (int, int) to Decided
        By listener and trial; empty where all trials were drawn beforehand.
    unreadable : list of str
        What was kept by an earlier version or changed since, and is left out: a line each.
    """

    experiment: Experiment
    enrolled: list[Enrolled]
    messages: dict[int, list[Message]]
    decided: dict[tuple[int, int], Decided]
    unreadable: list[str] = field(default_factory=list)

    @cached_property
    def notices(self) -> list[str]:
        """What the tables lack, a line for each message with a date out of range, whose cell is empty, or that cannot be read."""
        dated = ((listener, message) for listener, messages in self.messages.items() for message in messages)
        return [
            *self.unreadable,
            *(
                f"listener {listener}, {_named(message)}: a date outside the years 1970 to 2199; its cell is empty"
                for listener, message in dated if not all(map(takes_place, moments(message)))
            ),
        ]  # fmt: skip

    def answers(self, listener: int) -> list[Answer]:
        """The answers of one listener, in order."""
        return [message for message in self.messages[listener] if isinstance(message, Answer)]

    @cached_property
    def _given(self) -> dict[int, list[Given]]:
        return {one.listener: [self._judged(one, answer) for answer in self.answers(one.listener)] for one in self.enrolled}

    def _judged(self, one: Enrolled, answer: Answer) -> Given:
        trials = self.experiment.trials(one.list)
        if answer.trial <= len(trials):
            right = self.experiment.key[answer.stimulus].answer
            return Given(trials[answer.trial - 1], right, answer, None, self.experiment.correct(answer.stimulus, answer.answer))
        decided = self.decided[one.listener, answer.trial]
        return Given(decided.trial, decided.answer, answer, decided, answer.answer == decided.answer)

    def given(self, listener: int) -> list[Given]:
        """The answers of one listener with what they were given to, in order."""
        return self._given[listener]

    def heard(self, listener: int) -> list[CompletedTrial]:
        """The trials of one listener that were decided on the way and answered, in order."""
        return [CompletedTrial(g.decided, g.message.answer, g.correct) for g in self.given(listener) if g.decided is not None]

    @property
    def total(self) -> int:
        """How many answers there are."""
        return sum(map(len, self._given.values()))

    def form(self, listener: int, name: str) -> Mapping[str, Any]:
        """What a listener wrote into a form, the last time; nothing if they did not."""
        found = [m.content for m in self.messages[listener] if isinstance(m, Form) and m.form == name]
        return found[-1] if found else {}

    @property
    def trials(self) -> list[Trial]:
        """A row for each answer to a trial of the lists."""
        return [trial for one in self.enrolled for trial in self._trials(one)]

    def _trials(self, one: Enrolled) -> Iterator[Trial]:
        browser = json_cell(self.form(one.listener, "browser"))
        for trial, _, answer, decided, correct in self.given(one.listener):
            if decided is not None:
                continue
            entry = self.experiment.key[answer.stimulus]
            model, layer, seed = _condition(entry)
            started, answered = started_answered(answer)
            yield Trial(
                listener=str(one.listener), trial=answer.trial, kind=trial.kind, stimulus=answer.stimulus,
                clip=entry.clip, model=model, layer=layer, seed=seed, missing=entry.missing, word=entry.word,
                speaker=entry.speaker, answer=answer.answer, correct=correct,
                reaction_time_ms=answer.reaction_time_ms, plays=answer.plays,
                started=started, answered=answered,
                network_correct=self._network_correct(entry), browser=browser, playback=json_cell(answer.playback),
            )  # fmt: skip

    def _network_correct(self, entry: Entry) -> bool | None:
        """Whether the model that made the metamer recognises this very sound; None where that is not asked."""
        if not isinstance(entry.condition, ConditionKey) or self.experiment.design.compares:
            return None
        label = entry.recognised_by.get(entry.condition.model)
        return None if label is None else self.experiment.design.answers.same(label, entry.answer)

    @cached_property
    def listeners(self) -> list[Listener]:
        """A row for each listener."""
        return [self._listener(one) for one in self.enrolled]

    def _listener(self, one: Enrolled) -> Listener:
        given = self.given(one.listener)
        checks = [answer.correct for answer in given if answer.trial.kind == "headphones"]
        replies = {**self.form(one.listener, "questions-before"), **self.form(one.listener, "questions-after")}
        asked = {question.name: replies.get(question.name) for question in self.experiment.design.questions}
        return Listener(
            listener=str(one.listener), group=one.group,
            headphones_correct=sum(checks) if checks else None, headphones_trials=len(checks) or None,
            practice_correct=sum(answer.correct for answer in given if answer.trial.kind == "practice"),
            finished=one.finished is not None, excluded=one.excluded is not None, reason=one.excluded or "",
            questionnaire={
                "list": str(one.list), "enrolled": one.enrolled,
                **{name: "" if reply is None else str(reply) for name, reply in asked.items()},
            },
        )  # fmt: skip

    @property
    def events(self) -> list[EventRow]:
        """A row for each event."""
        return [
            EventRow(str(one.listener), event.trial, event.what, in_utc(event.when), json_cell(event.details))
            for one in self.enrolled
            for message in self.messages[one.listener] if isinstance(message, Events)
            for event in message.events
        ]  # fmt: skip

    @property
    def participants(self) -> list[ParticipantRow]:
        """A row for each listener, with who they are."""
        return [
            ParticipantRow(str(one.listener), one.service or "", one.participant or "", one.parameters) for one in self.enrolled
        ]

    def text(self, table: str) -> str:
        """One of the tables as tab-separated text: ``trials.tsv``, ``listeners.tsv``, ``events.tsv`` or ``participants.tsv``."""
        if table == TRIALS and self.experiment.course is not None:
            return table_text(self.experiment.course.columns, self._adaptive_rows(self.experiment.course))
        asked = [question.name for question in self.experiment.design.questions]
        tables: dict[str, tuple[Sequence[str], Sequence[msgspec.Struct]]] = {
            TRIALS: (TRIAL_COLUMNS, self.trials),
            LISTENERS: ((*LISTENER_COLUMNS, "list", "enrolled", *asked), self.listeners),
            EVENTS: (EventRow.__struct_fields__, self.events),
            PARTICIPANTS: (ParticipantRow.__struct_fields__, self.participants),
        }
        columns, records = tables[table]
        rows = list(map(cells, records))
        if table == TRIALS and (counted := self.experiment.design.answers.counted):
            columns = (*columns, COUNTED_AS)
            rows = [{**row, COUNTED_AS: counted.get(row["answer"], row["answer"])} for row in rows]
        return table_text(columns, rows, harmless=SIGN)  # a number that was typed is a text

    def _adaptive_rows(self, course: AdaptiveSequence) -> Iterator[Mapping[str, object]]:
        for one in self.enrolled:
            for given in self.given(one.listener):
                if given.decided is not None:
                    yield course.row(str(one.listener), given.decided, given.message)


def read_answers(database: Path, experiment: Experiment) -> Answers:
    """Read everything in one transaction, beside a server that goes on; what cannot be read is named and left out.

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
        columns = ", ".join(f'"{name}"' for name in Enrolled.__struct_fields__)
        for row in db.execute(f"SELECT {columns} FROM listeners ORDER BY listener"):  # noqa: S608 (our names)
            found.enrol(Enrolled(*row))
        if experiment.course is not None:
            for listener, trial, content in db.execute("SELECT listener, trial, CAST(content AS BLOB) FROM decided"):
                found.decide(listener, trial, content)
        # Those of a listener in the order in which they came: clocks are set, and the order of rows is not.
        for listener, key, content in db.execute(
            "SELECT listener, key, CAST(content AS BLOB) FROM messages ORDER BY listener, trial, rowid"
        ):
            found.keep(listener, key, content)
    return Answers(experiment, list(found.enrolled.values()), found.messages, found.decided, found.unreadable)


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    """A database that is not changed; a copy of it where SQLite cannot make the files beside it that it needs."""
    database = resolved(database)
    with ExitStack() as stack:
        try:
            try:
                db = stack.enter_context(_opened(database))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                    raise
                folder = Path(stack.enter_context(TemporaryDirectory()))  # for its owner alone
                for end in FILES[:2]:
                    if (path := database.with_name(database.name + end)).exists():
                        shutil.copyfile(path, folder / path.name)
                db = stack.enter_context(_opened(folder / database.name))
            db.text_factory = partial(str, encoding="utf-8", errors="replace")
            yield db
        except (OSError, UnicodeDecodeError, sqlite3.Error) as error:
            raise AudioMetamerError(f"{database} cannot be read: {error}") from error


def _opened(database: Path) -> "closing[sqlite3.Connection]":
    """A connection that cannot write, once something was read by it."""
    db = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("PRAGMA user_version").fetchone()
    except (UnicodeDecodeError, sqlite3.Error):
        db.close()
        raise
    return closing(db)


def _lacks_journal(database: Path) -> bool:
    """Whether a database was in use, by its header, and there is no journal of what was written last."""
    with database.open("rb") as file:
        in_use = file.read(20)[18:] == b"\2\2"
    journal = resolved(database)
    return in_use and not journal.with_name(journal.name + "-wal").exists()


@dataclass
class _Rows:
    """What can be read of a database, row by row; the rest is named.

    Rows of earlier versions, and of hands that changed them, must not keep everybody else's answers from being read.
    """

    experiment: Experiment
    unreadable: list[str]
    enrolled: dict[int, Enrolled] = field(default_factory=dict)
    messages: dict[int, list[Message]] = field(default_factory=dict)
    decided: dict[tuple[int, int], Decided] = field(default_factory=dict)

    def enrol(self, one: Enrolled) -> None:
        lists = len(self.experiment.lists.listeners)
        if 1 <= one.list <= lists:
            self.enrolled[one.listener] = one
            self.messages[one.listener] = []
        else:
            self.unreadable.append(f"listener {one.listener} has list {one.list} of {lists}; all their answers are left out")

    def decide(self, listener: int, trial: int, content: bytes) -> None:
        assert self.experiment.course is not None
        if listener not in self.enrolled:
            return  # their list is named
        with self._named(f"listener {listener}, trial {trial}"):
            decided = msgspec.json.decode(content, type=Decided)
            self.experiment.course.check(self.enrolled[listener].list, decided)
            self.decided[listener, trial] = decided

    def keep(self, listener: int, key: str, content: bytes) -> None:
        if listener not in self.enrolled:
            return  # their list is named
        with self._named(f"listener {listener}, message {readable(key)}"):
            message = _DECODER.decode(content)
            if isinstance(message, Answer):
                self._check(listener, message)
            self.messages[listener].append(message)

    def _check(self, listener: int, answer: Answer) -> None:
        """Whether an answer is to a trial of this listener's."""
        trials = self.experiment.trials(self.enrolled[listener].list)
        if answer.trial > len(trials):
            found = self.decided.get((listener, answer.trial))
            asked = None if found is None else found.trial
        else:
            asked = trials[answer.trial - 1]
        if asked is None or asked.stimulus != answer.stimulus:
            raise ValueError(f"it answers trial {answer.trial}, which plays another sound or is not there")

    @contextmanager
    def _named(self, row: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, RecursionError) as error:  # of which those of msgspec are
            self.unreadable.append(f"{row}: it cannot be read and is left out: {readable(str(error))}")


def read_decided(database: Path, stimulus: str) -> Decided:
    """What the trial is that plays this sound, of those that were decided on the way; raises as `read_answers`."""
    with _reading(database) as db:
        found = db.execute("SELECT content FROM decided WHERE stimulus = ?", (stimulus,)).fetchone()
    if found is None:
        raise AudioMetamerError(f"{database} has no trial that plays {stimulus}")
    return msgspec.json.decode(found[0], type=Decided)


def write_tables(answers: Answers, out: Path) -> None:
    """Write all tables into a folder; who the participants are, for the owner alone.

    Raises
    ------
    AudioMetamerError
        If a table is there already, or it cannot be written.
    """
    for table in (TRIALS, LISTENERS, EVENTS, PARTICIPANTS):
        if (out / table).exists():
            raise AudioMetamerError(f"{out / table} exists; nothing is overwritten: choose another --out")
    for table in (TRIALS, LISTENERS, EVENTS):
        write_text(out / table, answers.text(table))
    write_private(out / PARTICIPANTS, answers.text(PARTICIPANTS))


def started_answered(answer: Answer) -> tuple[datetime | None, datetime | None]:
    """When a trial began and was answered, in UTC; empty where it is not known, as if the listener's clock was set meanwhile."""
    started, answered = in_utc(answer.started), in_utc(answer.answered)
    return (None if started and answered and answered < started else started), answered


def _named(message: Message) -> str:
    return f"trial {message.trial}" if isinstance(message, Answer) else f"message {message.key}"


def _condition(entry: Entry) -> tuple[str, str, int | None]:
    """Model, layer and seed, as the table of trials has them."""
    if isinstance(entry.condition, ConditionKey):
        return entry.condition.model, entry.condition.layer, entry.condition.seed
    return "", entry.condition if entry.condition != "headphones" else "", None


def json_cell(content: Mapping[str, Any]) -> str:
    """What a cell of a table holds that is not a single value: JSON in a line, keys in order."""
    return msgspec.json.encode(content, order="deterministic").decode()
