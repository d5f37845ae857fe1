"""The answers to an exploration: a record for each adaptive trial."""

from collections.abc import Iterator

from audiometamer.exploration.trials import AnsweredTrial
from audiometamer.listening.adaptive import DecidedTrial
from audiometamer.listening.messages import AnswerMessage, started_answered
from audiometamer.listening.received import ReceivedAnswers
from audiometamer.listening.tables import json_cell


def answered(answers: ReceivedAnswers, *, task: str) -> Iterator[AnsweredTrial]:
    """All answers to comparisons, listener by listener, without the headphone check."""
    for enrolled in answers.enrolled:
        for answer in answers.judged(enrolled.listener):
            if answer.decided is not None:
                yield answered_trial(str(enrolled.listener), task, answer.decided, answer.message)


def answered_trial(listener: str, task: str, decided: DecidedTrial, message: AnswerMessage) -> AnsweredTrial:
    """One answer of one listener, as a row of the trial table."""
    started, answered_at = started_answered(message)
    return AnsweredTrial.to(
        decided, listener=listener, task=task, answer=message.answer, reaction_time_ms=message.reaction_time_ms,
        plays=message.plays, started=started, answered=answered_at, playback=json_cell(message.playback),
    )  # fmt: skip
