"""The answers as tables: a row for each answer, a row for each listener; safe to open in a spreadsheet."""

import csv
import io
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.folder import ConditionKey, Entry, Experiment, write_private
from audiometamer.experiment.messages import Answer, Events, Form, Message
from audiometamer.experiment.store import timestamp
from audiometamer.stimuli.set import write_text

TRIALS, LISTENERS, EVENTS, PARTICIPANTS = "trials.tsv", "listeners.tsv", "events.tsv", "participants.tsv"
TRIAL_COLUMNS = (
    "listener", "trial", "kind", "stimulus", "clip", "model", "layer", "seed", "missing", "word", "speaker", "answer", "correct",
    "reaction_time_ms", "plays", "started", "answered", "network_correct", "browser", "audio",
)  # fmt: skip
LISTENER_COLUMNS = (
    "listener", "observer", "headphones_correct", "headphones_trials", "practice_correct", "finished", "excluded", "reason",
    "list", "enrolled",
)  # fmt: skip
_EVENT_COLUMNS = ("listener", "trial", "what", "when", "details")
_PARTICIPANT_COLUMNS = ("listener", "service", "participant", "parameters")
# Line ends and what else would break a row, and signs by which spreadsheets know a formula.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FORMULA = tuple("=+-@＝＋－＠")

Row = dict[str, Any]


class Listener(msgspec.Struct, frozen=True):
    """A row of the database."""

    listener: int
    list: int
    observer: str
    service: str | None
    participant: str | None
    parameters: str
    enrolled: str
    finished: str | None
    excluded: str | None


@dataclass(frozen=True)
class Answers:
    """All that listeners sent, as it was at one moment.

    Parameters
    ----------
    experiment : Experiment
    listeners : list of Listener
    messages : dict of int to list of Message
        By listener; answers in the order of their trials, others in that of their arrival.
    """

    experiment: Experiment
    listeners: list[Listener]
    messages: dict[int, list[Message]]

    def answers(self, listener: int) -> list[Answer]:
        """The answers of one listener, in order."""
        return [message for message in self.messages[listener] if isinstance(message, Answer)]

    def form(self, listener: int, name: str) -> Mapping[str, Any]:
        """What a listener wrote into a form, the last time; nothing if they did not."""
        found = [m.content for m in self.messages[listener] if isinstance(m, Form) and m.form == name]
        return found[-1] if found else {}

    @cached_property
    def trials(self) -> list[Row]:
        """A row for each answer."""
        return [row for rows in self._by_listener.values() for row in rows]

    @cached_property
    def _by_listener(self) -> dict[int, list[Row]]:
        return {one.listener: list(self._trials(one)) for one in self.listeners}

    def _trials(self, one: Listener) -> Iterator[Row]:
        browser = self.form(one.listener, "browser")
        kinds = {trial.trial: trial.kind for trial in self.experiment.trials(one.list)}
        for answer in self.answers(one.listener):
            entry = self.experiment.key[answer.stimulus]
            condition = entry.condition
            model, layer, seed = ("", condition, None) if isinstance(condition, str) else msgspec.structs.astuple(condition)
            yield {
                "listener": one.listener, "trial": answer.trial, "kind": kinds[answer.trial], "stimulus": answer.stimulus,
                "clip": entry.clip, "model": model, "layer": layer if layer != "headphones" else "", "seed": seed,
                "missing": entry.missing, "word": entry.word, "speaker": entry.speaker, "answer": answer.answer,
                "correct": answer.answer == entry.answer, "reaction_time_ms": answer.reaction_time_ms, "plays": answer.plays,
                "started": timestamp(answer.started), "answered": timestamp(answer.answered),
                "network_correct": self._network_correct(entry), "browser": _json(browser), "audio": _json(answer.audio),
            }  # fmt: skip

    def _network_correct(self, entry: Entry) -> bool | None:
        """Whether the model that made the metamer recognises this very sound; None where that is not asked."""
        if not isinstance(entry.condition, ConditionKey) or self.experiment.design.compares:
            return None
        label = entry.recognised_by.get(entry.condition.model)
        return None if label is None else label == entry.answer

    @cached_property
    def table_of_listeners(self) -> list[Row]:
        """A row for each listener."""
        return [self._listener(one) for one in self.listeners]

    def _listener(self, one: Listener) -> Row:
        rows = self._by_listener[one.listener]
        right = {kind: [row["correct"] for row in rows if row["kind"] == kind] for kind in ("headphones", "practice")}
        replies = {**self.form(one.listener, "questions-before"), **self.form(one.listener, "questions-after")}
        return {
            "listener": one.listener, "observer": one.observer, "headphones_correct": sum(right["headphones"]),
            "headphones_trials": len(right["headphones"]), "practice_correct": sum(right["practice"]),
            "finished": one.finished is not None, "excluded": one.excluded is not None, "reason": one.excluded,
            "list": one.list, "enrolled": one.enrolled,
            **{question.name: replies.get(question.name) for question in self.experiment.design.questions},
        }  # fmt: skip

    @cached_property
    def events(self) -> list[Row]:
        """A row for each event."""
        return [
            {"listener": one.listener, "trial": event.trial, "what": event.what, "when": timestamp(event.when),
             "details": _json(event.details)}
            for one in self.listeners
            for message in self.messages[one.listener] if isinstance(message, Events)
            for event in message.events
        ]  # fmt: skip

    def text(self, table: str) -> str:
        """One of the tables as tab-separated text: ``trials.tsv``, ``listeners.tsv``, ``events.tsv`` or ``participants.tsv``."""
        questions = [question.name for question in self.experiment.design.questions]
        tables: dict[str, tuple[Sequence[str], Iterable[Row]]] = {
            TRIALS: (TRIAL_COLUMNS, self.trials),
            LISTENERS: ((*LISTENER_COLUMNS, *questions), self.table_of_listeners),
            EVENTS: (_EVENT_COLUMNS, self.events),
            PARTICIPANTS: (_PARTICIPANT_COLUMNS, map(msgspec.structs.asdict, self.listeners)),
        }
        columns, rows = tables[table]
        return _tsv(columns, rows)


def read_answers(database: Path, experiment: Experiment) -> Answers:
    """Read everything in one transaction, beside a server that goes on.

    Raises
    ------
    AudioMetamerError
        If there is no such database, or it cannot be read.
    """
    if not database.is_file():
        raise AudioMetamerError(f"{database} does not exist: nobody has answered yet")
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            db.execute("BEGIN")
            columns = ", ".join(Listener.__struct_fields__)
            listeners = [Listener(*row) for row in db.execute(f"SELECT {columns} FROM listeners ORDER BY listener")]  # noqa: S608 (our names)
            messages: dict[int, list[Message]] = {one.listener: [] for one in listeners}
            decoder = msgspec.json.Decoder(Message)
            for listener, content in db.execute(
                "SELECT listener, content FROM messages ORDER BY listener, trial, received, rowid"
            ):
                messages[listener].append(decoder.decode(content))
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{database} cannot be read: {error}") from error
    return Answers(experiment, listeners, messages)


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


def defused(text: str) -> str:
    """A text in one line that no spreadsheet takes for a formula: an apostrophe goes before one, controls are spelt out."""
    plain = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"'{plain}" if plain.lstrip().startswith(_FORMULA) else plain


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return defused(value) if isinstance(value, str) else f"{value:.10g}"


def _tsv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue()


def _json(content: Mapping[str, Any]) -> str:
    return msgspec.json.encode(content, order="deterministic").decode()
