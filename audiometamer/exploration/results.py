"""The answers to an exploration as a table: a row for each trial that was decided on the way."""

from collections.abc import Iterator

from audiometamer.exploration.trials import COLUMNS, AnsweredTrial, row_of
from audiometamer.io.tables import table_text
from audiometamer.listening.course import Decided
from audiometamer.listening.export import Answers, json_cell, started_answered
from audiometamer.listening.messages import Answer


def table_of(answers: Answers, *, task: str) -> str:
    """``trials.tsv``, as `audiometamer.exploration.trials` reads it."""
    return table_text(COLUMNS, map(row_of, answered(answers, task=task)))


def answered(answers: Answers, *, task: str) -> Iterator[AnsweredTrial]:
    """Every answer to a comparison, of each listener in order; the headphone check is not among them."""
    for one in answers.enrolled:
        for given in answers.given(one.listener):
            if given.decided is not None:
                yield _row(str(one.listener), task, given.decided, given.message)


def _row(listener: str, task: str, decided: Decided, message: Answer) -> AnsweredTrial:
    started, answered_at = started_answered(message)
    return AnsweredTrial.to(
        decided, listener=listener, task=task, answer=message.answer, reaction_time_ms=message.reaction_time_ms,
        plays=message.plays, started=started, answered=answered_at, playback=json_cell(message.playback),
    )  # fmt: skip
