"""All that listeners sent, and the rows of the tables that it becomes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from audiometamer.io.tables import SIGN, table_text
from audiometamer.listening.adaptive import AdaptiveSequence, CompletedTrial, DecidedTrial
from audiometamer.listening.folder import Experiment
from audiometamer.listening.messages import (
    AnswerMessage,
    EventsMessage,
    FormMessage,
    Message,
    in_utc,
    is_plausible,
    started_answered,
    timestamps,
)
from audiometamer.listening.tables import LISTENER_COLUMNS, TRIAL_COLUMNS, ListenerRow, TrialRow, cells, json_cell
from audiometamer.listening.trials import ConditionKey, KeyEntry, Trial

TRIALS, LISTENERS, EVENTS, PARTICIPANTS = "trials.tsv", "listeners.tsv", "events.tsv", "participants.tsv"
COUNTED_AS = "counted_as"  # column of trials, where some answers count as others: what each answer counts as


class EnrolledListener(msgspec.Struct, frozen=True):
    """A listener, as in the database."""

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
    """A listener's identity at the service that they came from; `parameters` is JSON."""

    listener: str
    service: str
    participant: str
    parameters: str


class JudgedAnswer(NamedTuple):
    """An answer and its trial.

    Parameters
    ----------
    trial : Trial
        Trial of the list, or adaptive.
    right : str
        The right answer.
    message : AnswerMessage
    decided : DecidedTrial or None
        None for trials of the list.
    correct : bool
        Whether it counts as the right answer.
    """

    trial: Trial
    right: str
    message: AnswerMessage
    decided: DecidedTrial | None
    correct: bool


@dataclass(frozen=True)
class ReceivedAnswers:
    """All that listeners have sent, at one moment.

    Parameters
    ----------
    experiment : Experiment
    enrolled : list of EnrolledListener
    messages : dict of int to list of Message
        Messages by listener; answers in the order of their trials, other messages in the order of their arrival.
    decided : dict of (int, int) to DecidedTrial
        Trials by listener and number; empty if all trials were drawn beforehand.
    unreadable : list of str
        Rows that an earlier version wrote or that were changed since, and that are left out: one line each.
    """

    experiment: Experiment
    enrolled: list[EnrolledListener]
    messages: dict[int, list[Message]]
    decided: dict[tuple[int, int], DecidedTrial]
    unreadable: list[str] = field(default_factory=list)

    @cached_property
    def notices(self) -> list[str]:
        """Omissions of the tables: one line for each message that cannot be read, or whose date is out of range."""
        dated = ((listener, message) for listener, messages in self.messages.items() for message in messages)
        return [
            *self.unreadable,
            *(
                f"listener {listener}, {_named(message)}: a date outside the years 1970 to 2199; its cell is empty"
                for listener, message in dated if not all(map(is_plausible, timestamps(message)))
            ),
        ]  # fmt: skip

    def answers(self, listener: int) -> list[AnswerMessage]:
        """The answers of one listener, in order."""
        return [message for message in self.messages[listener] if isinstance(message, AnswerMessage)]

    @cached_property
    def _judged_answers(self) -> dict[int, list[JudgedAnswer]]:
        return {one.listener: [self._judge(one, answer) for answer in self.answers(one.listener)] for one in self.enrolled}

    def _judge(self, one: EnrolledListener, answer: AnswerMessage) -> JudgedAnswer:
        trials = self.experiment.trials(one.list)
        if answer.trial <= len(trials):
            right = self.experiment.key[answer.stimulus].answer
            return JudgedAnswer(
                trials[answer.trial - 1], right, answer, None, self.experiment.correct(answer.stimulus, answer.answer)
            )
        decided = self.decided[one.listener, answer.trial]
        return JudgedAnswer(decided.trial, decided.answer, answer, decided, answer.answer == decided.answer)

    def judged(self, listener: int) -> list[JudgedAnswer]:
        """The answers of one listener with their trials, in order."""
        return self._judged_answers[listener]

    def completed(self, listener: int) -> list[CompletedTrial]:
        """The adaptive trials that one listener has answered, in order."""
        return [
            CompletedTrial(one.decided, one.message.answer, one.correct)
            for one in self.judged(listener) if one.decided is not None
        ]  # fmt: skip

    @property
    def total(self) -> int:
        """Number of answers."""
        return sum(map(len, self._judged_answers.values()))

    def form(self, listener: int, name: str) -> Mapping[str, Any]:
        """A listener's last entries in a form; empty if there are none."""
        found = [m.content for m in self.messages[listener] if isinstance(m, FormMessage) and m.form == name]
        return found[-1] if found else {}

    @property
    def trials(self) -> list[TrialRow]:
        """One row for each answer to a trial of the lists."""
        return [trial for one in self.enrolled for trial in self._trials(one)]

    def _trials(self, one: EnrolledListener) -> Iterator[TrialRow]:
        browser = json_cell(self.form(one.listener, "browser"))
        for trial, _, answer, decided, correct in self.judged(one.listener):
            if decided is not None:
                continue
            entry = self.experiment.key[answer.stimulus]
            model, layer, seed = _condition(entry)
            started, answered = started_answered(answer)
            yield TrialRow(
                listener=str(one.listener), trial=answer.trial, kind=trial.kind, stimulus=answer.stimulus,
                clip=entry.clip, model=model, layer=layer, seed=seed, missing=entry.missing, word=entry.word,
                speaker=entry.speaker, answer=answer.answer, correct=correct,
                reaction_time_ms=answer.reaction_time_ms, plays=answer.plays,
                started=started, answered=answered,
                network_correct=self._network_correct(entry), browser=browser, playback=json_cell(answer.playback),
                confidence=answer.confidence,
            )  # fmt: skip

    def _network_correct(self, entry: KeyEntry) -> bool | None:
        """Whether the metamer's own model recognises this very sound; None where sounds are not recognised."""
        if not isinstance(entry.condition, ConditionKey) or self.experiment.design.compares:
            return None
        label = entry.recognised_by.get(entry.condition.model)
        return None if label is None else self.experiment.design.answers.same(label, entry.answer)

    @cached_property
    def listeners(self) -> list[ListenerRow]:
        """One row for each listener."""
        return [self._listener(one) for one in self.enrolled]

    def _listener(self, one: EnrolledListener) -> ListenerRow:
        judged = self.judged(one.listener)
        checks = [answer.correct for answer in judged if answer.trial.kind == "headphones"]
        replies = {**self.form(one.listener, "questions-before"), **self.form(one.listener, "questions-after")}
        questionnaire = {question.name: replies.get(question.name) for question in self.experiment.design.questions}
        return ListenerRow(
            listener=str(one.listener), group=one.group,
            headphones_correct=sum(checks) if checks else None, headphones_trials=len(checks) or None,
            practice_correct=sum(answer.correct for answer in judged if answer.trial.kind == "practice"),
            finished=one.finished is not None, excluded=one.excluded is not None, reason=one.excluded or "",
            questionnaire={
                "list": str(one.list), "enrolled": one.enrolled,
                **{name: "" if reply is None else str(reply) for name, reply in questionnaire.items()},
            },
        )  # fmt: skip

    @property
    def events(self) -> list[EventRow]:
        """One row for each event."""
        return [
            EventRow(str(one.listener), event.trial, event.what, in_utc(event.when), json_cell(event.details))
            for one in self.enrolled
            for message in self.messages[one.listener] if isinstance(message, EventsMessage)
            for event in message.events
        ]  # fmt: skip

    @property
    def participants(self) -> list[ParticipantRow]:
        """One row for each listener, with who they are to their service."""
        return [
            ParticipantRow(str(one.listener), one.service or "", one.participant or "", one.parameters) for one in self.enrolled
        ]

    def text(self, table: str) -> str:
        """One of the tables as tab-separated text: ``trials.tsv``, ``listeners.tsv``, ``events.tsv`` or ``participants.tsv``."""
        if table == TRIALS and self.experiment.adaptive is not None:
            return table_text(self.experiment.adaptive.columns, self._adaptive_rows(self.experiment.adaptive))
        questions = [question.name for question in self.experiment.design.questions]
        tables: dict[str, tuple[Sequence[str], Sequence[msgspec.Struct]]] = {
            TRIALS: (TRIAL_COLUMNS, self.trials),
            LISTENERS: ((*LISTENER_COLUMNS, "list", "enrolled", *questions), self.listeners),
            EVENTS: (EventRow.__struct_fields__, self.events),
            PARTICIPANTS: (ParticipantRow.__struct_fields__, self.participants),
        }
        columns, records = tables[table]
        rows = list(map(cells, records))
        if table == TRIALS and (counted := self.experiment.design.answers.counted):
            columns = (*columns, COUNTED_AS)
            rows = [{**row, COUNTED_AS: counted.get(row["answer"], row["answer"])} for row in rows]
        return table_text(columns, rows, harmless=SIGN)  # a typed number is a text

    def _adaptive_rows(self, sequence: AdaptiveSequence) -> Iterator[Mapping[str, object]]:
        for one in self.enrolled:
            for answer in self.judged(one.listener):
                if answer.decided is not None:
                    yield sequence.row(str(one.listener), answer.decided, answer.message)


def _named(message: Message) -> str:
    return f"trial {message.trial}" if isinstance(message, AnswerMessage) else f"message {message.key}"


def _condition(entry: KeyEntry) -> tuple[str, str, int | None]:
    """Model, layer and seed, as the table of trials has them."""
    if isinstance(entry.condition, ConditionKey):
        return entry.condition.model, entry.condition.layer, entry.condition.seed
    return "", entry.condition if entry.condition != "headphones" else "", None
